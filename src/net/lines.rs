//! One pair of byte streams as the whole of a server: lines in, lines out.
//!
//! Decided here: a client that does not read is not read from either, so that what waits for it is bounded and
//! nothing of it is lost; it is never cut, because nobody else waits for its place. A line that is too long is answered
//! and read over. The end of the input, and of the output, is the word to shut down: running calls may finish within
//! the grace, and what they answer is written.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::shell::{Shell, Wait};
use crate::access::Credentials;
use crate::http::response::Rejection;
use crate::jsonrpc::{self, Error};
use crate::stream::{Attachment, Role, Stream};
use crate::transport::From;
use crate::transport::lines::Lines;

/// The two ends, and how long running calls may take when one of them is gone.
pub(crate) struct Ends {
    pub(crate) reader: Pin<Box<dyn AsyncRead>>,
    pub(crate) writer: Pin<Box<dyn AsyncWrite>>,
    pub(crate) grace: Duration,
}

/// Lines that are served in one go before others have their turn (D4).
const LINES_PER_TURN: usize = 16;
/// Bytes that go out with one write.
const WRITE_BYTES: usize = 16 * 1024;

/// Whether one of the ends is gone, for one who waits for it.
#[derive(Default)]
pub(crate) struct Gone {
    is_so: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Gone {
    fn set(&self) {
        self.is_so.set(true);
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_so.get() {
            return Poll::Ready(());
        }
        self.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// Begins to serve, if the peer is let in: nothing shows who he is.
pub(crate) fn welcome(shell: &Rc<Shell>, ends: Ends) -> Option<Rc<Gone>> {
    let principal = shell.policy.features.principal(&Credentials { authorization: None, address: None })?;
    let stream = Stream::new(&shell.services.common, Role::Session, None, None);
    let lines = Rc::new(Lines { stream, principal, session: Cell::new(None) });
    let attachment = lines.stream.attach(None);
    let presence = shell.arrives(From::default());
    presence.waits_for.set(Wait::Answer);
    let gone = Rc::new(Gone::default());
    let link = Link { shell: shell.clone(), lines: lines.clone(), reader_waits: Cell::new(None) };
    let over = gone.clone();
    let task = async move {
        let (mut reading, mut writing) = (pin!(link.read(ends.reader)), pin!(link.write(ends.writer, attachment)));
        poll_fn(|cx| {
            let written = writing.as_mut().poll(cx);
            if written.is_pending() && !over.is_so.get() && reading.as_mut().poll(cx).is_ready() {
                over.set();
            }
            written
        })
        .await;
        over.set();
        link.shell.leaves(&presence);
    };
    *shell.lines.borrow_mut() = Some(lines);
    shell.spawn(task)?.detach();
    Some(gone)
}

struct Link {
    shell: Rc<Shell>,
    lines: Rc<Lines>,
    /// Set while the reader waits for the writer.
    reader_waits: Cell<Option<Waker>>,
}

impl Link {
    // ---- in ----

    /// Reads and serves lines until there are no more.
    async fn read(&self, mut reader: Pin<Box<dyn AsyncRead>>) {
        let most = self.shell.limits().body_bytes_max;
        let (mut held, mut scanned, mut served, mut skips) = (Vec::new(), 0, 0, false);
        loop {
            let mut begin = 0;
            while let Some(end) = memchr::memchr(b'\n', &held[scanned..]).map(|at| scanned + at) {
                if !std::mem::take(&mut skips) {
                    self.room().await;
                    self.serve(&held[begin..end], most);
                }
                (begin, scanned) = (end + 1, end + 1);
                served += 1;
                if served % LINES_PER_TURN == 0 {
                    smol::future::yield_now().await;
                }
            }
            held.drain(..begin);
            if held.len() > most && !std::mem::replace(&mut skips, true) {
                self.too_long(most);
            }
            if skips {
                held.clear();
            }
            scanned = held.len();
            if !self.read_more(&mut reader, &mut held).await {
                break;
            }
        }
        // The last line may lack its end.
        if !skips {
            self.room().await;
            self.serve(&held, most);
        }
    }

    /// Appends what there is to read; false at the end.
    async fn read_more(&self, reader: &mut Pin<Box<dyn AsyncRead>>, held: &mut Vec<u8>) -> bool {
        poll_fn(|cx| {
            let mut scratch = self.shell.scratch.borrow_mut();
            let read = std::task::ready!(reader.as_mut().poll_read(cx, &mut scratch));
            let n = read.unwrap_or_else(|error| {
                log::info!(target: "portcullis", "the input cannot be read any more: {error}");
                0
            });
            held.extend_from_slice(&scratch[..n]);
            Poll::Ready(n > 0)
        })
        .await
    }

    /// Waits until the client has read enough of what waits for it (P39).
    async fn room(&self) {
        let limits = self.shell.limits();
        poll_fn(|cx| {
            let (waiting, bytes, _) = self.lines.stream.load();
            if bytes < limits.queue_bytes_max && waiting < limits.queue_messages_max {
                return Poll::Ready(());
            }
            self.reader_waits.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn serve(&self, line: &[u8], most: usize) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        if line.len() > most {
            return self.too_long(most);
        }
        crate::counters::count(&self.shell.counters().requests);
        match self.shell.at_desk(self.shell.now(), |mut desk| desk.line(&self.lines, line)) {
            Err(refused) => self.refuse(&refused),
            Ok(taken) => {
                for call in taken.calls {
                    self.shell.begin(call, taken.session);
                }
                if let Some(id) = taken.cancel {
                    self.shell.cancel_on(&self.lines.stream, &id);
                }
            }
        }
    }

    fn too_long(&self, most: usize) {
        let words = format!("a line of more than {most} bytes (limit body_bytes_max); it was read over");
        self.refuse(&Rejection::new(400, words));
    }

    fn refuse(&self, refused: &Rejection) {
        crate::counters::count(&self.shell.counters().requests_refused);
        log::debug!(target: "portcullis", "refused code={} cause={:?}", refused.code, refused.message);
        let error = Error { data: refused.data.clone(), ..Error::new(refused.code, &*refused.message) };
        let mut text = Vec::with_capacity(128);
        jsonrpc::write_error(&mut text, refused.id.as_ref(), &error);
        let text = jsonrpc::one_line(text);
        match &refused.id {
            Some(id) => self.lines.stream.answer(id, text, self.shell.now()),
            None => drop(self.lines.stream.ask(text)),
        }
    }

    // ---- out ----

    /// Writes messages until there are no more, or nobody takes them.
    async fn write(&self, mut writer: Pin<Box<dyn AsyncWrite>>, mut attachment: Attachment) {
        let mut out = Vec::new();
        while let Some(frame) = poll_fn(|cx| attachment.poll_next(cx)).await {
            let (mut next, mut unwritten) = (Some(frame), Vec::new());
            while let Some(frame) = next {
                out.extend_from_slice(&frame.text());
                out.push(b'\n');
                unwritten.push(frame);
                next = if out.len() < WRITE_BYTES { attachment.try_next() } else { None };
            }
            let written = async {
                writer.write_all(&out).await?;
                writer.flush().await
            };
            if let Err(error) = written.await {
                log::info!(target: "portcullis", "the output takes nothing any more: {error}");
                return unwritten.iter().for_each(|frame| attachment.lost(frame));
            }
            unwritten.iter().for_each(|frame| attachment.wrote(Some(frame)));
            out.clear();
            out.shrink_to(WRITE_BYTES);
            if let Some(waker) = self.reader_waits.take() {
                waker.wake();
            }
        }
    }
}
