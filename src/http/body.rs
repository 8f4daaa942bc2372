//! One request after the other out of a buffer: the head, then its body by length or in chunks.
//!
//! [`Framer::next`] always gets the buffer from the first byte of the current request on and remembers how
//! far it has looked, so that a body that arrives byte by byte is not read again for every byte. It never
//! decides what a request means; it asks `admit` once the head is there, so that a request can be refused
//! before its body is read.

use std::borrow::Cow;

use super::head::{self, Framing, Head};
use super::response::Rejection;
use crate::limits::Limits;

/// What the buffer holds.
pub(crate) enum Step<'b, A> {
    /// Not a whole request yet; `go_on` says that the client waits for `100 Continue`.
    More { go_on: bool },
    /// A whole request, admitted; it took `used` bytes.
    Request { admitted: A, head: Head<'b>, body: Cow<'b, [u8]>, used: usize },
    /// A refused one. `used` bytes can be skipped and the next request follows, unless the rejection closes.
    Refused { rejection: Rejection, used: usize },
}

/// How a body begins: all of it is here, or more must come.
enum Begun<'b, A> {
    Whole { admitted: A, head: Head<'b>, used: usize },
    Waits { for_us: bool },
}

/// Where in the current request the framing stands.
#[derive(Default)]
pub(crate) struct Framer {
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    Start,
    Head {
        searched: usize,
    },
    Length {
        head: usize,
        total: usize,
    },
    Chunks {
        head: usize,
        chunks: Box<Chunks>,
    },
}

impl Framer {
    /// Has a request begun and not ended?
    pub(crate) fn is_amid(&self) -> bool {
        !matches!(self.stage, Stage::Start)
    }

    /// Is it the body that is being read?
    pub(crate) fn in_body(&self) -> bool {
        matches!(self.stage, Stage::Length { .. } | Stage::Chunks { .. })
    }

    /// Bytes of a chunked body that it has put together.
    pub(crate) fn held(&self) -> usize {
        match &self.stage {
            Stage::Chunks { chunks, .. } => chunks.body.len(),
            _ => 0,
        }
    }

    /// Looks for the next request in `buffer`.
    pub(crate) fn next<'b, A>(
        &mut self,
        buffer: &'b [u8],
        limits: &Limits,
        admit: impl Fn(&Head<'b>) -> Result<A, Rejection>,
    ) -> Step<'b, A> {
        let mut go_on = false;
        loop {
            match &mut self.stage {
                Stage::Start => {
                    // RFC 9112, 2.2: an empty line before a request is ignored. Nothing has begun with it.
                    if matches!(buffer, b"" | b"\r" | b"\r\n") {
                        return Step::More { go_on };
                    }
                    self.stage = Stage::Head { searched: 0 };
                }
                Stage::Head { searched } => match self::start(buffer, searched, limits) {
                    Ok(None) => return Step::More { go_on },
                    Ok(Some(end)) => match self.begin_body(buffer, end, limits, &admit) {
                        Ok(Begun::Whole { admitted, head, used }) => {
                            self.stage = Stage::Start;
                            let body = Cow::Borrowed(&buffer[end..used]);
                            return Step::Request { admitted, head, body, used };
                        }
                        Ok(Begun::Waits { for_us }) => go_on = for_us,
                        Err((rejection, rest)) => return self.refuse(rejection, end, rest, buffer.len()),
                    },
                    Err(rejection) => return self.refuse(rejection, buffer.len(), None, buffer.len()),
                },
                Stage::Length { head, total } => {
                    if buffer.len() < *total {
                        return Step::More { go_on };
                    }
                    let (head, total) = (*head, *total);
                    return self.finish(buffer, head, Cow::Borrowed(&buffer[head..total]), total, limits, &admit);
                }
                Stage::Chunks { head, chunks } => match chunks.read(buffer, limits.body_bytes_max) {
                    Ok(false) => return Step::More { go_on },
                    Ok(true) => {
                        let (head, used, body) = (*head, chunks.at, std::mem::take(&mut chunks.body));
                        return self.finish(buffer, head, Cow::Owned(body), used, limits, &admit);
                    }
                    Err(rejection) => return self.refuse(rejection, buffer.len(), None, buffer.len()),
                },
            }
        }
    }

    /// Decides how the body is read. A refusal comes with the length of the body, if that is known.
    #[allow(clippy::type_complexity)]
    fn begin_body<'b, A>(
        &mut self,
        buffer: &'b [u8],
        end: usize,
        limits: &Limits,
        admit: &impl Fn(&Head<'b>) -> Result<A, Rejection>,
    ) -> Result<Begun<'b, A>, (Rejection, Option<usize>)> {
        let head = head::parse(&buffer[..end], limits).map_err(|rejection| (rejection, None))?;
        let rest = match head.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        let admitted = admit(&head).map_err(|rejection| (rejection, rest))?;
        self.stage = match head.framing {
            Framing::Length(length) if length > limits.body_bytes_max => {
                return Err((too_large(limits.body_bytes_max), None));
            }
            Framing::Length(length) if end + length <= buffer.len() => {
                return Ok(Begun::Whole { admitted, head, used: end + length });
            }
            Framing::Length(length) => Stage::Length { head: end, total: end + length },
            Framing::Chunked => Stage::Chunks { head: end, chunks: Box::new(Chunks { at: end, ..Chunks::default() }) },
        };
        Ok(Begun::Waits { for_us: head.expects_continue && rest != Some(0) })
    }

    fn finish<'b, A>(
        &mut self,
        buffer: &'b [u8],
        head_bytes: usize,
        body: Cow<'b, [u8]>,
        used: usize,
        limits: &Limits,
        admit: &impl Fn(&Head<'b>) -> Result<A, Rejection>,
    ) -> Step<'b, A> {
        self.stage = Stage::Start;
        // Read anew rather than kept: a head borrows from a buffer that moves while a body arrives.
        let head = head::parse(&buffer[..head_bytes], limits);
        match head.and_then(|head| Ok((admit(&head)?, head))) {
            Ok((admitted, head)) => Step::Request { admitted, head, body, used },
            Err(rejection) => Step::Refused { rejection, used },
        }
    }

    /// Skips the refused request if all of it is here; else the connection ends with the refusal.
    fn refuse<A>(&mut self, rejection: Rejection, head: usize, body: Option<usize>, have: usize) -> Step<'static, A> {
        self.stage = Stage::Start;
        match body.and_then(|body| head.checked_add(body)) {
            Some(used) if used <= have && !rejection.close => Step::Refused { rejection, used },
            _ => Step::Refused { rejection: rejection.closing(), used: have },
        }
    }
}

/// Where the head ends, if it is all here.
fn start(buffer: &[u8], searched: &mut usize, limits: &Limits) -> Result<Option<usize>, Rejection> {
    begins(buffer)?;
    // A head whose lines end otherwise would never end: its client is told so before `head_wait` is over.
    let found = head::end(buffer, *searched)?;
    *searched = buffer.len();
    let size = found.unwrap_or(buffer.len());
    if size > limits.head_bytes_max {
        let most = limits.head_bytes_max;
        return Err(Rejection::new(431, format!("request line and headers over {most} bytes (limit head_bytes_max)")));
    }
    Ok(found)
}

/// Can these bytes become a request line? TLS, HTTP/2 and line noise are told so at once, however little is there.
fn begins(buffer: &[u8]) -> Result<(), Rejection> {
    let buffer = buffer.strip_prefix(b"\r\n").unwrap_or(buffer);
    if buffer.starts_with(b"PRI * HTTP/2") {
        return Err(Rejection::new(505, "HTTP/2 is not spoken here, only HTTP/1.0 and HTTP/1.1"));
    }
    let method = buffer.split(|&byte| byte == b' ').next().unwrap_or_default();
    if !method.iter().take(METHOD_MAX + 1).all(|&byte| head::is_token(byte)) {
        return Err(Rejection::new(400, "this is not an HTTP/1.1 request"));
    }
    if method.len() > METHOD_MAX {
        // RFC 9112, 3: longer than any that is implemented.
        return Err(Rejection::new(501, "no method has a name as long as that"));
    }
    Ok(())
}

/// Bytes of the longest method that is looked at; the longest registered one has 17.
const METHOD_MAX: usize = 32;

fn too_large(most: usize) -> Rejection {
    Rejection::new(413, format!("the body is over {most} bytes (limit body_bytes_max, option --body-bytes-max)"))
        .closing()
}

/// A chunked body (RFC 9112, 7.1): extensions and trailers are read and dropped.
#[derive(Default)]
struct Chunks {
    /// How far the buffer has been read.
    at: usize,
    /// Bytes that remain of the current chunk.
    left: usize,
    expects: Expects,
    trailers: usize,
    /// Bytes that were framing and not body.
    framing: usize,
    body: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum Expects {
    #[default]
    Size,
    Data,
    DataEnd,
    Trailer,
}

/// So many bytes of chunk sizes, extensions and trailers are always taken; then eight for each byte of body, which is
/// enough for chunks of one byte.
const FRAMING_MAX: usize = 16 * 1024;
/// Longest chunk-size line with its extensions, and the most bytes of trailers.
const LINE_MAX: usize = 1024;

impl Chunks {
    /// Reads on; true when the body is complete.
    fn read(&mut self, buffer: &[u8], body_bytes_max: usize) -> Result<bool, Rejection> {
        let bad = |message: &'static str| Rejection::new(400, message).closing();
        loop {
            match self.expects {
                Expects::Size => {
                    let Some(line) = self.line(buffer)? else { return Ok(false) };
                    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
                    let extension = line[digits..].trim_ascii_start();
                    if digits == 0 || !(extension.is_empty() || extension[0] == b';') {
                        return Err(bad("a chunk begins with its size in hexadecimal digits"));
                    }
                    if has_control(&line[digits..]) {
                        return Err(bad("a chunk extension has a control byte"));
                    }
                    self.left = hexadecimal(&line[..digits]).unwrap_or(usize::MAX);
                    if self.left > body_bytes_max - self.body.len() {
                        return Err(too_large(body_bytes_max));
                    }
                    self.expects = if self.left == 0 { Expects::Trailer } else { Expects::Data };
                }
                Expects::Data => {
                    let have = self.left.min(buffer.len() - self.at);
                    self.body.extend_from_slice(&buffer[self.at..self.at + have]);
                    self.at += have;
                    self.left -= have;
                    if self.left > 0 {
                        return Ok(false);
                    }
                    self.expects = Expects::DataEnd;
                }
                Expects::DataEnd => match buffer.get(self.at..self.at + 2) {
                    None if buffer.get(self.at).is_none_or(|&byte| byte == b'\r') => return Ok(false),
                    Some(b"\r\n") => {
                        self.at += 2;
                        self.expects = Expects::Size;
                    }
                    _ => return Err(bad("a chunk is longer than its size says")),
                },
                Expects::Trailer => {
                    let Some(line) = self.line(buffer)? else { return Ok(false) };
                    if line.is_empty() {
                        return Ok(true);
                    }
                    if !is_field(line) {
                        return Err(bad("a trailer is malformed; expected a name, a colon and a value"));
                    }
                    self.trailers += line.len();
                    if self.trailers > LINE_MAX {
                        return Err(bad("more than 1024 bytes of trailers"));
                    }
                }
            }
        }
    }

    /// The next line without its end, if it is all here.
    fn line<'b>(&mut self, buffer: &'b [u8]) -> Result<Option<&'b [u8]>, Rejection> {
        let rest = &buffer[self.at..];
        let Some(end) = rest.iter().take(LINE_MAX + 2).position(|&byte| byte == b'\n') else {
            let too_long = rest.len() > LINE_MAX + 1;
            return if too_long {
                Err(Rejection::new(400, "a chunk-size line over 1024 bytes").closing())
            } else {
                Ok(None)
            };
        };
        let Some(line) = rest[..end].strip_suffix(b"\r").filter(|line| !line.contains(&b'\r')) else {
            return Err(Rejection::new(400, "a line of a chunked body must end in CR LF").closing());
        };
        self.at += end + 1;
        self.framing += end + 1;
        if self.framing > FRAMING_MAX.max(8 * self.body.len()) {
            return Err(
                Rejection::new(400, "more framing than body: larger chunks, and no extensions, please").closing()
            );
        }
        Ok(Some(line))
    }
}

/// Is it a header line? Trailers are dropped, but what is none may be the next request to another reader.
fn is_field(line: &[u8]) -> bool {
    let name = line.iter().position(|&byte| byte == b':').unwrap_or(0);
    name > 0 && line[..name].iter().all(|&byte| head::is_token(byte)) && !has_control(&line[name..])
}

fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|&byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    usize::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` whole, split at every byte, and with trailing bytes; all must agree.
    fn framed(text: &[u8], limits: &Limits) -> Result<Vec<u8>, u16> {
        let whole = run(&mut Framer::default(), &[text], limits);
        for cut in 1..text.len() {
            let cuts = [&text[..cut], text];
            assert_eq!(run(&mut Framer::default(), &cuts, limits), whole, "cut at {cut}: {}", text.escape_ascii());
        }
        let mut framer = Framer::default();
        let steps: Vec<_> = (1..=text.len()).map(|end| &text[..end]).collect();
        assert_eq!(run(&mut framer, &steps, limits), whole, "byte by byte: {}", text.escape_ascii());
        if whole.is_ok() {
            let trailed = [text, b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(run(&mut Framer::default(), &[&trailed], limits), whole);
        }
        whole
    }

    /// The body, or the status of the refusal; growing views of one buffer.
    fn run(framer: &mut Framer, views: &[&[u8]], limits: &Limits) -> Result<Vec<u8>, u16> {
        for view in views {
            match framer.next(view, limits, |_| Ok(())) {
                Step::More { .. } => {}
                Step::Request { body, .. } => return Ok(body.into_owned()),
                Step::Refused { rejection, .. } => return Err(rejection.status),
            }
        }
        Err(0)
    }

    #[test]
    fn p50_bodies_are_framed_alike_however_they_arrive() {
        let limits = Limits { body_bytes_max: 64, ..Limits::default() };
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let with_length = |n: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n");
        for (text, outcome) in [
            (with_length("5") + "hello", Ok("hello")),
            (with_length("0"), Ok("")),
            (with_length("65"), Err(413)),
            (with_length("99999999999999999999999"), Err(413)),
            (format!("{chunked}5\r\nhello\r\n0\r\n\r\n"), Ok("hello")),
            (format!("{chunked}1\r\nh\r\n4;x=\"y\"\r\nello\r\n0\r\nTrailer: 1\r\n\r\n"), Ok("hello")),
            (format!("{chunked}0005\r\nhello\r\n000\r\n\r\n"), Ok("hello")),
            (format!("{chunked}5\r\nhelloX\r\n"), Err(400)),
            (format!("{chunked}5\nhello\r\n0\r\n\r\n"), Err(400)),
            (format!("{chunked}-5\r\nhello\r\n"), Err(400)),
            (format!("{chunked}0x5\r\nhello\r\n"), Err(400)),
            (format!("{chunked}5 \r\nhello\r\n0\r\n\r\n"), Ok("hello")),
            (format!("{chunked}\r\nhello\r\n"), Err(400)),
            (format!("{chunked}41\r\n"), Err(413)),
            (format!("{chunked}1fffffffff\r\n"), Err(413)),
            (format!("{chunked}{}\r\n", "f".repeat(200)), Err(413)),
            (format!("{chunked}5;{}\r\n", "x".repeat(2000)), Err(400)),
            (format!("{chunked}0\r\nA: {}\r\n\r\n", "x".repeat(600)), Ok("")),
            (format!("{chunked}0\r\nA: {0}\r\nB: {0}\r\n\r\n", "x".repeat(600)), Err(400)),
            (format!("{chunked}0\r\nGET / HTTP/1.1\r\n\r\n"), Err(400)),
            (format!("{chunked}0\r\nA : x\r\n\r\n"), Err(400)),
            (format!("{chunked}0\r\nA: \0\r\n\r\n"), Err(400)),
        ] {
            let outcome = outcome.map(|body: &str| body.as_bytes().to_vec());
            assert_eq!(framed(text.as_bytes(), &limits), outcome, "{}", text.escape_debug());
        }
    }

    #[test]
    fn what_cannot_be_a_request_is_refused_before_its_head_ends() {
        for (text, status) in [
            ("\x16\x03\x01\x02", 400),
            ("GET / HTTP/1.1\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n b", 400),
            ("GET\r\n", 400),
            ("PRI * HTTP/2.0\r\n", 505),
            (&"A".repeat(40), 501),
        ] {
            assert_eq!(framed(text.as_bytes(), &Limits::default()), Err(status), "{text:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000));
        assert_eq!(run(&mut Framer::default(), &[long.as_bytes()], &Limits::default()), Err(431));
    }

    #[test]
    fn a_refused_request_that_is_all_here_does_not_cost_the_connection() {
        let text = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET";
        let mut framer = Framer::default();
        let refuse = |_: &Head<'_>| -> Result<(), _> { Err(Rejection::new(403, "no")) };
        let Step::Refused { rejection, used } = framer.next(text, &Limits::default(), refuse) else { panic!() };
        assert_eq!((used, rejection.close), (text.len() - 3, false));
        let Step::Refused { rejection, .. } = framer.next(&text[..text.len() - 4], &Limits::default(), refuse) else {
            panic!()
        };
        assert!(rejection.close, "the rest of its body is still to come");
    }

    #[test]
    fn expect_100_continue_is_told_once_to_go_on() {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        let mut framer = Framer::default();
        let mut go_on = |view: &[u8]| match framer.next(view, &Limits::default(), |_| Ok(())) {
            Step::More { go_on } => Some(go_on),
            _ => None,
        };
        assert_eq!(go_on(&head[..20]), Some(false));
        assert_eq!(go_on(head), Some(true));
        assert_eq!(go_on(&[head.as_slice(), b"h"].concat()), Some(false));
        assert_eq!(go_on(&[head.as_slice(), b"hi"].concat()), None);
    }
}
