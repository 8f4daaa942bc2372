//! Streamable HTTP with sessions, of 2025-03-26, 2025-06-18 and 2025-11-25 (S-1 … S-45): POST, GET and DELETE on one
//! path. The same path serves 2026-07-28; a POST is first classified.

use std::rc::Rc;

use super::classify::{Header, Shape, Verdict, classify};
use super::messages::Request;
use super::stateless::{UNSUPPORTED_IN_SESSION, refusal};
use super::{Admission, Admitted, Desk, Events, Exchange, First, Form, From, Reply, form, no_session, session_id_text};
use crate::call::{Call, Work};
use crate::context::{Origin, RequestContext};
use crate::counters::count;
use crate::events::Kind;
use crate::http::head::{Field, Head};
use crate::http::response::Rejection;
use crate::jsonrpc::{self, Body, Message, Params, RequestId};
use crate::mcp::meta::{Claim, Meta};
use crate::mcp::peer::{Introduction, Peer, Principal};
use crate::revision::{Named, Revision};
use crate::session::{Newcomer, Reason, SessionKey, Transport};
use crate::stream::{Role, Stream, parse_event_id};

impl Desk<'_> {
    /// One endpoint for two eras: what the body is decides (SPEC 3.3).
    pub(super) fn streamable_post(
        &mut self,
        admitted: &Admitted,
        head: &Head,
        body: &[u8],
        from: From,
    ) -> Result<Admission, Rejection> {
        let body_bytes = body.len();
        let (seen, mut room) = (self.seen(), Vec::new());
        let body = jsonrpc::parse_again(body, self.services.common.limits.batch_max, seen.as_deref(), &mut room)?;
        let header =
            head.get(Field::ProtocolVersion).map_or(Header::None, |text| Header::Version(text, Revision::named(text)));
        let meta = meta_of(&body);
        let known = self.known(&meta);
        match classify(&shape(&body, &meta, known.as_deref()), header, head.get(Field::SessionId).is_some()) {
            Verdict::Session => self.session_post(admitted, head, &body, from),
            Verdict::Stateless => match &body {
                Body::One(Message::Request { id, method, params }) => self.stateless_request(
                    head,
                    &admitted.principal,
                    Request { id, method, params },
                    &meta,
                    known,
                    body_bytes,
                ),
                _ => Ok(Admission::Reply(Reply::empty(202))),
            },
            Verdict::Drop => Ok(Admission::Reply(Reply::empty(202))),
            Verdict::Refuse(code, cause) => {
                let rejection = refusal(code, cause, header, &meta);
                Err(if let Body::One(message) = &body { with_id(rejection, message) } else { rejection })
            }
        }
    }

    fn session_post(
        &mut self,
        admitted: &Admitted,
        head: &Head,
        body: &Body<'_>,
        from: From,
    ) -> Result<Admission, Rejection> {
        match body {
            Body::One(Message::Request { id, method, params }) if method == "initialize" => {
                return self.streamable_initialize(head, from, &admitted.principal, id, params);
            }
            // P05: some clients forget the header here; nothing depends on the notification.
            Body::One(Message::Notification { method, .. })
                if method == "notifications/initialized" && head.get(Field::SessionId).is_none() =>
            {
                return Ok(Admission::Reply(Reply::empty(202)));
            }
            _ => {}
        }
        let messages = body.messages();
        let key = self.session_of(admitted, head).map_err(|rejection| with_id(rejection, &messages[0]))?;
        let batch = matches!(body, Body::Batch(_));
        if batch {
            self.check_batch(key, messages)?;
        }
        self.streamable_messages(head, key, messages, batch)
    }

    fn streamable_messages(
        &mut self,
        head: &Head,
        key: SessionKey,
        messages: &[Message<'_>],
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
        Ok(Admission::Exchange(Exchange { session: Some(key), batch, ..Exchange::new(calls, reply, revision, form) }))
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
        let responses = messages.iter().filter(|message| matches!(message, Message::Response { .. })).count();
        if responses != 0 && responses != messages.len() {
            return Err(Rejection::new(400, "an array holds either responses or requests and notifications"));
        }
        Ok(())
    }

    /// The session that the header names (S-28 … S-30).
    fn session_of(&mut self, admitted: &Admitted, head: &Head) -> Result<SessionKey, Rejection> {
        if head.get(Field::SessionId).is_none() {
            return Err(Rejection::new(
                400,
                "Mcp-Session-Id is missing; send initialize first and repeat its answer's id",
            ));
        }
        let id = admitted.session.ok_or_else(|| no_session(None, Transport::Streamable))?;
        self.find(id, &admitted.principal, Transport::Streamable)
    }

    /// S-26, S-32, S-33: a valid `initialize` always opens a new session, and nothing else does.
    fn streamable_initialize(
        &mut self,
        head: &Head,
        from: From,
        principal: &Principal,
        id: &RequestId,
        params: &Params<'_>,
    ) -> Result<Admission, Rejection> {
        let Introduction { revision, client, capabilities } =
            Introduction::read(params).map_err(|error| Rejection::from(error).of(id))?;
        let room = self.room_for(self.services.common.limits.result_bytes_max)?;
        let fingerprint = self.fingerprint();
        let (session, principal) = (Some(fingerprint), principal.clone());
        let peer = Rc::new(Peer { session, revision, principal, client, capabilities });
        if head.get(Field::SessionId).is_some() {
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
        self.note(fingerprint, Kind::Initialized, revision.as_str());
        let reply = Stream::new(&self.services.common, Role::Reply, Some(fingerprint), None);
        reply.expect_answer();
        self.table.call_begins(key);
        let services = self.services.clone();
        let cx = RequestContext::new(Origin {
            services,
            peer,
            id: id.clone(),
            stream: reply.clone(),
            log_level: None,
            token: None,
        });
        let work = Work::Ready(self.initialize_result(revision));
        let calls = vec![Call::new(cx, "initialize", work, room, self.now)];
        let session_header = Some(session_id_text(session_id));
        let exchange = Exchange::new(calls, reply, revision, form(head));
        Ok(Admission::Exchange(Exchange { session: Some(key), session_header, ..exchange }))
    }

    /// S-12 … S-25: the session's own stream, or one that broke.
    pub(super) fn streamable_get(&mut self, admitted: &Admitted, head: &Head) -> Result<Admission, Rejection> {
        refuse_stateless(head)?;
        let key = self.session_of(admitted, head)?;
        let (ids, now) = (self.ids, self.now);
        self.table.trim(key, now);
        let Some(session) = self.table.get(key) else { return Err(no_session(None, Transport::Streamable)) };
        session.last_active = now;
        let revision = session.peer.revision;
        let attachment = match head.get(Field::LastEventId) {
            Some(event) => {
                let cannot = || {
                    Rejection::new(
                        400,
                        "Last-Event-ID: cannot resume; the event is not of this session, or no longer kept (limits replay_wait, replay_bytes_max); send the request again",
                    )
                };
                let mut streams = session.replies.iter().chain(&session.stream);
                let found = parse_event_id(event)
                    .and_then(|(nonce, seq)| Some((streams.find(|stream| stream.nonce() == Some(nonce))?, seq)));
                let events = &self.services.common.events;
                let Some((stream, seq)) = found.filter(|(stream, seq)| stream.can_resume_after(*seq)) else {
                    events.note(Some(session.fingerprint), Kind::Refused, "cannot_resume");
                    return Err(cannot());
                };
                events.note(Some(session.fingerprint), Kind::StreamResumed, "");
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
        let first = if revision.primes_streams() && head.get(Field::LastEventId).is_none() {
            First::Priming
        } else {
            First::Comment
        };
        Ok(Admission::Events(Events { attachment, session: Some(key), revision, first, header: None }))
    }

    /// S-31: the client is done.
    pub(super) fn streamable_delete(&mut self, admitted: &Admitted, head: &Head) -> Result<Admission, Rejection> {
        refuse_stateless(head)?;
        let key = self.session_of(admitted, head)?;
        let ended = self.table.end(key, Reason::ClosedByClient, self.now);
        self.effects.ended.extend(ended.map(|session| (session, Reason::ClosedByClient)));
        Ok(Admission::Reply(Reply::empty(200)))
    }
}

/// The `_meta` of a message that is one.
pub(super) fn meta_of<'a>(body: &Body<'a>) -> Meta<'a> {
    match body {
        Body::One(Message::Request { params, .. } | Message::Notification { params, .. }) => Meta::of(params),
        _ => Meta::default(),
    }
}

/// What a body is, for the classification.
pub(super) fn shape<'a>(body: &Body<'a>, meta: &Meta<'a>, known: Option<&Peer>) -> Shape<'a> {
    let claim = || known.map_or_else(|| meta.claim(), |peer| Claim::Version(peer.revision.as_str().into()));
    match body {
        Body::Batch(messages) => Shape::Batch { claims: messages.iter().any(claims) },
        Body::One(Message::Response { .. }) => Shape::Response,
        Body::One(Message::Notification { .. }) => Shape::Notification(claim()),
        Body::One(Message::Request { method, .. }) => {
            Shape::Request { initialize: method == "initialize", claim: claim() }
        }
    }
}

fn claims(message: &Message<'_>) -> bool {
    match message {
        Message::Request { params, .. } | Message::Notification { params, .. } => {
            Meta::of(params).claim() != Claim::None
        }
        Message::Response { .. } => false,
    }
}

/// T-10: streams and sessions are there for those who have them; S-36: an unknown revision is refused.
fn refuse_stateless(head: &Head) -> Result<(), Rejection> {
    match head.get(Field::ProtocolVersion).map(Revision::named) {
        None | Some(Named::Handshake(_)) => Ok(()),
        Some(Named::Unknown) if head.get(Field::SessionId).is_some() => {
            Err(Rejection::new(400, UNSUPPORTED_IN_SESSION))
        }
        Some(_) => {
            let words = format!("the revision that MCP-Protocol-Version names has no {}", head.method());
            Err(Rejection::method("POST", words))
        }
    }
}

/// Statuses that end a probe tell which request they are about; a 404 is about the session (S-29).
fn with_id(rejection: Rejection, message: &Message<'_>) -> Rejection {
    match message {
        Message::Request { id, .. } if rejection.status == 400 => rejection.of(id),
        _ => rejection,
    }
}
