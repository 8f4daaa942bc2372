//! What a stream keeps for a client that comes back (S-18 … S-25), and what becomes of it if nobody does.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::frame::event_id;
use super::{Feed, Frame, Kind, Role, State, Stream, close_if_drained, wake};
use crate::budget::Forgetful;
use crate::counters::count;
use crate::events::Kind as What;
use crate::jsonrpc::RequestId;

impl Stream {
    /// Bytes kept for `Last-Event-ID`.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.state.borrow().kept_bytes
    }

    /// Can a client that has seen `seq` be served from what is kept?
    pub(crate) fn can_resume_after(&self, seq: u64) -> bool {
        let state = self.state.borrow();
        let first = state.kept.front().map_or(state.next_seq, |frame| frame.seq);
        seq < state.next_seq && first <= seq + 1
    }

    /// The id of the event with number `seq`.
    pub(crate) fn event_id(&self, seq: u64) -> Option<String> {
        Some(event_id(self.nonce()?, seq))
    }

    /// Sends the client away for a while, if it can come back: the connection ends, and what comes meanwhile is kept
    /// (S-20, S-25).
    pub(crate) fn release(&self, retry: Duration) {
        let mut state = self.state.borrow_mut();
        if !self.answers_only.get() && state.ended.is_none() && !matches!(state.feed, Feed::Detached) {
            state.retry = Some(retry);
            close_if_drained(&mut state);
            wake(&mut state);
        }
    }

    /// After what time the client was told to come back, if it was sent away. Only once: then it is gone.
    pub(crate) fn take_retry(&self) -> Option<Duration> {
        self.state.borrow_mut().retry.take()
    }

    pub(super) fn can_be_resumed(&self, state: &State) -> bool {
        self.nonce().is_some() && !state.forsaken && (state.resumable || self.role == Role::Standalone)
    }

    pub(super) fn keep(self: &Rc<Self>, state: &mut State, frame: &Rc<Frame>) {
        if self.nonce().is_none() {
            return;
        }
        if state.kept.is_empty() {
            let keeper: Weak<Stream> = Rc::downgrade(self);
            self.common.budget.keeps(keeper);
        }
        state.kept_bytes += frame.bytes();
        state.kept.push_back(frame.clone());
        while state.kept_bytes > self.common.limits.replay_bytes_max
            && state.kept.len() > 1
            && self.let_go_of_oldest(state)
        {}
    }

    /// Lets go of the oldest message that is kept; false if there is none that can go. What waits for a connection that
    /// is there stays: its bytes are held by the queue anyway, and must not be lost if that connection breaks.
    pub(super) fn let_go_of_oldest(&self, state: &mut State) -> bool {
        let waits = |frame: &Rc<Frame>| frame.seq > state.sent_seq && matches!(state.feed, Feed::Open(_));
        if state.kept.front().is_none_or(waits) {
            return false;
        }
        let Some(frame) = state.kept.pop_front() else { return false };
        state.kept_bytes = state.kept_bytes.saturating_sub(frame.bytes());
        if frame.seq > state.sent_seq && frame.kind == Kind::Answer && matches!(state.feed, Feed::Detached) {
            self.undeliverable(&frame);
        }
        true
    }

    /// Says that an answer can be delivered to nobody.
    pub(crate) fn undeliverable(&self, frame: &Frame) {
        count(&self.common.counters.responses_undeliverable);
        self.common.events.note(self.session, What::Undeliverable, "");
        let (session, id) = (self.session.unwrap_or_default(), frame.answers.as_ref());
        let id = id.map(RequestId::to_string).unwrap_or_default();
        log::info!(target: "portcullis", "response_undeliverable session={session} id={id} bytes={}", frame.bytes());
    }

    pub(super) fn lose<'a>(&self, frames: impl IntoIterator<Item = &'a Rc<Frame>>, sent: u64) {
        let answers = frames.into_iter().filter(|frame| frame.kind == Kind::Answer && frame.seq > sent);
        answers.for_each(|frame| self.undeliverable(frame));
    }
}

impl Forgetful for Stream {
    fn forget(&self) {
        let mut state = self.state.borrow_mut();
        while self.let_go_of_oldest(&mut state) {}
    }
}
