//! The headers whose values are kept, by name.

use super::word::is_word;

/// A header that may stand only once (G-18), and `X-Forwarded-For`, whose last line counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Authorization,
    ContentLength,
    ContentType,
    Expect,
    ForwardedFor,
    ForwardedPrefix,
    Host,
    LastEventId,
    McpMethod,
    McpName,
    Origin,
    ProtocolVersion,
    RequestedHeaders,
    SessionId,
    TransferEncoding,
}

impl Field {
    pub(super) const COUNT: usize = Field::TransferEncoding as usize + 1;

    pub(super) fn named(name: &[u8]) -> Option<Field> {
        let is = |known: &str| is_word(name, known);
        // By length first: a request has a dozen headers, and most are none of these.
        Some(match name.len() {
            4 if is("host") => Field::Host,
            6 if is("origin") => Field::Origin,
            6 if is("expect") => Field::Expect,
            8 if is("mcp-name") => Field::McpName,
            10 if is("mcp-method") => Field::McpMethod,
            12 if is("content-type") => Field::ContentType,
            13 if is("authorization") => Field::Authorization,
            13 if is("last-event-id") => Field::LastEventId,
            14 if is("content-length") => Field::ContentLength,
            14 if is("mcp-session-id") => Field::SessionId,
            17 if is("transfer-encoding") => Field::TransferEncoding,
            18 if is("x-forwarded-prefix") => Field::ForwardedPrefix,
            20 if is("mcp-protocol-version") => Field::ProtocolVersion,
            30 if is("access-control-request-headers") => Field::RequestedHeaders,
            _ => return None,
        })
    }

    /// Does it repeat what stands in the body?
    pub(super) fn is_mirror(self) -> bool {
        matches!(self, Field::McpMethod | Field::McpName | Field::ProtocolVersion)
    }
}
