//! Revision 2026-07-28 (T-1 … T-30): every request stands alone, with its own envelope. No session is looked up, none
//! is opened, and nothing of an earlier request counts.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use super::classify::{Cause, Header};
use super::messages::{Asker, Request};
use super::{Admission, Desk, Exchange, Form, form};
use crate::call::Call;
use crate::counters::count;
use crate::features::Mirrored;
use crate::http::head::{Field, Head};
use crate::http::response::Rejection;
use crate::jsonrpc::{Error, HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND, Params, UNSUPPORTED_VERSION};
use crate::mcp::capability::Capabilities;
use crate::mcp::meta::{Claim, Meta};
use crate::mcp::peer::{ClientInfo, Peer, Principal};
use crate::mcp::{object, put};
use crate::method::Method;
use crate::mirror;
use crate::revision::{Named, Revision};
use crate::seen::SeenMeta;
use crate::stream::{Role, Stream};

impl Desk<'_> {
    /// The ladder of checks, first failure first (T-11 … T-21), and then the call.
    pub(super) fn stateless_request(
        &mut self,
        head: &Head,
        principal: &Principal,
        request: Request<'_>,
        meta: &Meta<'_>,
        known: Option<Rc<Peer>>,
        body_bytes: usize,
    ) -> Result<Admission, Rejection> {
        let of = |rejection: Rejection| rejection.of(request.id);
        let standing = self.standing(Some(head), principal, &request, meta, known).map_err(of)?;
        let (revision, method) = (standing.peer.revision, standing.method);
        let form = match form(head) {
            Form::Json if method == Method::Listen && head.accept.events() => Form::Either,
            form => form,
        };
        if method == Method::Listen && form == Form::Json {
            return Err(of(Rejection::new(406, "Accept: this method answers with text/event-stream only")));
        }
        let reply = Stream::new(&self.services.common, Role::Reply, None, None);
        if form == Form::Json {
            reply.take_only_answers();
        }
        let params: Vec<_> = head.params().collect();
        let call = self.stateless_call(&standing, &request, Some(&params), &reply, body_bytes).map_err(of)?;
        Ok(Admission::Exchange(Exchange::new(vec![call], reply, revision, form)))
    }

    /// Who asks, by his envelope, and for what. Where there are headers they are compared.
    pub(super) fn standing<'m, 'b>(
        &mut self,
        head: Option<&Head>,
        principal: &Principal,
        request: &Request<'_>,
        meta: &'m Meta<'b>,
        known: Option<Rc<Peer>>,
    ) -> Result<Standing<'m, 'b>, Rejection> {
        count(&self.services.common.counters.stateless_requests);
        let (peer, meta) = match known {
            Some(peer) if peer.principal == *principal => {
                check_mirrors(head, request, peer.revision.as_str())?;
                (peer, None) // there was neither a token nor a level in it
            }
            _ => (self.stranger(head, principal, request, meta)?, Some(meta)),
        };
        match Method::named(request.method, peer.revision, &self.policy.features) {
            Some(method) => Ok(Standing { peer, method, meta }),
            None => {
                let mut unknown = Rejection::new(404, super::messages::no_such_method(request.method, peer.revision));
                unknown.code = METHOD_NOT_FOUND;
                Err(unknown)
            }
        }
    }

    /// Makes the call of a request that stands alone; it answers on `stream`.
    pub(super) fn stateless_call(
        &mut self,
        standing: &Standing<'_, '_>,
        request: &Request<'_>,
        mirrored: Mirrored<'_>,
        stream: &Rc<Stream>,
        body_bytes: usize,
    ) -> Result<Call, Rejection> {
        let nothing = Meta::default();
        let (method, meta) = (standing.method, standing.meta.unwrap_or(&nothing));
        let named = meta.log_level();
        if let (Err(fault), Method::Listen) = (&named, method) {
            return Err(Rejection { status: 200, ..fault.clone().into() }); // before anybody listens
        }
        let log_level = named.as_ref().ok().copied().flatten().filter(|_| !self.policy.features.is_silent);
        let log_level = log_level.map(|level| Rc::new(Cell::new(level)));
        let peer = standing.peer.clone();
        let asker = Asker { session: None, peer, log_level, questions: None, initialized: true };
        let bytes = match method {
            Method::Listen => LISTEN_ANSWER_BYTES,
            _ => self.services.common.limits.result_bytes_max,
        };
        let room = self.room_for(bytes + body_bytes)?;
        let mut call = self.call(&asker, Some(method), request, meta, mirrored, stream, room);
        if let Err(fault) = named {
            call.refuse(fault);
        }
        Ok(call)
    }

    /// The last envelope.
    pub(super) fn seen(&self) -> Option<Rc<SeenMeta>> {
        self.services.last_envelope.borrow().as_ref().map(|(seen, _)| seen.clone())
    }

    /// What the last request's `_meta` meant, if this one's is the same to the byte. Nothing is carried over by that: the
    /// same words mean the same (T-24).
    pub(super) fn known(&self, meta: &Meta<'_>) -> Option<Rc<Peer>> {
        let last = self.services.last_envelope.borrow();
        let (seen, peer) = last.as_ref()?;
        (meta.raw()?.get() == seen.raw().get()).then(|| peer.clone())
    }

    /// Reads an envelope that is not the last one's again.
    fn stranger(
        &self,
        head: Option<&Head>,
        principal: &Principal,
        request: &Request<'_>,
        meta: &Meta<'_>,
    ) -> Result<Rc<Peer>, Error> {
        let (capabilities, client) = declared(meta)?;
        let Claim::Version(version) = meta.claim() else {
            return Err(bad_envelope("io.modelcontextprotocol/protocolVersion", "a string"));
        };
        check_mirrors(head, request, &version)?;
        let Named::Stateless(revision) = Revision::named(&version) else { return Err(unsupported(&version)) };
        let peer = Rc::new(Peer { session: None, revision, principal: principal.clone(), client, capabilities });
        let is_plain = meta.progress_token().is_none() && matches!(meta.log_level(), Ok(None));
        if let Some(raw) = meta.raw().filter(|raw| is_plain && raw.get().len() <= ENVELOPE_BYTES_MAX) {
            *self.services.last_envelope.borrow_mut() = Some((Rc::new(SeenMeta::new(raw)), peer.clone()));
        }
        Ok(peer)
    }
}

/// A request that stands alone, as far as its envelope says.
pub(super) struct Standing<'m, 'b> {
    peer: Rc<Peer>,
    method: Method,
    /// None if there is nothing else in it.
    meta: Option<&'m Meta<'b>>,
}

/// Longer envelopes are read every time.
const ENVELOPE_BYTES_MAX: usize = 1024;

/// The answer to `subscriptions/listen` is small, and its call is long: no room for a large one is held all the time.
/// Every call holds room for its body besides: filters, and the answers of retries, live as long as it.
const LISTEN_ANSWER_BYTES: usize = 4096;

/// T-13 … T-15: the headers say what the body says.
fn check_mirrors(head: Option<&Head>, request: &Request<'_>, version: &str) -> Result<(), Error> {
    let Some(head) = head else { return Ok(()) };
    let mismatch = |words: &str| Err(Error::new(HEADER_MISMATCH, words));
    match head.get(Field::ProtocolVersion) {
        Some(header) if header == version => {}
        Some(_) => return mismatch("MCP-Protocol-Version and _meta's protocolVersion differ; send the same in both"),
        None => return mismatch("MCP-Protocol-Version is missing; repeat _meta's protocolVersion in it"),
    }
    match head.get(Field::McpMethod) {
        Some(header) if header == request.method => {}
        Some(_) => return mismatch("Mcp-Method and the body's method differ; send the same in both"),
        None => return mismatch("Mcp-Method is missing; repeat the body's method in it"),
    }
    if let Some(name) = named_target(request.method, request.params) {
        let Some(header) = head.get(Field::McpName) else {
            return mismatch("Mcp-Name is missing; repeat the body's name or uri in it");
        };
        match mirror::same_string(header, &name) {
            Ok(true) => {}
            Ok(false) => return mismatch("Mcp-Name and the body's name or uri differ; send the same in both"),
            Err(fault) => return mismatch(&format!("Mcp-Name: {fault}")),
        }
    }
    Ok(())
}

/// T-12, T-22: what the client says of itself.
fn declared(meta: &Meta<'_>) -> Result<(Capabilities, ClientInfo), Error> {
    let Some(capabilities) = meta.capabilities() else { return Err(no_envelope(meta)) };
    if meta.version().is_none() {
        return Err(no_envelope(meta));
    }
    let capabilities = Capabilities::read(capabilities)
        .ok_or_else(|| bad_envelope("io.modelcontextprotocol/clientCapabilities", "an object"))?;
    let client = match meta.client_info() {
        None => ClientInfo::default(),
        Some(raw) => ClientInfo::read(raw)
            .ok_or_else(|| bad_envelope("io.modelcontextprotocol/clientInfo", "an object with name and version"))?,
    };
    Ok((capabilities, client))
}

/// The error for a request whose envelope is not whole, naming what is missing.
fn no_envelope(meta: &Meta<'_>) -> Error {
    let missing = match (meta.version(), meta.capabilities()) {
        (None, None) => "io.modelcontextprotocol/protocolVersion and io.modelcontextprotocol/clientCapabilities",
        (None, _) => "io.modelcontextprotocol/protocolVersion",
        _ => "io.modelcontextprotocol/clientCapabilities",
    };
    Error::new(INVALID_PARAMS, format!("params._meta: {missing} missing"))
}

fn bad_envelope(key: &str, expected: &str) -> Error {
    Error::new(INVALID_PARAMS, format!("params._meta: {key}: expected {expected}"))
}

/// T-16: which revisions could be asked for instead.
fn unsupported(requested: &str) -> Error {
    let supported = Revision::STATELESS.map(Revision::as_str);
    let words = format!("Unsupported protocol version; this server supports {} in the envelope", supported.join(", "));
    let requested = crate::jsonrpc::prefix(requested, 64);
    let mut data = object("supported", supported.to_vec().into());
    put(&mut data, "requested", requested.into());
    Error::new(UNSUPPORTED_VERSION, words).with_data(data.into())
}

/// T-15: what `Mcp-Name` mirrors; none where there is nothing, or nothing that could be compared.
fn named_target<'a>(method: &str, params: &Params<'a>) -> Option<Cow<'a, str>> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    params.as_ref().ok()?.text(member).ok()?
}

/// What a session's client is told whose header names no revision that has sessions (S-36).
pub(super) const UNSUPPORTED_IN_SESSION: &str = "MCP-Protocol-Version: expected 2025-03-26, 2025-06-18 or 2025-11-25";

/// What the classification refuses, in words.
pub(super) fn refusal(code: i32, cause: Cause, header: Header<'_>, meta: &Meta<'_>) -> Rejection {
    let requested = match header {
        Header::Version(version, _) => version,
        Header::None => "",
    };
    let error = match cause {
        Cause::NoSuchMessage => Error::new(code, "revision 2026-07-28 takes one request or notification per POST"),
        Cause::NoEnvelope => no_envelope(meta),
        Cause::VersionNotAString => bad_envelope("io.modelcontextprotocol/protocolVersion", "a string"),
        Cause::HeadersDiffer => Error::new(code, "MCP-Protocol-Version names another revision than the body"),
        Cause::Unsupported => match meta.claim() {
            Claim::Version(version) => unsupported(&version),
            _ => unsupported(requested),
        },
        Cause::UnsupportedInSession => Error::new(code, UNSUPPORTED_IN_SESSION),
    };
    error.into()
}
