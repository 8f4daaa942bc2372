//! The `_meta` of a request's params (F-1), as far as the server looks at it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::jsonrpc::RequestId;

/// What stands in a request's `_meta`. Borrows from the request.
#[derive(Default, Deserialize)]
pub(crate) struct Meta<'a> {
    /// The revision that the request claims to be of (T-12).
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion", default)]
    pub(crate) version: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities", default)]
    pub(crate) capabilities: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientInfo", default)]
    pub(crate) client_info: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/logLevel", default)]
    pub(crate) log_level: Option<&'a RawValue>,
    #[serde(borrow, rename = "progressToken", default)]
    progress_token: Option<&'a RawValue>,
}

/// What a message claims its revision to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim<'a> {
    /// Nothing: a message of a session.
    None,
    Version(Cow<'a, str>),
    NotAString,
}

impl<'a> Meta<'a> {
    /// Reads it from a request's params; an absent or malformed one is empty.
    pub(crate) fn of(params: Option<&'a RawValue>) -> Meta<'a> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow, rename = "_meta")]
            meta: Option<&'a RawValue>,
        }
        let Some(text) = params.map(RawValue::get) else { return Meta::default() };
        // Most requests of sessions have none, and the parse below is not free. The key may be written with escapes.
        if memchr::memmem::find(text.as_bytes(), b"_meta").is_none() && !text.contains("\\u") {
            return Meta::default();
        }
        let meta = serde_json::from_str::<Params<'a>>(text).ok().and_then(|params| params.meta);
        meta.and_then(|meta| serde_json::from_str(meta.get()).ok()).unwrap_or_default()
    }

    /// What the request claims its revision to be.
    pub(crate) fn claim(&self) -> Claim<'a> {
        let Some(raw) = self.version else { return Claim::None };
        let plain = raw.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match plain {
            Some(plain) if !plain.contains('\\') => Claim::Version(plain.into()),
            _ => serde_json::from_str::<String>(raw.get())
                .map_or(Claim::NotAString, |version| Claim::Version(version.into())),
        }
    }

    /// The client's token for progress, as JSON: a string or a number.
    pub(crate) fn progress_token(&self) -> Option<Box<str>> {
        let token = self.progress_token?;
        RequestId::read(token).map(|_| token.get().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x1_a_claim_is_found_however_its_key_is_written() {
        let version = |text: &str| Claim::Version(text.to_owned().into());
        for (params, claim) in [
            (r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#, version("2026-07-28")),
            (r#"{"\u005fmeta":{"io.modelcontextprotocol\/protocolVersion":"\u0032"}}"#, version("2")),
            (r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}"#, Claim::NotAString),
            (r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":null}}"#, Claim::None),
            (r#"{"_meta":{"progressToken":1}}"#, Claim::None),
            (r#"{"_meta":"io.modelcontextprotocol/protocolVersion"}"#, Claim::None),
            (r#"{"arguments":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#, Claim::None),
            ("[]", Claim::None),
            ("{}", Claim::None),
        ] {
            let raw: &RawValue = serde_json::from_str(params).unwrap();
            assert_eq!(Meta::of(Some(raw)).claim(), claim, "{params}");
        }
        assert_eq!(Meta::of(None).claim(), Claim::None);
    }
}
