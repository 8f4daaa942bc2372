//! What an operator is shown that takes more than one write: all sessions piece by piece, and snapshots for as long as
//! he watches.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::connection::{Link, Lost};
use super::shell::Wait;
use crate::http::response::{self, Manner, Media};
use crate::observe::{Seat, Sessions, Shown, snapshot};
use crate::sse;

/// Time between two snapshots.
const WATCH_EVERY: Duration = Duration::from_secs(1);

impl Link {
    /// Writes what the operator wants to see; false if the connection is to end.
    pub(super) async fn show(&mut self, shown: Shown, manner: Manner) -> Result<bool, Lost> {
        match shown {
            Shown::Reply(_) => {} // written where it was made
            Shown::Sessions => self.show_sessions(&manner).await?,
            Shown::Snapshots(seat) => self.watch(seat, &manner).await?,
        }
        Ok(!manner.close && !manner.http_1_0)
    }

    /// Lets others run between the pieces.
    async fn show_sessions(&mut self, manner: &Manner) -> Result<(), Lost> {
        let mut out = Vec::new();
        response::chunked_head(&mut out, Media::Json, manner);
        let (mut sessions, mut piece) = (Sessions::new(), Vec::new());
        while !manner.head_only && sessions.write_piece(&self.shell, &mut piece) {
            if !piece.is_empty() {
                response::chunk(&mut out, manner.http_1_0, |out| out.extend_from_slice(&piece));
            }
            piece.clear();
            self.flush(&mut out).await?;
            smol::future::yield_now().await;
        }
        self.end_body(out, manner).await
    }

    async fn end_body(&mut self, mut out: Vec<u8>, manner: &Manner) -> Result<(), Lost> {
        if !manner.http_1_0 && !manner.head_only {
            out.extend_from_slice(response::LAST_CHUNK);
        }
        self.flush(&mut out).await
    }

    /// A snapshot every second until the operator goes or the server stops. The timer and the text are made here and
    /// nowhere else: while nobody watches nothing is done.
    async fn watch(&mut self, _seat: Seat, manner: &Manner) -> Result<(), Lost> {
        let shell = self.shell.clone();
        let mut out = Vec::new();
        response::stream_head(&mut out, &[], manner);
        let mut from = 0;
        let mut goes_on = !manner.head_only;
        while goes_on {
            let mut event = Vec::new();
            let mut text = Vec::with_capacity(8 * 1024);
            from = snapshot(&shell, from, &mut text);
            sse::event(&mut event, None, sse::SNAPSHOT, &text);
            response::chunk(&mut out, manner.http_1_0, |out| out.extend_from_slice(&event));
            self.flush(&mut out).await?;
            shell.wait_for(&self.presence, Wait::Watch, shell.now());
            goes_on = self.still_watched().await?;
        }
        let ended = self.end_body(out, manner).await;
        shell.wait_for(&self.presence, Wait::Request, shell.now());
        ended
    }

    /// True when it is time for the next snapshot, false if the server wants the connection to end.
    async fn still_watched(&mut self) -> Result<bool, Lost> {
        let shell = self.shell.clone();
        let mut next = pin!(shell.clock().sleep_until(shell.now() + WATCH_EVERY));
        std::future::poll_fn(|cx| {
            if self.presence.poll_cut(cx.waker()).is_some() || shell.stopping.get() {
                return Poll::Ready(Ok(false));
            }
            if self.poll_peer(cx).is_err() || self.half_closed || self.is_deaf() {
                return Poll::Ready(Err(Lost));
            }
            next.as_mut().poll(cx).map(|()| Ok(true))
        })
        .await
    }
}
