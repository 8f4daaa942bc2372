//! The last events of all sessions: a ring of a fixed number of entries of a fixed size.
//!
//! Decided here: what is worth an entry of its own. A session that does the same again and again (a thousand pings,
//! a flood of dropped messages) has one entry for it, with how often and since when; so one busy client takes
//! longer to push out what happened to the others.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::clock::Instant;
use crate::session::Fingerprint;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Opened,
    Initialized,
    CallBegan,
    CallEnded,
    StreamAttached,
    StreamResumed,
    StreamEnded,
    /// The connection of a stream that had more to say is gone.
    StreamLost,
    /// A message was dropped or replaced because the client reads too slowly.
    MessageDropped,
    /// An answer can be delivered to nobody.
    Undeliverable,
    Refused,
    Ended,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Opened => "opened",
            Kind::Initialized => "initialized",
            Kind::CallBegan => "call_began",
            Kind::CallEnded => "call_ended",
            Kind::StreamAttached => "stream_attached",
            Kind::StreamResumed => "stream_resumed",
            Kind::StreamEnded => "stream_ended",
            Kind::StreamLost => "stream_lost",
            Kind::MessageDropped => "message_dropped",
            Kind::Undeliverable => "answer_undeliverable",
            Kind::Refused => "refused",
            Kind::Ended => "ended",
        }
    }
}

/// One entry. It owns no memory: a tool's name is the registry's.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) session: Fingerprint,
    pub(crate) kind: Kind,
    /// A reason, an outcome, a transport; empty if there is nothing to say.
    pub(crate) word: &'static str,
    /// Empty for what is no call.
    pub(crate) method: &'static str,
    /// None for what is no call of a tool.
    pub(crate) tool: Option<Rc<str>>,
    /// How long a call took; of several, the longest.
    pub(crate) ms: u32,
    /// How often it happened in a row.
    pub(crate) times: u32,
    /// When it happened first and last, in milliseconds of the server's clock.
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

impl Event {
    pub(crate) fn new(session: Fingerprint, kind: Kind, word: &'static str, at: Instant) -> Event {
        let ms = at.elapsed().as_millis() as u64;
        Event { session, kind, word, method: "", tool: None, ms: 0, times: 1, first_ms: ms, last_ms: ms }
    }

    pub(crate) fn of_call(mut self, method: &'static str, tool: Option<&Rc<str>>) -> Event {
        self.method = method;
        self.tool = tool.cloned();
        self
    }

    fn is_like(&self, other: &Event) -> bool {
        let may_repeat = matches!(self.kind, Kind::CallEnded | Kind::MessageDropped | Kind::Refused);
        may_repeat
            && (self.kind, self.word, self.method) == (other.kind, other.word, other.method)
            && self.tool == other.tool
    }
}

/// The ring.
pub(crate) struct Ring {
    events: VecDeque<Event>,
    most: usize,
}

/// How far back the last entry of a session is looked for: sessions that are busy at once have one each.
const LOOK_BACK: usize = 16;

impl Ring {
    pub(crate) fn new(most: usize) -> Ring {
        // At the start and at once: a ring that grew among sessions would hold a page of theirs.
        Ring { events: VecDeque::with_capacity(most.max(1)), most: most.max(1) }
    }

    pub(crate) fn push(&mut self, event: Event) {
        let mut latest = self.events.iter_mut().rev().take(LOOK_BACK);
        if let Some(last) = latest.find(|last| last.session == event.session).filter(|last| last.is_like(&event)) {
            last.times = last.times.saturating_add(1);
            last.last_ms = event.last_ms;
            last.ms = last.ms.max(event.ms);
            return;
        }
        if self.events.len() >= self.most {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// What is still known of a session, oldest first.
    pub(crate) fn of(&self, session: Fingerprint) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.session.is_shown_like(session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn event(session: u64, kind: Kind, word: &'static str, ms: u64) -> Event {
        Event::new(Fingerprint(session), kind, word, Instant::default() + Duration::from_millis(ms))
    }

    #[test]
    fn the_ring_keeps_the_newest_and_never_more_than_it_may() {
        let mut ring = Ring::new(100);
        let room = ring.events.capacity();
        for n in 0..10_000 {
            ring.push(event(n, Kind::Opened, "", n));
        }
        assert_eq!((ring.events.len(), ring.events.capacity()), (100, room), "no memory was added");
        assert_eq!(ring.of(Fingerprint(9_899)).count(), 0);
        assert_eq!(ring.of(Fingerprint(9_900)).count(), 1);
        let mut none = Ring::new(0);
        none.push(event(1, Kind::Opened, "", 0));
        assert_eq!(none.of(Fingerprint(1)).count(), 1, "none would be no ring");
    }

    #[test]
    fn what_repeats_itself_takes_one_entry_and_the_order_of_a_session_is_kept() {
        let mut ring = Ring::new(100);
        for n in 0..1_000 {
            ring.push(event(1, Kind::CallEnded, "ok", n));
            ring.push(event(2, Kind::MessageDropped, "", n));
        }
        ring.push(event(1, Kind::CallEnded, "error", 2_000));
        ring.push(event(1, Kind::CallEnded, "ok", 2_001));
        ring.push(event(2, Kind::Ended, "idle", 2_002));
        let told = |session| -> Vec<_> {
            ring.of(Fingerprint(session)).map(|e| (e.kind, e.word, e.times, e.first_ms, e.last_ms)).collect()
        };
        let ended = Kind::CallEnded;
        assert_eq!(
            told(1),
            [(ended, "ok", 1_000, 0, 999), (ended, "error", 1, 2_000, 2_000), (ended, "ok", 1, 2_001, 2_001)]
        );
        assert_eq!(told(2), [(Kind::MessageDropped, "", 1_000, 0, 999), (Kind::Ended, "idle", 1, 2_002, 2_002)]);
    }

    #[test]
    fn an_event_is_small() {
        assert!(size_of::<Event>() <= 96, "what limits.rs counts it as");
    }
}
