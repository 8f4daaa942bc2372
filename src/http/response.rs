//! Answers to bytes: one writer for whole answers, one for the head of a stream.
//!
//! Every error is a [`Rejection`], and this is the only place where one becomes bytes: a status, a JSON-RPC
//! body that names cause and remedy (G-21), and the headers that go with the status. No answer ever has a
//! `Location`.

use std::borrow::Cow;
use std::rc::Rc;

use crate::jsonrpc::{self, RequestId};

/// A request that is refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    pub(crate) code: i32,
    pub(crate) message: Cow<'static, str>,
    /// The request's id, where it is known and helps.
    pub(crate) id: Option<RequestId>,
    /// The error's `data`.
    pub(crate) data: Option<serde_json::Value>,
    /// `Allow`, `Retry-After` or `WWW-Authenticate`, by status.
    pub(crate) header: Option<(&'static str, &'static str)>,
    /// The connection cannot be used further: where the next request begins is unknown.
    pub(crate) close: bool,
}

impl Rejection {
    pub(crate) fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Rejection {
        let code = if status >= 500 { jsonrpc::INTERNAL_ERROR } else { jsonrpc::INVALID_REQUEST };
        let header = match status {
            503 => Some(("retry-after", "1")),
            401 => Some(("www-authenticate", "Bearer")),
            _ => None,
        };
        Rejection { status, code, message: message.into(), id: None, data: None, header, close: false }
    }

    pub(crate) fn method(allow: &'static str, message: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection { header: Some(("allow", allow)), ..Rejection::new(405, message) }
    }

    /// The refusal of a request whose id is known.
    pub(crate) fn of(mut self, id: &RequestId) -> Rejection {
        self.id = Some(id.clone());
        self
    }

    pub(crate) fn closing(mut self) -> Rejection {
        self.close = true;
        self
    }
}

impl From<jsonrpc::Error> for Rejection {
    fn from(error: jsonrpc::Error) -> Rejection {
        Rejection { code: error.code, data: error.data, ..Rejection::new(400, error.message) }
    }
}

/// What all answers on one connection have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    /// HTTP/1.0: no chunks, and the version stands in the answer.
    pub(crate) http_1_0: bool,
    /// The connection ends after this answer.
    pub(crate) close: bool,
    /// What most answers begin with.
    pub(crate) usual: Option<Rc<Usual>>,
    /// Only the head is wanted.
    pub(crate) head_only: bool,
    /// The request's `Origin`, if it is an allowed one.
    pub(crate) origin: Option<Box<str>>,
}

/// What answers begin with that have nothing unusual, written once.
#[derive(Debug)]
pub(crate) struct Usual {
    /// The header line that says how long a connection may be silent, if that is to be said (P53).
    keep_alive: String,
    json: Vec<u8>,
    accepted: Vec<u8>,
}

impl Usual {
    pub(crate) fn new(keep_alive: String) -> Rc<Usual> {
        let written = |status, media| {
            let mut out = Vec::new();
            begin(&mut out, status, media, &keep_alive, &Manner::default());
            out
        };
        let (json, accepted) = (written(200, Media::Json), written(202, Media::Text));
        Rc::new(Usual { keep_alive, json, accepted })
    }
}

impl Manner {
    fn keep_alive(&self) -> &str {
        self.usual.as_ref().map_or("", |usual| &usual.keep_alive)
    }

    /// What an answer begins with, if there is nothing unusual about it.
    fn usually(&self, status: u16, media: Media) -> Option<&[u8]> {
        let usual = self.usual.as_ref().filter(|_| !self.http_1_0 && !self.close && self.origin.is_none())?;
        match (status, media) {
            (200, Media::Json) => Some(&usual.json),
            (202, Media::Text) => Some(&usual.accepted),
            _ => None,
        }
    }
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// There is no body.
    None,
    Json,
    Text,
    #[cfg(feature = "page")]
    Html,
    /// Prometheus' text format.
    Metrics,
}

impl Media {
    /// The header lines of an answer with such a body, which nobody may keep.
    fn lines(self) -> &'static [u8] {
        match self {
            Media::None => b"cache-control: no-store\r\n",
            Media::Json => b"content-type: application/json\r\ncache-control: no-store\r\n",
            Media::Text => b"content-type: text/plain\r\ncache-control: no-store\r\n",
            #[cfg(feature = "page")]
            Media::Html => b"content-type: text/html; charset=utf-8\r\ncache-control: no-store\r\n",
            Media::Metrics => b"content-type: text/plain; version=0.0.4; charset=utf-8\r\ncache-control: no-store\r\n",
        }
    }
}

/// Appends a whole answer with its body.
pub(crate) fn whole(
    out: &mut Vec<u8>,
    status: u16,
    media: Media,
    headers: &[(&str, &str)],
    body: &[u8],
    manner: &Manner,
) {
    match manner.usually(status, media) {
        Some(begin) => out.extend_from_slice(begin),
        None => begin(out, status, media, manner.keep_alive(), manner),
    }
    headers.iter().for_each(|(name, value)| field(out, name, value));
    if status != 204 {
        out.extend_from_slice(b"content-length: ");
        jsonrpc::write_integer(out, body.len() as i64);
        out.extend_from_slice(b"\r\n\r\n");
    } else {
        out.extend_from_slice(b"\r\n");
    }
    if !manner.head_only {
        out.extend_from_slice(body);
    }
}

/// Appends a refusal.
pub(crate) fn rejection(out: &mut Vec<u8>, rejection: &Rejection, manner: &Manner) {
    let mut body = Vec::with_capacity(128);
    let error =
        jsonrpc::Error { data: rejection.data.clone(), ..jsonrpc::Error::new(rejection.code, &*rejection.message) };
    jsonrpc::write_error(&mut body, rejection.id.as_ref(), &error);
    let headers: &[(&str, &str)] = rejection.header.as_slice();
    let manner = Manner { close: manner.close || rejection.close, ..manner.clone() };
    whole(out, rejection.status, Media::Json, headers, &body, &manner);
}

/// Appends the head of an event stream (T-8, P57).
pub(crate) fn stream_head(out: &mut Vec<u8>, headers: &[(&str, &str)], manner: &Manner) {
    let manner = &Manner { close: manner.close || manner.http_1_0, ..manner.clone() };
    status_line(out, 200, manner.keep_alive(), manner);
    field(out, "content-type", "text/event-stream");
    field(out, "cache-control", "no-cache, no-transform");
    field(out, "x-accel-buffering", "no");
    headers.iter().for_each(|(name, value)| field(out, name, value));
    end_chunked_head(out, manner);
}

/// Appends the head of an answer whose length is not known yet.
pub(crate) fn chunked_head(out: &mut Vec<u8>, media: Media, manner: &Manner) {
    let manner = Manner { close: manner.close || manner.http_1_0, ..manner.clone() };
    begin(out, 200, media, manner.keep_alive(), &manner);
    end_chunked_head(out, &manner);
}

fn end_chunked_head(out: &mut Vec<u8>, manner: &Manner) {
    if !manner.http_1_0 {
        field(out, "transfer-encoding", "chunked");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends what `write` appends as one chunk, or bare where the client knows no chunks.
pub(crate) fn chunk(out: &mut Vec<u8>, http_1_0: bool, write: impl FnOnce(&mut Vec<u8>)) {
    if http_1_0 {
        return write(out);
    }
    // The size comes first and is known last: there is room for all its digits, and what is not needed is taken out.
    let begin = out.len();
    out.extend_from_slice(&[b'0'; SIZE_DIGITS]);
    out.extend_from_slice(b"\r\n");
    let from = out.len();
    write(out);
    let (mut left, mut at) = (out.len() - from, begin + SIZE_DIGITS);
    if left == 0 {
        return out.truncate(begin); // it would end the body
    }
    while left > 0 {
        at -= 1;
        out[at] = b"0123456789abcdef"[left & 0xf];
        left >>= 4;
    }
    out.extend_from_slice(b"\r\n");
    out.drain(begin..at);
}

const SIZE_DIGITS: usize = 2 * size_of::<usize>();

/// The end of a chunked body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Tells a waiting client to go on with its body.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn begin(out: &mut Vec<u8>, status: u16, media: Media, keep_alive: &str, manner: &Manner) {
    status_line(out, status, keep_alive, manner);
    out.extend_from_slice(media.lines());
}

fn status_line(out: &mut Vec<u8>, status: u16, keep_alive: &str, manner: &Manner) {
    out.extend_from_slice(if manner.http_1_0 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(with_reason(status).as_bytes());
    if manner.close {
        field(out, "connection", "close");
    } else {
        if manner.http_1_0 {
            field(out, "connection", "keep-alive");
        }
        out.extend_from_slice(keep_alive.as_bytes());
    }
    if let Some(origin) = &manner.origin {
        field(out, "access-control-allow-origin", origin);
        field(out, "vary", "Origin");
        field(
            out,
            "access-control-expose-headers",
            "Mcp-Session-Id, WWW-Authenticate, MCP-Protocol-Version, Retry-After",
        );
    }
}

/// Appends one header line. Values come from us or were checked at the door: no line ends in them.
fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The end of a status line: the status with its reason (RFC 9110, 15).
fn with_reason(status: u16) -> &'static str {
    match status {
        200 => "200 OK\r\n",
        202 => "202 Accepted\r\n",
        204 => "204 No Content\r\n",
        400 => "400 Bad Request\r\n",
        401 => "401 Unauthorized\r\n",
        403 => "403 Forbidden\r\n",
        404 => "404 Not Found\r\n",
        405 => "405 Method Not Allowed\r\n",
        406 => "406 Not Acceptable\r\n",
        408 => "408 Request Timeout\r\n",
        413 => "413 Content Too Large\r\n",
        415 => "415 Unsupported Media Type\r\n",
        417 => "417 Expectation Failed\r\n",
        431 => "431 Request Header Fields Too Large\r\n",
        501 => "501 Not Implemented\r\n",
        503 => "503 Service Unavailable\r\n",
        505 => "505 HTTP Version Not Supported\r\n",
        // Nothing here answers with any other.
        _ => "500 Internal Server Error\r\n",
    }
}
