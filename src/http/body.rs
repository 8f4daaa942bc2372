//! One request after the other out of a buffer: the head, then its body by length or in chunks.
//!
//! [`Framer::next`] always gets the buffer from the first byte of the current request on and remembers how
//! far it has looked, so that a body that arrives byte by byte is not read again for every byte. It never
//! decides what a request means; it asks a [`Gate`] once the head is there, so that a request can be refused
//! before its body is read.
//!
//! Clients send the same head with every request of a connection. So the last one is remembered, and bytes that begin with
//! it are not read again: the same bytes mean the same.

use std::borrow::Cow;
use std::rc::Rc;

use super::chunks::Chunks;
use super::head::{self, Framing, Head};
use super::response::{Manner, Rejection};
use crate::limits::Limits;

/// Who decides about a request once its head is there.
pub(crate) trait Gate {
    /// What was decided.
    type Pass;

    /// # Errors
    /// The refusal.
    fn admit(&self, head: &Head) -> Result<Self::Pass, Rejection>;

    /// Is the same decided of another request with the same head, now?
    fn still_holds(&self, pass: &Self::Pass) -> bool;

    /// How a request that is refused wants to be answered.
    fn manner(&self, head: &Head, rejection: &Rejection) -> Manner;
}

/// A request that was admitted, without its body.
#[derive(Clone)]
pub(crate) struct Begun<P> {
    pub(crate) head: Head,
    pub(crate) pass: P,
}

/// What the buffer holds.
pub(crate) enum Step<'b, P> {
    /// Not a whole request yet; `go_on` says that the client waits for `100 Continue`.
    More { go_on: bool },
    /// A whole request, admitted; it took `used` bytes.
    Request { begun: Rc<Begun<P>>, body: Cow<'b, [u8]>, used: usize },
    /// A refused one. `used` bytes can be skipped and the next request follows, unless the rejection closes.
    Refused { rejection: Rejection, manner: Manner, used: usize },
}

/// Where in the current request the framing stands.
pub(crate) struct Framer<P> {
    stage: Stage<P>,
    last: Option<Rc<Begun<P>>>,
}

enum Stage<P> {
    Start,
    Head { searched: usize },
    Length { begun: Rc<Begun<P>>, head: usize, total: usize },
    Chunks { begun: Rc<Begun<P>>, chunks: Box<Chunks> },
}

/// Longer heads are not remembered.
const REMEMBERED_MAX: usize = 1024;

impl<P> Default for Framer<P> {
    fn default() -> Framer<P> {
        Framer { stage: Stage::Start, last: None }
    }
}

impl<P: Clone> Framer<P> {
    /// Has a request begun and not ended?
    pub(crate) fn is_amid(&self) -> bool {
        !matches!(self.stage, Stage::Start)
    }

    /// Is it the body that is being read?
    pub(crate) fn in_body(&self) -> bool {
        matches!(self.stage, Stage::Length { .. } | Stage::Chunks { .. })
    }

    /// Bytes that it holds of a request whose body is still arriving.
    pub(crate) fn held(&self) -> usize {
        match &self.stage {
            Stage::Length { begun, .. } => begun.head.len(),
            Stage::Chunks { begun, chunks } => begun.head.len() + chunks.body.len(),
            Stage::Start | Stage::Head { .. } => 0,
        }
    }

    /// Forgets the last head: the connection is a stream now.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// Looks for the next request in `buffer`.
    pub(crate) fn next<'b>(&mut self, buffer: &'b [u8], limits: &Limits, gate: &impl Gate<Pass = P>) -> Step<'b, P> {
        let (mut go_on, mut is_late) = (false, true);
        loop {
            match &mut self.stage {
                Stage::Start => {
                    is_late = false;
                    // RFC 9112, 2.2: an empty line before a request is ignored. Nothing has begun with it.
                    if matches!(buffer, b"" | b"\r" | b"\r\n") {
                        return Step::More { go_on };
                    }
                    match self.last.as_ref().filter(|last| last.head.begins(buffer) && gate.still_holds(&last.pass)) {
                        Some(last) => (self.stage, go_on) = body(last.clone(), last.head.len(), buffer),
                        None => self.stage = Stage::Head { searched: 0 },
                    }
                }
                Stage::Head { searched } => match self::start(buffer, searched, limits) {
                    Ok(None) => return Step::More { go_on },
                    Ok(Some(end)) => match self.begin(&buffer[..end], limits, gate) {
                        Ok(begun) => {
                            is_late = false;
                            (self.stage, go_on) = body(begun, end, buffer);
                        }
                        Err((rejection, manner, rest)) => {
                            return self.refuse(rejection, manner, rest.and_then(|rest| end.checked_add(rest)), buffer);
                        }
                    },
                    Err(rejection) => return self.refuse(rejection, Manner::default(), None, buffer),
                },
                Stage::Length { begun, head, total } => {
                    if buffer.len() < *total {
                        return Step::More { go_on };
                    }
                    let (begun, body, used) = (begun.clone(), Cow::Borrowed(&buffer[*head..*total]), *total);
                    return self.finish(begun, body, used, is_late, gate);
                }
                Stage::Chunks { begun, chunks } => match chunks.read(buffer, limits.body_bytes_max) {
                    Ok(false) => return Step::More { go_on },
                    Ok(true) => {
                        let (begun, body) = (begun.clone(), Cow::Owned(std::mem::take(&mut chunks.body)));
                        let used = chunks.at;
                        return self.finish(begun, body, used, is_late, gate);
                    }
                    Err(rejection) => {
                        let manner = gate.manner(&begun.head, &rejection);
                        return self.refuse(rejection, manner, None, buffer);
                    }
                },
            }
        }
    }

    /// Reads a head and asks about it. A refusal comes with the length of the body, if that is known.
    #[allow(clippy::type_complexity)]
    fn begin(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        gate: &impl Gate<Pass = P>,
    ) -> Result<Rc<Begun<P>>, (Rejection, Manner, Option<usize>)> {
        let head = head::parse(bytes, limits).map_err(|rejection| (rejection, Manner::default(), None))?;
        let refused = |rejection: Rejection, rest| {
            let manner = gate.manner(&head, &rejection);
            (rejection, manner, rest)
        };
        let rest = match head.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        let pass = gate.admit(&head).map_err(|rejection| refused(rejection, rest))?;
        if rest.is_some_and(|length| length > limits.body_bytes_max) {
            return Err(refused(too_large(limits.body_bytes_max), None));
        }
        let begun = Rc::new(Begun { head, pass });
        let is_kept = bytes.len() <= REMEMBERED_MAX && !begun.head.is_secret();
        self.last = is_kept.then(|| begun.clone());
        Ok(begun)
    }

    /// A whole request. What was decided when its head came may not hold any more when its body has arrived late.
    fn finish<'b>(
        &mut self,
        mut begun: Rc<Begun<P>>,
        body: Cow<'b, [u8]>,
        used: usize,
        is_late: bool,
        gate: &impl Gate<Pass = P>,
    ) -> Step<'b, P> {
        self.stage = Stage::Start;
        if is_late && !gate.still_holds(&begun.pass) {
            match gate.admit(&begun.head) {
                Ok(pass) => begun = Rc::new(Begun { pass, ..Rc::unwrap_or_clone(begun) }),
                Err(rejection) => {
                    let manner = gate.manner(&begun.head, &rejection);
                    return Step::Refused { rejection, manner, used };
                }
            }
        }
        Step::Request { begun, body, used }
    }

    /// Skips the refused request, `whole` bytes, if all of it is here; else the connection ends with the refusal.
    fn refuse(
        &mut self,
        rejection: Rejection,
        manner: Manner,
        whole: Option<usize>,
        buffer: &[u8],
    ) -> Step<'static, P> {
        self.stage = Stage::Start;
        match whole {
            Some(used) if used <= buffer.len() && !rejection.close => Step::Refused { rejection, manner, used },
            _ => Step::Refused { rejection: rejection.closing(), manner, used: buffer.len() },
        }
    }
}

/// How a body begins behind a head of `end` bytes, and whether its client waits to be told to go on.
fn body<P>(begun: Rc<Begun<P>>, end: usize, buffer: &[u8]) -> (Stage<P>, bool) {
    let expects = begun.head.expects_continue;
    match begun.head.framing {
        // Not over `body_bytes_max`, or it would not have begun.
        Framing::Length(length) => {
            let total = end + length;
            (Stage::Length { begun, head: end, total }, expects && length > 0 && total > buffer.len())
        }
        Framing::Chunked => {
            let chunks = Box::new(Chunks::behind(end));
            (Stage::Chunks { begun, chunks }, expects)
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

pub(super) fn too_large(most: usize) -> Rejection {
    Rejection::new(413, format!("the body is over {most} bytes (limit body_bytes_max, option --body-bytes-max)"))
        .closing()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Lets everything in, or nothing.
    struct All(bool);

    impl Gate for All {
        type Pass = ();

        fn admit(&self, _: &Head) -> Result<(), Rejection> {
            if self.0 { Ok(()) } else { Err(Rejection::new(403, "no")) }
        }

        fn still_holds(&self, (): &()) -> bool {
            self.0
        }

        fn manner(&self, _: &Head, _: &Rejection) -> Manner {
            Manner::default()
        }
    }

    /// Lets everything in, and counts.
    struct Counting {
        asked: Cell<usize>,
        holds: bool,
    }

    impl Gate for Counting {
        type Pass = ();

        fn admit(&self, _: &Head) -> Result<(), Rejection> {
            self.asked.set(self.asked.get() + 1);
            Ok(())
        }

        fn still_holds(&self, (): &()) -> bool {
            self.holds
        }

        fn manner(&self, _: &Head, _: &Rejection) -> Manner {
            Manner::default()
        }
    }

    /// Feeds `text` whole, split at every byte, and with trailing bytes; all must agree.
    fn framed(text: &[u8], limits: &Limits) -> Result<Vec<u8>, u16> {
        let whole = run(&mut Framer::default(), &[text], limits);
        for cut in 1..text.len() {
            let cuts = [&text[..cut], text];
            let mut framer = Framer::default();
            assert_eq!(run(&mut framer, &cuts, limits), whole, "cut at {cut}: {}", text.escape_ascii());
            if whole.is_ok() {
                assert_eq!(run(&mut framer, &cuts, limits), whole, "again, cut at {cut}: {}", text.escape_ascii());
            }
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
    fn run(framer: &mut Framer<()>, views: &[&[u8]], limits: &Limits) -> Result<Vec<u8>, u16> {
        for view in views {
            match framer.next(view, limits, &All(true)) {
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
        let Step::Refused { rejection, used, .. } = framer.next(text, &Limits::default(), &All(false)) else {
            panic!()
        };
        assert_eq!((used, rejection.close), (text.len() - 3, false));
        let Step::Refused { rejection, .. } = framer.next(&text[..text.len() - 4], &Limits::default(), &All(false))
        else {
            panic!()
        };
        assert!(rejection.close, "the rest of its body is still to come");
    }

    #[test]
    fn a_head_that_comes_again_is_asked_about_once_unless_it_is_secret_or_the_answer_would_be_another() {
        let text = |line: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{line}Content-Length: 2\r\n\r\nhi").into_bytes();
        let (plain, long) = (text(""), text(&format!("X: {}\r\n", "x".repeat(REMEMBERED_MAX))));
        let chunks = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n".to_vec();
        let told = text("Expect: 100-continue\r\n");
        for (requests, holds, asked) in [
            ([&plain, &plain, &plain], true, 1),
            ([&plain, &plain, &plain], false, 3),
            ([&plain, &text("X: y\r\n"), &plain], true, 3),
            ([&chunks, &chunks, &chunks], true, 1),
            ([&told, &told, &told], true, 1),
            ([&long, &long, &long], true, 3),
            ([&text("X: \r\n"), &text("Authorization: b\r\n"), &text("Authorization: b\r\n")], true, 3),
        ] {
            let gate = Counting { asked: Cell::new(0), holds };
            let (mut framer, buffer) = (Framer::default(), requests.map(|request| &**request).concat());
            let mut at = 0;
            for request in requests {
                let Step::Request { begun, body, used } = framer.next(&buffer[at..], &Limits::default(), &gate) else {
                    panic!("{}", request.escape_ascii())
                };
                assert_eq!(
                    (&*body, used, begun.head.get(head::Field::Host)),
                    (b"hi".as_slice(), request.len(), Some("a"))
                );
                at += used;
            }
            assert_eq!(gate.asked.get(), asked, "{}", buffer.escape_ascii());
        }
    }

    #[test]
    fn a_body_that_comes_late_is_asked_about_again_if_the_answer_could_be_another() {
        let length = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".as_slice();
        let chunks = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n".as_slice();
        for text in [length, chunks] {
            for (cut, holds, asked) in [(text.len() - 1, true, 1), (text.len() - 1, false, 2), (5, false, 1)] {
                let gate = Counting { asked: Cell::new(0), holds };
                let mut framer = Framer::default();
                assert!(matches!(framer.next(&text[..cut], &Limits::default(), &gate), Step::More { .. }));
                assert!(matches!(framer.next(text, &Limits::default(), &gate), Step::Request { .. }));
                assert_eq!(gate.asked.get(), asked, "{cut} {holds}: {}", text.escape_ascii());
            }
        }
        let mut framer = Framer::default();
        assert!(matches!(framer.next(&length[..length.len() - 1], &Limits::default(), &All(true)), Step::More { .. }));
        assert!(framer.held() > 40, "the head is held twice while its body arrives");
        assert!(
            matches!(framer.next(length, &Limits::default(), &All(false)), Step::Refused { .. }),
            "let in, and not any more"
        );
    }

    #[test]
    fn expect_100_continue_is_told_once_to_go_on() {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        let mut framer = Framer::default();
        let mut go_on = |view: &[u8]| match framer.next(view, &Limits::default(), &All(true)) {
            Step::More { go_on } => Some(go_on),
            _ => None,
        };
        assert_eq!(go_on(&head[..20]), Some(false));
        assert_eq!(go_on(head), Some(true));
        assert_eq!(go_on(&[head.as_slice(), b"h"].concat()), Some(false));
        assert_eq!(go_on(&[head.as_slice(), b"hi"].concat()), None);
    }
}
