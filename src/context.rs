//! What a handler knows of its call, and what it can do in it.

mod ask;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::asking::Asking;
use crate::clock::{Clock, Instant};
use crate::jsonrpc::{self, RequestId};
use crate::mcp::compat::{Envelope, Outcome};
use crate::mcp::level::Level;
use crate::mcp::peer::{ClientInfo, Peer, Principal};
use crate::mcp::result::CallError;
use crate::offload::Offload;
use crate::seal::Seal;
use crate::seen::SeenMeta;
use crate::stream::{Common, LastProgress, Role, Stream};
use crate::subscription::Listeners;

/// What all calls share.
pub(crate) struct Services {
    pub(crate) clock: Clock,
    pub(crate) offload: Offload,
    pub(crate) common: Rc<Common>,
    /// Fresh random bits for ids.
    pub(crate) ids: Box<dyn Fn() -> u128>,
    /// Seals what clients carry for us: cursors and request states.
    pub(crate) seal: Seal,
    pub(crate) listeners: Rc<Listeners>,
    /// The server's `Implementation`, as JSON.
    pub(crate) server_info: Vec<u8>,
    /// The same as the `_meta` of results that have one.
    pub(crate) plain_meta: Vec<u8>,
    /// Clients of 2026-07-28 send the same `_meta` with every request: the last one, and what it said.
    pub(crate) last_envelope: RefCell<Option<(Rc<SeenMeta>, Rc<Peer>)>>,
    /// Everybody gets the same answers: clients may share what they keep, where the server says so.
    pub(crate) same_for_all: bool,
}

impl Services {
    /// Random bytes for one seal.
    pub(crate) fn nonce(&self) -> [u8; 24] {
        let mut nonce = [0; 24];
        nonce[..16].copy_from_slice(&(self.ids)().to_le_bytes());
        nonce[16..].copy_from_slice(&((self.ids)() as u64).to_le_bytes());
        nonce
    }
}

/// A call, as its handler sees it. Clones are the same call.
///
/// ```
/// use portcullis::{CallError, RequestContext};
/// use std::time::Duration;
///
/// async fn drain(cx: RequestContext, _: serde_json::Value) -> Result<String, CallError> {
///     for step in 1..=3 {
///         cx.progress(step.into(), Some(3.0), Some("draining"));
///         cx.sleep(Duration::from_secs(1)).await;
///     }
///     let rules = cx.unblock(|| std::fs::read_to_string("/etc/nftables.conf")).await??;
///     Ok(format!("{} bytes of rules", rules.len()))
/// }
/// ```
#[derive(Clone)]
pub struct RequestContext(Rc<Inner>);

struct Inner {
    services: Rc<Services>,
    peer: Rc<Peer>,
    id: RequestId,
    stream: Rc<Stream>,
    log_level: Option<Rc<Cell<Level>>>,
    /// The client's token as JSON, if it wants progress.
    token: Option<Box<str>>,
    /// How the client is asked; set before the handler runs.
    asking: OnceCell<Asking>,
    /// Questions that its client has not answered yet.
    asked: RefCell<Vec<RequestId>>,
    progress: Cell<Option<f64>>,
    last: LastProgress,
    cancelled: OnceCell<CancelFlag>,
}

/// Says whether a call has been cancelled. For work on another thread; a handler's own future is simply dropped.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Has the call been cancelled, or timed out?
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What makes a context.
pub(crate) struct Origin {
    pub(crate) services: Rc<Services>,
    pub(crate) peer: Rc<Peer>,
    pub(crate) id: RequestId,
    pub(crate) stream: Rc<Stream>,
    /// From which level on the client wants log messages; none if it wants none.
    pub(crate) log_level: Option<Rc<Cell<Level>>>,
    pub(crate) token: Option<Box<str>>,
}

/// What a beat of automatic progress adds, so that values always rise (P32).
const HAIR: f64 = 1e-6;

impl RequestContext {
    pub(crate) fn new(origin: Origin) -> RequestContext {
        let Origin { services, peer, id, stream, log_level, token } = origin;
        RequestContext(Rc::new(Inner {
            services,
            peer,
            id,
            stream,
            log_level,
            token,
            asking: OnceCell::new(),
            asked: RefCell::default(),
            progress: Cell::new(None),
            last: LastProgress::default(),
            cancelled: OnceCell::new(),
        }))
    }

    /// The session's fingerprint, as it stands in the log and on the operator's page. Not its secret id.
    pub fn session(&self) -> Option<String> {
        self.0.peer.session.map(|fingerprint| fingerprint.to_string())
    }

    /// The id that the client gave the request. Not unique: some clients send the same one always.
    pub fn request_id(&self) -> &RequestId {
        &self.0.id
    }

    /// Whose request it is.
    pub fn principal(&self) -> &Principal {
        &self.0.peer.principal
    }

    /// What the client says of itself.
    pub fn client(&self) -> &ClientInfo {
        &self.0.peer.client
    }

    /// Tells the client how far the call is, if it asked to be told.
    ///
    /// `progress` is in the handler's own unit, `total` too. A value that does not rise is raised by a hair,
    /// because the protocol demands rising values. If the client reads slowly, newer progress replaces older.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let last = self.0.progress.get();
        let rising = last.map_or(progress, |last| progress.max(a_hair_more(last)));
        self.send_progress(rising, total, message);
    }

    /// Progress because time passes, between the handler's own reports or before the first.
    pub(crate) fn beat(&self) {
        self.send_progress(a_hair_more(self.0.progress.get().unwrap_or(0.0)), None, None);
    }

    pub(crate) fn wants_progress(&self) -> bool {
        self.0.token.is_some()
    }

    fn send_progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let Some(token) = &self.0.token else { return };
        if !progress.is_finite() {
            return;
        }
        self.0.progress.set(Some(progress));
        let mut params = Vec::with_capacity(96);
        params.extend_from_slice(b"{\"progressToken\":");
        params.extend_from_slice(token.as_bytes());
        params.extend_from_slice(b",\"progress\":");
        write_number(&mut params, progress);
        if let Some(total) = total.filter(|total| total.is_finite()) {
            params.extend_from_slice(b",\"total\":");
            write_number(&mut params, total);
        }
        if let Some(message) = message.filter(|_| self.0.peer.revision.has_progress_message()) {
            params.extend_from_slice(b",\"message\":");
            jsonrpc::write_string(&mut params, message);
        }
        params.push(b'}');
        self.0.stream.progress(notification("notifications/progress", &params), &self.0.last);
    }

    /// Sends the client a log message, if it wants ones of this level. `logger` may be empty.
    ///
    /// Nothing secret belongs in it. If the client reads slowly, it is dropped and counted.
    pub fn log(&self, level: Level, logger: &str, data: &impl Serialize) {
        if self.0.log_level.as_ref().is_none_or(|least| level < least.get()) {
            return;
        }
        let mut params = Vec::with_capacity(96);
        params.extend_from_slice(b"{\"level\":");
        jsonrpc::write_string(&mut params, level.as_str());
        if !logger.is_empty() {
            params.extend_from_slice(b",\"logger\":");
            jsonrpc::write_string(&mut params, logger);
        }
        params.extend_from_slice(b",\"data\":");
        jsonrpc::write_json(&mut params, data);
        params.push(b'}');
        self.0.stream.notice(notification("notifications/message", &params));
    }

    /// Ends the connection that waits for this call, and tells the client to come back for the answer after `retry`: for
    /// calls of minutes, which no proxy would keep a connection for. Only clients of 2025-11-25 can come back; for all
    /// others this does nothing.
    pub fn close_stream(&self, retry: Duration) {
        if self.0.peer.revision.primes_streams() && self.0.stream.role() == Role::Reply {
            self.0.stream.release(retry);
        }
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        let clock = &self.0.services.clock;
        clock.sleep_until(clock.now() + time).await;
    }

    /// A flag for work that this call starts on other threads.
    pub fn cancelled(&self) -> CancelFlag {
        self.0.cancelled.get_or_init(CancelFlag::default).clone()
    }

    /// Runs blocking work on one of a bounded number of threads
    /// ([`Limits::unblock_threads_max`](crate::Limits::unblock_threads_max)); it waits for a free one.
    ///
    /// The work cannot be stopped: if the call ends first it goes on as a counted zombie, so give it its own
    /// deadline, or look at [`RequestContext::cancelled`].
    ///
    /// # Errors
    /// None today; the result is one so that refusing work can become possible.
    pub async fn unblock<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, CallError> {
        Ok(self.0.services.offload.run(work).await)
    }

    /// Hands the call's answer to its exchange.
    pub(crate) fn answer(&self, text: Vec<u8>, now: Instant) {
        self.0.stream.answer(&self.0.id, jsonrpc::one_line(text), now);
    }

    /// Answers with an error in place of a call that may not go on.
    pub(crate) fn answer_error(&self, error: &jsonrpc::Error, now: Instant) {
        let mut text = Vec::with_capacity(128);
        jsonrpc::write_error(&mut text, Some(&self.0.id), error);
        self.answer(text, now);
    }

    pub(crate) fn services(&self) -> &Rc<Services> {
        &self.0.services
    }

    pub(crate) fn stream(&self) -> &Rc<Stream> {
        &self.0.stream
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// An error of the call's may have an HTTP status of its own, as long as no head is out (T-17, T-20).
    pub(crate) fn note_status(&self, code: i32) {
        if self.0.peer.revision.errors_have_statuses() {
            self.0.stream.set_status(match code {
                jsonrpc::METHOD_NOT_FOUND => 404,
                jsonrpc::HEADER_MISMATCH | jsonrpc::MISSING_CAPABILITY | jsonrpc::UNSUPPORTED_VERSION => 400,
                _ => 200,
            });
        }
    }

    /// Says how the client is asked; once, before the handler runs.
    pub(crate) fn asks_by(&self, asking: Asking) {
        let _ = self.0.asking.set(asking);
    }

    /// How the call ends if its handler has asked something that its client must answer first.
    pub(crate) fn input_required(&self) -> Option<Outcome> {
        match self.0.asking.get() {
            Some(Asking::Rounds(rounds)) if rounds.wants_input() => {
                Some(rounds.required(&self.0.services, &self.0.peer.principal))
            }
            _ => None,
        }
    }

    /// What stands around the call's result.
    pub(crate) fn envelope(&self) -> Envelope<'_> {
        let is_private = matches!(self.0.asking.get(), Some(Asking::Rounds(rounds)) if rounds.is_retry());
        let same_for_all = self.0.services.same_for_all;
        Envelope { revision: self.0.peer.revision, plain_meta: &self.0.services.plain_meta, is_private, same_for_all }
    }

    /// The call is dropped before its end: nobody waits for what it asked, and work on other threads is told.
    pub(crate) fn set_cancelled(&self) {
        for question in self.0.asked.take() {
            self.withdraw(&question);
        }
        if let Some(flag) = self.0.cancelled.get() {
            flag.0.store(true, Ordering::Release);
        }
    }
}

/// A hair more than `value`, and more in any case: beyond ten billion a hair is less than the next number.
fn a_hair_more(value: f64) -> f64 {
    (value + HAIR).max(value.next_up())
}

fn notification(method: &str, params: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(params.len() + 64);
    jsonrpc::write_notification(&mut text, method, params);
    jsonrpc::one_line(text)
}

/// A whole number without its `.0`: `50`, not `50.0`.
fn write_number(out: &mut Vec<u8>, number: f64) {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        jsonrpc::write_integer(out, number as i64);
    } else {
        jsonrpc::write_json(out, &number);
    }
}
