//! Transcripts: files in `tests/transcripts` that show what goes over the wire, and are checked against it.
//!
//! ```text
//! # words for the reader
//! @ server idle 2000              the session's idle time, in milliseconds; once, before everything else
//! @ on NAME                       what follows happens on this connection; the first use opens it
//! > POST /mcp HTTP/1.1            a request: its lines, and behind an empty one its body
//! > Mcp-Session-Id: {session}     {…} is what was captured before
//! >
//! > {"jsonrpc":"2.0",…}
//! < HTTP/1.1 200 OK               the answer: every byte, line by line; {name} captures once and must then match
//! <
//! < {"jsonrpc":"2.0",…}
//! @ at 10000                      the answer above was complete so many milliseconds after the beginning
//! @ wait 500 | reset | fin | end  waits; cuts the connection; half-closes it; nothing more came and it has ended
//! ```
//!
//! `Host`, and for a POST `Content-Type`, `Accept` (both forms) and `Content-Length`, are added where they are not
//! written. Chunks are decoded before the comparison (`tests/http.rs` looks at the chunks themselves); the answer
//! to a stream is read as far as its lines are written, event by event.

use std::collections::BTreeMap;

use super::server::{Server, idle};
use super::wire::Conn;
use super::{Sim, client};

/// Plays a transcript; returns everything that came over the wire.
pub(crate) async fn play(sim: Sim, name: &str, text: &str) -> String {
    sim.begin_record();
    let mut stage = Stage {
        sim: sim.clone(),
        name,
        server: None,
        conns: BTreeMap::new(),
        on: "main".into(),
        known: BTreeMap::new(),
    };
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        stage.name = name;
        let mut block = |sign: char, first: &str| {
            let mut block = vec![first.get(2..).unwrap_or_default().to_owned()];
            while let Some((_, next)) = lines.next_if(|(_, next)| next.starts_with(sign)) {
                block.push(next.get(2..).unwrap_or_default().to_owned());
            }
            block
        };
        match line.as_bytes().first() {
            None | Some(b'#') => {}
            Some(b'>') => stage.request(&block('>', line)).await,
            Some(b'<') => stage.answer(at + 1, &block('<', line)).await,
            Some(b'@') => stage.direct(at + 1, line[1..].trim()).await,
            _ => panic!("{name}:{}: {line:?}", at + 1),
        }
    }
    sim.record()
}

struct Stage<'a> {
    sim: Sim,
    name: &'a str,
    server: Option<Server>,
    conns: BTreeMap<String, Conn>,
    on: String,
    known: BTreeMap<String, String>,
}

impl Stage<'_> {
    fn server(&mut self) -> Server {
        self.server.get_or_insert_with(|| self.sim.serve()).clone()
    }

    fn conn(&mut self) -> &mut Conn {
        let server = self.server();
        self.conns.entry(self.on.clone()).or_insert_with(|| server.connect())
    }

    async fn request(&mut self, lines: &[String]) {
        let filled: Vec<_> = lines.iter().map(|line| self.fill(line)).collect();
        let head_end = filled.iter().position(String::is_empty).unwrap_or(filled.len());
        let body = filled.get(head_end + 1..).unwrap_or_default().join("\n");
        let mut words = filled[0].split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let headers: Vec<_> =
            filled[1..head_end].iter().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
        let version = words.next().unwrap();
        let bytes = client::request(method, path, &headers, &body);
        let bytes = String::from_utf8(bytes).unwrap().replacen("HTTP/1.1", version, 1);
        self.conn().send(bytes).await;
    }

    /// What was captured, in place of its name.
    fn fill(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (name, value) in &self.known {
            line = line.replace(&format!("{{{name}}}"), value);
        }
        line
    }

    async fn answer(&mut self, at: usize, expected: &[String]) {
        let in_stream = !expected[0].starts_with("HTTP/");
        let mut seen = Vec::new();
        if !in_stream {
            let mut reply = self.conn().head().await.unwrap_or_else(|| panic!("line {at}: no answer"));
            seen.extend(reply.head.trim_end().split("\r\n").map(str::to_owned));
            if reply.header("content-type") != Some(client::SSE) {
                self.conn().rest_of(&mut reply).await;
                if !reply.body.is_empty() {
                    seen.push(String::new());
                    seen.extend(reply.text().split('\n').map(str::to_owned));
                }
            } else {
                seen.push(String::new());
            }
        }
        while seen.len() < expected.len() {
            match self.conn().event().await {
                Some(event) => seen.extend(event.text.split('\n').map(str::to_owned)),
                None => break,
            }
        }
        let name = self.name;
        for (n, line) in expected.iter().enumerate() {
            let got = seen.get(n).map_or("(nothing)", String::as_str);
            assert!(
                self.matches(line, got),
                "{name}:{}\n expected: {line}\n      got: {got}\n all of it:\n{}",
                at + n,
                seen.join("\n")
            );
        }
        assert!(seen.len() == expected.len(), "{name}:{at}: more came:\n{}", seen.join("\n"));
    }

    /// Compares a line, and captures what its unknown names stand for.
    fn matches(&mut self, expected: &str, got: &str) -> bool {
        let expected = self.fill(expected);
        let mut rest = got;
        let mut pattern = expected.as_str();
        while let Some((before, name, after)) = next_name(pattern) {
            let Some(behind) = rest.strip_prefix(before) else { return false };
            let length = behind.bytes().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let (value, end) = behind.split_at(length);
            if value.is_empty() || self.known.get(name).is_some_and(|known| known != value) {
                return false;
            }
            self.known.insert(name.to_owned(), value.to_owned());
            (rest, pattern) = (end, after);
        }
        rest == pattern
    }

    async fn direct(&mut self, at: usize, words: &str) {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        match verb {
            "server" => {
                self.server = Some(self.sim.serve_within(idle(rest.rsplit(' ').next().unwrap().parse().unwrap())))
            }
            "on" => self.on = rest.to_owned(),
            "at" => assert_eq!(self.sim.ms(), rest.parse::<u64>().unwrap(), "{}:{at}", self.name),
            "wait" => self.sim.sleep(rest.parse().unwrap()).await,
            "reset" => self.conn().end.reset(),
            "fin" => self.conn().end.fin(),
            "end" => {
                if let Some(event) = self.conn().event().await {
                    panic!("{}:{at}: {}", self.name, event.text);
                }
            }
            _ => panic!("{}:{at}: {words}", self.name),
        }
    }
}

/// The first `{name}` of a pattern; JSON's own braces are none.
fn next_name(pattern: &str) -> Option<(&str, &str, &str)> {
    for (at, _) in pattern.match_indices('{') {
        let inside = &pattern[at + 1..];
        let length = inside.bytes().take_while(u8::is_ascii_lowercase).count();
        if length > 0 && inside[length..].starts_with('}') {
            return Some((&pattern[..at], &inside[..length], &inside[length + 1..]));
        }
    }
    None
}
