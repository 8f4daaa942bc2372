//! Bearer tokens: kept as digests, compared in constant time, named in public by a piece of their digest.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::http::response::Rejection;
use crate::mcp::peer::Principal;

/// The tokens that are let in.
///
/// ```
/// use portcullis::Tokens;
/// let tokens = Tokens::parse("# ops\n3f0c2b7be6a14d58a2c6c1f4a1d9c0de\n")?;
/// assert!(Tokens::parse("short").is_err());
/// # Ok::<(), portcullis::TokenError>(())
/// ```
#[derive(Clone, Default)]
pub struct Tokens {
    digests: Vec<[u8; 32]>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} of them)", self.digests.len())
    }
}

/// Why a text holds no tokens. It never repeats one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Line with a token shorter than 16 bytes, or with white space in it.
    Line(usize),
    /// No token at all: nobody could come in.
    Empty,
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TokenError::Line(line) => write!(f, "line {line}: expected one token of at least 16 visible characters"),
            TokenError::Empty => f.write_str("no token in it: expected one per line, # begins a comment"),
        }
    }
}

impl std::error::Error for TokenError {}

impl Tokens {
    /// Reads one token per line; empty lines and lines that begin with `#` do not count.
    ///
    /// # Errors
    /// A line that is no token, or no token at all.
    pub fn parse(text: &str) -> Result<Tokens, TokenError> {
        let mut digests = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let token = line.trim();
            if token.is_empty() || token.starts_with('#') {
                continue;
            }
            if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(TokenError::Line(at + 1));
            }
            digests.push(digest(token));
        }
        if digests.is_empty() { Err(TokenError::Empty) } else { Ok(Tokens { digests }) }
    }

    /// Does `principal` hold one of them?
    pub(crate) fn know(&self, principal: &Principal) -> bool {
        match principal {
            Principal::Anonymous => false,
            Principal::Named(_) => true, // he holds something else
            Principal::Token(name) => self.digests.iter().any(|known| *public_name(known) == **name),
        }
    }

    /// Whose `Authorization` value it is (A-5, A-8, A-19).
    pub(crate) fn principal(&self, authorization: Option<&str>) -> Result<Principal, Rejection> {
        let Some(value) = authorization else {
            return Err(Rejection::new(401, "this server wants a token: Authorization: Bearer <token>"));
        };
        let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else {
            return Err(Rejection::new(401, "Authorization: expected Bearer <token>"));
        };
        let digest = digest(token.trim());
        // Every known digest is compared, so that time tells nothing.
        let mut found = None;
        for known in &self.digests {
            if bool::from(known.ct_eq(&digest)) {
                found = Some(known);
            }
        }
        match found {
            Some(known) => Ok(Principal::Token(public_name(known).into())),
            None => {
                let header = Some(("www-authenticate", "Bearer error=\"invalid_token\""));
                Err(Rejection { header, ..Rejection::new(401, "the token is not one of this server's (--token-file)") })
            }
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Eight hexadecimal digits of the digest: enough to tell tokens apart, useless to guess one.
fn public_name(digest: &[u8; 32]) -> String {
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a19_a_token_is_known_by_its_digest_alone() {
        let tokens = Tokens::parse("# a comment\n\n 0123456789abcdef \nfedcba9876543210\n").unwrap();
        for (value, status) in [
            (Some("Bearer 0123456789abcdef"), 200),
            (Some("bearer fedcba9876543210"), 200),
            (Some("Bearer 0123456789abcdeX"), 401),
            (Some("Bearer "), 401),
            (Some("Basic 0123456789abcdef"), 401),
            (Some("0123456789abcdef"), 401),
            (None, 401),
        ] {
            let answer = tokens.principal(value).map_or_else(|rejection| rejection.status, |_| 200);
            assert_eq!(answer, status, "{value:?}");
        }
        let principal = tokens.principal(Some("Bearer 0123456789abcdef")).unwrap();
        assert!(tokens.know(&principal) && !principal.to_string().contains("0123456789"));
        assert!(!Tokens::parse("aaaaaaaaaaaaaaaa").unwrap().know(&principal));
        assert!(!format!("{tokens:?}").contains("cdef"));
        for (text, error) in [("", TokenError::Empty), ("# x", TokenError::Empty), ("a\n", TokenError::Line(1))] {
            assert_eq!(Tokens::parse(text).unwrap_err(), error, "{text:?}");
        }
    }
}
