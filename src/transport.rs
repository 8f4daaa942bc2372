//! From an HTTP request to what it means: the only place that looks at paths, headers and eras.
//!
//! The order of checks is [`check`]: path, Host, Origin, method, token, `Content-Type`, `Accept` (G-7), all
//! before the body is read; the declared size is the framing's. Then `admit` hands the body to one of the two
//! transports. No I/O here; time and ids are arguments.

pub(crate) mod auth;
mod classify;
pub(crate) mod guard;
mod http_sse;
pub(crate) mod lines;
mod messages;
mod stateless;
mod streamable;

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::access::{Credentials, Denied};
use crate::call::Call;
use crate::clock::Instant;
use crate::context::Services;
use crate::events::Kind;
use crate::features::Features;
use crate::http::head::{Field, Head};
use crate::http::response::{Media, Rejection};
use crate::http::word::is_word;
use crate::mcp::peer::Principal;
use crate::revision::Revision;
use crate::session::{Fingerprint, Newcomer, Reason, Session, SessionKey, SessionTable, Transport};
use crate::stream::{Attachment, Stream};

/// What the server was told to be.
pub(crate) struct Policy {
    pub(crate) guard: guard::Guard,
    pub(crate) tokens: RefCell<Option<auth::Tokens>>,
    /// How often it has changed who is let in.
    pub(crate) access_changes: Cell<u32>,
    /// Where the server is mounted: empty, or `/fw`.
    pub(crate) base_path: String,
    /// The endpoint event is `?session_id=…` always.
    pub(crate) relative_endpoint: bool,
    pub(crate) trusted_proxies: Vec<guard::Cidr>,
    pub(crate) features: Features,
}

impl Policy {
    /// Is `principal` still one who is let in? By the tokens, where there are any, and by the embedder.
    pub(crate) fn knows(&self, principal: &Principal) -> bool {
        self.tokens.borrow().as_ref().is_none_or(|tokens| tokens.know(principal)) && self.features.knows(principal)
    }
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Mcp,
    Sse,
    Messages,
    Health,
    Ready,
    /// For the operator.
    Show(View),
    /// A preflight; answered for any path of ours.
    Preflight,
}

/// What an operator can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Every session, living and ended.
    Sessions,
    /// What happened in one session.
    Session(Fingerprint),
    /// How it stands now, again and again.
    Snapshots,
    /// Numbers for Prometheus.
    Metrics,
}

/// From where a request came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct From {
    /// The peer's address; none on a Unix socket.
    pub(crate) address: Option<IpAddr>,
    /// The address the connection was accepted on.
    pub(crate) local: Option<IpAddr>,
    /// It is a Unix socket, which pages cannot reach by any name.
    pub(crate) unix: bool,
    /// The listener is the operator's.
    pub(crate) operator: bool,
}

/// A request that passed the checks on its head.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub(crate) route: Route,
    pub(crate) principal: Principal,
    /// The session it names, if it names one that could be.
    pub(crate) session: Option<u128>,
    /// [`Policy::access_changes`] when the head was checked.
    pub(crate) as_of: u32,
}

/// What a request came to.
pub(crate) enum Admission {
    /// An answer that is there already.
    Reply(Reply),
    /// Calls whose answers go into this request's own response.
    Exchange(Exchange),
    /// `202`, and then calls that answer on the session's stream (H-5).
    Accepted { calls: Vec<Call>, session: SessionKey },
    /// The response is a stream.
    Events(Events),
}

/// An answer without calls.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) media: Media,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Reply {
        Reply { status, media: Media::None, headers: Vec::new(), body: Vec::new() }
    }
}

/// Calls that share one response.
pub(crate) struct Exchange {
    pub(crate) calls: Vec<Call>,
    pub(crate) reply: Rc<Stream>,
    /// None where requests stand alone.
    pub(crate) session: Option<SessionKey>,
    pub(crate) revision: Revision,
    /// The header of an answer to `initialize`.
    pub(crate) session_header: Option<String>,
    pub(crate) batch: bool,
    pub(crate) form: Form,
}

impl Exchange {
    /// Calls of nobody's session.
    fn new(calls: Vec<Call>, reply: Rc<Stream>, revision: Revision, form: Form) -> Exchange {
        Exchange { calls, reply, session: None, revision, session_header: None, batch: false, form }
    }
}

/// In which form the answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Events,
    /// JSON if the answer comes soon and alone, else a stream (S-9).
    Either,
}

/// A stream that opens.
pub(crate) struct Events {
    pub(crate) attachment: Attachment,
    /// None where requests stand alone.
    pub(crate) session: Option<SessionKey>,
    pub(crate) revision: Revision,
    pub(crate) first: First,
    pub(crate) header: Option<(&'static str, String)>,
}

/// What a stream begins with.
pub(crate) enum First {
    /// The address for POSTs (H-2).
    Endpoint(String),
    /// An id to come back with (S-20).
    Priming,
    /// Something, so that proxies pass the head on (P59).
    Comment,
}

/// What admitting a request did besides: for the shell to carry out.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) ended: Vec<(Session, Reason)>,
    /// Calls to cancel, as the shell numbers them.
    pub(crate) cancel: Vec<usize>,
}

/// Everything that admitting a request needs besides the request.
pub(crate) struct Desk<'a> {
    pub(crate) table: &'a mut SessionTable,
    pub(crate) policy: &'a Policy,
    pub(crate) services: &'a Rc<Services>,
    /// Fresh random bits for ids.
    pub(crate) ids: &'a dyn Fn() -> u128,
    pub(crate) now: Instant,
    pub(crate) effects: &'a mut Effects,
    /// The server drains: what is there may finish, nothing begins.
    pub(crate) stopping: bool,
}

/// Checks a request's head, in this order and no other (G-7).
pub(crate) fn check(head: &Head, from: From, policy: &Policy) -> Result<Admitted, Rejection> {
    let route = route(head, from, &policy.base_path)?;
    if !from.unix {
        policy.guard.check(head, from.local)?;
    } else if head.get(Field::Origin).is_some() {
        // A Unix socket has no host to compare with, but a page is still a page.
        policy.guard.check(head, None)?;
    }
    if head.method() == "OPTIONS" {
        return Ok(Admitted { route: Route::Preflight, principal: Principal::Anonymous, session: None, as_of: 0 });
    }
    check_method(head, route)?;
    let principal = match (&*policy.tokens.borrow(), route) {
        (_, Route::Health | Route::Ready) => Principal::Anonymous,
        (_, Route::Show(_)) if from.operator => Principal::Anonymous,
        (None, _) => embedder_says(head, from, policy)?,
        (Some(tokens), _) => tokens.principal(head.get(Field::Authorization))?,
    };
    if matches!(route, Route::Show(_)) && !from.operator && principal == Principal::Anonymous {
        let cause =
            "sessions and metrics are shown on the operator's listener (--debug-listen), or here to holders of a token";
        return Err(Rejection::new(403, cause));
    }
    if head.method() == "POST" {
        check_post(head, route)?;
    } else if head.method() == "GET" && route == Route::Mcp && !head.accept.events() {
        return Err(Rejection::new(406, "Accept: a GET opens a stream, so it must allow text/event-stream"));
    }
    Ok(Admitted { route, principal, session: named_session(head, route), as_of: policy.access_changes.get() })
}

/// The session that a request names: of Streamable HTTP in a header, of HTTP+SSE in its query.
fn named_session(head: &Head, route: Route) -> Option<u128> {
    match route {
        Route::Mcp => parse_session_id(head.get(Field::SessionId)?.as_bytes()),
        Route::Messages | Route::Sse => http_sse::session_in(head.query()?.as_bytes()),
        _ => None,
    }
}

/// Would [`check`] say the same of another request with the same head, which has no credentials in it? The embedder is
/// asked every time.
pub(crate) fn still_holds(admitted: &Admitted, policy: &Policy) -> bool {
    admitted.as_of == policy.access_changes.get() && policy.features.access.is_none()
}

/// Whose request it is, by the embedder's own policy if he has one.
fn embedder_says(head: &Head, from: From, policy: &Policy) -> Result<Principal, Rejection> {
    let Some(access) = &policy.features.access else { return Ok(Principal::Anonymous) };
    let credentials = Credentials { authorization: head.get(Field::Authorization), address: from.address };
    let told = catch_unwind(AssertUnwindSafe(|| access.principal(&credentials)));
    let told = told.map_err(|_| Rejection::new(500, "the server's access policy failed; its log says more"))?;
    told.map_err(|denied| match denied {
        Denied::Unauthenticated => Rejection::new(401, "this server wants other credentials in Authorization"),
        Denied::Forbidden => Rejection::new(403, "these credentials are not for this server"),
    })
}

fn route(head: &Head, from: From, base_path: &str) -> Result<Route, Rejection> {
    let path = head.path();
    let path = path.strip_prefix(base_path).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let route = match path {
        "/healthz" => Route::Health,
        "/readyz" => Route::Ready,
        "/metrics" => Route::Show(View::Metrics),
        "/debug/sessions" => Route::Show(View::Sessions),
        "/debug/events" => Route::Show(View::Snapshots),
        "/mcp" | "/mcp/" if !from.operator => Route::Mcp,
        "/sse" | "/sse/" if !from.operator => Route::Sse,
        "/messages" | "/messages/" if !from.operator => Route::Messages,
        "*" => Route::Preflight,
        _ if path.starts_with(SESSION_PATH) => Route::Show(View::Session(fingerprint(&path[SESSION_PATH.len()..])?)),
        _ if from.operator => {
            let cause = "no such path; this listener has /debug/sessions, /debug/sessions/{fingerprint}, /debug/events, \
                         /metrics, /healthz and /readyz";
            return Err(Rejection::new(404, cause));
        }
        _ => return Err(Rejection::new(404, "no such path; this server has /mcp, /sse, /messages/ and /healthz")),
    };
    Ok(route)
}

/// Where the events of one session are.
const SESSION_PATH: &str = "/debug/sessions/";

fn fingerprint(text: &str) -> Result<Fingerprint, Rejection> {
    let unreadable = "no such session: expected ten hexadecimal digits; /debug/sessions names all there are";
    Fingerprint::read(text).ok_or_else(|| Rejection::new(404, unreadable))
}

fn check_method(head: &Head, route: Route) -> Result<(), Rejection> {
    let refuse = |allow: &'static str| {
        let method: String = head.method().chars().take(32).collect();
        Err(Rejection::method(allow, format!("{method} is not served on this path; use {allow}")))
    };
    match (route, head.method()) {
        (Route::Mcp, "POST" | "GET" | "DELETE") => Ok(()),
        (Route::Mcp, _) => refuse("GET, POST, DELETE"),
        (Route::Sse, "GET") => Ok(()),
        // The relative endpoint resolves to /sse?session_id=…; without one this is a newer client's probe.
        (Route::Sse, "POST") if head.query().is_some_and(|query| query.contains("session_id=")) => Ok(()),
        (Route::Sse, _) => refuse("GET"),
        (Route::Messages, "POST") => Ok(()),
        (Route::Messages, _) => refuse("POST"),
        (Route::Health | Route::Ready | Route::Show(_), "GET" | "HEAD") => Ok(()),
        (Route::Health | Route::Ready | Route::Show(_), _) => refuse("GET, HEAD"),
        (Route::Preflight, _) => refuse("OPTIONS"),
    }
}

fn check_post(head: &Head, route: Route) -> Result<(), Rejection> {
    let media_type = head.get(Field::ContentType).and_then(|value| value.as_bytes().split(|&byte| byte == b';').next());
    if !media_type.is_some_and(|media_type| is_word(media_type.trim_ascii(), "application/json")) {
        return Err(Rejection::new(415, "Content-Type: expected application/json"));
    }
    if route == Route::Mcp && !head.accept.json() && !head.accept.events() {
        return Err(Rejection::new(406, "Accept: expected application/json, text/event-stream, or both"));
    }
    Ok(())
}

/// Says what an admitted request means. `Health`, `Ready` and `Show` are the shell's own.
pub(crate) fn admit(
    admitted: &Admitted,
    head: &Head,
    body: &[u8],
    from: From,
    mut desk: Desk<'_>,
) -> Result<Admission, Rejection> {
    if desk.stopping && admitted.route != Route::Preflight {
        return Err(Rejection::new(503, "this server is shutting down").closing());
    }
    let principal = &admitted.principal;
    if admitted.route != Route::Preflight
        && admitted.as_of != desk.policy.access_changes.get()
        && !desk.policy.knows(principal)
    {
        // Who is revoked between his head and his body would begin something that nobody ends.
        return Err(Rejection::new(401, "these credentials are not good any more"));
    }
    match (admitted.route, head.method()) {
        (Route::Preflight, _) => Ok(Admission::Reply(preflight(head))),
        (Route::Mcp, "POST") => desk.streamable_post(admitted, head, body, from),
        (Route::Mcp, "DELETE") => desk.streamable_delete(admitted, head),
        (Route::Mcp, _) => desk.streamable_get(admitted, head),
        (Route::Sse, "GET") => desk.http_sse_open(head, from, principal),
        _ => desk.http_sse_post(admitted, body),
    }
}

/// G-11, P63: browsers ask before they send what we need.
fn preflight(head: &Head) -> Reply {
    let mut allowed = String::from(
        "Content-Type, Accept, Authorization, Mcp-Session-Id, MCP-Protocol-Version, Last-Event-ID, Mcp-Method, Mcp-Name",
    );
    let requested = head.get(Field::RequestedHeaders).unwrap_or_default().split(',').map(str::trim);
    for name in requested {
        let is_param = name.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("mcp-param-"));
        if is_param && allowed.len() < 1024 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
    }
    let headers = vec![
        ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS".into()),
        ("access-control-allow-headers", allowed),
        ("access-control-max-age", "600".into()),
    ];
    Reply { headers, ..Reply::empty(204) }
}

impl Desk<'_> {
    /// Opens a session if there is a place for it.
    fn open(&mut self, mut newcomer: Newcomer) -> Result<(SessionKey, u128), Rejection> {
        match self.table.make_room(self.now) {
            Ok(evicted) => self.effects.ended.extend(evicted.map(|session| (session, Reason::Evicted))),
            Err(()) => {
                let cause = "the table of sessions is full (limit sessions_max) and none of them may give way yet";
                return Err(Rejection { header: Some(("retry-after", "10")), ..Rejection::new(503, cause) });
            }
        }
        newcomer.id = (self.ids)();
        let (id, transport, fingerprint) = (newcomer.id, newcomer.transport, newcomer.fingerprint);
        let peer = newcomer.peer.clone();
        let address = newcomer.address.map(|address| address.to_string()).unwrap_or_default();
        let key = self.table.open(newcomer, self.now);
        crate::counters::count(&self.services.common.counters.sessions_opened);
        self.note(fingerprint, Kind::Opened, transport.as_str());
        log::info!(
            target: "portcullis",
            "session_opened session={fingerprint} transport={} client={:?} version={:?} revision={} principal={} address={address}",
            transport.as_str(), peer.client.name, peer.client.version, peer.revision.as_str(), peer.principal,
        );
        Ok((key, id))
    }

    /// The session with this id, if it is this one's, of this transport, and not about to end.
    fn find(&mut self, id: u128, principal: &Principal, transport: Transport) -> Result<SessionKey, Rejection> {
        let missing = |reason| no_session(reason, transport);
        let session = self.table.find(id, principal).map_err(missing)?;
        if session.transport != transport {
            return Err(missing(None));
        }
        if session.closing {
            return Err(missing(Some(Reason::Life)));
        }
        Ok(session.key)
    }

    /// Notes what happens to a session, for the operator.
    fn note(&self, session: Fingerprint, kind: Kind, word: &'static str) {
        self.services.common.events.note(Some(session), kind, word);
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint((self.ids)() as u64)
    }

    /// The address to show for a request: the peer's, or what a trusted proxy says.
    fn address(&self, head: &Head, from: From) -> Option<IpAddr> {
        let claimed = head.get(Field::ForwardedFor).filter(|_| self.is_trusted(from));
        // The last entry is the trusted proxy's own; those before it anybody can write.
        let claimed = claimed.and_then(|list| list.rsplit(',').next()).and_then(|ip| ip.trim().parse().ok());
        claimed.or(from.address)
    }

    fn is_trusted(&self, from: From) -> bool {
        let trusted = &self.policy.trusted_proxies;
        from.address.is_some_and(|address| trusted.iter().any(|range| range.contains(address)))
    }
}

/// The 404 for a session that is not there, with the reason for those who owned it (S-29, P03).
fn no_session(reason: Option<Reason>, transport: Transport) -> Rejection {
    let (reason, remedy) = (
        reason.map_or("unknown", Reason::as_str),
        match transport {
            Transport::Streamable => "send initialize without Mcp-Session-Id to begin a new one",
            Transport::HttpSse => "open /sse again and initialize",
            Transport::Lines => "start the server again",
        },
    );
    let mut rejection = Rejection::new(404, format!("session not found ({reason}); {remedy}"));
    rejection.data = Some(serde_json::json!({ "reason": reason }));
    rejection
}

/// In which form a client wants its answer.
fn form(head: &Head) -> Form {
    match (head.accept.json(), head.accept.asks_for_events()) {
        (true, true) => Form::Either,
        (true, false) => Form::Json,
        (false, _) => Form::Events,
    }
}

/// A session id: 32 hexadecimal digits, with or without dashes.
fn parse_session_id(text: &[u8]) -> Option<u128> {
    let (mut high, mut low, mut digits) = (0u64, 0u64, 0);
    for &byte in text {
        let digit = HEXADECIMAL[usize::from(byte)];
        if digit < 16 {
            // Two halves: few machines count to 128 bits.
            (high, low) = (high << 4 | low >> 60, low << 4 | u64::from(digit));
            digits += 1;
        } else if byte != b'-' {
            return None;
        }
    }
    (digits == 32 && text.len() <= 36).then_some(u128::from(high) << 64 | u128::from(low))
}

/// What each byte is as a hexadecimal digit; 16 for what is none.
const HEXADECIMAL: [u8; 256] = {
    let mut values = [16; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// The text of a session id.
fn session_id_text(id: u128) -> String {
    format!("{id:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_read_with_and_without_dashes_and_nothing_else_is_one() {
        let id = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        assert_eq!(parse_session_id(session_id_text(id).as_bytes()), Some(id));
        assert_eq!(parse_session_id(b"01234567-89AB-CDEF-0123-456789abcdef"), Some(id));
        for text in ["", "-", "0123", &"0".repeat(33), &"g".repeat(32), &format!("{}-----", "0".repeat(32))] {
            assert_eq!(parse_session_id(text.as_bytes()), None, "{text}");
        }
    }
}
