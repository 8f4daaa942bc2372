//! The method table: from the messages of a session to calls (4.1). Both transports end here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Desk;
use crate::call::{self, Call, Outcome, Work};
use crate::context::{Origin, RequestContext};
use crate::counters::count;
use crate::http::response::Rejection;
use crate::jsonrpc::{self, Error, INVALID_REQUEST, METHOD_NOT_FOUND, Message, RequestId};
use crate::mcp::level::Level;
use crate::mcp::peer::{InitializeParams, Peer};
use crate::revision::Revision;
use crate::session::SessionKey;
use crate::stream::Stream;

/// A request as it goes into the method table.
struct Request<'a> {
    id: RequestId,
    method: &'a str,
    params: Option<&'a RawValue>,
}

/// What the method table says: the method's own name, and what is to be done.
struct Entry {
    method: &'static str,
    work: Work,
    tool: Option<(Rc<str>, bool, Option<std::time::Duration>)>,
}

impl Desk<'_> {
    /// Takes the messages of one POST. Requests become calls that answer on `stream`.
    ///
    /// # Errors
    /// 503 if the session runs too many calls already, or the server's buffers are full.
    pub(super) fn take(
        &mut self,
        key: SessionKey,
        messages: Vec<Message<'_>>,
        stream: &Rc<Stream>,
    ) -> Result<Vec<Call>, Rejection> {
        let requests = messages.iter().filter(|message| matches!(message, Message::Request { .. })).count();
        let limits = &self.services.common.limits;
        let most = limits.calls_max;
        if let Some(session) = self.table.get(key) {
            session.last_active = self.now;
            session.messages_in += messages.len() as u64;
            if session.calls_in_flight + requests > most {
                let cause = format!("{most} calls of this session are running already (limit calls_max); wait for one");
                return Err(Rejection::new(503, cause));
            }
        }
        let (waiting, bytes, _) = stream.load();
        if requests > 0 && (bytes >= limits.queue_bytes_max || waiting >= limits.queue_messages_max + most) {
            // P39: whoever does not read his answers gets no further ones; nobody else pays for him.
            let cause = format!(
                "{bytes} bytes of answers wait on this session's stream (limit queue_bytes_max); read them first"
            );
            return Err(Rejection::new(503, cause));
        }
        let mut rooms = Vec::with_capacity(requests);
        for _ in 0..requests {
            rooms.push(self.room_for_answer()?);
        }
        let mut calls = Vec::with_capacity(requests);
        for message in messages {
            match message {
                Message::Request { id, method, params } => {
                    if let Some(room) = rooms.pop() {
                        calls.push(self.request(key, Request { id, method: &method, params }, stream, room));
                    }
                }
                Message::Notification { method, params } => self.notification(key, &method, params),
                Message::Response => log::debug!(target: "portcullis", "a response to no request of ours was dropped"),
            }
        }
        Ok(calls)
    }

    /// Room for one answer, so that it can never be lost for want of it.
    pub(super) fn room_for_answer(&self) -> Result<crate::budget::Charge, Rejection> {
        let common = &self.services.common;
        common.budget.reserve(common.limits.result_bytes_max).ok_or_else(|| {
            count(&common.counters.over_budget);
            Rejection::new(503, "the server's buffers are full (limit buffered_bytes_max); try again soon")
        })
    }

    fn request(
        &mut self,
        key: SessionKey,
        request: Request<'_>,
        stream: &Rc<Stream>,
        room: crate::budget::Charge,
    ) -> Call {
        stream.expect_answer();
        self.table.call_begins(key);
        let session = self.table.get(key);
        let (peer, log_level) = match session {
            Some(session) => (session.peer.clone(), session.log_level.clone()),
            // The session was looked up a moment ago; without it the call has a stream nobody reads.
            None => (Rc::new(Peer::unknown()), Rc::default()),
        };
        let origin = Origin {
            services: self.services.clone(),
            peer,
            id: request.id.clone(),
            stream: stream.clone(),
            log_level,
            token: progress_token(request.params),
        };
        let cx = RequestContext::new(origin);
        let entry = self.entry(key, &request, &cx);
        let mut call = Call::new(cx, entry.method, entry.work, room, self.now);
        if let Some((name, uncancellable, timeout)) = entry.tool {
            (call.tool, call.uncancellable) = (name, uncancellable);
            call.wait = timeout.unwrap_or(call.wait);
        }
        call
    }

    /// The method table.
    fn entry(&mut self, key: SessionKey, request: &Request<'_>, cx: &RequestContext) -> Entry {
        let initialized = self.table.get(key).is_some_and(|session| session.initialized);
        let revision = cx.peer().revision;
        let ready = |method, outcome: Result<Vec<u8>, Error>| Entry {
            method,
            work: Work::Ready(outcome.map_or_else(Outcome::Error, Outcome::Result)),
            tool: None,
        };
        match request.method {
            "ping" => ready("ping", Ok(b"{}".to_vec())),
            "initialize" => ready("initialize", self.initialize_again(key, request.params)),
            _ if !initialized => ready("?", Err(not_initialized())),
            "tools/list" => ready("tools/list", self.policy.tools.list(request.params, revision).map(<[u8]>::to_vec)),
            "tools/call" => self.tool_call(request.params, cx),
            "logging/setLevel" => ready("logging/setLevel", self.set_level(key, request.params)),
            other => {
                let other: String = other.chars().take(64).collect();
                let words = format!("no method {other:?} in revision {}", revision.as_str());
                ready("?", Err(Error::new(METHOD_NOT_FOUND, words)))
            }
        }
    }

    fn tool_call(&self, params: Option<&RawValue>, cx: &RequestContext) -> Entry {
        let begun = match self.policy.tools.find(params) {
            Ok(begun) => begun,
            Err(error) => return Entry { method: "tools/call", work: Work::Ready(Outcome::Error(error)), tool: None },
        };
        count(&self.services.common.counters.calls_started);
        let tool = begun.tool;
        let about = (begun.name.clone(), tool.uncancellable, tool.timeout);
        // An embedder's `Deserialize` may panic like his handler may.
        let work = match catch_unwind(AssertUnwindSafe(|| begun.future(cx.clone()))) {
            Ok(Ok(future)) => Work::Handler(future),
            Ok(Err(error)) => Work::Ready(Outcome::Tool(error.into())),
            Err(_) => Work::Ready(Outcome::Error(call::panicked(cx, &about.0))),
        };
        Entry { method: "tools/call", work, tool: Some(about) }
    }

    fn set_level(&mut self, key: SessionKey, params: Option<&RawValue>) -> Result<Vec<u8>, Error> {
        #[derive(Deserialize)]
        struct Params {
            level: Level,
        }
        let params = params.map_or("{}", RawValue::get);
        let Params { level } =
            serde_json::from_str(params).map_err(|e| Error::invalid_params(format!("params: {e}")))?;
        if let Some(session) = self.table.get(key) {
            session.log_level.set(level);
        }
        Ok(b"{}".to_vec())
    }

    /// `initialize` inside a session: the first message of HTTP+SSE, or once more by a confused client.
    fn initialize_again(&mut self, key: SessionKey, params: Option<&RawValue>) -> Result<Vec<u8>, Error> {
        let params = read_initialize(params)?;
        let revision = Revision::negotiate(&params.protocol_version);
        let now = self.now;
        if let Some(session) = self.table.get(key) {
            let peer = Peer { revision, client: params.client_info.into(), ..(*session.peer).clone() };
            log::info!(
                target: "portcullis",
                "session_initialized session={} client={:?} version={:?} revision={}",
                session.fingerprint, peer.client.name, peer.client.version, revision.as_str(),
            );
            session.peer = Rc::new(peer);
            session.initialized = true;
        }
        self.table.settle(key, now);
        Ok(self.initialize_result(revision))
    }

    pub(super) fn initialize_result(&self, revision: Revision) -> Vec<u8> {
        let mut result = Vec::with_capacity(256);
        result.extend_from_slice(b"{\"protocolVersion\":");
        jsonrpc::write_string(&mut result, revision.as_str());
        result.push(b',');
        result.extend_from_slice(&self.policy.introduction);
        result
    }

    /// Notifications are never answered; those we do not know are nothing to us.
    pub(super) fn notification(&mut self, key: SessionKey, method: &str, params: Option<&RawValue>) {
        if method == "notifications/cancelled" {
            self.cancelled(key, params);
        }
    }

    /// Cancels the one call that is meant; if two could be meant, none (S-45, P01).
    fn cancelled(&mut self, key: SessionKey, params: Option<&RawValue>) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            #[serde(borrow)]
            request_id: &'a RawValue,
        }
        let params = params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok());
        let Some(id) = params.and_then(|params| RequestId::read(params.request_id)) else { return };
        let Some(session) = self.table.get(key) else { return };
        let mut meant = session.running.iter().filter(|running| running.id == id);
        match (meant.next(), meant.next()) {
            (Some(running), None) => self.effects.cancel.push(running.call),
            (Some(_), Some(_)) => {
                count(&self.services.common.counters.ambiguous_cancels);
                log::warn!(target: "portcullis", "ambiguous_cancel session={} id={id}: nothing cancelled", session.fingerprint);
            }
            _ => {}
        }
    }
}

pub(super) fn read_initialize(params: Option<&RawValue>) -> Result<InitializeParams, Error> {
    let params = params.map_or("{}", RawValue::get);
    serde_json::from_str(params).map_err(|error| Error::invalid_params(format!("initialize: {error}")))
}

fn not_initialized() -> Error {
    let words =
        "this session is not initialised; it may be a stream that was opened again by itself: send initialize first";
    Error::new(INVALID_REQUEST, words)
}

/// The `_meta.progressToken` of a request, as JSON; a string or a number.
fn progress_token(params: Option<&RawValue>) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, rename = "_meta")]
        meta: Option<Meta<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta<'a> {
        #[serde(borrow)]
        progress_token: Option<&'a RawValue>,
    }
    let text = params?.get();
    if !text.contains("progressToken") {
        return None; // most requests; the parse below is not free
    }
    let token = serde_json::from_str::<Params<'_>>(text).ok()?.meta?.progress_token?;
    RequestId::read(token).map(|_| token.get().into())
}
