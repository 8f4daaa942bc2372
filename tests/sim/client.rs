//! Clients of both transports, as sloppy or as strict as a test wants them.

use serde_json::{Value, json};

use super::server::Server;
use super::wire::{Conn, Event, Reply};

pub(crate) const BOTH: &str = "application/json, text/event-stream";
pub(crate) const JSON: &str = "application/json";
pub(crate) const SSE: &str = "text/event-stream";
pub(crate) const LATEST: &str = "2025-11-25";
/// The revisions of Streamable HTTP with sessions.
pub(crate) const STREAMABLE: [&str; 3] = ["2025-03-26", "2025-06-18", LATEST];

// ---- bytes of requests ----

/// A request; Host, and for a body its type, length and what is accepted, are added where they are missing.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    let length = body.len().to_string();
    let usual = [("Host", "localhost"), ("Content-Type", JSON), ("Accept", BOTH), ("Content-Length", &length)];
    let usual = &usual[..if method == "POST" { 4 } else { 1 }];
    let missing = usual.iter().filter(|(name, _)| !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)));
    for (name, value) in missing.chain(headers) {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n" + body).into_bytes()
}

pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    request("POST", path, headers, body)
}

pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", path, headers, "")
}

// ---- messages ----

pub(crate) fn rpc(id: impl Into<Value>, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params }).to_string()
}

pub(crate) fn notification(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

pub(crate) fn initialize(revision: &str) -> String {
    initialize_with(revision, json!({}))
}

/// The same by a client that can do something.
pub(crate) fn initialize_with(revision: &str, capabilities: Value) -> String {
    let client = json!({ "name": "sim", "version": "0.1" });
    rpc(0, "initialize", json!({ "protocolVersion": revision, "capabilities": capabilities, "clientInfo": client }))
}

pub(crate) fn initialized() -> String {
    notification("notifications/initialized", json!({}))
}

pub(crate) fn ping(id: impl Into<Value>) -> String {
    rpc(id, "ping", json!({}))
}

pub(crate) fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> String {
    rpc(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

pub(crate) fn call_with_token(id: impl Into<Value>, tool: &str, arguments: Value, token: impl Into<Value>) -> String {
    let meta = json!({ "progressToken": token.into() });
    rpc(id, "tools/call", json!({ "name": tool, "arguments": arguments, "_meta": meta }))
}

/// An answer to a request of the server's.
pub(crate) fn response(id: &Value, result: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

pub(crate) fn cancelled(id: impl Into<Value>) -> String {
    notification("notifications/cancelled", json!({ "requestId": id.into() }))
}

/// The text of a tool's result.
pub(crate) fn said(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

// ---- Streamable HTTP ----

/// A session of Streamable HTTP.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) server: Server,
    pub(crate) id: String,
    pub(crate) revision: &'static str,
    pub(crate) token: Option<&'static str>,
}

/// An answer to a POST, in whichever form it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Reply,
    pub(crate) events: Vec<Event>,
    pub(crate) messages: Vec<Value>,
    /// When its last byte came, in milliseconds.
    pub(crate) at: u64,
}

impl Answer {
    pub(crate) fn is_stream(&self) -> bool {
        self.head.header("content-type") == Some(SSE)
    }

    /// The answer itself: the last message.
    pub(crate) fn last(&self) -> &Value {
        self.messages.last().unwrap_or_else(|| panic!("no message: {self:?}"))
    }

    pub(crate) fn said(&self) -> &str {
        said(self.last())
    }
}

impl Conn {
    /// Reads the answer to a POST to its end.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut head = self.head().await.expect("an answer");
        let (mut events, mut messages) = (Vec::new(), Vec::new());
        if head.header("content-type") == Some(SSE) {
            events = self.events().await;
            messages = events.iter().filter(|event| event.is_message()).map(Event::json).collect();
        } else {
            self.rest_of(&mut head).await;
            if !head.body.is_empty() && head.header("content-type") == Some(JSON) {
                messages = vec![head.json()];
            }
        }
        Answer { head, events, messages, at: self.sim.ms() }
    }
}

impl Session {
    /// Opens a session and says that it is initialised.
    pub(crate) async fn open(server: &Server, revision: &'static str) -> Session {
        Session::open_as(server, revision, None).await
    }

    pub(crate) async fn open_as(server: &Server, revision: &'static str, token: Option<&'static str>) -> Session {
        Session::open_able(server, revision, token, json!({})).await
    }

    /// Opens a session of a client that can do something for its server.
    pub(crate) async fn open_able(
        server: &Server,
        revision: &'static str,
        token: Option<&'static str>,
        capabilities: Value,
    ) -> Session {
        let mut session = Session { server: server.clone(), id: String::new(), revision, token };
        let mut conn = session.send(&initialize_with(revision, capabilities)).await;
        let reply = conn.reply().await;
        assert_eq!(reply.status, 200, "{}{}", reply.head, reply.text());
        assert_eq!(reply.json()["result"]["protocolVersion"], revision);
        session.id = reply.header("mcp-session-id").unwrap().to_owned();
        assert_eq!(session.send(&initialized()).await.reply().await.status, 202);
        session
    }

    /// The bytes of a POST in this session, with more headers or other ones.
    pub(crate) fn bytes(&self, method: &str, more: &[(&str, &str)], body: &str) -> Vec<u8> {
        let bearer = self.token.map(|token| format!("Bearer {token}"));
        let mut headers: Vec<(&str, &str)> = Vec::new();
        if !self.id.is_empty() {
            headers.push(("Mcp-Session-Id", &self.id));
            headers.push(("MCP-Protocol-Version", self.revision));
        }
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        headers.retain(|(name, _)| !more.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
        headers.extend(more);
        request(method, "/mcp", &headers, body)
    }

    /// Sends a message on a connection of its own.
    pub(crate) async fn send(&self, body: &str) -> Conn {
        self.send_with(&[], body).await
    }

    pub(crate) async fn send_with(&self, more: &[(&str, &str)], body: &str) -> Conn {
        let mut conn = self.server.connect();
        conn.send(self.bytes("POST", more, body)).await;
        conn
    }

    /// Sends a message and reads the answer.
    pub(crate) async fn post(&self, body: &str) -> Answer {
        self.send(body).await.answer().await
    }

    pub(crate) async fn post_with(&self, more: &[(&str, &str)], body: &str) -> Answer {
        self.send_with(more, body).await.answer().await
    }

    /// The status of a `ping`: 200 while the session lives.
    pub(crate) async fn status(&self) -> u16 {
        self.post(&ping(99)).await.head.status
    }

    /// Opens the session's GET stream.
    pub(crate) async fn listen(&self) -> Conn {
        let (conn, head) = self.get(&[("Accept", SSE)]).await;
        assert_eq!((head.status, head.header("content-type")), (200, Some(SSE)), "{}", head.head);
        conn
    }

    /// Resumes a stream after an event.
    pub(crate) async fn resume(&self, event: &str) -> (Conn, Reply) {
        self.get(&[("Accept", SSE), ("Last-Event-ID", event)]).await
    }

    pub(crate) async fn get(&self, headers: &[(&str, &str)]) -> (Conn, Reply) {
        let mut conn = self.server.connect();
        conn.send(self.bytes("GET", headers, "")).await;
        let mut head = conn.head().await.unwrap();
        if head.header("content-type") != Some(SSE) {
            conn.rest_of(&mut head).await;
        }
        (conn, head)
    }

    pub(crate) async fn delete(&self) -> Reply {
        let mut conn = self.server.connect();
        conn.ask(self.bytes("DELETE", &[], "")).await
    }
}

// ---- HTTP+SSE ----

/// A session of HTTP+SSE: its stream, and where its POSTs go.
pub(crate) struct Legacy {
    pub(crate) server: Server,
    pub(crate) stream: Conn,
    pub(crate) endpoint: String,
}

impl Legacy {
    /// Opens the stream and reads the endpoint.
    pub(crate) async fn connect(server: &Server) -> Legacy {
        let stream = server.connect();
        Legacy::connect_with(server, stream, "/sse", &[]).await
    }

    pub(crate) async fn connect_with(
        server: &Server,
        mut stream: Conn,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Legacy {
        stream.send(get(path, headers)).await;
        let head = stream.head().await.unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, Some(SSE)), "{}", head.head);
        let first = stream.event().await.unwrap();
        assert_eq!(first.name.as_deref(), Some("endpoint"), "H-2: {first:?}");
        Legacy { server: server.clone(), stream, endpoint: first.data.unwrap() }
    }

    /// Opens a session and initialises it.
    pub(crate) async fn open(server: &Server) -> Legacy {
        Legacy::open_able(server, "2024-11-05", json!({})).await
    }

    /// The same in another revision, by a client that can do something for its server.
    pub(crate) async fn open_able(server: &Server, revision: &str, capabilities: Value) -> Legacy {
        let mut legacy = Legacy::connect(server).await;
        assert_eq!(legacy.post(&initialize_with(revision, capabilities)).await.status, 202);
        assert_eq!(legacy.stream.message().await.unwrap()["result"]["protocolVersion"], revision);
        assert_eq!(legacy.post(&initialized()).await.status, 202);
        legacy
    }

    pub(crate) fn session_id(&self) -> &str {
        self.endpoint.split_once("session_id=").unwrap().1
    }

    /// POSTs a message on a connection of its own; the answer comes on the stream.
    pub(crate) async fn post(&self, body: &str) -> Reply {
        self.server.connect().ask(post(&self.endpoint, &[], body)).await
    }

    /// POSTs a call and reads the next message of the stream.
    pub(crate) async fn ask(&mut self, body: &str) -> Value {
        let reply = self.post(body).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        self.stream.message().await.unwrap()
    }
}
