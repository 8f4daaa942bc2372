//! The session table: who is here, since when, and why they are not here any more.
//!
//! Decided here: when a session ends. Idle time and a full table never end one that has a running call or a
//! live stream; its life, the time to initialise, DELETE, a revoked token, the end of its own stream
//! (HTTP+SSE) and shutdown do. Sessions are found by a secret id; everything else that points at one holds a
//! key with a generation, so that a late visitor finds nothing rather than somebody else. Time and ids are
//! arguments.

mod fingerprint;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

pub(crate) use self::fingerprint::Fingerprint;
use crate::budget::Charge;
use crate::clock::Instant;
use crate::jsonrpc::{RequestId, prefix};
use crate::limits::Limits;
use crate::mcp::level::Level;
use crate::mcp::peer::{Peer, Principal};
use crate::questions::Questions;
use crate::stream::Stream;
use crate::wheel::{Key, Wheel, slot_of};

/// Which transport a session uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// 2024-11-05: the session is its stream.
    HttpSse,
    /// 2025-03-26 and later.
    Streamable,
    /// Lines on a pair of byte streams: the session is the process.
    Lines,
}

impl Transport {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Transport::HttpSse => "http+sse",
            Transport::Streamable => "streamable",
            Transport::Lines => "stdio",
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Idle,
    Life,
    NotInitialized,
    ClosedByClient,
    StreamEnded,
    Evicted,
    Revoked,
    Shutdown,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::Idle => "expired_idle",
            Reason::Life => "expired_life",
            Reason::NotInitialized => "not_initialized",
            Reason::ClosedByClient => "closed_by_client",
            Reason::StreamEnded => "stream_ended",
            Reason::Evicted => "evicted",
            Reason::Revoked => "revoked",
            Reason::Shutdown => "shutdown",
        }
    }
}

/// Points at a session, and at no other that takes its place later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionKey(Key);

/// A running call of a session: enough to cancel it.
pub(crate) struct Running {
    pub(crate) id: RequestId,
    /// Where the shell keeps it.
    pub(crate) call: usize,
}

/// One session.
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) id: u128,
    pub(crate) transport: Transport,
    pub(crate) peer: Rc<Peer>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) address: Option<IpAddr>,
    pub(crate) initialized: bool,
    pub(crate) opened: Instant,
    pub(crate) last_active: Instant,
    /// Its life is over: new requests are refused, running calls may finish.
    pub(crate) closing: bool,
    pub(crate) calls_in_flight: usize,
    pub(crate) live_streams: usize,
    pub(crate) running: Vec<Running>,
    /// The stream for what belongs to no request: the GET stream, or the one of HTTP+SSE.
    pub(crate) stream: Option<Rc<Stream>>,
    /// Replies that became streams and can be resumed.
    pub(crate) replies: Vec<Rc<Stream>>,
    pub(crate) log_level: Rc<Cell<Level>>,
    /// What its calls have asked the client.
    pub(crate) questions: Rc<Questions>,
    /// The resources whose changes it wants to hear of.
    pub(crate) subscriptions: Vec<(String, Charge)>,
    pub(crate) messages_in: u64,
    pub(crate) calls_done: u64,
    pub(crate) last_error: Option<Box<str>>,
    due: Instant,
}

impl Session {
    fn is_busy(&self) -> bool {
        self.calls_in_flight > 0 || self.live_streams > 0
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.peer.principal
    }

    /// When it ends if nothing happens from now on, and why.
    pub(crate) fn deadline(&self, limits: &Limits) -> (Instant, Reason) {
        if self.transport == Transport::Lines {
            // It has the whole server for itself, and nowhere to begin a new one.
            return (self.opened + FOR_EVER, Reason::Life);
        }
        let life = (self.opened + limits.session_life, Reason::Life);
        if !self.initialized {
            return earlier((self.opened + limits.initialize_wait, Reason::NotInitialized), life);
        }
        if self.is_busy() {
            return life;
        }
        earlier((self.last_active + limits.session_idle, Reason::Idle), life)
    }

    /// When it must be looked at next: it may end, or a finished reply may have been kept for long enough.
    fn next_look(&self, limits: &Limits) -> Instant {
        let kept = self.replies.iter().filter(|reply| !reply.is_live()).filter_map(|reply| reply.complete_since());
        let trim = kept.min().map(|since| since + limits.replay_wait);
        trim.into_iter().chain([self.deadline(limits).0]).min().unwrap_or_default()
    }

    /// Keeps at most `replay_bytes_max` of finished replies, and none longer than `replay_wait`.
    fn trim_replies(&mut self, limits: &Limits, now: Instant) {
        let mut held: usize = self.replies.iter().map(|reply| reply.kept_bytes()).sum();
        let mut count = self.replies.len();
        let most = limits.calls_max.saturating_mul(2);
        self.replies.retain(|reply| {
            let Some(since) = reply.complete_since().filter(|_| !reply.is_live()) else { return true };
            let stays = now.since(since) < limits.replay_wait && held <= limits.replay_bytes_max && count <= most;
            if !stays {
                held -= reply.kept_bytes();
                count -= 1;
                reply.close();
            }
            stays
        });
    }
}

const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

fn earlier(a: (Instant, Reason), b: (Instant, Reason)) -> (Instant, Reason) {
    if b.0 < a.0 { b } else { a }
}

/// What is remembered of a session that ended.
pub(crate) struct Tombstone {
    id: u128,
    pub(crate) principal: Principal,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) transport: Transport,
    pub(crate) client: ShortName,
    pub(crate) opened: Instant,
    pub(crate) ended: Instant,
    pub(crate) reason: Reason,
}

/// A name without memory of its own: an ended session must not hold a page that ten thousand others could free.
#[derive(Clone, Copy)]
pub(crate) struct ShortName {
    bytes: [u8; 63],
    len: u8,
}

impl ShortName {
    fn new(text: &str) -> ShortName {
        let mut bytes = [0; 63];
        let text = prefix(text, bytes.len());
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        ShortName { bytes, len: text.len() as u8 }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len.into()]).unwrap_or_default()
    }
}

/// What a newcomer brings.
pub(crate) struct Newcomer {
    pub(crate) transport: Transport,
    pub(crate) id: u128,
    pub(crate) peer: Rc<Peer>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) address: Option<IpAddr>,
    pub(crate) initialized: bool,
}

/// The session that `key` points at, if it is still that one. Not a method: the other fields stay free to be read.
fn at(slots: &mut Slab<Box<Session>>, key: SessionKey) -> Option<&mut Session> {
    slots.get_mut(key.0.place as usize).map(Box::as_mut).filter(|session| session.key == key)
}

/// All sessions.
pub(crate) struct SessionTable {
    limits: Limits,
    /// Boxed, and found through a tree: both give memory back piece by piece, where one large array that is freed
    /// makes the system's allocator keep all the rest.
    slots: Slab<Box<Session>>,
    by_id: BTreeMap<u128, usize>,
    wheel: Wheel,
    tombstones: VecDeque<Tombstone>,
    generation: u32,
}

impl SessionTable {
    pub(crate) fn new(limits: &Limits) -> SessionTable {
        SessionTable {
            limits: limits.clone(),
            slots: Slab::new(),
            by_id: BTreeMap::new(),
            wheel: Wheel::new(),
            tombstones: VecDeque::with_capacity(limits.tombstones_max),
            generation: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Entries in the wheel of deadlines.
    pub(crate) fn timers(&self) -> usize {
        self.wheel.len()
    }

    /// Every session, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().map(|(_, session)| &**session)
    }

    /// At most `count` sessions from slot `from` on, and the slot to go on from if there may be more.
    pub(crate) fn some_from(&self, from: usize, count: usize) -> (impl Iterator<Item = &Session>, Option<usize>) {
        let end = from + count;
        let slots = (from..end).filter_map(|slot| self.slots.get(slot)).map(|session| &**session);
        (slots, (end < self.slots.capacity()).then_some(end))
    }

    /// The last sessions that ended, newest first.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &Tombstone> {
        self.tombstones.iter().rev()
    }

    /// Is there a place for a newcomer? If the table is full, the longest idle session gives way that is
    /// neither busy nor protected; it comes back as the second value.
    #[allow(clippy::result_unit_err)]
    pub(crate) fn make_room(&mut self, now: Instant) -> Result<Option<Session>, ()> {
        if self.slots.len() < self.limits.sessions_max {
            return Ok(None);
        }
        match self.who_may_give_way(now) {
            Some(key) => Ok(self.end(key, Reason::Evicted, now)),
            None => Err(()),
        }
    }

    /// Would a newcomer find a place?
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.slots.len() < self.limits.sessions_max || self.who_may_give_way(now).is_some()
    }

    /// Linear in sessions, at most 10,000, and only when the table is full.
    fn who_may_give_way(&self, now: Instant) -> Option<SessionKey> {
        let idle = self.iter().filter(|session| !session.is_busy() && !session.closing);
        let longest = idle.min_by_key(|session| session.last_active);
        let longest = longest.filter(|session| now.since(session.last_active) >= self.limits.session_protected);
        longest.map(|session| session.key)
    }

    /// Puts a newcomer into the table; [`SessionTable::make_room`] came first.
    pub(crate) fn open(&mut self, newcomer: Newcomer, now: Instant) -> SessionKey {
        self.generation = self.generation.wrapping_add(1);
        self.shed_timers();
        let entry = self.slots.vacant_entry();
        let slot = entry.key();
        let key = SessionKey(Key { place: slot as u32, serial: self.generation });
        self.by_id.insert(newcomer.id, slot);
        let mut session = Session {
            key,
            id: newcomer.id,
            transport: newcomer.transport,
            peer: newcomer.peer,
            fingerprint: newcomer.fingerprint,
            address: newcomer.address,
            initialized: newcomer.initialized,
            opened: now,
            last_active: now,
            closing: false,
            calls_in_flight: 0,
            live_streams: 0,
            running: Vec::new(),
            stream: None,
            replies: Vec::new(),
            log_level: Rc::default(),
            questions: Rc::default(),
            subscriptions: Vec::new(),
            messages_in: 0,
            calls_done: 0,
            last_error: None,
            due: now,
        };
        session.due = session.next_look(&self.limits);
        self.wheel.insert(session.due, key.0);
        entry.insert(Box::new(session));
        key
    }

    /// The session with `id` if it belongs to `principal`.
    ///
    /// # Errors
    /// Why it is gone, if it was theirs; a foreign one is as unknown as one that never was (B-19).
    pub(crate) fn find(&mut self, id: u128, principal: &Principal) -> Result<&mut Session, Option<Reason>> {
        let found = self.by_id.get(&id).and_then(|&slot| self.slots.get_mut(slot));
        match found {
            Some(session) if *session.principal() == *principal => Ok(session),
            Some(_) => Err(None),
            None => {
                let tomb = self.tombstones.iter().rev().find(|tomb| tomb.id == id && tomb.principal == *principal);
                Err(tomb.map(|tomb| tomb.reason))
            }
        }
    }

    pub(crate) fn get(&mut self, key: SessionKey) -> Option<&mut Session> {
        at(&mut self.slots, key)
    }

    /// A call begins.
    pub(crate) fn call_begins(&mut self, key: SessionKey) {
        if let Some(session) = self.get(key) {
            session.calls_in_flight += 1;
        }
    }

    /// A call has ended; the idle time begins anew. A session whose life is over comes back with its last call.
    pub(crate) fn call_ended(&mut self, key: SessionKey, now: Instant) -> Option<Session> {
        let limits = &self.limits;
        let session = at(&mut self.slots, key)?;
        session.calls_in_flight = session.calls_in_flight.saturating_sub(1);
        session.calls_done += 1;
        session.last_active = now;
        if !session.replies.is_empty() {
            session.trim_replies(limits, now);
        }
        self.settle(key, now)
    }

    /// A reply of the session became a stream that can be resumed.
    pub(crate) fn keep_reply(&mut self, key: SessionKey, reply: &Rc<Stream>, now: Instant) {
        if let Some(session) = self.get(key) {
            session.replies.push(reply.clone());
        }
        self.trim(key, now);
    }

    /// Forgets replies that have been kept for long enough.
    pub(crate) fn trim(&mut self, key: SessionKey, now: Instant) {
        let limits = &self.limits;
        if let Some(session) = at(&mut self.slots, key) {
            session.trim_replies(limits, now);
        }
    }

    /// A stream of the session has a connection now.
    pub(crate) fn stream_opened(&mut self, key: SessionKey) {
        if let Some(session) = self.get(key) {
            session.live_streams += 1;
        }
    }

    /// A stream of the session has lost its connection; the idle time begins anew.
    pub(crate) fn stream_closed(&mut self, key: SessionKey, now: Instant) {
        if let Some(session) = self.get(key) {
            session.live_streams = session.live_streams.saturating_sub(1);
            session.last_active = session.last_active.max(now);
        }
        self.trim(key, now);
        self.settle(key, now);
    }

    /// Looks at a session again after it became less busy or was initialised.
    pub(crate) fn settle(&mut self, key: SessionKey, now: Instant) -> Option<Session> {
        let limits = &self.limits;
        let session = at(&mut self.slots, key)?;
        if session.closing && session.calls_in_flight == 0 {
            return self.end(key, Reason::Life, now);
        }
        let look = session.next_look(limits);
        // An entry that is too early is looked at again when it comes up; one that is too late is no use.
        if look < session.due {
            session.due = look;
            self.wheel.insert(look, key.0);
            self.shed_timers();
        }
        None
    }

    /// Takes out one session that is due. Call until it returns none; some calls only push a deadline on.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(Session, Reason)> {
        loop {
            let key = SessionKey(self.wheel.pop(now)?);
            let limits = &self.limits;
            let Some(session) = at(&mut self.slots, key) else {
                continue;
            };
            session.trim_replies(limits, now);
            let (deadline, reason) = session.deadline(limits);
            if deadline > now {
                // With `due` still to come another entry of this session is in the wheel.
                if session.due <= now {
                    session.due = session.next_look(limits);
                    self.wheel.insert(session.due, key.0);
                }
            } else if reason == Reason::Life && session.calls_in_flight > 0 {
                session.closing = true; // its last call will end it
            } else {
                return self.end(key, reason, now).map(|session| (session, reason));
            }
        }
    }

    /// When somebody may be due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// Takes a session out and remembers why.
    pub(crate) fn end(&mut self, key: SessionKey, reason: Reason, now: Instant) -> Option<Session> {
        self.get(key)?;
        let session = *self.slots.remove(key.0.place as usize);
        self.by_id.remove(&session.id);
        while self.tombstones.len() >= self.limits.tombstones_max.max(1) {
            self.tombstones.pop_front();
        }
        self.tombstones.push_back(Tombstone {
            id: session.id,
            principal: session.principal().clone(),
            fingerprint: session.fingerprint,
            transport: session.transport,
            client: ShortName::new(&session.peer.client.name),
            opened: session.opened,
            ended: now,
            reason,
        });
        self.shed_timers();
        if self.slots.is_empty() {
            // Ten thousand sessions that came and went leave no table behind.
            self.slots.shrink_to_fit();
        }
        Some(session)
    }

    fn shed_timers(&mut self) {
        let slots = &self.slots;
        self.wheel.shed(slots.len(), |key, at| {
            slots.get(key.place as usize).is_some_and(|session| session.key.0 == *key && slot_of(session.due) == at)
        });
    }

    /// The keys of all sessions that `which` names.
    pub(crate) fn keys(&self, which: impl Fn(&Session) -> bool) -> Vec<SessionKey> {
        self.iter().filter(|session| which(session)).map(|session| session.key).collect()
    }
}
