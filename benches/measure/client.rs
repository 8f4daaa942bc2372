//! The bytes of requests, and where an answer ends.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::Outcome;
use crate::options::Kind;

/// What is called, and what has to come back.
pub(crate) const TEXT: &str = "the quick brown fox jumps over the lazy dog";

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"measure","version":"1"}}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"VERSION","capabilities":{},"clientInfo":{"name":"measure","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Where the number of a call stands in a request, always with as many digits.
pub(crate) const DIGITS: usize = 8;
const PLACE: &str = "10000000";

/// A client that has introduced itself, and the call that it repeats.
pub(crate) struct Client {
    /// What calls are written to.
    pub(crate) calls: TcpStream,
    /// What their answers come from, if that is another connection.
    pub(crate) events: Option<TcpStream>,
    request: Vec<u8>,
    at: usize,
}

fn request(to: &TcpStream, path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\n{}Content-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        host(to),
        body.len()
    )
    .into_bytes()
}

/// With the port, which some servers insist on.
fn host(to: &TcpStream) -> String {
    to.peer_addr().map(|address| format!("Host: {address}\r\n")).unwrap_or_default()
}

/// The body of a call; `meta` is what an envelope adds to its params.
fn call(meta: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{PLACE},"method":"tools/call","params":{{{meta}"name":"echo","arguments":{{"text":"{TEXT}"}}}}}}"#
    )
}

pub(crate) fn initialize(to: &TcpStream, version: &str) -> Vec<u8> {
    request(to, "/mcp", "", &INITIALIZE.replace("VERSION", version))
}

/// Reads what a blocking connection brings until there is a whole answer.
pub(crate) fn read_answer(stream: &mut TcpStream) -> Outcome<String> {
    let mut bytes = Vec::new();
    while answer_length(&bytes).is_none() {
        read_more(stream, &mut bytes)?;
    }
    Ok(String::from_utf8(bytes)?)
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Outcome<()> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer)? {
        0 => Err(format!("the connection ended after {:?}", String::from_utf8_lossy(bytes)).into()),
        n => {
            bytes.extend_from_slice(&buffer[..n]);
            Ok(())
        }
    }
}

/// The length of the whole answer that `bytes` begin with, if it is whole.
pub(crate) fn answer_length(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?.to_ascii_lowercase();
    if let Some(length) = text.lines().find_map(|line| line.strip_prefix("content-length:")) {
        let whole = head + length.trim().parse::<usize>().ok()?;
        return (bytes.len() >= whole).then_some(whole);
    }
    // Chunked: the last chunk ends it. None of our answers contains its bytes.
    let end = find(&bytes[head..], b"0\r\n\r\n")?;
    Some(head + end + 5)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

impl Client {
    pub(crate) fn open(kind: Kind, connect: &mut dyn FnMut() -> Outcome<TcpStream>) -> Outcome<Client> {
        let (calls, events, request) = match kind {
            Kind::Session => open_session(connect()?)?,
            Kind::Stateless => {
                let headers = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n";
                let stream = connect()?;
                let request = request(&stream, "/mcp", headers, &call(&format!("{META},")));
                (stream, None, request)
            }
            Kind::Sse => open_sse(connect()?, connect()?)?,
        };
        let at = find(&request, PLACE.as_bytes()).ok_or("a request without its number")?;
        Ok(Client { calls, events, request, at })
    }

    /// The request with this number.
    pub(crate) fn request(&mut self, number: u64) -> &[u8] {
        let text = format!("{:0DIGITS$}", number % 90_000_000 + 10_000_000);
        self.request[self.at..self.at + DIGITS].copy_from_slice(text.as_bytes());
        &self.request
    }

    /// Is this the answer to the last request?
    pub(crate) fn is_answer(&self, bytes: &[u8]) -> bool {
        let number = &self.request[self.at..self.at + DIGITS];
        let id = find(bytes, number).and_then(|at| bytes.get(..at)).map(<[u8]>::trim_ascii_end);
        id.is_some_and(|before| before.ends_with(b"\"id\":")) && find(bytes, TEXT.as_bytes()).is_some()
    }
}

type Opened = (TcpStream, Option<TcpStream>, Vec<u8>);

fn open_session(mut stream: TcpStream) -> Outcome<Opened> {
    stream.write_all(&initialize(&stream, "2025-11-25"))?;
    let answer = read_answer(&mut stream)?;
    let id = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("mcp-session-id").then(|| value.trim().to_owned())
    });
    let session = id.map(|id| format!("Mcp-Session-Id: {id}\r\n")).unwrap_or_default();
    let headers = format!("{session}MCP-Protocol-Version: 2025-11-25\r\n");
    stream.write_all(&request(&stream, "/mcp", &headers, INITIALIZED))?;
    read_answer(&mut stream)?;
    let request = request(&stream, "/mcp", &headers, &call(""));
    Ok((stream, None, request))
}

fn open_sse(mut events: TcpStream, mut calls: TcpStream) -> Outcome<Opened> {
    write!(events, "GET /sse HTTP/1.1\r\n{}Accept: text/event-stream\r\n\r\n", host(&calls))?;
    let endpoint = read_event(&mut events)?;
    let data = endpoint.lines().find_map(|line| line.strip_prefix("data: ")).ok_or("no endpoint")?;
    let path = data.strip_prefix("http://").map_or(data, |rest| &rest[rest.find('/').unwrap_or(0)..]).to_owned();
    calls.write_all(&request(&calls, &path, "", &INITIALIZE.replace("VERSION", "2024-11-05")))?;
    read_answer(&mut calls)?;
    read_event(&mut events)?;
    calls.write_all(&request(&calls, &path, "", INITIALIZED))?;
    read_answer(&mut calls)?;
    let request = request(&calls, &path, "", &call(""));
    Ok((calls, Some(events), request))
}

/// Reads what a stream brings until an event with data is whole.
fn read_event(stream: &mut TcpStream) -> Outcome<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        if text.split_once("data: ").is_some_and(|(_, rest)| rest.contains("\n\n")) {
            return Ok(text);
        }
        read_more(stream, &mut bytes)?;
    }
}

/// Opens a session with an idle stream; what keeps it open.
pub(crate) fn open_idle(kind: Kind, mut stream: TcpStream) -> Outcome<TcpStream> {
    if kind == Kind::Sse {
        let host = host(&stream);
        write!(stream, "GET /sse HTTP/1.1\r\n{host}Accept: text/event-stream\r\n\r\n")?;
        read_event(&mut stream)?;
        return Ok(stream);
    }
    let (mut stream, _, request) = open_session(stream)?;
    let text = String::from_utf8(request)?;
    let session = text.lines().find(|line| line.starts_with("Mcp-Session-Id")).ok_or("a server without sessions")?;
    let host = host(&stream);
    write!(stream, "GET /mcp HTTP/1.1\r\n{host}Accept: text/event-stream\r\n{session}\r\n\r\n")?;
    let mut bytes = Vec::new();
    while find(&bytes, b"\r\n\r\n").is_none() {
        read_more(&mut stream, &mut bytes)?;
    }
    Ok(stream)
}
