//! Small texts that go out to a client and come back: request states and cursors (F-70, F-145).
//!
//! The client must neither read nor change them, nor use them for anything else. So they are encrypted and
//! authenticated together with what they are for, whom they were given to and until when they hold. Everybody who
//! has the key can open them, on any instance; that one is used only once is left to who keeps a list.

use base64ct::{Base64, Encoding};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

/// The layout below. What has another number was sealed by another release: it does not open.
///
/// ```text
/// version (1) | nonce (24) | encrypted: expiry in seconds, big-endian (8) | text | tag (16)
/// ```
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const EXPIRY_BYTES: usize = 8;

/// Seals and opens, with one key.
#[derive(Clone)]
pub(crate) struct Seal {
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// `key` comes from the system's generator, or from a file that all instances share.
    pub(crate) fn new(key: [u8; 32]) -> Seal {
        Seal { cipher: XChaCha20Poly1305::new(&key.into()) }
    }

    /// Base64url without padding, of `text` and when it expires (in seconds since 1970; 0 is never).
    ///
    /// `purpose` and `bound_to` are authenticated and not carried: only who presents the same ones can open it.
    /// `nonce` is drawn anew each time; 24 bytes of chance do not meet twice, so nobody needs to count.
    pub(crate) fn seal(
        &self,
        purpose: &str,
        bound_to: &[&[u8]],
        expires_at_unix_s: u64,
        text: &[u8],
        nonce: [u8; NONCE_BYTES],
    ) -> String {
        let mut inside = Vec::with_capacity(EXPIRY_BYTES + text.len());
        inside.extend_from_slice(&expires_at_unix_s.to_be_bytes());
        inside.extend_from_slice(text);
        let payload = Payload { msg: &inside, aad: &context(purpose, bound_to) };
        let Ok(encrypted) = self.cipher.encrypt(&XNonce::from(nonce), payload) else {
            // Only a text of 256 GiB does that. Nothing opens the empty string.
            return String::new();
        };
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + encrypted.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&encrypted);
        base64url(&sealed)
    }

    /// The text within, if it was sealed with this key for the same purpose and binding, and still holds.
    ///
    /// `None` for every reason alike: who tries may not learn which it was.
    pub(crate) fn open(&self, purpose: &str, bound_to: &[&[u8]], now_unix_s: u64, sealed: &str) -> Option<Vec<u8>> {
        let sealed = from_base64url(sealed)?;
        let (&version, rest) = sealed.split_first()?;
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if version != VERSION {
            return None;
        }
        let payload = Payload { msg: encrypted, aad: &context(purpose, bound_to) };
        let mut inside = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        let expires_at_unix_s = u64::from_be_bytes(*inside.first_chunk::<EXPIRY_BYTES>()?);
        if expires_at_unix_s != 0 && expires_at_unix_s <= now_unix_s {
            return None;
        }
        inside.drain(..EXPIRY_BYTES);
        Some(inside)
    }
}

/// Base64url without padding, by way of the alphabet that headers and contents have anyway: another is 1.5 KB.
fn base64url(bytes: &[u8]) -> String {
    let mut text = Base64::encode_string(bytes).replace('+', "-").replace('/', "_");
    text.truncate(text.trim_end_matches('=').len());
    text
}

fn from_base64url(text: &str) -> Option<Vec<u8>> {
    if text.contains('+') || text.contains('/') || text.contains('=') {
        return None;
    }
    let mut text = text.replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    Base64::decode_vec(&text).ok()
}

/// What is authenticated beside the text. Every piece comes behind its length, so that `ab`, `c` is not `a`, `bc`.
fn context(purpose: &str, bound_to: &[&[u8]]) -> Vec<u8> {
    let mut context = vec![VERSION];
    let mut add = |piece: &[u8]| {
        context.extend_from_slice(&(piece.len() as u64).to_be_bytes());
        context.extend_from_slice(piece);
    };
    add(purpose.as_bytes());
    bound_to.iter().for_each(|piece| add(piece));
    context
}

#[cfg(test)]
mod tests {
    use base64ct::Base64UrlUnpadded;

    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const NONCE: [u8; 24] = [9; 24];

    fn sealed() -> String {
        Seal::new(KEY).seal("cursor", &[b"tools/list", b"ops"], 1_000, b"page 2", NONCE)
    }

    fn open(purpose: &str, bound_to: &[&[u8]], now: u64, text: &str) -> Option<Vec<u8>> {
        Seal::new(KEY).open(purpose, bound_to, now, text)
    }

    #[test]
    fn f70_f145_what_was_sealed_opens_for_the_same_purpose_and_binding_until_it_expires() {
        let (one, two): (&[u8], &[u8]) = (b"tools/list", b"ops");
        for (purpose, bound_to, now, opens) in [
            ("cursor", &[one, two] as &[&[u8]], 0, true),
            ("cursor", &[one, two], 999, true),
            ("cursor", &[one, two], 1_000, false),
            ("cursor", &[one, two], u64::MAX, false),
            ("state", &[one, two], 0, false),
            ("", &[one, two], 0, false),
            ("cursor", &[two, one], 0, false),
            ("cursor", &[one], 0, false),
            ("cursor", &[one, two, b""], 0, false),
            ("cursor", &[b"tools/listo", b"ps"], 0, false),
            ("cursor", &[b"tools/listops"], 0, false),
            ("cursor", &[], 0, false),
        ] {
            let expected = opens.then(|| b"page 2".to_vec());
            assert_eq!(open(purpose, bound_to, now, &sealed()), expected, "{purpose} {bound_to:?} {now}");
        }
        assert_eq!(Seal::new([8; 32]).open("cursor", &[one, two], 0, &sealed()), None);
    }

    #[test]
    fn f145_every_release_with_the_key_seals_alike() {
        // Computed by another implementation of XChaCha20-Poly1305; a new layout takes a new VERSION.
        let expected = "AQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCb5y4op8qnqKhHNvWUhBTc0hcZB0uAGGCSxuVX24og";
        assert_eq!(sealed(), expected);
    }

    #[test]
    fn f145_the_boundaries_between_the_pieces_count() {
        let bindings: [&[&[u8]]; 8] =
            [&[], &[b""], &[b"", b""], &[b"abc"], &[b"ab", b"c"], &[b"a", b"bc"], &[b"abc", b""], &[b"", b"abc"]];
        for sealed_to in bindings {
            let sealed = Seal::new(KEY).seal("p", sealed_to, 0, b"x", NONCE);
            for opened_with in bindings {
                assert_eq!(open("p", opened_with, 0, &sealed).is_some(), sealed_to == opened_with);
            }
        }
        let sealed = Seal::new(KEY).seal("pq", &[b"r"], 0, b"x", NONCE);
        assert_eq!(open("p", &[b"qr"], 0, &sealed), None);
    }

    #[test]
    fn f145_no_bit_of_it_can_be_changed_and_nothing_cut_or_added() {
        let bound_to: &[&[u8]] = &[b"tools/list", b"ops"];
        let bytes = Base64UrlUnpadded::decode_vec(&sealed()).unwrap();
        assert_eq!(bytes.len(), 1 + 24 + 8 + 6 + 16);
        for at in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert_eq!(open("cursor", bound_to, 0, &Base64UrlUnpadded::encode_string(&changed)), None, "bit {at}");
        }
        for length in 0..bytes.len() {
            let cut = Base64UrlUnpadded::encode_string(&bytes[..length]);
            assert_eq!(open("cursor", bound_to, 0, &cut), None, "{length} bytes");
            let cut = Base64UrlUnpadded::encode_string(&bytes[length + 1..]);
            assert_eq!(open("cursor", bound_to, 0, &cut), None, "{length} bytes from behind");
        }
        let text = sealed();
        for at in 0..text.len() {
            assert_eq!(open("cursor", bound_to, 0, &text[..at]), None, "{at} letters");
            for bit in 0..7 {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1 << bit;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(open("cursor", bound_to, 0, &changed), None, "letter {at}, bit {bit}");
            }
        }
        for added in ["A", "AAAA", "=", "==", "\n", " ", "ö", "-TAMPERED"] {
            assert_eq!(open("cursor", bound_to, 0, &format!("{text}{added}")), None, "{added:?}");
            assert_eq!(open("cursor", bound_to, 0, &format!("{added}{text}")), None, "{added:?}");
        }
        assert!(open("cursor", bound_to, 0, &text).is_some());
    }

    #[test]
    fn f145_nothing_inside_shows_and_the_nonce_makes_the_difference() {
        let seal = Seal::new(KEY);
        assert_eq!(format!("{seal:?}"), "Seal");
        let texts = [NONCE, [10; 24]].map(|nonce| seal.seal("p", &[], 0, b"same", nonce));
        assert_ne!(texts[0], texts[1]);
        for text in texts {
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
            assert_eq!(open("p", &[], u64::MAX, &text).as_deref(), Some(b"same".as_slice()));
        }
        let empty = seal.seal("", &[], 0, b"", NONCE);
        assert_eq!(open("", &[], 0, &empty).as_deref(), Some(b"".as_slice()));
    }
}
