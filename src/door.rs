//! How deep a JSON text nests, asked before anything parses it: `serde_json`'s own limit is twice ours and does not apply
//! to `RawValue`. Whether the text is JSON at all is left to the parser; on text that is not, the answer here is of no
//! account.

/// Deeper nesting is refused. Embedded threads have small stacks.
pub(crate) const DEPTH_MAX: usize = 64;

/// Does `text` nest deeper than [`DEPTH_MAX`] levels?
pub(crate) fn is_too_deep(text: &[u8]) -> bool {
    // Nearly every message has fewer brackets than that, and then they may stand anywhere.
    memchr::memchr2_iter(b'{', b'[', text).nth(DEPTH_MAX).is_some() && depth(text) > DEPTH_MAX
}

/// Levels within each other, at the deepest place.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0usize, 0, 0);
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = behind_string(text, at),
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Just behind the closing quote of the string that begins at `at`.
fn behind_string(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1; // what is escaped
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p55_brackets_count_within_each_other_and_not_in_strings() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        let objects = |n: usize| "{\"a\":".repeat(n) + "0" + &"}".repeat(n);
        for (text, too_deep) in [
            (deep(64), false),
            (deep(65), true),
            (objects(64), false),
            (objects(65), true),
            ("[".repeat(100_000), true),
            (deep(64).repeat(3), false),
            (deep(64).repeat(3) + &deep(65), true),
            (format!("[\"{}\"]", "[".repeat(100)), false),
            (format!("[\"\\\"{}\\\\\"]", "[".repeat(100)), false),
            (format!("[\"\\\\\",{}", "[".repeat(64)), true),
            (format!("\"{}", "[".repeat(100)), false),
            (format!("{}\"\\", "[".repeat(64)), false),
        ] {
            assert_eq!(is_too_deep(text.as_bytes()), too_deep, "{}", &text[..text.len().min(100)]);
        }
    }
}
