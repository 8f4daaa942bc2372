//! What all tasks of one server share, and what falls due.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use smol::LocalExecutor;

use super::buffers::Buffers;
use super::calls::{CallKey, Running};
use super::crowd::Crowd;
use super::ready::{ReadySet, Watched};
use super::tasks::Tasks;
use crate::clock::{Clock, Instant};
use crate::context::Services;
use crate::counters::{Counters, count, peak};
use crate::events::Kind;
use crate::http::response::Usual;
use crate::limits::Limits;
use crate::session::{Reason, Session, SessionKey, SessionTable};
use crate::transport::lines::Lines;
use crate::transport::{Desk, Effects, From, Policy};
use crate::wheel::{Key, Wheel, slot_of};

/// What all tasks of one server share.
pub(crate) struct Shell {
    pub(crate) policy: Policy,
    pub(crate) services: Rc<Services>,
    pub(crate) table: RefCell<SessionTable>,
    pub(crate) calls: RefCell<Slab<Running>>,
    pub(crate) connections: RefCell<Slab<Rc<Presence>>>,
    /// The one peer of a server that serves lines.
    pub(crate) lines: RefCell<Option<Rc<Lines>>>,
    /// Lent to whoever reads, for the time of a read.
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) started: Instant,
    /// What most answers begin with.
    pub(super) usual: Rc<Usual>,
    pub(crate) executor: RefCell<Weak<LocalExecutor<'static>>>,
    pub(crate) tasks: Tasks,
    /// Made with the first socket: where connections are pipes there is none.
    sockets: OnceCell<Rc<ReadySet>>,
    pub(super) buffers: Buffers,
    waits: RefCell<Wheel>,
    call_ends: RefCell<Wheel>,
    pub(crate) call_serial: Cell<u32>,
    /// Operators who watch.
    pub(crate) watchers: Cell<usize>,
    beat_phase: Cell<u32>,
    connection_serial: Cell<u32>,
    /// When a connection read something last.
    read_at: Cell<Instant>,
    pub(super) crowd: Cell<Crowd>,
    pub(super) crowd_goes: Cell<Option<Waker>>,
    /// The second in which refusals were last told, and how many.
    told: Cell<(u64, u32)>,
    /// Who waits for the last connection to end.
    vacant: Cell<Option<Waker>>,
}

/// A connection, as others see it.
pub(crate) struct Presence {
    key: Key,
    pub(crate) from: From,
    pub(crate) waits_for: Cell<Wait>,
    pub(crate) since: Cell<Instant>,
    deadline: Cell<Option<Instant>>,
    /// When its stream wants a comment next, and whether that time has come.
    beat_at: Cell<Option<Instant>>,
    beat: Cell<bool>,
    /// When its entry in the wheel comes up.
    due: Cell<Option<Instant>>,
    cut: Cell<Option<Cut>>,
    waker: RefCell<Option<Waker>>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The next request.
    Request,
    Head,
    Body,
    /// That the peer takes bytes.
    Write,
    /// An answer, or the next message of a stream; there is no limit to that here.
    Answer,
    /// The next look of an operator, who waits for nothing.
    Watch,
}

/// Why a connection is cut from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It has waited long enough for [`Presence::waits_for`].
    TooLong,
    /// Somebody else needs its place, or the server stops.
    GiveWay,
}

/// Bytes of the read buffer of the thread.
const SCRATCH_BYTES: usize = 64 * 1024;
/// What takes longer writes its answer at once.
const QUICKLY: Duration = Duration::from_micros(100);
/// Seconds by which clients are told to give an idle connection up before we do.
const IDLE_MARGIN: u64 = 5;
/// Refusals of the same second that are told in the log.
const REFUSALS_PER_SECOND: u32 = 10;
/// Keep-alives and expiries between two turns of the executor, so that ten thousand streams do not hold the loop.
const DUE_PER_TURN: usize = 64;

impl Shell {
    pub(crate) fn new(policy: Policy, services: Rc<Services>) -> Rc<Shell> {
        let (started, limits) = (services.clock.now(), services.common.limits.clone());
        Rc::new(Shell {
            policy,
            services,
            table: RefCell::new(SessionTable::new(&limits)),
            calls: RefCell::default(),
            connections: RefCell::default(),
            lines: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES]),
            stopping: Cell::new(false),
            started,
            usual: Usual::new(keep_alive(limits.idle_wait)),
            executor: RefCell::new(Weak::new()),
            tasks: Tasks::default(),
            sockets: OnceCell::new(),
            buffers: Buffers::new(),
            waits: RefCell::new(Wheel::new()),
            call_ends: RefCell::new(Wheel::new()),
            call_serial: Cell::new(0),
            watchers: Cell::new(0),
            beat_phase: Cell::new(0),
            connection_serial: Cell::new(0),
            read_at: Cell::new(started),
            crowd: Cell::default(),
            crowd_goes: Cell::default(),
            told: Cell::default(),
            vacant: Cell::default(),
        })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.services.clock
    }

    pub(crate) fn now(&self) -> Instant {
        self.services.clock.now()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.services.common.limits
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.services.common.counters
    }

    /// May the log be told of one more refusal? Whoever is refused a thousand times a second does not fill it.
    pub(super) fn may_tell(&self) -> bool {
        let second = self.now().elapsed().as_secs();
        let (when, count) = self.told.get();
        let count = if when == second { count } else { 0 };
        self.told.set((second, count.saturating_add(1)));
        count < REFUSALS_PER_SECOND
    }

    /// Starts a task; it ends with the server. Without an executor the server is gone, and so is the task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Option<smol::Task<()>> {
        let executor = self.executor.borrow().upgrade()?;
        Some(executor.spawn(self.tasks.lend(Box::pin(task))))
    }

    /// Lets `work` change the table, then carries out what came of it.
    pub(crate) fn at_desk<T>(self: &Rc<Self>, now: Instant, work: impl FnOnce(Desk<'_>) -> T) -> T {
        let mut effects = Effects::default();
        let result = {
            let mut table = self.table.borrow_mut();
            work(Desk {
                table: &mut table,
                policy: &self.policy,
                services: &self.services,
                ids: &*self.services.ids,
                now,
                effects: &mut effects,
                stopping: self.stopping.get(),
            })
        };
        for call in effects.cancel {
            self.cancel(call);
        }
        for (session, reason) in effects.ended {
            self.session_ended(session, reason);
        }
        result
    }

    /// Ends a session, if it is still there.
    pub(crate) fn end_session(&self, key: SessionKey, reason: Reason) {
        let ended = self.table.borrow_mut().end(key, reason, self.now());
        if let Some(session) = ended {
            self.session_ended(session, reason);
        }
    }

    /// What follows from the end of a session: its streams end, and for some reasons its calls.
    pub(crate) fn session_ended(&self, session: Session, reason: Reason) {
        count(&self.counters().sessions_ended);
        self.services.common.events.note(Some(session.fingerprint), Kind::Ended, reason.as_str());
        let now = self.now();
        log::info!(
            target: "portcullis",
            "session_ended session={} reason={} client={:?} transport={} age_s={} calls={} running={}",
            session.fingerprint, reason.as_str(), session.peer.client.name, session.transport.as_str(),
            now.since(session.opened).as_secs(), session.calls_done, session.calls_in_flight,
        );
        for running in &session.running {
            match reason {
                // A call that changes a firewall is not killed because somebody stopped listening (P08, P37).
                Reason::StreamEnded | Reason::NotInitialized | Reason::Idle | Reason::Life | Reason::Evicted => {}
                Reason::ClosedByClient | Reason::Revoked | Reason::Shutdown => self.drop_call(running.call),
            }
        }
        session.questions.end();
        session.stream.iter().chain(&session.replies).for_each(|stream| stream.close());
    }

    // ---- connections ----

    /// Watches a connection's socket.
    ///
    /// # Errors
    /// If there is no descriptor left, or no memory.
    pub(crate) fn watch_socket(&self, socket: &dyn AsFd) -> io::Result<Watched> {
        let set = match self.sockets.get() {
            Some(set) => set,
            None => {
                let set = ReadySet::new()?;
                self.spawn(set.clone().serve()).into_iter().for_each(smol::Task::detach);
                self.sockets.get_or_init(|| set)
            }
        };
        set.watch(&socket)
    }

    /// As [`ReadySet::in_step`], for an answer that came quickly: where one takes its time, nobody should wait for another's.
    /// There is nothing to it where connections are pipes.
    pub(super) async fn in_step(&self) {
        let took = self.clock().said().since(self.read_at.get());
        if took < QUICKLY
            && let Some(sockets) = self.sockets.get()
        {
            sockets.in_step().await;
        }
    }

    /// A connection has read something: what follows goes by this time, and by the ends of calls.
    pub(super) fn has_read(&self) {
        self.read_at.set(self.now());
    }

    /// Gives a new connection its place.
    pub(crate) fn arrives(&self, from: From) -> Rc<Presence> {
        let serial = self.connection_serial.get().wrapping_add(1);
        self.connection_serial.set(serial);
        let mut connections = self.connections.borrow_mut();
        let presence = Rc::new(Presence {
            key: Key { place: connections.vacant_key() as u32, serial },
            from,
            waits_for: Cell::new(Wait::Request),
            since: Cell::new(self.now()),
            deadline: Cell::new(None),
            beat_at: Cell::new(None),
            beat: Cell::new(false),
            due: Cell::new(None),
            cut: Cell::new(None),
            waker: RefCell::new(None),
        });
        connections.insert(presence.clone());
        presence
    }

    /// Takes a connection's place away.
    pub(crate) fn leaves(&self, presence: &Presence) {
        let mut connections = self.connections.borrow_mut();
        connections.try_remove(presence.key.place as usize);
        self.shed_waits(&connections);
        if connections.is_empty() {
            connections.shrink_to_fit();
            self.vacant.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Ready when there is no connection.
    pub(crate) fn poll_vacant(&self, cx: &Context<'_>) -> Poll<()> {
        if self.connections.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.vacant.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn shed_waits(&self, connections: &Slab<Rc<Presence>>) {
        let is_wanted = |key: &Key, at: u64| {
            let presence = connections.get(key.place as usize).filter(|presence| presence.key == *key);
            presence.is_some_and(|presence| presence.due.get().is_some_and(|due| slot_of(due) == at))
        };
        self.waits.borrow_mut().shed(connections.len(), is_wanted);
    }

    /// Says what a connection waits for from `now` on, and so for how long it may.
    pub(crate) fn wait_for(&self, presence: &Presence, what: Wait, now: Instant) {
        let limits = self.limits();
        presence.waits_for.set(what);
        presence.since.set(now);
        if presence.cut.get() == Some(Cut::TooLong) {
            presence.cut.set(None); // for the wait before, which is over
        }
        let most = match what {
            Wait::Request => limits.idle_wait,
            Wait::Head => limits.head_wait,
            Wait::Body => limits.body_wait,
            Wait::Write => limits.write_wait,
            Wait::Answer | Wait::Watch => return presence.deadline.set(None),
        };
        presence.deadline.set(Some(now + most));
        self.watch(presence);
    }

    /// From now on the connection's stream wants comments. The first comes after part of the period, so that
    /// ten thousand streams that open together do not beat together.
    pub(crate) fn begin_beats(&self, presence: &Presence, now: Instant) {
        let phase = self.beat_phase.get().wrapping_add(0x9E37_79B9); // the golden ratio: neighbours lie far apart
        self.beat_phase.set(phase);
        let part = 0.25 + 0.75 * f64::from(phase) / f64::from(u32::MAX);
        presence.beat_at.set(Some(self.next_beat(now, part)));
        self.watch(presence);
    }

    /// Long periods beat on whole seconds: writes in company wake the system less often than each for itself.
    fn next_beat(&self, now: Instant, part: f64) -> Instant {
        let every = self.limits().keep_alive_every;
        let at = now + every.mul_f64(part);
        if every < Duration::from_secs(4) { at } else { at - Duration::from_nanos(at.elapsed().subsec_nanos().into()) }
    }

    pub(crate) fn end_beats(&self, presence: &Presence) {
        presence.beat_at.set(None);
        presence.beat.set(false);
    }

    /// Sees to it that a connection is looked at when its next deadline comes.
    fn watch(&self, presence: &Presence) {
        let Some(next) = presence.next_deadline() else { return };
        if presence.due.get().is_none_or(|due| next < due) {
            presence.due.set(Some(next));
            self.shed_waits(&self.connections.borrow());
            self.waits.borrow_mut().insert(next, presence.key);
        }
    }

    /// Makes room for a newcomer: the connection that has been idle for longest, if that is over 5 s (P53).
    pub(crate) fn cut_an_idle_connection(&self) -> bool {
        let (now, connections) = (self.now(), self.connections.borrow());
        let idle = connections.iter().map(|(_, presence)| presence).filter(|p| p.waits_for.get() == Wait::Request);
        let longest = idle.min_by_key(|presence| presence.since.get());
        match longest {
            Some(presence) if now.since(presence.since.get()).as_secs() >= 5 => {
                presence.cut(Cut::GiveWay);
                true
            }
            _ => false,
        }
    }

    // ---- what falls due ----

    /// Deadlines that are being watched, of the living and the not yet forgotten.
    pub(crate) fn timers(&self) -> usize {
        self.table.borrow().timers() + self.waits.borrow().len() + self.call_ends.borrow().len()
    }

    /// Notes until when a call may run.
    pub(crate) fn call_ends_at(&self, deadline: Instant, call: CallKey, calls: &Slab<Running>) {
        let mut ends = self.call_ends.borrow_mut();
        ends.shed(calls.len(), |&call, _| CallKey(call).of(calls).is_some());
        ends.insert(deadline, call.0);
    }

    /// The earliest moment at which something may be due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waits = [self.table.borrow().next_deadline(), self.waits.borrow().next(), self.call_ends.borrow().next()];
        waits.into_iter().flatten().min()
    }

    /// Does some of what is due; true if there is more.
    pub(crate) fn run_due(self: &Rc<Self>, now: Instant) -> bool {
        if let Some(due) = self.next_deadline() {
            peak(&self.counters().timer_late_ms_max, now.since(due).as_millis() as u64);
            self.services.common.events.loop_lag(now.since(due), now);
        }
        for _ in 0..DUE_PER_TURN {
            let did = self.expire_session(now) | self.expire_wait(now) | self.expire_call(now);
            if !did {
                return false;
            }
        }
        true
    }

    fn expire_session(&self, now: Instant) -> bool {
        let expired = self.table.borrow_mut().expire(now);
        let Some((session, reason)) = expired else { return false };
        self.session_ended(session, reason);
        true
    }

    fn expire_wait(&self, now: Instant) -> bool {
        let popped = self.waits.borrow_mut().pop(now);
        let Some(key) = popped else { return false };
        let presence = self.connections.borrow().get(key.place as usize).filter(|p| p.key == key).cloned();
        let Some(presence) = presence else { return true };
        if presence.due.get().is_some_and(|due| due > now) {
            return true; // another entry of this connection is in the wheel
        }
        if presence.deadline.get().is_some_and(|deadline| deadline <= now) {
            presence.deadline.set(None);
            presence.cut(Cut::TooLong);
        }
        if presence.beat_at.get().is_some_and(|at| at <= now) {
            // From now, not from when it was due: a stall is not made up for by a burst (D16).
            presence.beat_at.set(Some(self.next_beat(now, 1.0)));
            presence.beat.set(true);
            presence.wake();
        }
        presence.due.set(None);
        self.watch(&presence);
        true
    }

    fn expire_call(&self, now: Instant) -> bool {
        let popped = self.call_ends.borrow_mut().pop(now);
        let Some(call) = popped else { return false };
        self.call_timed_out(CallKey(call));
        true
    }
}

/// The header line for connections that may be silent for `wait` (P53). It says a little less: a client that used the
/// last second of it would meet our end of the connection.
fn keep_alive(wait: Duration) -> String {
    match wait.as_secs().saturating_sub(IDLE_MARGIN) {
        0 => String::new(),
        seconds => format!("keep-alive: timeout={seconds}\r\n"),
    }
}

impl Presence {
    fn next_deadline(&self) -> Option<Instant> {
        self.deadline.get().into_iter().chain(self.beat_at.get()).min()
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.cut.set(Some(cut));
        self.wake();
    }

    /// Does the stream want a comment now? Asked after [`Presence::poll_cut`], which leaves the waker.
    pub(crate) fn take_beat(&self) -> bool {
        self.beat.take()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Has the connection been cut? If not, `waker` learns of it.
    pub(crate) fn poll_cut(&self, waker: &Waker) -> Option<Cut> {
        let cut = self.cut.take();
        if cut.is_none() {
            let mut slot = self.waker.borrow_mut();
            if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
                *slot = Some(waker.clone());
            }
        }
        cut
    }
}
