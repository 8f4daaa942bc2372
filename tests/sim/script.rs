//! Transcripts: files in `tests/transcripts` that show what goes over the wire, and are checked against it.
//!
//! ```text
//! # words for the reader
//! @ server idle 2000              the session's idle time, in milliseconds; once, before everything else
//! @ server tour                   the features of `tour.rs`, in place of the usual tools
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
//! @ running 1                     so many calls run now
//! @ changed tools                 the server is told that these changed (or prompts, or resources)
//! @ updated fw://rules            the server is told that this resource changed
//! @ shutdown 1000                 the server is told to stop, and to give calls so many milliseconds
//! ```
//!
//! `Host`, and for a POST `Content-Type`, `Accept` (both forms) and `Content-Length`, are added where they are not
//! written. Chunks are decoded before the comparison (`tests/http.rs` looks at the chunks themselves); the answer
//! to a stream is read as far as its lines are written, event by event: each empty line ends one.
//!
//! With `PORTCULLIS_WRITE_TRANSCRIPTS=1` the answers are written down instead: edit the requests, leave `<` lines that
//! say what is to be read (`< HTTP/1.1` for a head, `<` for its end and for each event, a line with `{name}` for a
//! value to capture), run the tests, and **read the diff**. What is written down is what came, not what is right.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::Handle;
use serde_json::Value;

use super::server::{Server, idle};
use super::wire::Conn;
use super::{Sim, client, tour};

/// What a transcript came to.
pub(crate) struct Played {
    /// Everything that came over the wire.
    pub(crate) record: String,
    /// The transcript with the answers that came.
    pub(crate) text: String,
}

/// Plays a transcript. The answers are what it says, unless they are to be written down.
pub(crate) async fn play(sim: Sim, name: &str, text: &str, write: bool) -> Played {
    sim.begin_record();
    let mut stage = Stage {
        sim: sim.clone(),
        name,
        server: None,
        conns: BTreeMap::new(),
        on: "main".into(),
        known: BTreeMap::new(),
        write,
    };
    let mut written = String::new();
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
        let lines = match line.as_bytes().first() {
            None | Some(b'#') => vec![line.to_owned()],
            Some(b'>') => {
                let lines = block('>', line);
                stage.request(&lines).await;
                signed('>', &lines)
            }
            Some(b'<') => signed('<', &stage.answer(at + 1, &block('<', line)).await),
            Some(b'@') => {
                stage.direct(at + 1, line[1..].trim()).await;
                vec![line.to_owned()]
            }
            _ => panic!("{name}:{}: {line:?}", at + 1),
        };
        lines.iter().for_each(|line| written = format!("{written}{line}\n"));
    }
    Played { record: sim.record(), text: written }
}

fn signed(sign: char, lines: &[String]) -> Vec<String> {
    let signed = |line: &String| if line.is_empty() { sign.to_string() } else { format!("{sign} {line}") };
    lines.iter().map(signed).collect()
}

struct Stage<'a> {
    sim: Sim,
    name: &'a str,
    server: Option<(Server, Handle)>,
    conns: BTreeMap<String, Conn>,
    on: String,
    known: BTreeMap<String, String>,
    /// Answers are written down, not compared.
    write: bool,
}

impl Stage<'_> {
    fn server(&mut self) -> &(Server, Handle) {
        self.server.get_or_insert_with(|| with_handle(self.sim.serve()))
    }

    fn conn(&mut self) -> &mut Conn {
        let server = self.server().0.clone();
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

    /// Reads an answer, or more of one; the lines that it should have, or those that it has.
    async fn answer(&mut self, at: usize, expected: &[String]) -> Vec<String> {
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
        let events = |lines: &[String]| lines.iter().filter(|line| line.is_empty()).count();
        while events(&seen) < events(expected) {
            match self.conn().event().await {
                Some(event) => seen.extend(event.text.split('\n').map(str::to_owned)),
                None => break,
            }
        }
        if self.write {
            return self.written(expected, seen);
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
        expected.to_vec()
    }

    /// What came, with names for what is captured: a name stands for what follows the letters that it follows.
    fn written(&mut self, expected: &[String], mut seen: Vec<String>) -> Vec<String> {
        for line in expected {
            let line = self.fill(line);
            let Some((before, name, _)) = next_name(&line) else { continue };
            let before: String = before.chars().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect();
            let behind = seen.iter().find_map(|line| Some(line.split_once(&before)?.1));
            let value: String = behind.unwrap_or_default().chars().take_while(|c| is_captured(*c)).collect();
            if !value.is_empty() {
                self.known.insert(name.to_owned(), value);
            }
        }
        for (name, value) in &self.known {
            seen.iter_mut().for_each(|line| *line = line.replace(value, &format!("{{{name}}}")));
        }
        seen
    }

    /// Compares a line, and captures what its unknown names stand for.
    fn matches(&mut self, expected: &str, got: &str) -> bool {
        let expected = self.fill(expected);
        if expected == got {
            return true;
        }
        let mut rest = got;
        let mut pattern = expected.as_str();
        while let Some((before, name, after)) = next_name(pattern) {
            let Some(behind) = rest.strip_prefix(before) else { return false };
            let length = behind.chars().take_while(|c| is_captured(*c)).count();
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
                self.server = Some(match rest.split_once(' ') {
                    Some(("idle", ms)) => with_handle(self.sim.serve_within(idle(ms.parse().unwrap()))),
                    _ => {
                        assert_eq!(rest, "tour", "{}:{at}", self.name);
                        tour::serve(&self.sim)
                    }
                });
            }
            "running" => {
                let shown = self.server().1.sessions().await.unwrap();
                let shown: Value = serde_json::from_str(&shown).unwrap();
                assert_eq!(shown["gauges"]["calls_running"].to_string(), rest, "{}:{at}", self.name);
            }
            "changed" => match rest {
                "tools" => self.server().1.tools_list_changed(),
                "prompts" => self.server().1.prompts_list_changed(),
                "resources" => self.server().1.resources_list_changed(),
                _ => panic!("{}:{at}: {words}", self.name),
            },
            "updated" => self.server().1.resource_updated(rest),
            "shutdown" => self.server().1.shutdown(Duration::from_millis(rest.parse().unwrap())),
            "on" => self.on = rest.to_owned(),
            "at" if self.write => {}
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

fn with_handle(server: Server) -> (Server, Handle) {
    let handle = server.handle().clone();
    (server, handle)
}

/// Ids are made of these.
fn is_captured(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_".contains(letter)
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
