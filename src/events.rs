//! What has happened lately: the last events of all sessions in one ring, ten minutes of calls in slots, and how the
//! calls of each tool ended.
//!
//! Everything here has a fixed size: a busy client pushes older events out, never memory up. Noting something is a
//! few stores, because every call pays for it. Nothing here knows what an argument or a secret id is: an event has
//! a fingerprint, words of ours, and the name of a registered tool.

mod history;
mod ring;
mod tally;

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::time::Duration;

pub(crate) use self::history::{HISTORY_SLOTS, History, SLOT_SECONDS, Slot};
pub(crate) use self::ring::{Event, Kind, Ring};
pub(crate) use self::tally::{BUCKETS, Tally};
use crate::clock::{Clock, Instant};
use crate::session::Fingerprint;

/// What all parts of a server note their events in.
pub(crate) struct Events {
    clock: Clock,
    ring: RefCell<Ring>,
    history: RefCell<History>,
    tally: RefCell<Tally>,
}

/// A call as its end is noted.
pub(crate) struct Ended<'a> {
    /// None where requests stand alone.
    pub(crate) session: Option<Fingerprint>,
    pub(crate) method: &'static str,
    /// None for what is no call of a tool.
    pub(crate) tool: Option<&'a Rc<str>>,
    pub(crate) took: Duration,
    pub(crate) outcome: &'static str,
    pub(crate) failed: bool,
    pub(crate) at: Instant,
}

impl Events {
    pub(crate) fn new(clock: Clock, events_max: usize) -> Events {
        Events {
            clock,
            ring: RefCell::new(Ring::new(events_max)),
            history: RefCell::new(History::new()),
            tally: RefCell::default(),
        }
    }

    /// Something happened in a session, now. `word` says more: a reason, a transport, a revision.
    pub(crate) fn note(&self, session: Option<Fingerprint>, kind: Kind, word: &'static str) {
        if let Some(session) = session {
            self.ring.borrow_mut().push(Event::new(session, kind, word, self.clock.now()));
        }
    }

    /// A call was not ready at once. One that was is noted when it ends, and only then.
    pub(crate) fn call_began(
        &self,
        session: Option<Fingerprint>,
        method: &'static str,
        tool: Option<&Rc<str>>,
        at: Instant,
    ) {
        if let Some(session) = session {
            self.ring.borrow_mut().push(Event::new(session, Kind::CallBegan, "", at).of_call(method, tool));
        }
    }

    /// A call has ended, in whichever way.
    pub(crate) fn call_ended(&self, end: &Ended<'_>) {
        if let Some(session) = end.session {
            let mut event = Event::new(session, Kind::CallEnded, end.outcome, end.at).of_call(end.method, end.tool);
            event.ms = u32::try_from(end.took.as_millis()).unwrap_or(u32::MAX);
            self.ring.borrow_mut().push(event);
        }
        if let Some(tool) = end.tool {
            self.history.borrow_mut().call(end.at, end.took, end.failed);
            self.tally.borrow_mut().count(tool, end.outcome, end.took);
        }
    }

    /// The loop was late by `lag`, or held up for so long.
    pub(crate) fn loop_lag(&self, lag: Duration, at: Instant) {
        self.history.borrow_mut().lag(at, lag);
    }

    pub(crate) fn ring(&self) -> Ref<'_, Ring> {
        self.ring.borrow()
    }

    /// The last ten minutes up to `now`.
    pub(crate) fn history(&self, now: Instant) -> Ref<'_, History> {
        self.history.borrow_mut().turn_to(now);
        self.history.borrow()
    }

    pub(crate) fn tally(&self) -> Ref<'_, Tally> {
        self.tally.borrow()
    }
}
