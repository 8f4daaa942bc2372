//! Request line and headers (RFC 9112, sections 2 to 6), over `httparse`.
//!
//! One decision is made here and nowhere else: where the body ends. A request whose headers leave that open
//! (two lengths, a length and chunked, an unknown coding) is refused, because the proxy in front of us may
//! have decided otherwise. Refused as well: what a lenient parser accepts and another reads differently
//! (bare LF, folded lines, control bytes, two Host lines). This file knows nothing of MCP but the names of
//! the headers it looks at.

use std::mem::MaybeUninit;
use std::num::NonZeroU32;

use super::accept::Accept;
pub(crate) use super::field::Field;
use super::response::Rejection;
use super::word::is_word;
use crate::jsonrpc::HEADER_MISMATCH;
use crate::limits::Limits;
use crate::seen::offset;

/// Where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
}

/// A request's line and the headers we know. It has the text that they are parts of, so that it may outlive the buffer.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    text: Box<str>,
    method: Span,
    path: Span,
    query: Option<Span>,
    authority: Option<Span>,
    fields: [Option<Span>; Field::COUNT],
    params: Vec<(Span, Span)>,
    pub(crate) http_1_0: bool,
    pub(crate) framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// The client asked for the end of the connection, or its version has no other.
    pub(crate) close: bool,
    pub(crate) accept: Accept,
    /// The request shows that it came through a proxy.
    pub(crate) proxied: bool,
    connection_close: bool,
    connection_keep_alive: bool,
}

/// A part of a head's text. Ends are never 0: before the first part there is a method or a line's end.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u32,
    to: NonZeroU32,
}

/// Where the head ends in `buffer`, counted behind its empty line, if it is all here; `from` is how far it was looked at
/// before.
///
/// # Errors
/// 400 for what `httparse` lets pass: lines that end in a bare LF, and lines that go on with white space.
pub(crate) fn end(buffer: &[u8], from: usize) -> Result<Option<usize>, Rejection> {
    // What follows a line's end may not have been there before.
    let from = from.saturating_sub(1);
    for at in memchr::memchr_iter(b'\n', buffer.get(from..).unwrap_or_default()).map(|at| from + at) {
        if at == 0 || buffer[at - 1] != b'\r' {
            return Err(Rejection::new(400, "a header line ends in LF without CR").closing());
        }
        if buffer[..at].ends_with(b"\r\n\r") {
            return Ok(Some(at + 1));
        }
        if matches!(buffer.get(at + 1), Some(b' ' | b'\t')) {
            return Err(Rejection::new(400, "a header line is folded or begins with white space").closing());
        }
    }
    Ok(None)
}

/// Reads a head that is whole: `bytes` ends where [`end`] said.
///
/// # Errors
/// 400, 431, 501 or 505; the connection cannot be used after any of them.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Head, Rejection> {
    let refuse = |status, message: &'static str| Err(Rejection::new(status, message).closing());
    let mut headers = [MaybeUninit::uninit(); HEADERS_CEILING];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return too_many_headers(HEADERS_CEILING.min(limits.headers_max)),
        Err(httparse::Error::Version) if states_a_version(bytes) => {
            return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
        }
        _ => return refuse(400, "the request line or a header is malformed"),
    }
    if request.headers.len() > limits.headers_max {
        return too_many_headers(limits.headers_max);
    }
    let mut reader = Reader { bytes, is_text: true, head: Head::new(request.version == Some(0)) };
    reader.head.text = match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => {
            reader.is_text = false;
            legible(bytes)
        }
    };
    reader.target(request.method.unwrap_or_default(), request.path.unwrap_or_default())?;
    for header in request.headers.iter() {
        reader.header(header.name, header.value)?;
    }
    reader.head.settle()?;
    Ok(reader.head)
}

/// The text of a head that has bytes in it that are none. They may stand where nobody looks, and each becomes one other.
fn legible(bytes: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text.into()
}

/// More header lines than this do not fit on the stack, whatever `headers_max` says.
const HEADERS_CEILING: usize = 128;

fn too_many_headers<T>(most: usize) -> Result<T, Rejection> {
    Err(Rejection::new(431, format!("more than {most} header lines (limit headers_max)")).closing())
}

/// Is it a well-formed request line, if in a version that is not ours? To `httparse` no version at all is one too.
fn states_a_version(bytes: &[u8]) -> bool {
    let line = bytes.strip_prefix(b"\r\n").unwrap_or(bytes).split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|&byte| byte == b' ').skip(2);
    let version = parts.next().and_then(|version| version.strip_prefix(b"HTTP/"));
    parts.next().is_none()
        && matches!(version, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// May `byte` stand in a method or in a header's name (RFC 9110, 5.6.2)?
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What puts a head together.
struct Reader<'b> {
    bytes: &'b [u8],
    /// All of them are text, as nearly always: then so are all parts.
    is_text: bool,
    head: Head,
}

impl Reader<'_> {
    /// Where `part`, which lies in the bytes, begins and ends.
    fn span(&self, part: &[u8]) -> Option<Span> {
        let from = offset(part, self.bytes)?;
        let to = NonZeroU32::new(u32::try_from(from + part.len()).ok()?)?;
        Some(Span { from: u32::try_from(from).ok()?, to })
    }

    fn target(&mut self, method: &str, target: &str) -> Result<(), Rejection> {
        let malformed = || Rejection::new(400, "the request target is neither a path nor an http URL").closing();
        // One reader ends the path at a fragment, another does not.
        if memchr::memchr(b'#', target.as_bytes()).is_some() || !target.is_ascii() {
            return Err(Rejection::new(400, "the request target has a fragment or a byte that no URL has").closing());
        }
        let rest = match target.as_bytes().first() {
            Some(b'/') => target,
            _ if target == "*" && method == "OPTIONS" => target,
            _ => {
                let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
                let rest = scheme.and_then(|_| target.get(7..)).ok_or_else(malformed)?;
                let slash = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at(slash);
                if authority.is_empty() || authority.contains('@') {
                    return Err(malformed());
                }
                self.head.authority = self.span(authority.as_bytes());
                rest
            }
        };
        let (path, query) = match rest.bytes().position(|byte| byte == b'?') {
            Some(at) => (&rest[..at], self.span(&rest.as_bytes()[at + 1..])),
            None => (rest, None),
        };
        self.head.method = self.span(method.as_bytes()).ok_or_else(malformed)?;
        self.head.path = self.span(path.as_bytes()).ok_or_else(malformed)?;
        self.head.query = query;
        Ok(())
    }

    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), Rejection> {
        let Some(field) = Field::named(name.as_bytes()) else { return self.listed_header(name, value) };
        if self.head.fields[field as usize].is_some() {
            let mut refused = Rejection::new(400, format!("more than one {name} header")).closing();
            if field.is_mirror() {
                refused.code = HEADER_MISMATCH; // T-11
            }
            return Err(refused);
        }
        self.head.fields[field as usize] = self.value(name, value)?;
        Ok(())
    }

    /// Headers that may stand several times.
    fn listed_header(&mut self, name: &str, value: &[u8]) -> Result<(), Rejection> {
        let is = |known: &str| is_word(name.as_bytes(), known);
        match name.len() {
            6 if is("accept") => {
                self.value(name, value)?;
                self.head.accept.add(value);
            }
            10 if is("connection") => {
                self.value(name, value)?;
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    self.head.connection_close |= is_word(option, "close");
                    self.head.connection_keep_alive |= is_word(option, "keep-alive");
                }
            }
            15 if is("x-forwarded-for") => {
                self.head.proxied = true;
                self.head.fields[Field::ForwardedFor as usize] = self.value(name, value)?;
            }
            11.. if name.get(..10).is_some_and(|start| is_word(start.as_bytes(), "mcp-param-")) => {
                self.head.params.extend(self.span(&name.as_bytes()[10..]).zip(self.value(name, value)?));
            }
            3 if is("via") => self.head.proxied = true,
            9 if is("forwarded") => self.head.proxied = true,
            _ if name.get(..12).is_some_and(|start| is_word(start.as_bytes(), "x-forwarded-")) => {
                self.head.proxied = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Where a value stands that has to be text.
    fn value(&self, name: &str, value: &[u8]) -> Result<Option<Span>, Rejection> {
        if !self.is_text && std::str::from_utf8(value).is_err() {
            return Err(Rejection::new(400, format!("the value of {name} is not UTF-8")).closing());
        }
        // `httparse` let no other white space pass than blanks and tabs.
        Ok(self.span(value.trim_ascii()))
    }
}

impl Head {
    fn new(http_1_0: bool) -> Head {
        let nothing = Span { from: 0, to: NonZeroU32::MIN };
        Head {
            text: Box::default(),
            method: nothing,
            path: nothing,
            query: None,
            authority: None,
            fields: [None; _],
            params: Vec::new(),
            http_1_0,
            framing: Framing::Length(0),
            expects_continue: false,
            close: false,
            accept: Accept::default(),
            proxied: false,
            connection_close: false,
            connection_keep_alive: false,
        }
    }

    /// Does `buffer` begin with the same bytes?
    pub(super) fn begins(&self, buffer: &[u8]) -> bool {
        buffer.starts_with(self.text.as_bytes())
    }

    /// Bytes of it.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// It has what only its sender may know, and what nothing should be compared with but in constant time.
    pub(super) fn is_secret(&self) -> bool {
        self.get(Field::Authorization).is_some()
    }

    fn part(&self, span: Span) -> &str {
        self.text.get(span.from as usize..span.to.get() as usize).unwrap_or_default()
    }

    /// The value of a header, if it is there.
    pub(crate) fn get(&self, field: Field) -> Option<&str> {
        self.fields[field as usize].map(|span| self.part(span))
    }

    pub(crate) fn method(&self) -> &str {
        self.part(self.method)
    }

    /// The path alone, without query.
    pub(crate) fn path(&self) -> &str {
        match self.part(self.path) {
            // Of an absolute form. RFC 9112, 3.2.4: the server as a whole.
            "" if self.method() == "OPTIONS" && self.query.is_none() => "*",
            "" if self.query.is_none() => "/",
            path => path,
        }
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.query.map(|span| self.part(span))
    }

    /// The authority of an absolute-form target; it wins over `Host`, so it is checked like it.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.authority.map(|span| self.part(span))
    }

    /// `Mcp-Param-*`: what follows in the name, and the value.
    pub(crate) fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|&(name, value)| (self.part(name), self.part(value)))
    }

    /// Decides what follows from all headers together.
    fn settle(&mut self) -> Result<(), Rejection> {
        let refuse = |status, message: &'static str| Err(Rejection::new(status, message).closing());
        self.proxied |= self.get(Field::ForwardedPrefix).is_some();
        if self.get(Field::Host).is_none() && !self.http_1_0 {
            return refuse(400, "an HTTP/1.1 request needs a Host header");
        }
        self.close = self.connection_close || (self.http_1_0 && !self.connection_keep_alive);
        self.framing = match (self.get(Field::TransferEncoding), self.get(Field::ContentLength)) {
            (None, None) => Framing::Length(0),
            (Some(_), Some(_)) => return refuse(400, "Content-Length and Transfer-Encoding exclude each other"),
            (Some(_), None) if self.http_1_0 => return refuse(400, "HTTP/1.0 has no Transfer-Encoding"),
            (Some(codings), None) => chunked(codings)?,
            (None, Some(digits)) => Framing::Length(length(digits)?),
        };
        self.expects_continue = match self.get(Field::Expect) {
            None => false,
            Some(expected) if expected.eq_ignore_ascii_case("100-continue") => !self.http_1_0,
            Some(_) => return refuse(417, "the only expectation met here is 100-continue"),
        };
        Ok(())
    }
}

/// RFC 9112, 6.1 and 6.3: without `chunked` at its end a body has none, which is 400; what is below is not undone here.
fn chunked(codings: &str) -> Result<Framing, Rejection> {
    let refuse = |status, message: &'static str| Err(Rejection::new(status, message).closing());
    let is_chunked = |coding: &str| coding.eq_ignore_ascii_case("chunked");
    let mut codings = codings.split(',').map(|coding| coding.trim_matches([' ', '\t'])).rev();
    if !codings.next().is_some_and(is_chunked) {
        return refuse(400, "the last Transfer-Encoding of a request must be chunked");
    }
    match codings.next() {
        None => Ok(Framing::Chunked),
        Some(coding) if coding.is_empty() || is_chunked(coding) => refuse(400, "Transfer-Encoding: expected chunked"),
        Some(_) => refuse(501, "the only Transfer-Encoding understood here is chunked, alone"),
    }
}

fn length(digits: &str) -> Result<usize, Rejection> {
    // Asked before `parse`, which would also take a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rejection::new(400, "Content-Length: expected digits").closing());
    }
    // More than can be counted is too large, which is another answer.
    Ok(digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Head, u16> {
        let bytes = text.as_bytes();
        let whole = end(bytes, 0).map(|end| &bytes[..end.expect("a whole head")]);
        whole.and_then(|bytes| parse(bytes, &Limits::default())).map_err(|rejection| {
            assert!(rejection.close, "{text:?}: nothing after a bad head can be trusted");
            rejection.status
        })
    }

    #[test]
    fn ambiguous_or_malformed_heads_are_refused() {
        for (lines, status) in [
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400),
            ("POST /mcp HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\n", 400),
            ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET / \r\nHost: a\r\n\r\n", 400),
            ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /?\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("PRI * HTTP/2.0\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\nHost: a\r\nMcp-Session-Id: a\r\nmcp-session-id: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
        ] {
            assert_eq!(parsed(lines).err(), Some(status), "{lines:?}");
        }
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(100));
        assert_eq!(parsed(&many).err(), Some(431));
    }

    #[test]
    fn targets_lengths_and_connection_options_are_read() {
        let head = parsed("POST http://fw:80/mcp?x=1 HTTP/1.1\r\nhOST: fw\r\nContent-Length: 7\r\n\r\n").unwrap();
        assert_eq!((head.path(), head.query(), head.authority()), ("/mcp", Some("x=1"), Some("fw:80")));
        assert_eq!((head.framing, head.close), (Framing::Length(7), false));
        let head = parsed("GET http://fw?x HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!((head.path(), head.query(), head.close), ("", Some("x"), true));
        let head = parsed("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap();
        assert!(!head.close);
        let head = parsed("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n").unwrap();
        assert_eq!(head.framing, Framing::Length(usize::MAX), "too large, which is 413 and not 400");
        let head = parsed("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 00000000000000000007\r\n\r\n").unwrap();
        assert_eq!(head.framing, Framing::Length(7), "RFC 9110, 8.6: any number of digits");
        let head =
            parsed("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n").unwrap();
        assert!(!head.close, "P51: an upgrade offer is ignored");
    }

    #[test]
    fn a_value_that_is_not_text_is_refused_where_it_counts_and_passed_over_elsewhere() {
        for (name, good) in
            [("Accept", false), ("Connection", false), ("Content-Type", false), ("Mcp-Session-Id", false), ("X", true)]
        {
            let mut bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: b").into_bytes();
            bytes.extend_from_slice(b"\xff\r\nOrigin: http://\xc3\xa4\r\n\r\n");
            let head = parse(&bytes, &Limits::default());
            assert_eq!(head.is_ok(), good, "{name}");
            assert!(head.is_err() || head.unwrap().get(Field::Origin) == Some("http://\u{e4}"), "{name}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_was_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        for cut in 0..text.len() {
            let searched = end(&text[..cut], 0).expect("good lines").map_or(cut, |_| 0);
            assert_eq!(end(text, searched).expect("good lines"), Some(27), "cut at {cut}");
        }
    }
}
