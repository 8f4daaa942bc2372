//! A connection's hold on a stream: what it takes out, and what it says of what it wrote.

use std::rc::Rc;
use std::task::{Context, Poll};

use async_channel::{Receiver, TryRecvError};

use super::{Feed, Frame, Kind, Stream, close_if_drained};

/// A connection's hold on a stream. Dropping it detaches.
pub(crate) struct Attachment {
    pub(super) stream: Rc<Stream>,
    pub(super) receiver: Receiver<Rc<Frame>>,
    pub(super) epoch: u32,
}

impl Attachment {
    pub(crate) fn stream(&self) -> &Rc<Stream> {
        &self.stream
    }

    /// The next message; none when the stream has ended or a newer connection has taken over.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Rc<Frame>>> {
        match self.receiver.try_recv() {
            Ok(frame) => Poll::Ready(self.took(frame)),
            Err(TryRecvError::Closed) => Poll::Ready(None),
            Err(TryRecvError::Empty) => {
                // Whoever puts something in is on this thread and wakes: a listener of the channel's own, with a lock
                // and a list, would be a thousand instructions for each message.
                self.stream.state.borrow_mut().keep_waker(cx);
                Poll::Pending
            }
        }
    }

    /// The next message if it is there already.
    pub(crate) fn try_next(&mut self) -> Option<Rc<Frame>> {
        let frame = self.receiver.try_recv().ok()?;
        self.took(frame)
    }

    fn took(&self, frame: Rc<Frame>) -> Option<Rc<Frame>> {
        let mut state = self.stream.state.borrow_mut();
        if state.epoch != self.epoch {
            return None;
        }
        frame.taken.set(true);
        state.queued_bytes = state.queued_bytes.saturating_sub(frame.bytes());
        while let Some(frame) = state.backlog.pop_front() {
            let Feed::Open(sender) = &state.feed else { break };
            if let Err(full) = sender.try_send(frame) {
                state.backlog.push_front(full.into_inner());
                break;
            }
        }
        close_if_drained(&mut state);
        Some(frame)
    }

    /// The event id for a frame, if the stream has ids.
    pub(crate) fn id_of(&self, frame: &Frame) -> Option<String> {
        self.stream.event_id(frame.seq)
    }

    /// `frame` has been written, or with none the priming event.
    pub(crate) fn wrote(&self, frame: Option<&Frame>) {
        let mut state = self.stream.state.borrow_mut();
        state.resumable |= self.stream.nonce().is_some();
        // A connection that was replaced speaks for itself only: the newer one was given what this one had not written.
        if let Some(frame) = frame.filter(|_| state.epoch == self.epoch) {
            state.sent_seq = state.sent_seq.max(frame.seq);
        }
    }

    /// `frame` was taken and could not be written.
    pub(crate) fn lost(&self, frame: &Frame) {
        let can_be_resumed = self.stream.can_be_resumed(&self.stream.state.borrow());
        if frame.kind == Kind::Answer && !can_be_resumed {
            self.stream.undeliverable(frame);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Answers that wait in the channel of a stream without ids are lost with it.
        if self.stream.nonce().is_none() {
            while let Ok(frame) = self.receiver.try_recv() {
                if frame.kind == Kind::Answer {
                    self.stream.undeliverable(&frame);
                }
            }
        }
        self.stream.detach(self.epoch);
    }
}
