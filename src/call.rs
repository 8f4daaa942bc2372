//! One call: its future, its exchange, and how it ends.
//!
//! A call is polled once where its request is read. If it is ready, its answer leaves with the same write; if
//! not, the same future moves on into the shell's table. Either way it ends here: a result, an error, a panic
//! (caught: nobody else notices), too large a result, or too long a run. There is no second path.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::budget::Charge;
use crate::clock::{Instant, Sleep};
use crate::context::RequestContext;
use crate::counters::{count, peak};
use crate::jsonrpc::{self, Error, INTERNAL_ERROR};
use crate::mcp::compat::{self, Outcome};
use crate::mcp::result::{CallError, CallResult};
use crate::method::Method;
use crate::tools::CallFuture;

/// What is left to do.
pub(crate) enum Work {
    Ready(Outcome),
    Handler(CallFuture),
    Done,
}

/// A request on its way to its answer.
pub(crate) struct Call {
    pub(crate) cx: RequestContext,
    pub(crate) method: &'static str,
    /// The tool's name; none for other methods.
    pub(crate) tool: Option<Rc<str>>,
    pub(crate) uncancellable: bool,
    /// Its tool does not say that it only reads.
    pub(crate) changes: bool,
    /// How long it may run.
    pub(crate) wait: Duration,
    pub(crate) started: Instant,
    work: Work,
    beat: Option<Sleep>,
    _room: Charge,
}

/// How a call ended, for the log and the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallEnd {
    pub(crate) outcome: &'static str,
    pub(crate) failed: bool,
    pub(crate) bytes: usize,
    pub(crate) at: Instant,
}

/// A handler that holds the thread for longer than this is named in the log (P38).
const STALL: Duration = Duration::from_millis(100);

impl Call {
    pub(crate) fn new(cx: RequestContext, method: &'static str, work: Work, room: Charge, started: Instant) -> Call {
        let wait = cx.services().common.limits.call_wait;
        let (uncancellable, changes, beat) = (false, false, None);
        Call { cx, method, tool: None, uncancellable, changes, wait, started, work, beat, _room: room }
    }

    /// Ends the call with `fault` before it has begun, unless a header is wrong, which is said first (T-18, T-19).
    pub(crate) fn refuse(&mut self, fault: Error) {
        if !matches!(&self.work, Work::Ready(Outcome::Error(error)) if error.code == jsonrpc::HEADER_MISMATCH) {
            self.work = Work::Ready(Outcome::Error(fault));
        }
    }

    /// Runs on from `now`; ready when the answer is in the stream.
    pub(crate) fn poll(&mut self, task: &mut Context<'_>, now: Instant) -> Poll<CallEnd> {
        let mut at = self.started;
        let outcome = match std::mem::replace(&mut self.work, Work::Done) {
            Work::Ready(outcome) => outcome,
            Work::Done => return Poll::Pending,
            Work::Handler(mut future) => match self.poll_handler(&mut future, task, now, &mut at) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => {
                    self.work = Work::Handler(future);
                    self.poll_beat(task);
                    return Poll::Pending;
                }
            },
        };
        Poll::Ready(self.finish(outcome, at))
    }

    /// Polls the handler; `at` becomes the moment when it returned.
    fn poll_handler(
        &mut self,
        future: &mut CallFuture,
        task: &mut Context<'_>,
        now: Instant,
        at: &mut Instant,
    ) -> Poll<Outcome> {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task)));
        *at = self.cx.services().clock.now();
        let held = at.since(now);
        self.cx.services().common.events.loop_lag(held, *at);
        if held > STALL {
            self.stalled(held);
        }
        match polled {
            // Asked something: this round is over, whatever else the handler would wait for.
            Ok(Poll::Pending) => self.cx.input_required().map_or(Poll::Pending, Poll::Ready),
            Ok(Poll::Ready(Ok(outcome))) => Poll::Ready(outcome),
            Ok(Poll::Ready(Err(error))) if self.method == Method::ToolsCall.as_str() => {
                Poll::Ready(tool_failed(error, &self.cx))
            }
            Ok(Poll::Ready(Err(error))) => Poll::Ready(Outcome::Error(error.of_request(self.cx.peer().revision))),
            Err(_) => Poll::Ready(Outcome::Error(panicked(&self.cx, self.tool()))),
        }
    }

    fn stalled(&self, held: Duration) {
        let (counters, ms) = (&self.cx.services().common.counters, held.as_millis());
        count(&counters.loop_stalls);
        peak(&counters.loop_stall_ms_max, ms as u64);
        let session = self.cx.session().unwrap_or_default();
        log::warn!(target: "portcullis", "loop_stall tool={} ms={ms} session={session}: its handler blocks; use cx.unblock", self.tool());
    }

    /// Progress by itself while the handler says nothing (P32).
    fn poll_beat(&mut self, task: &mut Context<'_>) {
        if !self.cx.wants_progress() {
            return;
        }
        let services = self.cx.services();
        let every = services.common.limits.progress_every;
        loop {
            let beat = self.beat.get_or_insert_with(|| services.clock.sleep_until(services.clock.now() + every));
            if Pin::new(beat).poll(task).is_pending() {
                return;
            }
            self.beat = None;
            self.cx.beat();
        }
    }

    /// Writes the answer and hands it to the exchange.
    fn finish(&mut self, outcome: Outcome, at: Instant) -> CallEnd {
        let most = self.cx.services().common.limits.result_bytes_max;
        let (failed, outcome_name) = match &outcome {
            Outcome::Tool(result) if result.is_error() => (true, "tool_error"),
            Outcome::Error(_) => (true, "error"),
            Outcome::InputRequired { .. } => (false, "input_required"),
            _ => (false, "ok"),
        };
        if outcome_name == "input_required" {
            count(&self.cx.services().common.counters.calls_input_required);
        }
        let mut text = self.write(&outcome);
        let mut end = CallEnd { outcome: outcome_name, failed, bytes: text.len(), at };
        if text.len() > most {
            let words = format!(
                "the result is {} bytes, and the limit is {most} (result_bytes_max); ask for less, or page through it",
                text.len()
            );
            text = self.write(&match outcome {
                Outcome::Tool(_) => Outcome::Tool(CallResult::error(words)),
                _ => Outcome::Error(Error::new(INTERNAL_ERROR, words)),
            });
            end = CallEnd { outcome: "too_large", failed: true, bytes: text.len(), at };
        }
        self.cx.answer(text, at);
        end
    }

    /// The tool's name; empty for other methods.
    pub(crate) fn tool(&self) -> &str {
        self.tool.as_deref().unwrap_or_default()
    }

    /// Has it ended by itself?
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.work, Work::Done)
    }

    fn write(&self, outcome: &Outcome) -> Vec<u8> {
        let (id, envelope) = (self.cx.request_id(), self.cx.envelope());
        let more = if envelope.revision.has_result_types() { 32 + envelope.plain_meta.len() } else { 0 };
        let mut text = Vec::with_capacity(192 + more);
        match outcome {
            Outcome::Error(error) => {
                self.cx.note_status(error.code);
                jsonrpc::write_error(&mut text, Some(id), error);
            }
            other => {
                jsonrpc::write_result(&mut text, id, |out| compat::write_result(out, other, envelope));
            }
        }
        text
    }
}

/// How a tool's call ends that failed.
pub(crate) fn tool_failed(error: CallError, cx: &RequestContext) -> Outcome {
    error.of_tool(cx.peer().revision).map_or_else(Outcome::Error, Outcome::Tool)
}

/// The panic's own words are in the host's log already; the client learns where to look, not what it said.
pub(crate) fn panicked(cx: &RequestContext, tool: &str) -> Error {
    count(&cx.services().common.counters.handler_panics);
    let (session, id) = (cx.session().unwrap_or_default(), cx.request_id());
    log::error!(target: "portcullis", "handler_panic tool={tool} session={session} id={id}");
    let message = format!("the tool failed inside; the server's log has handler_panic with session={session} id={id}");
    Error::new(INTERNAL_ERROR, message)
}
