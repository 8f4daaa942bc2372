//! `GET /debug/sessions/{fingerprint}`: one session, and the last that happened in it.

use super::json::{Object, write_list};
use super::sessions::{live, past};
use crate::events::Event;
use crate::http::response::Rejection;
use crate::net::shell::Shell;
use crate::session::Fingerprint;

/// # Errors
/// 404 if no such session lives, is remembered, or has left an event.
pub(super) fn story(shell: &Shell, session: Fingerprint) -> Result<Vec<u8>, Rejection> {
    let (now, table) = (shell.now(), shell.table.borrow());
    let is_it = |other: Fingerprint| other.is_shown_like(session);
    let living = table.iter().find(|session| is_it(session.fingerprint));
    let tomb = table.ended().find(|tomb| is_it(tomb.fingerprint));
    let ring = shell.services.common.events.ring();
    if living.is_none() && tomb.is_none() && ring.of(session).next().is_none() {
        let cause = "no such session, or it ended too long ago (limits tombstones_max, events_max); /debug/sessions names all there are";
        return Err(Rejection::new(404, cause));
    }
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    object.text("session", &session.to_string());
    object.seconds("up_s", now.since(shell.started));
    match (living, tomb) {
        (Some(session), _) => live(object.key("live"), shell, session, now, usize::MAX),
        (None, Some(tomb)) => past(object.key("ended"), tomb, now),
        (None, None) => {}
    }
    object.number("events_max", shell.limits().events_max);
    object.key("events").push(b'[');
    let now_ms = now.elapsed().as_millis() as u64;
    write_list(object.out, ring.of(session), false, |out, event| write_event(out, event, now_ms));
    object.out.extend_from_slice(b"\n]");
    object.end();
    out.push(b'\n');
    Ok(out)
}

fn write_event(out: &mut Vec<u8>, event: &Event, now_ms: u64) {
    let ago = |ms: u64| std::time::Duration::from_millis(now_ms.saturating_sub(ms));
    let mut object = Object::new(out);
    object.seconds("s_ago", ago(event.last_ms));
    object.text("event", event.kind.as_str());
    if !event.word.is_empty() {
        object.text("what", event.word);
    }
    if !event.method.is_empty() {
        object.text("method", event.method);
        object.number("ms", event.ms as usize);
    }
    if let Some(tool) = &event.tool {
        object.text("tool", tool);
    }
    if event.times > 1 {
        object.number("times", event.times as usize);
        object.seconds("first_s_ago", ago(event.first_ms));
    }
    object.end();
}
