//! HTTP/1.1 as a table: bytes that a client may send, what is answered, and whether the connection is usable then.
//!
//! What is expected stands in RFC 9112, RFC 9110 and `SPEC.md`, with one rule on top: where two readers may see
//! two different requests, there is one refusal and the end of the connection. Every case of every family is run
//! whole, cut in two at every byte, byte by byte, half-closed, and with a well-formed request in the same write behind it: that
//! one is answered exactly if the connection goes on, and nothing that was hidden in a body ever is.

mod chunks;
mod heads;
mod lengths;
mod lines;
mod pipelines;
mod targets;
mod times;

use std::collections::HashSet;

use crate::sim;
use crate::sim::client::{LATEST, initialize};
use crate::sim::server::Server;
use crate::sim::wire::Conn;

/// What a client sends, and what comes of it.
struct Case {
    name: &'static str,
    text: Vec<u8>,
    /// The statuses of all answers, in order, without `100 Continue`.
    answers: Vec<u16>,
    after: After,
}

/// What can be done with the connection afterwards.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    /// The next request is answered.
    GoesOn,
    /// The server has ended it, and says so in its last answer.
    Ends,
    /// A request that was refused for its head and whose body was still to come: the server may end it.
    MayEnd,
    /// The server waits for more of the request.
    Waits,
}
use After::{Ends, GoesOn, MayEnd, Waits};

/// A request that is served.
fn good(name: &'static str, text: impl Into<Vec<u8>>) -> Case {
    case(name, text, &[200], GoesOn)
}

/// A request after which nothing can be trusted.
fn bad(status: u16, name: &'static str, text: impl Into<Vec<u8>>) -> Case {
    case(name, text, &[status], Ends)
}

/// A request that is refused for what it says, and whose end is beyond doubt.
fn refused(status: u16, name: &'static str, text: impl Into<Vec<u8>>) -> Case {
    case(name, text, &[status], GoesOn)
}

/// A part of a request.
fn part(name: &'static str, text: impl Into<Vec<u8>>) -> Case {
    case(name, text, &[], Waits)
}

fn case(name: &'static str, text: impl Into<Vec<u8>>, answers: &[u16], after: After) -> Case {
    Case { name, text: text.into(), answers: answers.to_vec(), after }
}

/// A GET that is served, with these header lines besides.
fn get(lines: &str) -> String {
    line("GET /healthz HTTP/1.1", &format!("Host: localhost\r\n{lines}"))
}

/// A request with this request line and these header lines.
fn line(line: &str, lines: &str) -> String {
    format!("{line}\r\n{lines}\r\n")
}

/// A POST of JSON with these header lines besides.
fn post(lines: &str, body: &str) -> String {
    line("POST /mcp HTTP/1.1", &format!("Host: localhost\r\nContent-Type: application/json\r\n{lines}")) + body
}

/// A body that is answered with 200, if all of it and nothing else was read.
fn body() -> String {
    initialize(LATEST)
}

/// The one behind: its answer is like no other here.
const NEXT: &str = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n";
const NEXT_STATUS: u16 = 204;
/// What is hidden in bodies and behind ambiguous ends: nobody may ever answer it, which is 404 if somebody does.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Up to this length a case is cut at every byte; longer ones at so many places, which are spread.
const CUTS: usize = 400;

/// Runs the cases of one family.
fn prove(cases: Vec<Case>) {
    for case in cases {
        sim::run(|sim| async move {
            let server = sim.serve();
            case.runs_whole_and_in_pieces(&server).await;
            case.runs_with_another_behind(&server).await;
            sim.sleep(2_000).await;
            assert_eq!(server.gauge("connections").await, 0, "{}: all have ended", case.name);
            assert_eq!(server.gauge("buffered_bytes").await, 0, "{}: nothing is held", case.name);
        });
    }
}

impl Case {
    async fn runs_whole_and_in_pieces(&self, server: &Server) {
        self.runs(server, &[&self.text], "whole").await;
        let step = self.text.len() / CUTS + 1;
        for cut in (1..self.text.len()).step_by(step) {
            let (front, back) = self.text.split_at(cut);
            self.runs(server, &[front, back], &format!("cut at {cut}")).await;
        }
        self.runs(server, &self.text.chunks(step).collect::<Vec<_>>(), "byte by byte").await;
        let mut conn = server.connect();
        send(&mut conn, &[&self.text]).await;
        conn.end.fin();
        let (answers, ended) = heard(&mut conn, self.is_head(), self.name).await;
        assert_eq!(answers.statuses, self.answers, "D8 {}, half-closed: {}", self.name, answers.text);
        assert!(ended, "D8 {}: a half-closed connection ends with its last answer", self.name);
    }

    /// Sends the pieces, each when the one before has been read, and compares.
    async fn runs(&self, server: &Server, pieces: &[&[u8]], how: &str) {
        let name = format!("{}, {how}", self.name);
        let mut conn = server.connect();
        send(&mut conn, pieces).await;
        let (mut answers, mut ended) = heard(&mut conn, self.is_head(), &name).await;
        assert_eq!(answers.statuses, self.answers, "{name}: {}", answers.text);
        let was_told = answers.closes;
        if !ended {
            // Half-closed: what waits is let go, and what is whole has been answered.
            if self.after == Waits {
                conn.end.fin();
            } else {
                conn.send(NEXT).await;
            }
            (answers, ended) = heard(&mut conn, false, &name).await;
            let expected: &[u16] = if self.after == Waits { &[] } else { &[NEXT_STATUS] };
            assert_eq!(answers.statuses, expected, "{name}, and then: {}", answers.text);
            assert_eq!(ended, self.after == Waits, "{name}: {:?}", self.after);
            assert_ne!(self.after, Ends, "{name}: the connection was not ended");
        } else {
            assert!(matches!(self.after, Ends | MayEnd), "{name}: the connection was ended");
        }
        assert!(self.after == MayEnd || was_told == (self.after == Ends), "{name}: `Connection: close` is the truth");
    }

    /// A whole request in the same write, and then again byte by byte: it is the next one, or it is nothing.
    async fn runs_with_another_behind(&self, server: &Server) {
        if self.after == Waits {
            return;
        }
        let text = [&self.text, NEXT.as_bytes()].concat();
        let step = self.text.len() / CUTS + 1;
        for pieces in [vec![&text[..]], text.chunks(step).collect()] {
            let name = format!("{}, with another behind, in {} pieces", self.name, pieces.len());
            let mut conn = server.connect();
            send(&mut conn, &pieces).await;
            let (answers, ended) = heard(&mut conn, self.is_head(), &name).await;
            let mut expected = self.answers.clone();
            if !ended {
                expected.push(NEXT_STATUS);
            }
            assert_eq!(answers.statuses, expected, "{name}: {}", answers.text);
            assert!(self.after == MayEnd || ended == (self.after == Ends), "{name}: {:?}", self.after);
        }
    }

    fn is_head(&self) -> bool {
        self.text.starts_with(b"HEAD ")
    }
}

/// Sends pieces for as long as the server takes them; what it has ended it need not take.
async fn send(conn: &mut Conn, pieces: &[&[u8]]) {
    for piece in pieces {
        if conn.try_send(piece).await.is_err() {
            return;
        }
        // Only when everybody has done what there was to do does a moment pass.
        if pieces.len() > 1 {
            conn.sim.sleep(1).await;
        }
    }
}

/// Answers as they were read.
#[derive(Default)]
struct Answers {
    statuses: Vec<u16>,
    /// The last of them says that it is the last.
    closes: bool,
    text: String,
}

/// Everything the server has to say for now, and whether it has ended the connection.
async fn heard(conn: &mut Conn, to_head: bool, name: &str) -> (Answers, bool) {
    let sim = conn.sim.clone();
    let rest = sim.within(1, conn.rest()).await;
    let ended = rest.is_some();
    let bytes = rest.unwrap_or_else(|| std::mem::take(&mut conn.bytes));
    (answers(&bytes, to_head, name), ended)
}

/// Reads answers strictly: each has a length, and nothing is left over.
fn answers(bytes: &[u8], to_head: bool, name: &str) -> Answers {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut answers = Answers::default();
    let mut rest = &text[..];
    while !rest.is_empty() {
        assert!(!answers.closes, "{name}: an answer behind the last: {text}");
        let (head, behind) = rest.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{name}: half a head: {text}"));
        let status = head["HTTP/1.1 ".len()..][..3].parse().unwrap();
        let field = |name| head.lines().find_map(|line| line.strip_prefix(name));
        rest = behind;
        if status == 100 {
            continue;
        }
        let length = field("content-length: ").map(|length| length.parse().unwrap());
        assert!(length.is_some() || status == NEXT_STATUS, "{name}: without a length: {text}");
        let length = length.filter(|_| !(to_head && answers.statuses.is_empty())).unwrap_or(0);
        assert!(rest.is_char_boundary(length) && length <= rest.len(), "{name}: half a body: {text}");
        if status >= 400 && length > 0 {
            let error: serde_json::Value = serde_json::from_str(&rest[..length]).unwrap();
            assert!(error["error"]["message"].as_str().is_some_and(|words| words.len() > 10), "{name}: P80 {error}");
        }
        rest = &rest[length..];
        answers.closes = field("connection: ") == Some("close");
        answers.statuses.push(status);
    }
    answers.text = text;
    answers
}

#[test]
fn the_table_has_more_than_five_hundred_cases_and_no_name_twice() {
    let families = [
        lengths::lengths(),
        lengths::codings(),
        lengths::both(),
        chunks::sizes(),
        chunks::ends(),
        chunks::extras(),
        lines::endings(),
        lines::request_lines(),
        lines::parts(),
        heads::names_and_values(),
        heads::bounds(),
        heads::connections(),
        heads::expectations(),
        targets::hosts(),
        targets::targets(),
        targets::methods(),
        pipelines::rows(),
        pipelines::pages(),
    ];
    let cases: Vec<_> = families.iter().flatten().collect();
    let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "no name twice");
    assert!(cases.len() > 500, "{} cases", cases.len());
}
