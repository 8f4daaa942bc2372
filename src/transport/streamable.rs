//! Streamable HTTP of 2025-03-26, 2025-06-18 and 2025-11-25 (S-1 … S-45): POST, GET and DELETE on one path.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::messages::read_initialize;
use super::{
    Admission, Desk, Events, Exchange, First, Form, From, Reply, no_session, parse_session_id, session_id_text,
};
use crate::call::{Call, Outcome, Work};
use crate::context::{Origin, RequestContext};
use crate::counters::count;
use crate::http::head::Head;
use crate::http::response::Rejection;
use crate::jsonrpc::{self, Body, Message, RequestId};
use crate::mcp::peer::{Peer, Principal};
use crate::revision::{Named, Revision};
use crate::session::{Newcomer, Reason, SessionKey, Transport};
use crate::stream::{Role, Stream, parse_event_id};

impl Desk<'_> {
    pub(super) fn streamable_post(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        from: From,
        principal: &Principal,
    ) -> Result<Admission, Rejection> {
        let body = jsonrpc::parse(body, self.services.common.limits.batch_max)?;
        let version = head.protocol_version.map(Revision::named);
        let (messages, batch) = match body {
            Body::One(message) => {
                refuse_stateless(version).map_err(|rejection| with_id(rejection, &message))?;
                match message {
                    Message::Request { id, method, params } if method == "initialize" => {
                        return self.streamable_initialize(head, from, principal, id, params);
                    }
                    // P05: some clients forget the header here; nothing depends on the notification.
                    Message::Notification { method, .. }
                        if method == "notifications/initialized" && head.session.is_none() =>
                    {
                        return Ok(Admission::Reply(Reply::empty(202)));
                    }
                    message => (vec![message], false),
                }
            }
            Body::Batch(messages) => {
                refuse_stateless(version)?;
                (messages, true)
            }
        };
        let key = self.find(head, principal).map_err(|rejection| with_id(rejection, &messages[0]))?;
        if version == Some(Named::Unknown) {
            let cause = "MCP-Protocol-Version: expected 2025-03-26, 2025-06-18 or 2025-11-25";
            return Err(with_id(Rejection::new(400, cause), &messages[0]));
        }
        if batch {
            self.check_batch(key, &messages)?;
        }
        self.streamable_messages(head, key, messages, batch)
    }

    fn streamable_messages(
        &mut self,
        head: &Head<'_>,
        key: SessionKey,
        messages: Vec<Message<'_>>,
        batch: bool,
    ) -> Result<Admission, Rejection> {
        let (fingerprint, revision) = match self.table.get(key) {
            Some(session) => (session.fingerprint, session.peer.revision),
            None => return Err(no_session(None, Transport::Streamable)),
        };
        let reply = Stream::new(&self.services.common, Role::Reply, Some(fingerprint), None);
        let calls = self.take(key, messages, &reply)?;
        if calls.is_empty() {
            return Ok(Admission::Reply(Reply::empty(202)));
        }
        let form = form(head);
        if form == Form::Json {
            reply.take_only_answers();
        }
        let primes = revision.primes_streams();
        Ok(Admission::Exchange(Exchange { calls, reply, session: key, session_header: None, batch, form, primes }))
    }

    /// S-3, S-4: arrays are for sessions of 2025-03-26, and `initialize` is never in one.
    fn check_batch(&mut self, key: SessionKey, messages: &[Message<'_>]) -> Result<(), Rejection> {
        let has_batches = self.table.get(key).is_some_and(|session| session.peer.revision.has_batches());
        if !has_batches {
            return Err(Rejection::new(
                400,
                "arrays of messages are for sessions of revision 2025-03-26; send one message",
            ));
        }
        let is_initialize =
            |message: &Message<'_>| matches!(message, Message::Request { method, .. } if method == "initialize");
        if messages.iter().any(is_initialize) {
            return Err(Rejection::new(400, "initialize must not be in an array"));
        }
        let responses = messages.iter().filter(|message| matches!(message, Message::Response)).count();
        if responses != 0 && responses != messages.len() {
            return Err(Rejection::new(400, "an array holds either responses or requests and notifications"));
        }
        Ok(())
    }

    /// The session that the header names (S-28 … S-30).
    fn find(&mut self, head: &Head<'_>, principal: &Principal) -> Result<SessionKey, Rejection> {
        let Some(text) = head.session else {
            return Err(Rejection::new(
                400,
                "Mcp-Session-Id is missing; send initialize first and repeat its answer's id",
            ));
        };
        let missing = |reason| no_session(reason, Transport::Streamable);
        let id = parse_session_id(text).ok_or_else(|| missing(None))?;
        let session = self.table.find(id, principal).map_err(missing)?;
        if session.transport != Transport::Streamable {
            return Err(missing(None));
        }
        if session.closing {
            return Err(missing(Some(Reason::Life)));
        }
        Ok(session.key)
    }

    /// S-26, S-32, S-33: a valid `initialize` always opens a new session, and nothing else does.
    fn streamable_initialize(
        &mut self,
        head: &Head<'_>,
        from: From,
        principal: &Principal,
        id: RequestId,
        params: Option<&RawValue>,
    ) -> Result<Admission, Rejection> {
        let params = read_initialize(params).map_err(|error| Rejection::from(error).of(&id))?;
        let room = self.room_for_answer()?;
        let revision = Revision::negotiate(&params.protocol_version);
        let fingerprint = self.fingerprint();
        let peer = Rc::new(Peer {
            session: Some(fingerprint),
            revision,
            principal: principal.clone(),
            client: params.client_info.into(),
        });
        if head.session.is_some() {
            log::info!(target: "portcullis", "stale_session_id session={fingerprint}: initialize came with the id of another session");
        }
        let (key, session_id) = self.open(Newcomer {
            transport: Transport::Streamable,
            id: 0,
            peer: peer.clone(),
            fingerprint,
            address: self.address(head, from),
            initialized: true,
        })?;
        let reply = Stream::new(&self.services.common, Role::Reply, Some(fingerprint), None);
        reply.expect_answer();
        self.table.call_begins(key);
        let log_level = self.table.get(key).map(|session| session.log_level.clone()).unwrap_or_default();
        let services = self.services.clone();
        let cx = RequestContext::new(Origin { services, peer, id, stream: reply.clone(), log_level, token: None });
        let work = Work::Ready(Outcome::Result(self.initialize_result(revision)));
        let calls = vec![Call::new(cx, "initialize", work, room, self.now)];
        let session_header = Some(session_id_text(session_id));
        let form = form(head);
        Ok(Admission::Exchange(Exchange {
            calls,
            reply,
            session: key,
            session_header,
            batch: false,
            form,
            primes: false,
        }))
    }

    /// S-12 … S-25: the session's own stream, or one that broke.
    pub(super) fn streamable_get(&mut self, head: &Head<'_>, principal: &Principal) -> Result<Admission, Rejection> {
        if head.protocol_version.map(Revision::named) == Some(Named::Stateless) {
            return Err(Rejection::method("POST", "revision 2026-07-28 has no GET"));
        }
        let key = self.find(head, principal)?;
        let (ids, now) = (self.ids, self.now);
        self.table.trim(key, now);
        let Some(session) = self.table.get(key) else { return Err(no_session(None, Transport::Streamable)) };
        session.last_active = now;
        let primes = session.peer.revision.primes_streams();
        let attachment = match head.last_event_id {
            Some(event) => {
                let cannot = || {
                    Rejection::new(
                        400,
                        "Last-Event-ID: cannot resume; the event is not of this session, or no longer kept (limits replay_wait, replay_bytes_max); send the request again",
                    )
                };
                let (nonce, seq) = parse_event_id(event).ok_or_else(cannot)?;
                let mut streams = session.replies.iter().chain(&session.stream);
                let stream = streams.find(|stream| stream.nonce() == Some(nonce)).ok_or_else(cannot)?;
                if !stream.can_resume_after(seq) {
                    return Err(cannot());
                }
                count(&self.services.common.counters.streams_resumed);
                stream.attach(Some(seq))
            }
            None => {
                let fingerprint = session.fingerprint;
                let fresh =
                    || Stream::new(&self.services.common, Role::Standalone, Some(fingerprint), Some(ids() as u64));
                session.stream.get_or_insert_with(fresh).attach(None)
            }
        };
        self.table.stream_opened(key);
        let first = if primes && head.last_event_id.is_none() { First::Priming } else { First::Comment };
        Ok(Admission::Events(Events { attachment, session: key, first, header: None }))
    }

    /// S-31: the client is done.
    pub(super) fn streamable_delete(&mut self, head: &Head<'_>, principal: &Principal) -> Result<Admission, Rejection> {
        if head.protocol_version.map(Revision::named) == Some(Named::Stateless) {
            return Err(Rejection::method("POST", "revision 2026-07-28 has no DELETE"));
        }
        let key = self.find(head, principal)?;
        let ended = self.table.end(key, Reason::ClosedByClient, self.now);
        self.effects.ended.extend(ended.map(|session| (session, Reason::ClosedByClient)));
        Ok(Admission::Reply(Reply::empty(200)))
    }
}

/// Revision 2026-07-28 is not spoken here yet. Without `data.supported`, clients of both eras fall back.
fn refuse_stateless(version: Option<Named>) -> Result<(), Rejection> {
    match version {
        Some(Named::Stateless) => {
            Err(Rejection::new(400, "revision 2026-07-28 is not spoken here; send initialize (newest: 2025-11-25)"))
        }
        _ => Ok(()),
    }
}

/// Statuses that end a probe tell which request they are about; a 404 is about the session (S-29).
fn with_id(rejection: Rejection, message: &Message<'_>) -> Rejection {
    match message {
        Message::Request { id, .. } if rejection.status == 400 => rejection.of(id),
        _ => rejection,
    }
}

fn form(head: &Head<'_>) -> Form {
    match (head.accept.json(), head.accept.asks_for_events()) {
        (true, true) => Form::Either,
        (true, false) => Form::Json,
        (false, _) => Form::Events,
    }
}
