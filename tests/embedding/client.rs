//! A client of few words: a request of HTTP/1.0 on a connection of its own, read to the end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) const LATEST: &str = "2025-11-25";
/// How long a test waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a server is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(std::path::PathBuf),
}

/// Something to talk to a server through.
pub(crate) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

impl Place {
    pub(crate) fn unix(path: &Path) -> Place {
        Place::Unix(path.to_owned())
    }

    pub(crate) fn connect(&self) -> Box<dyn Wire> {
        match self {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        }
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) fn ask(&self, bytes: &[u8]) -> Answer {
        let mut wire = self.connect();
        wire.write_all(bytes).unwrap();
        let mut text = String::new();
        wire.read_to_string(&mut text).unwrap();
        Answer(text)
    }

    /// Sends a request and reads until `until` has come; the connection stays open.
    pub(crate) fn begin(&self, bytes: &[u8], until: &str) -> (Box<dyn Wire>, String) {
        let mut wire = self.connect();
        wire.write_all(bytes).unwrap();
        let text = read_until(&mut wire, until);
        (wire, text)
    }

    /// Opens a session; its id.
    pub(crate) fn open(&self, capabilities: Value) -> String {
        let client = json!({ "name": "embedding", "version": "1" });
        let params = json!({ "protocolVersion": LATEST, "capabilities": capabilities, "clientInfo": client });
        let answer = self.ask(&post(None, &rpc(0, "initialize", params)));
        answer.header("mcp-session-id").unwrap_or_else(|| panic!("no session: {answer:?}"))
    }

    /// Calls a tool; its text.
    pub(crate) fn call(&self, session: &str, tool: &str, arguments: Value) -> String {
        let body = rpc(1, "tools/call", json!({ "name": tool, "arguments": arguments }));
        let answer = self.ask(&post(Some(session), &body));
        let last = answer.messages().pop().unwrap_or_else(|| panic!("no answer: {answer:?}"));
        last["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {last}")).to_owned()
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    pub(crate) fn status(&self) -> &str {
        self.0.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let head = self.0.split("\r\n\r\n").next()?;
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
        Some(line.to_owned())
    }

    /// The messages in it, whether it is JSON or events.
    pub(crate) fn messages(&self) -> Vec<Value> {
        messages(self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body))
    }
}

/// The messages in a body or in part of a stream.
pub(crate) fn messages(body: &str) -> Vec<Value> {
    if let Ok(whole) = serde_json::from_str(body) {
        return vec![whole];
    }
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|text| serde_json::from_str(text).ok()).collect()
}

pub(crate) fn read_until(wire: &mut dyn Read, until: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(until) {
        let n = wire.read(&mut buffer).unwrap_or_else(|error| panic!("{error} before {until:?}: {text}"));
        assert!(n > 0, "ended before {until:?}: {text}");
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
    text
}

pub(crate) fn rpc(id: impl Into<Value>, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params }).to_string()
}

pub(crate) fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.0\r\n{headers}\r\n").into_bytes()
}

pub(crate) fn post(session: Option<&str>, body: &str) -> Vec<u8> {
    let session = session.map(|id| format!("Mcp-Session-Id: {id}\r\n")).unwrap_or_default();
    post_with(&session, body)
}

pub(crate) fn post_with(headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /mcp HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
