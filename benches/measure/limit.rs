//! The limit: the least that answers a call of Streamable HTTP correctly on one thread. It parses heads with httparse
//! and bodies with serde_json into borrowed structs, and writes the answer with one system call.
//!
//! What it leaves out is what a server is for: limits, time, sessions, schemas, streams, every check. No server that
//! has them can be faster; how close one comes is what the figures beside it say.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Outcome;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    arguments: Option<Arguments<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    text: std::borrow::Cow<'a, str>,
}

/// Marks the listener among the events; connections are numbered from zero.
const LISTENER: u64 = u64::MAX;
const SESSION: &str = "0123456789abcdef0123456789abcdef";

struct Connection {
    stream: TcpStream,
    pending: Vec<u8>,
}

/// Serves until it is killed.
pub(crate) fn serve(port: u16) -> Outcome<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poller, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let (mut events, mut scratch, mut out) = (Vec::with_capacity(256), vec![0; 64 * 1024], Vec::new());
    loop {
        events.clear();
        epoll::wait(&poller, spare_capacity(&mut events), None)?;
        for event in &events {
            let key = event.data.u64();
            if key == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let key = connections.len() as u64;
                    epoll::add(&poller, &stream, epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
                    connections.push(Some(Connection { stream, pending: Vec::new() }));
                }
                continue;
            }
            let slot = &mut connections[key as usize];
            if slot.as_mut().is_some_and(|connection| !connection.turn(&mut scratch, &mut out)) {
                *slot = None;
            }
        }
    }
}

impl Connection {
    /// Reads once and answers what is whole; false at the end.
    fn turn(&mut self, scratch: &mut [u8], out: &mut Vec<u8>) -> bool {
        let n = match self.stream.read(scratch) {
            Ok(0) => return false,
            Ok(n) => n,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let used = if self.pending.is_empty() {
            let used = answer_all(&scratch[..n], out);
            if used < n {
                self.pending.extend_from_slice(&scratch[used..n]);
            }
            used
        } else {
            self.pending.extend_from_slice(&scratch[..n]);
            let used = answer_all(&self.pending, out);
            self.pending.drain(..used);
            used
        };
        let sent = used == 0 || self.stream.write_all(out).is_ok();
        out.clear();
        sent
    }
}

/// Answers every whole request; how many bytes they were.
fn answer_all(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let mut used = 0;
    while let Some(length) = answer(&bytes[used..], out) {
        used += length;
    }
    used
}

fn answer(bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).ok()? else { return None };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length?.value).ok()?.parse().ok()?;
    let body = bytes.get(head..head + length)?;
    let message: Message<'_> = serde_json::from_slice(body).ok()?;
    let Some(id) = message.id else {
        out.extend_from_slice(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        return Some(head + length);
    };
    let (mut json, mut session) = (Vec::with_capacity(256), String::new());
    let written = if message.method == "initialize" {
        session = format!("mcp-session-id: {SESSION}\r\n");
        write!(
            json,
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"limit","version":"1"}}}}}}"#
        )
    } else {
        let text = message.params?.arguments?.text;
        let text = serde_json::to_string(&text).ok()?;
        write!(json, r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":{text}}}]}}}}"#)
    };
    written.ok()?;
    write!(out, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{session}content-length: {}\r\n\r\n", json.len())
        .ok()?;
    out.extend_from_slice(&json);
    Some(head + length)
}
