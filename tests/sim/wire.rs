//! A client's connection: raw bytes out, and answers read the way a strict client reads them.

use std::io;

use serde_json::Value;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::Sim;
use super::pipe::End;

/// One connection to a server.
pub(crate) struct Conn {
    pub(crate) end: End,
    pub(crate) sim: Sim,
    number: u32,
    /// Bytes read and not yet used.
    pub(crate) bytes: Vec<u8>,
    /// The body of the current answer, without its chunks.
    body: Body,
    decoded: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Body {
    Length(usize),
    Chunks,
    ToTheEnd,
    Done,
}

/// An answer: its head and, once read, its body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Status line and header lines as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {}\n{text}", self.head))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One block of an event stream: an event, a comment, or `retry` alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) comments: Vec<String>,
    /// The block's own bytes.
    pub(crate) text: String,
    /// When it was read, in milliseconds.
    pub(crate) at: u64,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.data.as_deref().unwrap()).unwrap()
    }

    pub(crate) fn is_message(&self) -> bool {
        self.data.as_deref().is_some_and(|data| !data.is_empty())
    }

    pub(crate) fn is_comment(&self) -> bool {
        self.data.is_none() && self.id.is_none() && self.name.is_none() && !self.comments.is_empty()
    }

    /// Reads a block strictly (W-2, W-4 … W-6).
    fn parse(text: &str, at: u64) -> Event {
        let mut event = Event { text: text.to_owned(), at, ..Event::default() };
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "" => event.comments.push(value),
                "id" => assert!(event.id.replace(value).is_none(), "two ids: {text:?}"),
                "event" => assert!(event.name.replace(value).is_none(), "two names: {text:?}"),
                "data" => assert!(event.data.replace(value).is_none(), "two data lines: {text:?}"),
                "retry" => event.retry = Some(value.parse().unwrap()),
                _ => panic!("an unknown field: {line:?}"),
            }
        }
        event
    }
}

impl Conn {
    pub(crate) fn new(end: End, sim: &Sim) -> Conn {
        let number = sim.next_connection();
        Conn { end, sim: sim.clone(), number, bytes: Vec::new(), body: Body::Done, decoded: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.end.write_all(bytes.as_ref()).await
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Reply {
        self.send(bytes).await;
        self.reply().await
    }

    /// Reads more; false if there is no more.
    async fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 16 * 1024];
        match self.end.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.sim.note(self.number, &buffer[..n]);
                self.bytes.extend_from_slice(&buffer[..n]);
                true
            }
        }
    }

    /// The head of the next answer; none if the connection ends before it.
    pub(crate) async fn head(&mut self) -> Option<Reply> {
        assert_eq!(self.body, Body::Done, "the body before was not read");
        let end = loop {
            if let Some(at) = self.bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                assert!(self.bytes.is_empty(), "half an answer: {}", self.bytes.escape_ascii());
                return None;
            }
        };
        let head = String::from_utf8(self.bytes.drain(..end).collect()).unwrap();
        let reply = Reply { status: head[9..12].parse().unwrap(), head, body: Vec::new() };
        assert!(reply.header("location").is_none() && !(300..400).contains(&reply.status), "P15: {}", reply.head);
        self.decoded.clear();
        self.body = match (reply.header("content-length"), reply.header("transfer-encoding")) {
            _ if reply.status < 200 || reply.status == 204 => Body::Done,
            (Some(length), None) => Body::Length(length.parse().unwrap()),
            (None, Some("chunked")) => Body::Chunks,
            (None, None) => Body::ToTheEnd,
            _ => panic!("ambiguous: {}", reply.head),
        };
        Some(reply)
    }

    /// The next answer with all of its body.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.reply_to("POST").await
    }

    pub(crate) async fn reply_to(&mut self, method: &str) -> Reply {
        let mut reply = self.head().await.expect("an answer");
        if method == "HEAD" {
            self.body = Body::Done;
        }
        while self.decode().await {}
        reply.body = std::mem::take(&mut self.decoded);
        reply
    }

    /// Decodes some more of the body; false at its end.
    async fn decode(&mut self) -> bool {
        loop {
            match self.body {
                Body::Done => return false,
                Body::Length(0) => self.body = Body::Done,
                Body::Length(left) if !self.bytes.is_empty() => {
                    let n = left.min(self.bytes.len());
                    self.decoded.extend(self.bytes.drain(..n));
                    self.body = if n == left { Body::Done } else { Body::Length(left - n) };
                    return true;
                }
                Body::ToTheEnd if !self.bytes.is_empty() => {
                    self.decoded.append(&mut self.bytes);
                    return true;
                }
                Body::Chunks => {
                    if let Some(done) = self.chunk() {
                        return !done;
                    }
                }
                _ => {}
            }
            if self.body != Body::Done && !self.fill().await {
                assert!(matches!(self.body, Body::ToTheEnd), "the connection ended within a body");
                self.body = Body::Done;
            }
        }
    }

    /// Takes one whole chunk; true if it was the last.
    fn chunk(&mut self) -> Option<bool> {
        let line = self.bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&self.bytes[..line]).unwrap(), 16).unwrap();
        let whole = line + 2 + size + 2;
        if self.bytes.len() < whole {
            return None;
        }
        assert_eq!(&self.bytes[whole - 2..whole], b"\r\n", "a chunk ends where its size says");
        self.decoded.extend_from_slice(&self.bytes[line + 2..line + 2 + size]);
        self.bytes.drain(..whole);
        if size == 0 {
            self.body = Body::Done;
        }
        Some(size == 0)
    }

    /// The next block of a stream; none at its proper end. A connection that breaks off fails the test.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(at) = self.decoded.windows(2).position(|window| window == b"\n\n") {
                let block: Vec<u8> = self.decoded.drain(..at + 2).collect();
                let text = std::str::from_utf8(&block[..at + 1]).unwrap();
                return Some(Event::parse(text, self.sim.ms()));
            }
            if !self.decode().await {
                assert!(self.decoded.is_empty(), "half an event: {}", self.decoded.escape_ascii());
                return None;
            }
        }
    }

    /// The next message of a stream; comments and priming events are skipped. None at its end.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        loop {
            match self.event().await {
                Some(event) if event.is_message() => return Some(event.json()),
                Some(_) => {}
                None => return None,
            }
        }
    }

    /// All events to the stream's end.
    pub(crate) async fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }

    /// Everything until the connection ends, raw.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.bytes)
    }
}

impl Conn {
    /// Reads the body that belongs to a head.
    pub(crate) async fn rest_of(&mut self, reply: &mut Reply) {
        while self.decode().await {}
        reply.body = std::mem::take(&mut self.decoded);
    }
}
