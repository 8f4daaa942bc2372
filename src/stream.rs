//! One path of messages to one client: the answer to a POST, a session's GET stream, or the one stream of an
//! HTTP+SSE session.
//!
//! Decided here: what gives way when the client reads too slowly, and what can be fetched again. A stream is
//! fed through a bounded channel that exists while a connection is attached. The channel has one place and a
//! backlog behind it, so that ten thousand idle streams hold no empty places (sixteen would cost 1.1 KB each).
//! When both hold `queue_messages_max` messages or `queue_bytes_max` bytes, progress is replaced by newer
//! progress, other notifications are dropped and counted, and only an answer is still taken: room for it was
//! reserved when its call was admitted, and there is at most one per call.
//! A numbered stream keeps its messages for a while, so that a client whose connection broke can resume
//! (S-18 … S-25). Nothing here knows of sockets or tasks.

mod attachment;
mod frame;
mod replay;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use async_channel::Sender;

pub(crate) use self::attachment::Attachment;
pub(crate) use self::frame::{Frame, Kind, LastProgress, join_answers, parse_event_id};
use crate::budget::Budget;
use crate::clock::Instant;
use crate::counters::{Counters, count};
use crate::events::{Events, Kind as What};
use crate::jsonrpc::RequestId;
use crate::limits::Limits;
use crate::session::Fingerprint;

/// What streams share.
pub(crate) struct Common {
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    pub(crate) limits: Limits,
    pub(crate) events: Events,
}

/// Which of the three kinds of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Carries the answers to one POST and ends with the last.
    Reply,
    /// A session's GET stream.
    Standalone,
    /// The one stream of an HTTP+SSE session.
    Session,
}

/// Why nothing more will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The last answer is in.
    Answered,
    /// The session ended, or the server stops.
    Closed,
}

/// Messages of the kind that is not dropped in silence that may wait for one reader (F-156); their bytes count like all.
const ASKED_MAX: usize = 1024;

enum Feed {
    /// The connection has not decided between JSON and a stream yet.
    Undecided(Vec<Rc<Frame>>),
    Open(Sender<Rc<Frame>>),
    /// No connection.
    Detached,
}

/// A stream; see the file's first lines.
pub(crate) struct Stream {
    common: Rc<Common>,
    session: Option<Fingerprint>,
    role: Role,
    /// The first part of its event ids; none for a stream without them.
    nonce: Cell<Option<u64>>,
    /// The client takes nothing but the answers, in JSON.
    answers_only: Cell<bool>,
    /// The HTTP status of an answer that leaves as JSON.
    status: Cell<u16>,
    state: RefCell<State>,
}

struct State {
    feed: Feed,
    epoch: u32,
    backlog: VecDeque<Rc<Frame>>,
    queued_bytes: usize,
    awaited: usize,
    next_seq: u64,
    /// The last one written to a connection.
    sent_seq: u64,
    /// An event id has been written: the client knows how to come back.
    resumable: bool,
    kept: VecDeque<Rc<Frame>>,
    kept_bytes: usize,
    ended: Option<(End, Option<Instant>)>,
    /// Its session is gone, or has let go of it: nobody can come back for what is kept.
    forsaken: bool,
    dropped: u64,
    /// Its connection is to end for a while.
    retry: Option<std::time::Duration>,
    waker: Option<Waker>,
}

/// What has become of an undecided reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// All answers are here and nothing else: JSON will do.
    Answers,
    /// Something else came first: it takes a stream.
    Messages,
    /// The session ended before the answer.
    Ended,
}

impl Stream {
    pub(crate) fn new(common: &Rc<Common>, role: Role, session: Option<Fingerprint>, nonce: Option<u64>) -> Rc<Stream> {
        let feed = if role == Role::Reply { Feed::Undecided(Vec::new()) } else { Feed::Detached };
        let state = State {
            feed,
            epoch: 0,
            backlog: VecDeque::new(),
            queued_bytes: 0,
            awaited: 0,
            next_seq: 1,
            sent_seq: 0,
            resumable: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            ended: None,
            forsaken: false,
            dropped: 0,
            retry: None,
            waker: None,
        };
        Rc::new(Stream {
            common: common.clone(),
            session,
            role,
            nonce: Cell::new(nonce),
            answers_only: Cell::new(false),
            status: Cell::new(200),
            state: RefCell::new(state),
        })
    }

    /// One more answer will come.
    pub(crate) fn expect_answer(&self) {
        self.state.borrow_mut().awaited += 1;
    }

    /// From now on only answers are taken; everything else has nowhere to go.
    pub(crate) fn take_only_answers(&self) {
        self.answers_only.set(true);
    }

    pub(crate) fn set_status(&self, status: u16) {
        self.status.set(status);
    }

    pub(crate) fn status(&self) -> u16 {
        self.status.get()
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The session it belongs to, as it is shown.
    pub(crate) fn session(&self) -> Option<Fingerprint> {
        self.session
    }

    pub(crate) fn nonce(&self) -> Option<u64> {
        self.nonce.get()
    }

    /// From now on its events have ids that begin with `nonce`. Before anything is sent, and not for answers that
    /// leave as JSON: random bits cost a system call.
    pub(crate) fn number(&self, nonce: u64) {
        self.nonce.set(Some(nonce));
    }

    /// Takes an answer. Says so in the log if nobody can ever fetch it.
    pub(crate) fn answer(self: &Rc<Self>, id: &RequestId, text: Vec<u8>, now: Instant) {
        let frame = self.frame(Kind::Answer, Some(id.clone()), text);
        let mut state = self.state.borrow_mut();
        state.awaited = state.awaited.saturating_sub(1);
        if state.ended.is_some() || (matches!(state.feed, Feed::Detached) && !self.can_be_resumed(&state)) {
            drop(state);
            return self.undeliverable(&frame);
        }
        self.store_and_offer(&mut state, frame);
        if self.role == Role::Reply && state.awaited == 0 {
            self.end_state(&mut state, End::Answered, Some(now));
        }
        wake(&mut state);
    }

    /// One expected answer will not come (its call was cancelled and this transport says nothing then).
    pub(crate) fn forgo_answer(&self) {
        let mut state = self.state.borrow_mut();
        state.awaited = state.awaited.saturating_sub(1);
    }

    /// Takes a notification, if there is room for it; else it is dropped and counted.
    pub(crate) fn notice(self: &Rc<Self>, text: Vec<u8>) {
        if !self.take(Kind::Notice, text) {
            self.dropped(&mut self.state.borrow_mut());
        }
    }

    /// Takes a request of ours, or a notification that must not be dropped in silence; false if there is no room for it,
    /// or nobody whom it could reach now or later.
    pub(crate) fn ask(self: &Rc<Self>, text: Vec<u8>) -> bool {
        let took = self.take(Kind::Request, text);
        if !took {
            self.dropped(&mut self.state.borrow_mut());
        }
        took
    }

    fn take(self: &Rc<Self>, kind: Kind, text: Vec<u8>) -> bool {
        // Refused before it has a number: a gap in the numbers is one that nobody can resume behind.
        let most = if kind == Kind::Request { ASKED_MAX } else { self.common.limits.queue_messages_max };
        if !self.has_room_below(&self.state.borrow(), text.len(), most) {
            return false;
        }
        let frame = self.frame(kind, None, text);
        let mut state = self.state.borrow_mut();
        self.store_and_offer(&mut state, frame);
        wake(&mut state);
        true
    }

    /// Takes progress; it replaces the call's last progress if that still waits and there is no room for both.
    pub(crate) fn progress(self: &Rc<Self>, text: Vec<u8>, last: &LastProgress) {
        let mut state = self.state.borrow_mut();
        let waiting = last.0.borrow().upgrade().filter(|frame| !frame.taken.get());
        let has_room = self.has_room(&state, text.len()) && !matches!(state.feed, Feed::Detached);
        match waiting {
            Some(frame) if !has_room && state.ended.is_none() => {
                let before = frame.bytes();
                frame.replace(text);
                if matches!(state.feed, Feed::Open(_)) {
                    state.queued_bytes = (state.queued_bytes + frame.bytes()).saturating_sub(before);
                }
                state.kept_bytes = (state.kept_bytes + frame.bytes()).saturating_sub(before);
                self.dropped(&mut state);
            }
            _ if !self.has_room(&state, text.len()) => self.dropped(&mut state),
            _ => {
                drop(state);
                let frame = self.frame(Kind::Progress, None, text);
                *last.0.borrow_mut() = Rc::downgrade(&frame);
                let mut state = self.state.borrow_mut();
                self.store_and_offer(&mut state, frame);
                wake(&mut state);
            }
        }
    }

    /// Ends the stream for good; what is queued for a connection still goes out, what waits for one to come back is
    /// lost, and said to be.
    pub(crate) fn close(&self) {
        let mut state = self.state.borrow_mut();
        self.end_state(&mut state, End::Closed, None);
        state.forsaken = true;
        wake(&mut state);
        if matches!(state.feed, Feed::Detached) {
            let (kept, sent) = (std::mem::take(&mut state.kept), state.sent_seq);
            state.kept_bytes = 0;
            drop(state);
            self.lose(&kept, sent);
        }
    }

    /// Why nothing more will come, if so.
    pub(crate) fn ended(&self) -> Option<End> {
        self.state.borrow().ended.map(|(end, _)| end)
    }

    /// Since when it is complete.
    pub(crate) fn complete_since(&self) -> Option<Instant> {
        self.state.borrow().ended.and_then(|(_, at)| at)
    }

    /// Is a connection attached?
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state.borrow().feed, Feed::Open(_))
    }

    /// Messages and bytes that wait, and messages dropped.
    pub(crate) fn load(&self) -> (usize, usize, u64) {
        let state = self.state.borrow();
        let waiting = match &state.feed {
            Feed::Open(sender) => sender.len(),
            Feed::Undecided(early) => early.len(),
            Feed::Detached => 0,
        };
        (waiting + state.backlog.len(), state.queued_bytes, state.dropped)
    }

    // ---- the connection's side ----

    /// Waits until an undecided reply can be answered as JSON or must become a stream.
    pub(crate) fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<Settled> {
        let mut state = self.state.borrow_mut();
        let Feed::Undecided(early) = &state.feed else { return Poll::Ready(Settled::Ended) };
        if state.retry.is_some() || early.iter().any(|frame| frame.kind != Kind::Answer) {
            return Poll::Ready(Settled::Messages);
        }
        match state.ended {
            Some((End::Answered, _)) => Poll::Ready(Settled::Answers),
            Some((End::Closed, _)) => Poll::Ready(Settled::Ended),
            None => {
                state.keep_waker(cx);
                Poll::Pending
            }
        }
    }

    /// The answers of a reply that is settled as JSON; notifications have no place there.
    pub(crate) fn take_answers(&self) -> Vec<Rc<Frame>> {
        let mut state = self.state.borrow_mut();
        let Feed::Undecided(early) = std::mem::replace(&mut state.feed, Feed::Detached) else { return Vec::new() };
        state.kept.clear();
        state.kept_bytes = 0;
        early.into_iter().filter(|frame| frame.kind == Kind::Answer).collect()
    }

    /// The connection of an undecided reply is gone: whatever comes now can be delivered to nobody.
    pub(crate) fn abandon(self: &Rc<Self>) {
        self.take_answers().iter().for_each(|frame| self.undeliverable(frame));
    }

    /// Attaches a connection, in place of the one before. It gets what was never sent or, with `after`,
    /// everything since that event.
    pub(crate) fn attach(self: &Rc<Self>, after: Option<u64>) -> Attachment {
        let mut state = self.state.borrow_mut();
        state.epoch = state.epoch.wrapping_add(1);
        let epoch = state.epoch;
        let (sender, receiver) = async_channel::bounded(1);
        let feed = std::mem::replace(&mut state.feed, Feed::Open(sender));
        wake(&mut state); // the one before: its channel is closed
        state.backlog.clear();
        state.queued_bytes = 0;
        let was_undecided = matches!(feed, Feed::Undecided(_));
        let waiting: Vec<_> = match feed {
            Feed::Undecided(early) => early,
            _ => {
                let after = after.unwrap_or(state.sent_seq);
                state.kept.iter().filter(|frame| frame.seq > after).cloned().collect()
            }
        };
        for frame in waiting {
            frame.taken.set(false);
            if was_undecided {
                self.keep(&mut state, &frame);
            }
            self.offer(&mut state, frame);
        }
        close_if_drained(&mut state);
        drop(state);
        Attachment { stream: self.clone(), receiver, epoch }
    }

    // ---- the inside ----

    fn frame(&self, kind: Kind, answers: Option<RequestId>, text: Vec<u8>) -> Rc<Frame> {
        let charge = self.common.budget.charge(text.len());
        let mut state = self.state.borrow_mut();
        let seq = state.next_seq;
        state.next_seq += 1;
        Rc::new(Frame::new(kind, seq, answers, text, charge))
    }

    /// Is there room for a message that may be dropped?
    fn has_room(&self, state: &State, bytes: usize) -> bool {
        self.has_room_below(state, bytes, self.common.limits.queue_messages_max)
    }

    /// The same with at most so many messages in the queue.
    fn has_room_below(&self, state: &State, bytes: usize, messages_max: usize) -> bool {
        let limits = &self.common.limits;
        if state.ended.is_some() || self.answers_only.get() {
            return false;
        }
        let (count, held) = match &state.feed {
            Feed::Open(sender) => (sender.len() + state.backlog.len(), state.queued_bytes),
            Feed::Undecided(early) => (early.len(), state.queued_bytes),
            // What nobody reads now is not kept in such numbers, whatever it is.
            Feed::Detached if state.kept.len() / 4 >= limits.queue_messages_max => return false,
            Feed::Detached if self.can_be_resumed(state) => {
                (state.kept.len() / 4, state.kept_bytes.saturating_sub(limits.replay_bytes_max / 2))
            }
            Feed::Detached => return false,
        };
        count < messages_max && held + bytes <= limits.queue_bytes_max
    }

    /// Stores first, then sends (S-22). What may still become plain JSON is not stored.
    fn store_and_offer(self: &Rc<Self>, state: &mut State, frame: Rc<Frame>) {
        if !matches!(state.feed, Feed::Undecided(_)) {
            self.keep(state, &frame);
        }
        self.offer(state, frame);
    }

    fn offer(&self, state: &mut State, frame: Rc<Frame>) {
        let bytes = frame.bytes();
        match &mut state.feed {
            Feed::Undecided(early) => early.push(frame),
            Feed::Open(sender) if state.backlog.is_empty() => {
                if let Err(full) = sender.try_send(frame) {
                    state.backlog.push_back(full.into_inner());
                }
            }
            Feed::Open(_) => state.backlog.push_back(frame),
            Feed::Detached => return,
        }
        state.queued_bytes += bytes;
    }

    fn end_state(&self, state: &mut State, end: End, at: Option<Instant>) {
        state.ended.get_or_insert((end, at));
        close_if_drained(state);
    }

    fn dropped(&self, state: &mut State) {
        state.dropped += 1;
        count(&self.common.counters.messages_dropped);
        self.common.events.note(self.session, What::MessageDropped, "");
    }

    fn detach(&self, epoch: u32) {
        let mut state = self.state.borrow_mut();
        if state.epoch != epoch {
            return; // a newer connection has taken over
        }
        let feed = std::mem::replace(&mut state.feed, Feed::Detached);
        state.queued_bytes = 0;
        let backlog = std::mem::take(&mut state.backlog);
        if self.can_be_resumed(&state) || matches!(feed, Feed::Detached) {
            return;
        }
        // A numbered stream has stored all that waits, the backlog too.
        let sent = state.sent_seq;
        let lost = if self.nonce().is_some() { std::mem::take(&mut state.kept) } else { backlog };
        state.kept_bytes = 0;
        drop(state);
        self.lose(&lost, sent);
    }
}

impl State {
    fn keep_waker(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

fn wake(state: &mut State) {
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
}

/// Tells the connection that nothing more comes to it, if so, once all that waits is in the channel.
fn close_if_drained(state: &mut State) {
    if let Feed::Open(sender) = &state.feed
        && (state.ended.is_some() || state.retry.is_some())
        && state.backlog.is_empty()
    {
        sender.close();
    }
}
