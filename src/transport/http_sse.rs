//! HTTP+SSE of 2024-11-05 (H-1 … H-12): a stream that is the session, and POSTs that name it.

use std::borrow::Cow;
use std::rc::Rc;

use super::{Admission, Admitted, Desk, Events, First, From, no_session, parse_session_id, session_id_text};
use crate::http::head::{Field, Head};
use crate::http::response::Rejection;
use crate::jsonrpc::{self, Body};
use crate::mcp::capability::Capabilities;
use crate::mcp::peer::{ClientInfo, Peer, Principal};
use crate::revision::Revision;
use crate::session::{Newcomer, Transport};
use crate::stream::{Role, Stream};

impl Peer {
    /// Somebody who has not introduced himself.
    pub(super) fn unknown() -> Peer {
        Peer {
            session: None,
            revision: Revision::V2024_11_05,
            principal: Principal::Anonymous,
            client: ClientInfo::default(),
            capabilities: Capabilities::default(),
        }
    }
}

impl Desk<'_> {
    /// H-2: the session is in the table before the first byte of its `endpoint` event is queued (P07).
    pub(super) fn http_sse_open(
        &mut self,
        head: &Head,
        from: From,
        principal: &Principal,
    ) -> Result<Admission, Rejection> {
        let fingerprint = self.fingerprint();
        let peer = Peer { session: Some(fingerprint), principal: principal.clone(), ..Peer::unknown() };
        let (key, id) = self.open(Newcomer {
            transport: Transport::HttpSse,
            id: 0,
            peer: Rc::new(peer),
            fingerprint,
            address: self.address(head, from),
            initialized: false,
        })?;
        let stream = Stream::new(&self.services.common, Role::Session, Some(fingerprint), None);
        let attachment = stream.attach(None);
        if let Some(session) = self.table.get(key) {
            session.stream = Some(stream);
        }
        self.table.stream_opened(key);
        let id = session_id_text(id);
        let first = First::Endpoint(self.endpoint(head, from, &id));
        // Balancers learn the id from the header; an SSE client ignores it.
        let header = Some(("mcp-session-id", id));
        Ok(Admission::Events(Events { attachment, session: Some(key), revision: Revision::V2024_11_05, first, header }))
    }

    /// Where POSTs go (H-3, P16): a path of ours, or relative to the stream's own address where a proxy may
    /// have changed the path and has not said how.
    fn endpoint(&self, head: &Head, from: From, id: &str) -> String {
        let prefix =
            head.get(Field::ForwardedPrefix).filter(|_| self.is_trusted(from)).filter(|prefix| is_path(prefix));
        let base = self.policy.base_path.as_str();
        match prefix {
            _ if self.policy.relative_endpoint => format!("?session_id={id}"),
            Some(prefix) => format!("{}{base}/messages/?session_id={id}", prefix.trim_end_matches('/')),
            None if head.proxied => format!("?session_id={id}"),
            None => format!("{base}/messages/?session_id={id}"),
        }
    }

    /// H-5, H-6: accepted here, answered on the stream.
    pub(super) fn http_sse_post(&mut self, admitted: &Admitted, body: &[u8]) -> Result<Admission, Rejection> {
        let wanted = "session_id: expected the id of the endpoint event, as in /messages/?session_id=…";
        let id = admitted.session.ok_or_else(|| Rejection::new(400, wanted))?;
        let key = self.find(id, &admitted.principal, Transport::HttpSse)?;
        let body = jsonrpc::parse(body, self.services.common.limits.batch_max)?;
        let Some(session) = self.table.get(key) else { return Err(no_session(None, Transport::HttpSse)) };
        if matches!(body, Body::Batch(_)) && !session.peer.revision.has_batches() {
            return Err(Rejection::new(400, "arrays of messages are for revision 2025-03-26; send one message"));
        }
        let Some(stream) = session.stream.clone() else { return Err(no_session(None, Transport::HttpSse)) };
        let calls = self.take(key, body.messages(), &stream)?;
        Ok(Admission::Accepted { calls, session: key })
    }
}

/// The id in a query, if it is there once and could be one.
pub(super) fn session_in(query: &[u8]) -> Option<u128> {
    parse_session_id(&percent_decoded(the_one(query, b"session_id=")?))
}

/// A path that may stand in an event and a header: absolute, visible, and of no other host.
fn is_path(prefix: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    prefix.starts_with('/') && !prefix.starts_with("//") && prefix.len() <= 256 && prefix.bytes().all(legal)
}

/// What follows `name` in a query, if it is there once.
fn the_one<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    let (mut found, mut rest) = (None, Some(query));
    while let Some(pairs) = rest {
        let (pair, behind) = match memchr::memchr(b'&', pairs) {
            Some(at) => (&pairs[..at], Some(&pairs[at + 1..])),
            None => (pairs, None),
        };
        rest = behind;
        if let Some(value) = pair.strip_prefix(name)
            && found.replace(value).is_some()
        {
            return None;
        }
    }
    found
}

fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return text.into();
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let code = match behind {
            [high, low, behind @ ..] if *first == b'%' => {
                digit(high).zip(digit(low)).map(|(high, low)| ((high << 4 | low) as u8, behind))
            }
            _ => None,
        };
        let (byte, behind) = code.unwrap_or((*first, behind));
        out.push(byte);
        rest = behind;
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_codes_are_read_and_broken_ones_left_alone() {
        for (text, expected) in
            [("ab", "ab"), ("%61b%2D", "ab-"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%+1", "%+1"), ("%%61", "%a")]
        {
            assert_eq!(percent_decoded(text.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn h8_an_id_is_found_anywhere_in_a_query_and_two_are_none() {
        let the_one = |query: &'static str| the_one(query.as_bytes(), b"id=").map(|text| str::from_utf8(text).unwrap());
        for query in ["id=7", "a=1&id=7", "id=7&a", "&&id=7&"] {
            assert_eq!(the_one(query), Some("7"), "{query}");
        }
        for query in ["", "xid=7", "id=7&id=7", "a&id=&b&id=7"] {
            assert_eq!(the_one(query), None, "{query}");
        }
    }

    #[test]
    fn only_a_plain_path_is_taken_for_a_prefix() {
        for (prefix, good) in
            [("/fw1", true), ("/a/b-c", true), ("fw1", false), ("//evil", false), ("/a b", false), ("/a?b", false)]
        {
            assert_eq!(is_path(prefix), good, "{prefix}");
        }
    }
}
