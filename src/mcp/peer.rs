//! Who asks: a principal, in a revision, perhaps in a session.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::capability::Capabilities;
use crate::jsonrpc::{Error, Params, prefix};
use crate::members::{self, Members};
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
    /// Whoever an [`Access`](crate::Access) of the embedder's says.
    Named(Rc<str>),
}

impl Principal {
    /// What binds a cursor or a request state to this one, and to no other.
    pub(crate) fn binding(&self) -> String {
        match self {
            Principal::Anonymous => "anonymous".into(),
            Principal::Token(name) => format!("token {name}"),
            Principal::Named(name) => format!("named {name}"),
        }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Principal::Anonymous => f.write_str("anonymous"),
            Principal::Token(name) => write!(f, "token:{name}"),
            Principal::Named(name) => f.write_str(name),
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
    pub(crate) capabilities: Capabilities,
}

/// What a client says of itself when it begins a session.
pub(crate) struct Introduction {
    pub(crate) revision: Revision,
    pub(crate) client: ClientInfo,
    pub(crate) capabilities: Capabilities,
}

impl Introduction {
    /// Reads the params of `initialize`.
    pub(crate) fn read(params: &Params<'_>) -> Result<Introduction, Error> {
        let members = params.as_ref().map_err(Clone::clone)?;
        let missing = |name: &str| members::wrong(name, "an object", members.get(name));
        let revision = Revision::negotiate(&members.required("protocolVersion")?);
        let client = members.get("clientInfo").and_then(ClientInfo::read).ok_or_else(|| missing("clientInfo"))?;
        let capabilities =
            members.get("capabilities").and_then(Capabilities::read).ok_or_else(|| missing("capabilities"))?;
        Ok(Introduction { revision, client, capabilities })
    }
}

impl ClientInfo {
    /// Reads an `Implementation`; none if it is not one.
    pub(crate) fn read(raw: &RawValue) -> Option<ClientInfo> {
        let members = Members::read(raw)?;
        let text = |name: &str| members.required(name).ok().map(|text| cut(&text));
        Some(ClientInfo { name: text("name")?, version: text("version")? })
    }
}

/// At most 64 bytes of a client's words, without control characters: they end in logs and on screens.
fn cut(text: &str) -> Box<str> {
    let mut kept = String::new();
    for letter in prefix(text, 64).chars().filter(|letter| !letter.is_control()) {
        kept.push(letter);
    }
    kept.into()
}
