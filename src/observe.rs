//! What an operator sees: health, every session, living and ended, what happened in each, and numbers. Never a secret
//! id, never an argument.
//!
//! Decided here: who gets which form of it. JSON is for everybody; a browser that asks for HTML gets the one page
//! there is (feature `page`), which then asks for the JSON and for snapshots itself.

mod json;
mod metrics;
#[cfg(feature = "page")]
mod page;
mod sessions;
mod snapshot;
mod story;

use std::rc::Rc;

pub(crate) use self::sessions::{Sessions, whole};
pub(crate) use self::snapshot::snapshot;
use crate::http::head::Head;
use crate::http::response::{Media, Rejection};
use crate::net::shell::Shell;
use crate::transport::{Reply, View};

/// What is shown, and how it is written.
pub(crate) enum Shown {
    Reply(Reply),
    /// All sessions, piece by piece.
    Sessions,
    /// Snapshots, until one of both goes.
    Snapshots(Seat),
}

/// A place among those who watch; dropping it leaves.
pub(crate) struct Seat(Rc<Shell>);

/// Operators who may watch at once. Each costs about a millisecond of every second.
const WATCHERS_MAX: usize = 4;

impl Seat {
    fn take(shell: &Rc<Shell>) -> Result<Seat, Rejection> {
        let taken = shell.watchers.get();
        if taken >= WATCHERS_MAX {
            let cause = format!("{WATCHERS_MAX} watch already; close a page, or ask for /debug/sessions once");
            return Err(Rejection::new(503, cause));
        }
        shell.watchers.set(taken + 1);
        Ok(Seat(shell.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.watchers.set(self.0.watchers.get().saturating_sub(1));
    }
}

/// Shows an operator what he asked for.
///
/// # Errors
/// 404 for a session that nobody remembers, 503 if too many watch.
pub(crate) fn show(shell: &Rc<Shell>, view: View, head: &Head) -> Result<Shown, Rejection> {
    if head.accept.html()
        && let Some(page) = page(view)
    {
        return Ok(Shown::Reply(page));
    }
    match view {
        View::Sessions => Ok(Shown::Sessions),
        View::Snapshots => Seat::take(shell).map(Shown::Snapshots),
        View::Session(session) => story::story(shell, session).map(|body| Shown::Reply(reply(200, Media::Json, body))),
        View::Metrics => Ok(Shown::Reply(reply(200, Media::Metrics, metrics::metrics(shell)))),
    }
}

/// The page, where there is one for this view.
#[cfg(feature = "page")]
fn page(view: View) -> Option<Reply> {
    matches!(view, View::Sessions | View::Session(_)).then(page::page)
}

#[cfg(not(feature = "page"))]
fn page(_: View) -> Option<Reply> {
    None
}

/// The same for an embedder.
pub(crate) fn text(shell: &Shell, view: View) -> String {
    let text = match view {
        View::Metrics => metrics::metrics(shell),
        View::Snapshots => {
            let mut text = Vec::new();
            snapshot(shell, 0, &mut text);
            text
        }
        View::Sessions => return whole(shell),
        View::Session(session) => story::story(shell, session).unwrap_or_default(),
    };
    String::from_utf8(text).unwrap_or_default()
}

fn reply(status: u16, media: Media, body: Vec<u8>) -> Reply {
    Reply { status, media, headers: Vec::new(), body }
}

/// `GET /healthz`: the loop turns. It creates nothing.
pub(crate) fn health(shell: &Shell) -> Reply {
    status(200, if shell.stopping.get() { "stopping" } else { "ok" })
}

/// `GET /readyz`: would a new client be served now? 503 and why, if not.
pub(crate) fn ready(shell: &Shell) -> Reply {
    let limits = shell.limits();
    let why = if shell.stopping.get() {
        "stopping"
    } else if !shell.table.borrow().has_room(shell.now()) {
        "full: limit sessions_max"
    } else if shell.connections.borrow().len() >= limits.connections_max {
        "full: limit connections_max"
    } else {
        return status(200, "ready");
    };
    Reply { headers: vec![("retry-after", "1".into())], ..status(503, why) }
}

fn status(code: u16, word: &str) -> Reply {
    let mut body = Vec::new();
    let mut object = json::Object::new(&mut body);
    object.text("status", word);
    object.end();
    body.push(b'\n');
    reply(code, Media::Json, body)
}
