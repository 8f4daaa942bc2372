//! Messages as lines on one pair of byte streams: the stdio binding of every revision, over whatever carries bytes.
//!
//! There is one peer, and nothing but the body says anything: no header, no session id, no token. A request that
//! brings its envelope stands alone (2026-07-28); every other one belongs to the one session, which begins with the
//! first of them. Everything goes out on one stream, like that of HTTP+SSE, and through the same method table.

use std::cell::Cell;
use std::rc::Rc;

use super::classify::{Header, Verdict, classify};
use super::messages::Request;
use super::stateless::refusal;
use super::streamable::{meta_of, shape};
use super::{Desk, no_session};
use crate::call::Call;
use crate::http::response::Rejection;
use crate::jsonrpc::{self, Body, Message, Params, RequestId};
use crate::mcp::peer::{Peer, Principal};
use crate::session::{Newcomer, SessionKey, Transport};
use crate::stream::Stream;

/// The one peer, and what is his.
pub(crate) struct Lines {
    pub(crate) stream: Rc<Stream>,
    pub(crate) principal: Principal,
    pub(crate) session: Cell<Option<SessionKey>>,
}

/// What a line came to.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) calls: Vec<Call>,
    /// Of whom the calls are; none where they stand alone.
    pub(crate) session: Option<SessionKey>,
    /// A request whose call is to be cancelled.
    pub(crate) cancel: Option<RequestId>,
}

impl Desk<'_> {
    /// Takes one line.
    ///
    /// # Errors
    /// What to answer instead, with the id of the request if it has one.
    pub(crate) fn line(&mut self, lines: &Lines, line: &[u8]) -> Result<Taken, Rejection> {
        let (seen, mut room) = (self.seen(), Vec::new());
        let body = jsonrpc::parse_again(line, self.services.common.limits.batch_max, seen.as_deref(), &mut room)?;
        let id = match &body {
            Body::One(Message::Request { id, .. }) => Some(id.clone()),
            _ => None,
        };
        let bytes = line.len();
        let mut taken = self.message(lines, body, bytes);
        if let Err(refused) = &mut taken {
            refused.id = refused.id.take().or(id);
        }
        taken
    }

    fn message(&mut self, lines: &Lines, body: Body<'_>, bytes: usize) -> Result<Taken, Rejection> {
        if let Body::One(Message::Notification { method, params }) = &body
            && method == "notifications/cancelled"
        {
            return Ok(Taken { cancel: cancelled_id(params), ..Taken::default() });
        }
        let asks = match &body {
            Body::One(message) => matches!(message, Message::Request { .. }),
            Body::Batch(_) => true,
        };
        if self.stopping && asks {
            return Err(Rejection::new(503, "this server is shutting down"));
        }
        let meta = meta_of(&body);
        let known = self.known(&meta);
        match classify(&shape(&body, &meta, known.as_deref()), Header::None, false) {
            Verdict::Session => self.session_line(lines, &body),
            Verdict::Stateless => match &body {
                Body::One(Message::Request { id, method, params }) => {
                    let request = Request { id, method, params };
                    let standing = self.standing(None, &lines.principal, &request, &meta, known)?;
                    let call = self.stateless_call(&standing, &request, None, &lines.stream, bytes)?;
                    Ok(Taken { calls: vec![call], ..Taken::default() })
                }
                _ => Ok(Taken::default()),
            },
            Verdict::Drop => Ok(Taken::default()),
            Verdict::Refuse(code, cause) => Err(refusal(code, cause, Header::None, &meta)),
        }
    }

    fn session_line(&mut self, lines: &Lines, body: &Body<'_>) -> Result<Taken, Rejection> {
        if matches!(body, Body::Batch(_)) {
            let session = lines.session.get().and_then(|key| self.table.get(key));
            if !session.is_some_and(|session| session.peer.revision.has_batches()) {
                let cause = "arrays of messages are for sessions of revision 2025-03-26; send one message";
                return Err(Rejection::new(400, cause));
            }
        }
        let asks = body.messages().iter().any(|message| matches!(message, Message::Request { .. }));
        let key = match lines.session.get() {
            Some(key) => key,
            None if asks => self.begin_session(lines)?,
            None => return Ok(Taken::default()), // nothing that anybody asked for
        };
        let calls = self.take(key, body.messages(), &lines.stream)?;
        Ok(Taken { calls, session: Some(key), cancel: None })
    }

    fn begin_session(&mut self, lines: &Lines) -> Result<SessionKey, Rejection> {
        let fingerprint = self.fingerprint();
        let peer = Peer { session: Some(fingerprint), principal: lines.principal.clone(), ..Peer::unknown() };
        let newcomer = Newcomer {
            transport: Transport::Lines,
            id: 0,
            peer: Rc::new(peer),
            fingerprint,
            address: None,
            initialized: false,
        };
        let (key, _) = self.open(newcomer)?;
        let Some(session) = self.table.get(key) else { return Err(no_session(None, Transport::Lines)) };
        session.stream = Some(lines.stream.clone());
        self.table.stream_opened(key);
        lines.session.set(Some(key));
        Ok(key)
    }
}

/// The request that a `notifications/cancelled` names.
pub(super) fn cancelled_id(params: &Params<'_>) -> Option<RequestId> {
    params.as_ref().ok().and_then(|params| params.get("requestId")).and_then(RequestId::read)
}
