//! Who asks: a principal, in a revision, perhaps in a session.

use std::rc::Rc;

use serde::Deserialize;

use crate::jsonrpc::prefix;
use crate::revision::Revision;
use crate::session::Fingerprint;

/// Whose request it is. Never an address: clients change theirs (P05).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody in particular; the server asks for no credential.
    #[default]
    Anonymous,
    /// The holder of a bearer token, by the token's public name.
    Token(Rc<str>),
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Principal::Anonymous => f.write_str("anonymous"),
            Principal::Token(name) => write!(f, "token:{name}"),
        }
    }
}

/// What a client says of itself. For logs and people, never for decisions (B-20).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its name, cut to 64 bytes.
    pub name: Box<str>,
    /// Its version, cut to 64 bytes.
    pub version: Box<str>,
}

/// One who asks.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) session: Option<Fingerprint>,
    pub(crate) revision: Revision,
    pub(crate) principal: Principal,
    pub(crate) client: ClientInfo,
}

/// The params of `initialize`, as far as they matter here (F-10).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitializeParams {
    pub(crate) protocol_version: String,
    pub(crate) client_info: Implementation,
    /// Required by the schema; nothing in it is used yet.
    #[serde(rename = "capabilities")]
    _capabilities: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
pub(crate) struct Implementation {
    name: String,
    version: String,
}

impl From<Implementation> for ClientInfo {
    fn from(client: Implementation) -> ClientInfo {
        ClientInfo { name: cut(client.name), version: cut(client.version) }
    }
}

/// At most 64 bytes of a client's words, without control characters: they end in logs and on screens.
fn cut(text: String) -> Box<str> {
    prefix(&text, 64).chars().filter(|c| !c.is_control()).collect()
}
