//! From the messages of a POST to calls: the method table. All transports and revisions end here.

use std::cell::Cell;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::Desk;
use super::lines::cancelled_id;
use crate::asking::Asking;
use crate::budget::Charge;
use crate::call::{Call, Work};
use crate::context::{Origin, RequestContext};
use crate::counters::count;
use crate::events::Kind;
use crate::features::{Begun, Mirrored};
use crate::http::response::Rejection;
use crate::jsonrpc::{self, Error, INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, Message, Params, RequestId};
use crate::listing::all;
use crate::mcp::compat::{Outcome, Writer};
use crate::mcp::level::Level;
use crate::mcp::meta::Meta;
use crate::mcp::peer::{Introduction, Peer};
use crate::members::{self, Members};
use crate::method::Method;
use crate::questions::{Answer, Questions};
use crate::resources::read_uri;
use crate::revision::Revision;
use crate::session::SessionKey;
use crate::stream::Stream;
use crate::subscription::Filter;

/// A request as it goes into the method table.
pub(super) struct Request<'a> {
    pub(super) id: &'a RequestId,
    pub(super) method: &'a str,
    pub(super) params: &'a Params<'a>,
}

/// Who asks, and what is his.
pub(super) struct Asker {
    pub(super) session: Option<SessionKey>,
    pub(super) peer: Rc<Peer>,
    /// From which level on he wants log messages; none if he wants none.
    pub(super) log_level: Option<Rc<Cell<Level>>>,
    pub(super) questions: Option<Rc<Questions>>,
    pub(super) initialized: bool,
}

impl Desk<'_> {
    /// Takes the messages of one POST of a session. Requests become calls that answer on `stream`.
    ///
    /// # Errors
    /// 503 if the session runs too many calls already, or the server's buffers are full.
    pub(super) fn take(
        &mut self,
        key: SessionKey,
        messages: &[Message<'_>],
        stream: &Rc<Stream>,
    ) -> Result<Vec<Call>, Rejection> {
        let requests = messages.iter().filter(|message| matches!(message, Message::Request { .. })).count();
        let limits = &self.services.common.limits;
        let most = limits.calls_max;
        if let Some(session) = self.table.get(key) {
            session.last_active = self.now;
            session.messages_in += messages.len() as u64;
            if session.calls_in_flight + requests > most {
                let fingerprint = session.fingerprint;
                self.note(fingerprint, Kind::Refused, "calls_max");
                let cause = format!("{most} calls of this session are running already (limit calls_max); wait for one");
                return Err(Rejection::new(503, cause));
            }
        }
        let (waiting, bytes, _) = stream.load();
        if requests > 0 && (bytes >= limits.queue_bytes_max || waiting >= limits.queue_messages_max + most) {
            // P39: whoever does not read his answers gets no further ones; nobody else pays for him.
            self.services.common.events.note(stream.session(), Kind::Refused, "queue_bytes_max");
            let cause = format!(
                "{bytes} bytes of answers wait on this session's stream (limit queue_bytes_max); read them first"
            );
            return Err(Rejection::new(503, cause));
        }
        let room = limits.result_bytes_max;
        let mut rooms = self.room_for(room.saturating_mul(requests)).inspect_err(|_| {
            self.services.common.events.note(stream.session(), Kind::Refused, "buffered_bytes_max");
        })?;
        let mut calls = Vec::with_capacity(requests);
        for message in messages {
            match message {
                Message::Request { id, method, params } => {
                    let request = Request { id, method, params };
                    calls.push(self.session_call(key, &request, stream, rooms.split(room)));
                }
                Message::Notification { method, params } => self.notification(key, method, params),
                Message::Response { id, outcome } => self.response(key, id, *outcome),
            }
        }
        Ok(calls)
    }

    /// Room for an answer, so that it can never be lost for want of it.
    pub(super) fn room_for(&self, bytes: usize) -> Result<Charge, Rejection> {
        let common = &self.services.common;
        common.budget.reserve(bytes).ok_or_else(|| {
            count(&common.counters.over_budget);
            Rejection::new(503, "the server's buffers are full (limit buffered_bytes_max); try again soon")
        })
    }

    fn session_call(&mut self, key: SessionKey, request: &Request<'_>, stream: &Rc<Stream>, room: Charge) -> Call {
        self.table.call_begins(key);
        let asker = match self.table.get(key) {
            Some(session) => Asker {
                session: Some(key),
                peer: session.peer.clone(),
                log_level: Some(session.log_level.clone()).filter(|_| !self.policy.features.is_silent),
                questions: Some(session.questions.clone()),
                initialized: session.initialized,
            },
            // The session was looked up a moment ago; without it the call has a stream nobody reads.
            None => Asker {
                session: None,
                peer: Rc::new(Peer::unknown()),
                log_level: None,
                questions: None,
                initialized: false,
            },
        };
        let method = Method::named(request.method, asker.peer.revision, &self.policy.features);
        self.call(&asker, method, request, &Meta::of(request.params), None, stream, room)
    }

    /// Makes the call of a request. `mirrored` are its `Mcp-Param-*` headers, where the revision has them.
    #[allow(clippy::too_many_arguments)] // it is where everything about a request comes together
    pub(super) fn call(
        &mut self,
        asker: &Asker,
        method: Option<Method>,
        request: &Request<'_>,
        meta: &Meta<'_>,
        mirrored: Mirrored<'_>,
        stream: &Rc<Stream>,
        room: Charge,
    ) -> Call {
        stream.expect_answer();
        let origin = Origin {
            services: self.services.clone(),
            peer: asker.peer.clone(),
            id: request.id.clone(),
            stream: stream.clone(),
            log_level: asker.log_level.clone(),
            // Nothing but changes goes to a listener (F-153).
            token: meta.progress_token().filter(|_| method != Some(Method::Listen)),
        };
        let cx = RequestContext::new(origin);
        if let Some(questions) = &asker.questions {
            cx.asks_by(Asking::Session(questions.clone()));
        }
        let name = method.map_or("?", Method::as_str);
        let begun = self.entry(asker, method, request, mirrored, &cx);
        let mut call = Call::new(cx, name, begun.work, room, self.now);
        if let Some(tool) = begun.tool {
            (call.tool, call.uncancellable, call.changes) = (Some(tool.name), tool.uncancellable, tool.changes);
            call.wait = tool.timeout.unwrap_or(call.wait);
        }
        if method == Some(Method::Listen) {
            call.wait = std::time::Duration::MAX;
        }
        call
    }

    /// The method table.
    fn entry(
        &mut self,
        asker: &Asker,
        method: Option<Method>,
        request: &Request<'_>,
        mirrored: Mirrored<'_>,
        cx: &RequestContext,
    ) -> Begun {
        let params = match request.params {
            Ok(params) => params,
            Err(fault) => return Outcome::Error(fault.clone()).into(),
        };
        let features = &self.policy.features;
        let done = |done: Result<(), Error>| done.map(|()| empty(cx)).into();
        match method {
            Some(Method::Ping) => empty(cx).into(),
            Some(Method::Initialize) => self.initialize_again(asker, request.params).into(),
            _ if !asker.initialized => Outcome::Error(not_initialized()).into(),
            None => {
                let words = no_such_method(request.method, asker.peer.revision);
                Outcome::Error(Error::new(METHOD_NOT_FOUND, words)).into()
            }
            Some(Method::SetLevel) => done(set_level(asker, params)),
            Some(Method::Discover) => features.discover(cx).into(),
            Some(Method::Listen) => self.listen(params, cx),
            Some(Method::ToolsList) => features.list("tools", &mut all(&features.tools().entries), params, cx),
            Some(Method::ToolsCall) => features.call(params, mirrored, cx),
            Some(Method::ResourcesList) => {
                features.list("resources", &mut all(&features.resources.entries), params, cx)
            }
            Some(Method::TemplatesList) => {
                features.list("resourceTemplates", &mut all(&features.resources.templates), params, cx)
            }
            Some(Method::ResourcesRead) => features.read(params, cx),
            Some(Method::Subscribe) => done(self.subscribe(asker, params, cx)),
            Some(Method::Unsubscribe) => done(self.unsubscribe(asker, params)),
            Some(Method::PromptsList) => features.list("prompts", &mut all(&features.prompts.entries), params, cx),
            Some(Method::PromptsGet) => features.prompt(params, cx),
            Some(Method::Complete) => features.complete(params, cx),
        }
    }

    /// `initialize` inside a session: the first message of HTTP+SSE, or once more by a confused client.
    fn initialize_again(&mut self, asker: &Asker, params: &Params<'_>) -> Result<Outcome, Error> {
        let Introduction { revision, client, capabilities } = Introduction::read(params)?;
        if let Some(session) = asker.session.and_then(|key| self.table.get(key)) {
            let peer = Peer { revision, client, capabilities, ..(*session.peer).clone() };
            log::info!(
                target: "portcullis",
                "session_initialized session={} client={:?} version={:?} revision={}",
                session.fingerprint, peer.client.name, peer.client.version, revision.as_str(),
            );
            session.peer = Rc::new(peer);
            session.initialized = true;
            let fingerprint = session.fingerprint;
            self.note(fingerprint, Kind::Initialized, revision.as_str());
        }
        if let Some(key) = asker.session {
            self.table.settle(key, self.now);
        }
        Ok(self.initialize_result(revision))
    }

    pub(super) fn initialize_result(&self, revision: Revision) -> Outcome {
        let mut result = Vec::with_capacity(256);
        result.extend_from_slice(b"{\"protocolVersion\":");
        jsonrpc::write_string(&mut result, revision.as_str());
        result.push(b',');
        self.policy.features.introduce(&mut result, &self.services.server_info);
        Outcome::Written(result)
    }

    /// F-45: from now on the session hears of changes of a resource.
    fn subscribe(&mut self, asker: &Asker, params: &Members<'_>, cx: &RequestContext) -> Result<(), Error> {
        let uri = read_uri(params)?;
        self.policy.features.is_readable(&uri, cx)?;
        let most = self.services.common.limits.subscriptions_max;
        let Some(session) = asker.session.and_then(|key| self.table.get(key)) else { return Ok(()) };
        if session.subscriptions.iter().any(|(subscribed, _)| *subscribed == uri) {
            return Ok(());
        }
        if session.subscriptions.len() >= most {
            let words = format!("{most} subscriptions are open already (limit subscriptions_max); end one");
            return Err(Error::invalid_params(words));
        }
        let held = self.services.common.budget.reserve(uri.len() + SUBSCRIPTION_BYTES);
        let held =
            held.ok_or_else(|| Error::new(INTERNAL_ERROR, "the server's buffers are full (limit buffered_bytes_max)"))?;
        session.subscriptions.push((uri, held));
        Ok(())
    }

    fn unsubscribe(&mut self, asker: &Asker, params: &Members<'_>) -> Result<(), Error> {
        let uri = read_uri(params)?;
        if let Some(session) = asker.session.and_then(|key| self.table.get(key)) {
            session.subscriptions.retain(|(subscribed, _)| *subscribed != uri);
        }
        Ok(())
    }

    /// F-150 … F-156: the request stays open, and changes are told on its stream.
    fn listen(&mut self, params: &Members<'_>, cx: &RequestContext) -> Begun {
        let notifications = params.object("notifications");
        let filter = notifications.and_then(|notifications| match notifications {
            Some(members) => Filter::read(&members),
            None => Err(members::wrong("notifications", "an object", None)),
        });
        let mut filter = match filter {
            Ok(filter) => filter,
            Err(error) => return Outcome::Error(error).into(),
        };
        let (limits, features, listeners) =
            (&self.services.common.limits, &self.policy.features, &self.services.listeners);
        if filter.resource_subscriptions.len() > limits.subscriptions_max {
            let words =
                format!("resourceSubscriptions: more than {} (limit subscriptions_max)", limits.subscriptions_max);
            return Outcome::Error(Error::invalid_params(words)).into();
        }
        if listeners.len() >= limits.listens_max {
            let words = format!("{} clients listen already (limit listens_max); try again later", limits.listens_max);
            return Outcome::Error(Error::new(INTERNAL_ERROR, words)).into();
        }
        // What is not offered, or not to this one, is not honoured.
        filter.tools_list_changed &= features.has_tools();
        filter.prompts_list_changed &= features.has_prompts();
        filter.resources_list_changed &= features.has_resources();
        filter.resource_subscriptions.retain(|uri| features.has_resources() && features.is_readable(uri, cx).is_ok());
        let (id, stream) = (cx.request_id().clone(), cx.stream().clone());
        let acknowledgement = filter.acknowledgement(&id);
        let mut subscription = b"\"io.modelcontextprotocol/subscriptionId\":".to_vec();
        id.write(&mut subscription);
        if !stream.ask(acknowledgement) {
            let words = "resourceSubscriptions: together too long to be acknowledged (limit queue_bytes_max)";
            return Outcome::Error(Error::invalid_params(words)).into();
        }
        let listening = listeners.open(id, cx.principal().clone(), filter, stream);
        let cx = cx.clone();
        let ended = async move {
            listening.await;
            let mut text = Vec::new();
            Writer::new(&mut text, cx.envelope(), "complete").end_with(None, &subscription);
            Ok(Outcome::Written(text))
        };
        Begun { work: Work::Handler(Box::pin(ended)), tool: None }
    }

    /// Notifications are never answered; those we do not know are nothing to us.
    pub(super) fn notification(&mut self, key: SessionKey, method: &str, params: &Params<'_>) {
        if method == "notifications/cancelled" {
            self.cancelled(key, params);
        }
    }

    /// An answer to a question of ours.
    fn response(&mut self, key: SessionKey, id: &RequestId, outcome: Result<&RawValue, &RawValue>) {
        let Some(session) = self.table.get(key) else { return };
        if !session.questions.expects(id) {
            // Not even read: it may be large.
            log::debug!(target: "portcullis", "a response to no request of ours was dropped session={}", session.fingerprint);
            return;
        }
        let answer = match outcome {
            Ok(result) => Answer::Result(serde_json::from_str(result.get()).unwrap_or_default()),
            Err(error) => {
                let words = Members::read(error).and_then(|error| error.text("message").ok().flatten());
                Answer::Error(jsonrpc::prefix(&words.unwrap_or_default(), 300).to_owned())
            }
        };
        session.questions.answered(id, answer);
    }

    /// Cancels the one call that is meant; if two could be meant, none (S-45, P01).
    fn cancelled(&mut self, key: SessionKey, params: &Params<'_>) {
        let Some(id) = cancelled_id(params) else { return };
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

/// What a subscription takes besides its address.
const SUBSCRIPTION_BYTES: usize = 96;

/// The result of a method that has nothing to say.
fn empty(cx: &RequestContext) -> Outcome {
    let mut text = Vec::new();
    Writer::new(&mut text, cx.envelope(), "complete").end(None, &serde_json::Map::new());
    Outcome::Written(text)
}

fn set_level(asker: &Asker, params: &Members<'_>) -> Result<(), Error> {
    let named = params.required("level")?;
    let level = Level::named(&named).ok_or_else(|| members::wrong("level", Level::NAMES, params.get("level")))?;
    if let Some(least) = &asker.log_level {
        least.set(level);
    }
    Ok(())
}

/// For a method that does not exist, or not in this revision, or whose capability is not offered.
pub(super) fn no_such_method(method: &str, revision: Revision) -> String {
    format!("no method {:?} in revision {}", jsonrpc::prefix(method, 64), revision.as_str())
}

fn not_initialized() -> Error {
    let words =
        "this session is not initialised; it may be a stream that was opened again by itself: send initialize first";
    Error::new(INVALID_REQUEST, words)
}
