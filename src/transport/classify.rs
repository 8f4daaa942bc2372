//! Which era a POST is of: one endpoint, all revisions (SPEC 3.3).
//!
//! The body decides and the header is a cross-check: a proxy that strips the header never turns a request of 2026-07-28
//! into one of a session, and a request of a session is never taken for more than it is because of a header. Pure and
//! total: nothing but its arguments goes in, and every combination has an answer.

use crate::jsonrpc::{HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, UNSUPPORTED_VERSION};
use crate::mcp::meta::Claim;
use crate::revision::Named;

/// What is in the body, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape<'a> {
    /// An array; does any of its messages claim a revision?
    Batch {
        claims: bool,
    },
    Response,
    Notification(Claim<'a>),
    Request {
        initialize: bool,
        claim: Claim<'a>,
    },
}

/// What the header `MCP-Protocol-Version` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header<'a> {
    None,
    Version(&'a str, Named),
}

/// What a POST is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A session's, or one that begins one.
    Session,
    /// A request that stands alone; its envelope is still to be checked.
    Stateless,
    /// A notification that stands alone: accepted, and nothing to anybody (T-3).
    Drop,
    /// Refused with 400 and this code.
    Refuse(i32, Cause),
}

/// Why a POST is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// This revision has no such message.
    NoSuchMessage,
    /// The envelope or parts of it are missing.
    NoEnvelope,
    VersionNotAString,
    /// Header and envelope name different revisions.
    HeadersDiffer,
    /// The header names a revision that is not spoken here.
    Unsupported,
    /// The same, in a session.
    UnsupportedInSession,
}

/// Says what a POST is.
pub(crate) fn classify(shape: &Shape<'_>, header: Header<'_>, has_session: bool) -> Verdict {
    let named = match header {
        Header::None => None,
        Header::Version(_, named) => Some(named),
    };
    let is_stateless = matches!(named, Some(Named::Stateless(_)));
    let is_unknown = named == Some(Named::Unknown);
    match shape {
        Shape::Batch { claims } if *claims || is_stateless => Verdict::Refuse(INVALID_REQUEST, Cause::NoSuchMessage),
        Shape::Response if is_stateless => Verdict::Refuse(INVALID_REQUEST, Cause::NoSuchMessage),
        Shape::Batch { .. } | Shape::Response if is_unknown && has_session => {
            Verdict::Refuse(INVALID_REQUEST, Cause::UnsupportedInSession)
        }
        Shape::Batch { .. } | Shape::Response => Verdict::Session,
        Shape::Notification(claim) => notification(claim, header, has_session),
        Shape::Request { claim: Claim::Version(_) | Claim::NotAString, .. } => Verdict::Stateless,
        Shape::Request { initialize: true, .. } if is_stateless => {
            Verdict::Refuse(HEADER_MISMATCH, Cause::HeadersDiffer)
        }
        // What is asked for stands in the body, and is negotiated.
        Shape::Request { initialize: true, .. } => Verdict::Session,
        Shape::Request { .. } if is_stateless => Verdict::Refuse(INVALID_PARAMS, Cause::NoEnvelope),
        Shape::Request { .. } if is_unknown && has_session => {
            Verdict::Refuse(INVALID_REQUEST, Cause::UnsupportedInSession)
        }
        Shape::Request { .. } if is_unknown => Verdict::Refuse(UNSUPPORTED_VERSION, Cause::Unsupported),
        Shape::Request { .. } => Verdict::Session,
    }
}

fn notification(claim: &Claim<'_>, header: Header<'_>, has_session: bool) -> Verdict {
    let named = match (claim, header) {
        (Claim::NotAString, _) => return Verdict::Refuse(INVALID_PARAMS, Cause::VersionNotAString),
        (Claim::Version(claim), Header::Version(header, _)) if *claim != header => {
            return Verdict::Refuse(HEADER_MISMATCH, Cause::HeadersDiffer);
        }
        (Claim::Version(claim), _) => crate::revision::Revision::named(claim),
        (Claim::None, Header::Version(_, named)) => named,
        (Claim::None, Header::None) => return Verdict::Session,
    };
    match named {
        Named::Stateless(_) => Verdict::Drop,
        Named::Unknown if !has_session => Verdict::Refuse(UNSUPPORTED_VERSION, Cause::Unsupported),
        Named::Unknown if *claim == Claim::None => Verdict::Refuse(INVALID_REQUEST, Cause::UnsupportedInSession),
        _ => Verdict::Session,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Revision;

    const MODERN: &str = "2026-07-28";
    const OLD: &str = "2025-06-18";
    const ODD: &str = "2099-01-01";

    fn header(version: &str) -> Header<'_> {
        if version.is_empty() { Header::None } else { Header::Version(version, Revision::named(version)) }
    }

    fn claim(version: &'static str) -> Claim<'static> {
        match version {
            "" => Claim::None,
            "7" => Claim::NotAString,
            version => Claim::Version(version.into()),
        }
    }

    #[test]
    fn x1_x6_x7_the_body_decides_and_the_header_is_a_cross_check() {
        use Verdict::{Drop, Session, Stateless};
        let refuse = |code| Verdict::Refuse(code, Cause::NoSuchMessage);
        let request = |version| Shape::Request { initialize: false, claim: claim(version) };
        let initialize = |version| Shape::Request { initialize: true, claim: claim(version) };
        let notification = |version| Shape::Notification(claim(version));
        let batch = |claims| Shape::Batch { claims };
        // Shape; then the verdict without a session id for the header absent, a handshake's, modern, and unknown.
        for (shape, expected) in [
            (request(""), [Session, Session, refuse(-32602), refuse(-32022)]),
            (request(MODERN), [Stateless; 4]),
            (request(OLD), [Stateless; 4]),
            (request(ODD), [Stateless; 4]),
            (request("7"), [Stateless; 4]),
            (initialize(""), [Session, Session, refuse(-32020), Session]),
            (initialize(MODERN), [Stateless; 4]),
            (notification(""), [Session, Session, Drop, refuse(-32022)]),
            (notification(MODERN), [Drop, refuse(-32020), Drop, refuse(-32020)]),
            (notification(OLD), [Session, Session, refuse(-32020), refuse(-32020)]),
            (notification(ODD), [refuse(-32022), refuse(-32020), refuse(-32020), refuse(-32022)]),
            (notification("7"), [refuse(-32602); 4]),
            (Shape::Response, [Session, Session, refuse(-32600), Session]),
            (batch(false), [Session, Session, refuse(-32600), Session]),
            (batch(true), [refuse(-32600); 4]),
        ] {
            for (version, expected) in ["", OLD, MODERN, ODD].into_iter().zip(expected) {
                for has_session in [false, true] {
                    let verdict = classify(&shape, header(version), has_session);
                    let is_same = match (verdict, expected) {
                        // In a session an unknown header is the session's own fault.
                        (Verdict::Refuse(-32600, Cause::UnsupportedInSession), Verdict::Refuse(-32022, _)) => {
                            has_session
                        }
                        (Verdict::Refuse(-32600, Cause::UnsupportedInSession), Verdict::Session) => {
                            has_session && version == ODD
                        }
                        (Verdict::Session, Verdict::Refuse(-32022, _)) => has_session,
                        (Verdict::Refuse(code, _), Verdict::Refuse(other, _)) => code == other,
                        (verdict, expected) => verdict == expected,
                    };
                    assert!(is_same, "{shape:?} header {version:?} session {has_session}: {verdict:?}");
                }
            }
        }
    }
}
