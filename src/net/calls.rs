//! The table of calls that are under way, and how one is begun, dropped and logged.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

use super::shell::Shell;
use crate::call::{Call, CallEnd};
use crate::clock::Instant;
use crate::context::RequestContext;
use crate::counters::count;
use crate::events::Ended;
use crate::jsonrpc::{CANCELLED, Error, INTERNAL_ERROR, RequestId};
use crate::method::Method;
use crate::session::{self, Reason, SessionKey};
use crate::stream::{Role, Stream};
use crate::wheel::Key;

/// A call that was not ready at once.
pub(crate) struct Running {
    pub(crate) cx: RequestContext,
    /// None where requests stand alone.
    pub(crate) session: Option<SessionKey>,
    pub(crate) method: &'static str,
    pub(crate) tool: Option<Rc<str>>,
    pub(crate) started: Instant,
    uncancellable: bool,
    serial: u32,
    /// Dropping it drops the handler's future.
    _task: Option<smol::Task<()>>,
}

impl Running {
    /// The tool's name; empty for other methods.
    pub(crate) fn tool(&self) -> &str {
        self.tool.as_deref().unwrap_or_default()
    }
}

/// Points at a running call, and at no other that takes its place later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallKey(pub(super) Key);

impl CallKey {
    /// The call, if it still runs.
    pub(super) fn of(self, calls: &Slab<Running>) -> Option<&Running> {
        calls.get(self.0.place as usize).filter(|running| running.serial == self.0.serial)
    }
}

/// A call that takes longer than this is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);

impl Shell {
    /// Polls a call once where it stands, by the time that was asked last; if it is not ready, the same future moves into the table, and this says
    /// where.
    pub(crate) fn begin(self: &Rc<Self>, mut call: Call, session: Option<SessionKey>) -> Option<CallKey> {
        match call.poll(&mut Context::from_waker(Waker::noop()), self.clock().said()) {
            Poll::Ready(end) => {
                self.call_ended(&call, session, end);
                None
            }
            Poll::Pending => Some(self.move_into_table(call, session)),
        }
    }

    fn move_into_table(self: &Rc<Self>, call: Call, key: Option<SessionKey>) -> CallKey {
        let serial = self.call_serial.get();
        self.call_serial.set(serial.wrapping_add(1));
        let mut calls = self.calls.borrow_mut();
        let slot = calls.vacant_key();
        let call_key = CallKey(Key { place: slot as u32, serial });
        if call.wait < Duration::MAX {
            self.call_ends_at(call.started + call.wait, call_key, &calls);
        }
        let running = session::Running { id: call.cx.request_id().clone(), call: slot };
        self.of_session(key, |session| session.running.push(running));
        let events = &self.services.common.events;
        events.call_began(call.cx.peer().session, call.method, call.tool.as_ref(), call.started);
        let (cx, method, tool, started, uncancellable) =
            (call.cx.clone(), call.method, call.tool.clone(), call.started, call.uncancellable);
        let shell = self.clone();
        let mut call = Abandoned(call);
        let task = self.spawn(async move {
            let end = std::future::poll_fn(|task| call.0.poll(task, shell.now())).await;
            if shell.take_running(slot).is_some() {
                shell.call_ended(&call.0, key, end);
            }
        });
        calls.insert(Running { cx, session: key, method, tool, started, uncancellable, serial, _task: task });
        call_key
    }

    fn of_session(&self, key: Option<SessionKey>, change: impl FnOnce(&mut session::Session)) {
        let mut table = self.table.borrow_mut();
        if let Some(session) = key.and_then(|key| table.get(key)) {
            change(session);
        }
    }

    fn take_running(&self, slot: usize) -> Option<Running> {
        let running = self.calls.borrow_mut().try_remove(slot)?;
        self.of_session(running.session, |session| session.running.retain(|other| other.call != slot));
        Some(running)
    }

    /// Bookkeeping for a call whose answer is in its stream.
    fn call_ended(&self, call: &Call, key: Option<SessionKey>, end: CallEnd) {
        let now = end.at;
        let took = now.since(call.started);
        if end.failed {
            count(&self.counters().calls_failed);
        }
        // What may have changed something is told, however it ended: who it was is what one asks later.
        let is_told = end.failed || call.changes || took >= SLOW;
        let level = if is_told { log::Level::Info } else { log::Level::Debug };
        let CallEnd { outcome, failed, bytes, at } = end;
        let session = call.cx.peer().session;
        let ended = Ended { session, method: call.method, tool: call.tool.as_ref(), took, outcome, failed, at };
        self.note_call(level, &call.cx, bytes, &ended);
        if end.failed {
            let error = format!("{} {}: {}", call.method, call.tool(), end.outcome);
            self.of_session(key, |session| session.last_error = Some(error.into()));
        }
        self.leave_session(key, now);
    }

    /// One call less in the session, which may be what its end waited for.
    fn leave_session(&self, key: Option<SessionKey>, now: Instant) {
        let Some(key) = key else { return };
        let over = self.table.borrow_mut().call_ended(key, now);
        if let Some(session) = over {
            self.session_ended(session, Reason::Life);
        }
    }

    /// Tells the operator of a call's end: in the log, among the events, and in the counts.
    fn note_call(&self, level: log::Level, cx: &RequestContext, bytes: usize, end: &Ended<'_>) {
        self.services.common.events.call_ended(end);
        let Ended { method, outcome, .. } = end;
        let tool = end.tool.map_or("", |tool| tool);
        log::log!(
            target: "portcullis", level,
            "call session={} principal={} client={:?} method={method} tool={tool} id={} ms={} bytes={bytes} outcome={outcome}",
            cx.session().unwrap_or_default(), cx.principal(), cx.client().name, cx.request_id(), end.took.as_millis(),
        );
    }

    /// The client cancelled a call (F-90): its future is dropped; on Streamable HTTP the request ends with an error,
    /// because a stream without an answer looks like one to come back to.
    pub(crate) fn cancel(&self, slot: usize) {
        if self.calls.borrow().get(slot).is_none_or(|running| running.uncancellable) {
            return;
        }
        let Some(running) = self.take_running(slot) else { return };
        count(&self.counters().calls_cancelled);
        let silent = running.cx.stream().role() == Role::Session;
        let error = (!silent).then(|| Error::new(CANCELLED, "Request cancelled"));
        self.abort(&running, error, "cancelled");
    }

    /// Cancels the one call that answers on `stream` and has this id; if two have it, none (P01).
    pub(crate) fn cancel_on(&self, stream: &Rc<Stream>, id: &RequestId) {
        let calls = self.calls.borrow();
        let mut meant = calls
            .iter()
            .filter(|(_, running)| Rc::ptr_eq(running.cx.stream(), stream) && running.cx.request_id() == id)
            .map(|(slot, _)| slot);
        let (first, second) = (meant.next(), meant.next());
        drop(calls);
        match (first, second) {
            (Some(slot), None) => self.cancel(slot),
            (Some(_), Some(_)) => {
                count(&self.counters().ambiguous_cancels);
                log::warn!(target: "portcullis", "ambiguous_cancel id={id}: nothing cancelled");
            }
            _ => {}
        }
    }

    pub(crate) fn call_timed_out(&self, key: CallKey) {
        if key.of(&self.calls.borrow()).is_none() {
            return;
        }
        let Some(running) = self.take_running(key.0.place as usize) else { return };
        count(&self.counters().calls_timed_out);
        let seconds = self.now().since(running.started).as_secs();
        let words = format!("tool {} did not finish in {seconds} s (its timeout, or limit call_wait)", running.tool());
        self.abort(&running, Some(Error::new(INTERNAL_ERROR, words)), "timed_out");
    }

    /// The client of a call that stands alone closed its connection: that cancels it (T-6), unless the tool may not be
    /// stopped half-way.
    pub(crate) fn disconnected(&self, key: CallKey) {
        if key.of(&self.calls.borrow()).is_some_and(|running| !running.uncancellable)
            && let Some(running) = self.take_running(key.0.place as usize)
        {
            count(&self.counters().calls_disconnected);
            self.abort(&running, None, "disconnected");
        }
    }

    /// The session of a call was ended on purpose: nobody waits for the answer.
    pub(crate) fn drop_call(&self, slot: usize) {
        let uncancellable = match self.calls.borrow().get(slot) {
            None => return,
            Some(running) => {
                running.cx.stream().close();
                running.uncancellable
            }
        };
        if !uncancellable && let Some(running) = self.take_running(slot) {
            self.abort(&running, None, "session_ended");
        }
    }

    /// Drops calls that stand alone and whose context says so, as the end of a session drops its calls. Listeners are
    /// ended in another way, with a result.
    pub(crate) fn drop_stateless_calls(&self, which: impl Fn(&RequestContext) -> bool) {
        let calls = self.calls.borrow();
        let alone = calls.iter().filter(|(_, running)| {
            running.session.is_none() && running.method != Method::Listen.as_str() && which(&running.cx)
        });
        let slots: Vec<_> = alone.map(|(slot, _)| slot).collect();
        drop(calls);
        slots.into_iter().for_each(|slot| self.drop_call(slot));
    }

    fn abort(&self, running: &Running, error: Option<Error>, outcome: &'static str) {
        let now = self.now();
        running.cx.set_cancelled();
        match error {
            Some(error) => running.cx.answer_error(&error, now),
            None => running.cx.stream().forgo_answer(),
        }
        let (session, method, tool) = (running.cx.peer().session, running.method, running.tool.as_ref());
        let took = now.since(running.started);
        let ended = Ended { session, method, tool, took, outcome, failed: true, at: now };
        self.note_call(log::Level::Info, &running.cx, 0, &ended);
        self.leave_session(running.session, now);
    }
}

/// Tells work on other threads when a call's future is dropped.
struct Abandoned(Call);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if !self.0.is_done() {
            self.0.cx.set_cancelled();
        }
    }
}
