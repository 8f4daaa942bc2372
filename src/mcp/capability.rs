//! What a client says that it can do (F-13). In sessions it says so once, in 2026-07-28 with every request.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::object;
use crate::members::Members;
use crate::revision::Revision;

/// Something that a client may be able to do for a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCapability {
    /// It tells the folders it works in.
    Roots,
    /// It asks its model.
    Sampling,
    /// It asks its model and lets it use tools.
    SamplingTools,
    /// It asks its user to fill in a form.
    Elicitation,
    /// It asks its user to visit a web page.
    UrlElicitation,
}

impl ClientCapability {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ClientCapability::Roots => "roots",
            ClientCapability::Sampling => "sampling",
            ClientCapability::SamplingTools => "sampling.tools",
            ClientCapability::Elicitation => "elicitation",
            ClientCapability::UrlElicitation => "elicitation.url",
        }
    }

    /// What a client would have to declare (T-20).
    pub(crate) fn required(self) -> Value {
        let (name, part) = self.as_str().split_once('.').unwrap_or((self.as_str(), ""));
        let part = if self == ClientCapability::Elicitation { "form" } else { part };
        let parts = if part.is_empty() { Map::new() } else { object(part, Map::new().into()) };
        object(name, parts.into()).into()
    }
}

/// What one client can do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capabilities {
    declared: u8,
    /// The settings of its extensions, as JSON.
    extensions: Option<Box<str>>,
}

/// Settings of extensions that are longer than this are not kept; none that is published comes near it.
const EXTENSIONS_BYTES_MAX: usize = 1024;

impl Capabilities {
    /// Reads the object that the client sent; none if it is no object.
    pub(crate) fn read(raw: &RawValue) -> Option<Capabilities> {
        let text = raw.get();
        if text == "{}" {
            return Some(Capabilities::default()); // most requests of 2026-07-28
        }
        let members = Members::read(raw)?;
        let mut capabilities = Capabilities::default();
        let declared = |name: &str| members.object(name).ok().flatten();
        let has = |name: &str| declared(name).is_some();
        let declares =
            |name: &str, part: &str| declared(name).is_some_and(|parts| matches!(parts.object(part), Ok(Some(_))));
        // X-14: an empty object means forms, and a client that names only `url` has none.
        let form = has("elicitation") && (declares("elicitation", "form") || !declares("elicitation", "url"));
        for (capability, declared) in [
            (ClientCapability::Roots, has("roots")),
            (ClientCapability::Sampling, has("sampling")),
            (ClientCapability::SamplingTools, declares("sampling", "tools")),
            (ClientCapability::Elicitation, form),
            (ClientCapability::UrlElicitation, declares("elicitation", "url")),
        ] {
            capabilities.declared |= u8::from(declared) << capability as u8;
        }
        let extensions = members.get("extensions").map(RawValue::get);
        capabilities.extensions = extensions.filter(|text| text.len() <= EXTENSIONS_BYTES_MAX).map(Into::into);
        Some(capabilities)
    }

    /// Can the client do this, in this revision (F-14, F-142)?
    pub(crate) fn have(&self, capability: ClientCapability, revision: Revision) -> bool {
        let exists = match capability {
            ClientCapability::Roots | ClientCapability::Sampling => true,
            ClientCapability::SamplingTools => revision.has_sampling_tools(),
            ClientCapability::Elicitation => revision.has_elicitation(),
            ClientCapability::UrlElicitation => revision.has_elicitation_modes(),
        };
        exists && self.declared >> capability as u8 & 1 == 1
    }

    /// The client's settings of an extension, if it has it (F-180).
    pub(crate) fn extension(&self, id: &str) -> Option<Value> {
        let extensions: &RawValue = serde_json::from_str(self.extensions.as_deref()?).ok()?;
        serde_json::from_str(Members::read(extensions)?.get(id)?.get()).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn f13_x14_capabilities_are_read_as_they_were_declared() {
        use ClientCapability::*;
        for (text, expected) in [
            ("{}", &[][..]),
            (r#"{"roots":{"listChanged":true},"sampling":{}}"#, &[Roots, Sampling]),
            (r#"{"elicitation":{}}"#, &[Elicitation]),
            (r#"{"elicitation":{"form":{}}}"#, &[Elicitation]),
            (r#"{"elicitation":{"url":{}}}"#, &[UrlElicitation]),
            (
                r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}}}"#,
                &[Elicitation, UrlElicitation, Sampling, SamplingTools],
            ),
            (r#"{"sampling":null,"elicitation":true}"#, &[]),
        ] {
            let capabilities = Capabilities::read(serde_json::from_str(text).unwrap()).unwrap();
            for capability in [Roots, Sampling, SamplingTools, Elicitation, UrlElicitation] {
                let has = capabilities.have(capability, Revision::STATELESS[0]);
                assert_eq!(has, expected.contains(&capability), "{text} {capability:?}");
                assert!(!capabilities.have(Elicitation, Revision::negotiate("2024-11-05")));
            }
        }
        assert!(Capabilities::read(serde_json::from_str("[]").unwrap()).is_none());
        let extended = r#"{"extensions":{"io.example/x":{"a":1}}}"#;
        let extended = Capabilities::read(serde_json::from_str(extended).unwrap()).unwrap();
        assert_eq!((extended.extension("io.example/x"), extended.extension("y")), (Some(json!({ "a": 1 })), None));
    }
}
