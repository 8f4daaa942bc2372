//! A client of 2026-07-28: every request stands alone, with its envelope and its mirrored headers.

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use super::client::{Answer, BOTH, SSE, request};
use super::server::Server;
use super::wire::Conn;

pub(crate) const MODERN: &str = "2026-07-28";
pub(crate) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
pub(crate) const SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// A client; what it can do it says with every request.
#[derive(Clone)]
pub(crate) struct Stateless {
    pub(crate) server: Server,
    pub(crate) capabilities: Value,
    pub(crate) token: Option<&'static str>,
}

/// A request, before it is sent: everything in it can be changed.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) body: Value,
    headers: Vec<(String, String)>,
}

impl Ask {
    /// Sends this header in place of the usual one.
    pub(crate) fn header(self, name: &str, value: &str) -> Ask {
        self.without(name).more(name, value)
    }

    /// Sends this header too.
    pub(crate) fn more(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Ask {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn id(mut self, id: impl Into<Value>) -> Ask {
        self.body["id"] = id.into();
        self
    }

    /// Puts something else into the envelope.
    pub(crate) fn meta(mut self, key: &str, value: impl Into<Value>) -> Ask {
        self.body["params"]["_meta"][key] = value.into();
        self
    }

    pub(crate) fn without_meta(mut self, key: &str) -> Ask {
        self.body["params"]["_meta"].as_object_mut().unwrap().remove(key).expect("it was there");
        self
    }

    /// The same revision in the header and in the envelope.
    pub(crate) fn version(self, version: &str) -> Ask {
        self.header("MCP-Protocol-Version", version).meta(VERSION, version)
    }

    /// Adds a member to the params.
    pub(crate) fn param(mut self, name: &str, value: impl Into<Value>) -> Ask {
        self.body["params"][name] = value.into();
        self
    }

    /// The same request as a client would send it again with answers.
    pub(crate) fn again(self, state: &Value, answers: Value) -> Ask {
        let ask = self.id("again").param("inputResponses", answers);
        if state.is_null() { ask } else { ask.param("requestState", state.clone()) }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        request("POST", "/mcp", &headers, &self.body.to_string())
    }
}

/// A value as it stands in a header: itself, or in Base64 where it cannot.
pub(crate) fn header_value(text: &str) -> String {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain { text.to_owned() } else { format!("=?base64?{}?=", Base64::encode_string(text.as_bytes())) }
}

impl Stateless {
    /// A client that can do nothing for a server.
    pub(crate) fn new(server: &Server) -> Stateless {
        Stateless { server: server.clone(), capabilities: json!({}), token: None }
    }

    /// A client that can do all there is.
    pub(crate) fn able(server: &Server) -> Stateless {
        Stateless { capabilities: everything(), ..Stateless::new(server) }
    }

    /// A request with its envelope and the headers that repeat it.
    pub(crate) fn ask(&self, method: &str, params: Value) -> Ask {
        let mut params = params;
        let meta = &mut params["_meta"];
        meta[VERSION] = MODERN.into();
        meta[CAPABILITIES] = self.capabilities.clone();
        let name = ["name", "uri", "taskId"].iter().find_map(|member| params[*member].as_str()).map(header_value);
        let mut ask = Ask { body: json!({ "jsonrpc": "2.0", "id": 1, "method": method }), headers: Vec::new() };
        ask = ask.more("MCP-Protocol-Version", MODERN).more("Mcp-Method", method).more("Accept", BOTH);
        if let Some(name) = name {
            ask = ask.more("Mcp-Name", &name);
        }
        if let Some(token) = self.token {
            ask = ask.more("Authorization", &format!("Bearer {token}"));
        }
        ask.body["params"] = params;
        ask
    }

    /// A call of a tool.
    pub(crate) fn call(&self, tool: &str, arguments: Value) -> Ask {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, ask: &Ask) -> Conn {
        let mut conn = self.server.connect();
        conn.send(ask.bytes()).await;
        conn
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn post(&self, ask: &Ask) -> Answer {
        self.send(ask).await.answer().await
    }

    /// Calls a tool and reads the answer.
    pub(crate) async fn calls(&self, tool: &str, arguments: Value) -> Answer {
        self.post(&self.call(tool, arguments)).await
    }

    /// A method without a target, and its answer.
    pub(crate) async fn gets(&self, method: &str, params: Value) -> Answer {
        self.post(&self.ask(method, params)).await
    }

    /// Opens a `subscriptions/listen` and reads its first message.
    pub(crate) async fn listen(&self, id: impl Into<Value>, filter: Value) -> (Conn, Value) {
        let ask = self.ask("subscriptions/listen", json!({ "notifications": filter })).id(id);
        let mut conn = self.send(&ask).await;
        let head = conn.head().await.unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, Some(SSE)), "F-151: {}", head.head);
        let first = conn.message().await.unwrap();
        (conn, first)
    }
}

/// All capabilities of a client.
pub(crate) fn everything() -> Value {
    json!({ "elicitation": { "form": {}, "url": {} }, "sampling": { "tools": {} }, "roots": { "listChanged": true } })
}

/// Status, code and id of an error that came as JSON.
pub(crate) fn fault(answer: &Answer) -> (u16, i64, &Value) {
    let message = answer.last();
    let code = message["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {message}"));
    (answer.head.status, code, &message["id"])
}
