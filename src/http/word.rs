//! Words of HTTP's own, which are the same in small letters and in capitals: names of headers, media types, options.

/// Is `word` the word `known`, which has small letters, dashes, slashes and stars only? Setting one bit makes those bytes
/// of themselves and of their capitals, and else only of control bytes that no head has; so eight are compared at once.
pub(crate) fn is_word(word: &[u8], known: &str) -> bool {
    const SMALL: u8 = 0x20;
    let known = known.as_bytes();
    if word.len() != known.len() {
        return false;
    }
    let same =
        |word: &[u8; 8], known| u64::from_ne_bytes(*word) | u64::from_ne_bytes([SMALL; 8]) == u64::from_ne_bytes(known);
    match (word.last_chunk(), known.last_chunk()) {
        // The last eight overlap those before them.
        (Some(last), Some(known_last)) => {
            same(last, *known_last) && word.as_chunks().0.iter().zip(known.as_chunks().0).all(|(a, b)| same(a, *b))
        }
        _ => word.iter().zip(known).all(|(word, known)| word | SMALL == *known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_same_in_any_letters_and_differs_in_any_place() {
        for known in ["a", "host", "via", "*/*", "accept", "mcp-name", "content-type", "mcp-protocol-version"] {
            assert!(is_word(known.as_bytes(), known) && is_word(known.to_ascii_uppercase().as_bytes(), known));
            assert!(!is_word(&known.as_bytes()[1..], known) && !is_word(format!("{known}x").as_bytes(), known));
            for at in 0..known.len() {
                for other in [b'z', b'^', b'_', b'~', 0xe1] {
                    let mut word = known.as_bytes().to_vec();
                    word[at] = other;
                    assert!(!is_word(&word, known), "{known} {at} {other}");
                }
            }
        }
    }
}
