//! A response that is a stream: from its queue to the wire, until it ends or the peer is gone.
//!
//! The peer is watched all the time, so that its end is noticed at once and not with the next message. What its
//! end means depends on the stream: an HTTP+SSE session ends with it; a GET stream waits for another
//! connection; the answer to a POST of 2026-07-28 is wanted no more; that of a session's goes on, because a client may
//! close its sending side and still listen, and a comment tells the two apart (D8).

use std::rc::Rc;
use std::task::Poll;

use super::connection::{Link, Lost};
use super::shell::{Cut, Shell, Wait};
use crate::events::Kind;
use crate::http::response::{self, Manner};
use crate::session::{Reason, SessionKey};
use crate::sse;
use crate::stream::{Attachment, End, Frame, Role};
use crate::transport::{Events, First};

/// Bytes of queued messages that go out with one write.
const WRITE_BYTES: usize = 16 * 1024;
/// Bytes that a client may send behind a GET that became a stream; they mean nothing.
const CHATTER_MAX: usize = 64 * 1024;

/// A stream that is being written; its end is noted even if its connection's task is dropped.
pub(super) struct Open {
    shell: Rc<Shell>,
    session: Option<SessionKey>,
    role: Role,
    /// The peer's end of sending means that it is gone.
    eof_ends: bool,
    attachment: Attachment,
    http_1_0: bool,
    /// Messages that are in the buffer but not on the wire yet.
    unwritten: Vec<Rc<Frame>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.unwritten.drain(..).for_each(|frame| self.attachment.lost(&frame));
        let Some(session) = self.session else { return };
        let ended = self.attachment.stream().ended().is_some();
        match (ended, self.role) {
            (false, _) => self.note(Kind::StreamLost),
            (true, Role::Reply) => {} // its call's end says it
            (true, _) => self.note(Kind::StreamEnded),
        }
        if let Ok(mut table) = self.shell.table.try_borrow_mut() {
            table.stream_closed(session, self.shell.now());
        }
        if self.role == Role::Session && !self.shell.stopping.get() {
            self.shell.end_session(session, Reason::StreamEnded);
        }
    }
}

/// What the stream has to do next.
enum Turn {
    Message(Rc<Frame>),
    /// It is time for a comment.
    Beat,
    /// Nothing more will come.
    End,
    /// The peer sends no more; find out whether it still listens.
    Probe,
    Gone,
}

impl Link {
    /// Writes a stream to its end; false if the connection is to end too.
    pub(super) async fn stream(&mut self, mut opened: (Open, Vec<u8>), keep: bool) -> Result<bool, Lost> {
        let ended = self.pump(&mut opened.0, &mut opened.1).await;
        self.shell.end_beats(&self.presence);
        let keep = ended? && keep;
        self.shell.wait_for(&self.presence, Wait::Request, self.shell.now());
        Ok(keep)
    }

    /// Begins a stream: its head and its first event, ready to be written. Not part of the future that waits, which
    /// ten thousand idle streams hold at once.
    pub(super) fn open(&mut self, events: Events, manner: &Manner) -> (Open, Vec<u8>) {
        let Events { attachment, session, revision, first, header } = events;
        self.shell.begin_beats(&self.presence, self.shell.now());
        let mut out = self.shell.buffers.lend();
        let headers: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        response::stream_head(&mut out, &headers, manner);
        let role = attachment.stream().role();
        let http_1_0 = manner.http_1_0;
        let eof_ends = role != Role::Reply || revision.disconnect_cancels();
        let (shell, unwritten) = (self.shell.clone(), Vec::new());
        let mut open = Open { shell, session, role, eof_ends, attachment, http_1_0, unwritten };
        open.begin(&mut out, &first);
        if role != Role::Reply {
            open.note(Kind::StreamAttached);
            self.pending = Vec::new();
            self.framer.forget();
        }
        self.unwritten = Vec::new();
        (open, out)
    }

    /// True when the stream came to its own end.
    async fn pump(&mut self, open: &mut Open, out: &mut Vec<u8>) -> Result<bool, Lost> {
        let mut chatter = 0;
        loop {
            if !out.is_empty() {
                self.flush(out).await?;
                open.written();
            }
            if self.presence.waits_for.get() != Wait::Answer {
                self.shell.wait_for(&self.presence, Wait::Answer, self.shell.now());
            }
            match self.next_turn(open, &mut chatter).await {
                Turn::Message(frame) => {
                    *out = self.shell.buffers.lend();
                    open.write(out, frame);
                    open.write_more(out);
                }
                Turn::Beat | Turn::Probe => {
                    *out = self.shell.buffers.lend();
                    open.chunk(out, |event| sse::comment(event, ""));
                }
                Turn::End => {
                    *out = self.shell.buffers.lend();
                    open.end(out);
                    self.flush(out).await?;
                    return Ok(true);
                }
                Turn::Gone => return Err(Lost),
            }
        }
    }

    async fn next_turn(&mut self, open: &mut Open, chatter: &mut usize) -> Turn {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(item) = open.attachment.poll_next(cx) {
                return Poll::Ready(item.map_or(Turn::End, Turn::Message));
            }
            if self.presence.poll_cut(cx.waker()) == Some(Cut::GiveWay) {
                return Poll::Ready(Turn::Gone);
            }
            if self.presence.take_beat() {
                return Poll::Ready(Turn::Beat);
            }
            let was_half_closed = self.half_closed;
            if self.poll_peer(cx).is_err() {
                return Poll::Ready(Turn::Gone);
            }
            if open.role != Role::Reply && !self.pending.is_empty() {
                *chatter += std::mem::take(&mut self.pending).len();
                // There may be more, and nobody has asked to be told.
                cx.waker().wake_by_ref();
            }
            match (self.half_closed && !was_half_closed, open.eof_ends) {
                (true, false) => Poll::Ready(Turn::Probe),
                (true, true) => Poll::Ready(Turn::Gone),
                _ if open.eof_ends && (self.half_closed || self.is_deaf()) => Poll::Ready(Turn::Gone),
                _ if *chatter > CHATTER_MAX => Poll::Ready(Turn::Gone),
                _ => Poll::Pending,
            }
        })
        .await
    }
}

impl Open {
    fn note(&self, kind: Kind) {
        let word = match self.role {
            Role::Reply => "answer",
            Role::Standalone => "get",
            Role::Session => "session",
        };
        self.shell.services.common.events.note(self.attachment.stream().session(), kind, word);
    }

    fn begin(&mut self, out: &mut Vec<u8>, first: &First) {
        match first {
            First::Endpoint(uri) => self.chunk(out, |event| sse::event(event, None, sse::ENDPOINT, uri.as_bytes())),
            First::Comment => self.chunk(out, |event| sse::comment(event, "")),
            First::Priming => {
                // A client comes back with the number of what it has seen: nothing yet.
                let id = self.attachment.stream().event_id(0).unwrap_or_default();
                self.chunk(out, |event| sse::priming(event, &id));
                self.attachment.wrote(None);
            }
        }
    }

    fn chunk(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        response::chunk(out, self.http_1_0, write);
    }

    fn write(&mut self, out: &mut Vec<u8>, frame: Rc<Frame>) {
        let id = self.attachment.id_of(&frame);
        self.chunk(out, |event| sse::event(event, id.as_deref(), sse::MESSAGE, &frame.text()));
        self.unwritten.push(frame);
    }

    /// Adds what else is waiting, up to a bound, so that it goes out with the same write.
    fn write_more(&mut self, out: &mut Vec<u8>) {
        while out.len() < WRITE_BYTES
            && let Some(frame) = self.attachment.try_next()
        {
            self.write(out, frame);
        }
    }

    /// Everything in the buffer is on its way.
    fn written(&mut self) {
        for frame in self.unwritten.drain(..) {
            self.attachment.wrote(Some(&frame));
        }
        // Room for a few is worth less than to be made anew for each.
        self.unwritten.shrink_to(4);
    }

    fn end(&self, out: &mut Vec<u8>) {
        if let Some(wait) = self.attachment.stream().take_retry() {
            self.chunk(out, |event| sse::retry(event, wait.as_millis() as u64));
        }
        if self.session.is_some() && self.attachment.stream().ended() == Some(End::Closed) {
            // Come back, but not all at once (P43): 3 to 6 seconds, by the stream's own number.
            let spread = self.attachment.stream().nonce().unwrap_or_default() % 3000;
            self.chunk(out, |event| {
                sse::comment(event, " this stream was ended by the server");
                sse::retry(event, 3000 + spread);
            });
        }
        if !self.http_1_0 {
            out.extend_from_slice(response::LAST_CHUNK);
        }
    }
}
