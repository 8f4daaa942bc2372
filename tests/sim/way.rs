//! A client of any revision, over any transport, for what is the same in all of them.

use serde_json::{Value, json};

use super::client::{Legacy, Session, rpc};
use super::server::Server;
use super::stateless::{MODERN, Stateless};

pub(crate) enum Way {
    Streamable(Session),
    HttpSse(Box<Legacy>),
    Stateless(Stateless),
}

/// The revisions with the transports that they are spoken over.
pub(crate) const WAYS: [(&str, &str); 8] = [
    ("2024-11-05", "http+sse"),
    ("2025-03-26", "http+sse"),
    ("2025-06-18", "http+sse"),
    ("2025-11-25", "http+sse"),
    ("2025-03-26", "streamable"),
    ("2025-06-18", "streamable"),
    ("2025-11-25", "streamable"),
    (MODERN, "stateless"),
];

impl Way {
    pub(crate) async fn open(server: &Server, (revision, transport): (&'static str, &str), capabilities: Value) -> Way {
        match transport {
            "http+sse" => Way::HttpSse(Legacy::open_able(server, revision, capabilities).await.into()),
            "streamable" => Way::Streamable(Session::open_able(server, revision, None, capabilities).await),
            _ => Way::Stateless(Stateless { capabilities, ..Stateless::new(server) }),
        }
    }

    /// One client of each.
    pub(crate) async fn all(server: &Server) -> Vec<(&'static str, Way)> {
        let mut ways = Vec::new();
        for way in WAYS {
            ways.push((way.0, Way::open(server, way, json!({})).await));
        }
        ways
    }

    /// Sends a request; the message that answers it.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        match self {
            Way::Streamable(session) => session.post(&rpc(1, method, params)).await.last().clone(),
            Way::HttpSse(legacy) => legacy.ask(&rpc(1, method, params)).await,
            Way::Stateless(client) => client.gets(method, params).await.last().clone(),
        }
    }

    /// Calls a tool; the message that answers it.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }
}
