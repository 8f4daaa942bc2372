//! Who asks: a principal, in a revision, perhaps in a session.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::capability::Capabilities;
use crate::jsonrpc::{Error, prefix};
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

/// The params of `initialize`, as far as they matter here (F-10).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeParams<'a> {
    protocol_version: String,
    client_info: Implementation,
    #[serde(borrow)]
    capabilities: &'a RawValue,
}

#[derive(Deserialize)]
struct Implementation {
    name: String,
    version: String,
}

/// What a client says of itself when it begins a session.
pub(crate) struct Introduction {
    pub(crate) revision: Revision,
    pub(crate) client: ClientInfo,
    pub(crate) capabilities: Capabilities,
}

impl Introduction {
    /// Reads the params of `initialize`.
    pub(crate) fn read(params: Option<&RawValue>) -> Result<Introduction, Error> {
        let text = params.map_or("{}", RawValue::get);
        let params: InitializeParams<'_> =
            serde_json::from_str(text).map_err(|error| Error::invalid_params(format!("initialize: {error}")))?;
        let capabilities = Capabilities::read(params.capabilities)
            .ok_or_else(|| Error::invalid_params("initialize: capabilities: expected an object"))?;
        let revision = Revision::negotiate(&params.protocol_version);
        Ok(Introduction { revision, client: params.client_info.into(), capabilities })
    }
}

impl ClientInfo {
    /// Reads an `Implementation`; none if it is not one.
    pub(crate) fn read(raw: &RawValue) -> Option<ClientInfo> {
        serde_json::from_str::<Implementation>(raw.get()).ok().map(Into::into)
    }
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
