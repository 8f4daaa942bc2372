//! The `_meta` of a request's params (F-1), as far as the server looks at it.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::value::RawValue;

use super::level::Level;
use crate::jsonrpc::{Error, Params, RequestId, read_string};
use crate::members::{self, Members};

/// What stands in a request's `_meta`. Borrows from the request.
#[derive(Default)]
pub(crate) struct Meta<'a> {
    raw: Option<&'a RawValue>,
    /// Read when somebody asks.
    members: OnceCell<Members<'a>>,
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
    pub(crate) fn of(params: &Params<'a>) -> Meta<'a> {
        Meta { raw: params.as_ref().ok().and_then(|params| params.get("_meta")), members: OnceCell::new() }
    }

    /// As it came.
    pub(crate) fn raw(&self) -> Option<&'a RawValue> {
        self.raw
    }

    fn members(&self) -> &Members<'a> {
        self.members.get_or_init(|| self.raw.and_then(Members::read).unwrap_or_default())
    }

    pub(crate) fn version(&self) -> Option<&'a RawValue> {
        self.members().get("io.modelcontextprotocol/protocolVersion")
    }

    pub(crate) fn capabilities(&self) -> Option<&'a RawValue> {
        self.members().get("io.modelcontextprotocol/clientCapabilities")
    }

    pub(crate) fn client_info(&self) -> Option<&'a RawValue> {
        self.members().get("io.modelcontextprotocol/clientInfo")
    }

    /// From which level on the client wants log messages, if it wants any (F-102).
    ///
    /// # Errors
    /// −32602 if it is no level.
    pub(crate) fn log_level(&self) -> Result<Option<Level>, Error> {
        const KEY: &str = "io.modelcontextprotocol/logLevel";
        let Some(named) = self.members().text(KEY)? else { return Ok(None) };
        Level::named(&named).map(Some).ok_or_else(|| members::wrong(KEY, Level::NAMES, self.members().get(KEY)))
    }

    /// What the request claims its revision to be.
    pub(crate) fn claim(&self) -> Claim<'a> {
        match self.version().map(read_string) {
            None => Claim::None,
            Some(Some(version)) => Claim::Version(version),
            Some(None) => Claim::NotAString,
        }
    }

    /// The client's token for progress, as JSON: a string or a number.
    pub(crate) fn progress_token(&self) -> Option<Box<str>> {
        let token = self.members().get("progressToken")?;
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
            let params = Members::read(raw).ok_or_else(|| Error::invalid_params(""));
            assert_eq!(Meta::of(&params).claim(), claim);
        }
    }
}
