//! The one scan of every JSON text that comes in, before anything parses it.
//!
//! It decides two things that `serde_json` does not decide for us: how deep the text nests (its own
//! limit does not apply to `RawValue`) and whether a key of the envelope stands there twice (the last
//! would win here, the first at a proxy in front of us). Whether the text is JSON at all is left to the
//! parser; on text that is not, the answer here is of no account.

use std::borrow::Cow;

/// Deeper nesting is refused. Embedded threads have small stacks.
const DEPTH_MAX: usize = 64;
/// More members than this in one object of the envelope are refused; it bounds the search for twins.
const MEMBERS_MAX: usize = 64;

/// Why a text is refused at the door.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nested deeper than 64.
    TooDeep,
    /// A key of the envelope, of `params` or of `_meta` is there twice.
    Twice(String),
    /// An object of the envelope has more than 64 members.
    TooWide,
}

/// What an object is to us.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Content that is none of our business.
    Other,
    /// A message, or the array around messages.
    Envelope,
    Params,
    Meta,
}

/// An object or array that is open.
#[derive(Clone, Copy)]
struct Level {
    place: Place,
    object: bool,
    first_key: u8,
}

/// Looks at depth and keys of `text` in one pass.
pub(crate) fn check(text: &[u8]) -> Result<(), Refused> {
    let mut levels = [Level { place: Place::Other, object: false, first_key: 0 }; DEPTH_MAX];
    let mut depth = 0;
    // Of at most three objects within each other: there are never more than a byte can count.
    let mut keys: Vec<Cow<'_, [u8]>> = Vec::with_capacity(16);
    let mut expects_key = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let (end, escapes) = string_end(text, at);
                if std::mem::take(&mut expects_key)
                    && let Some(level) = levels[..depth].last()
                    && level.place != Place::Other
                {
                    note_key(&mut keys, level.first_key.into(), &text[at - 1..end], escapes)?;
                }
                at = end;
            }
            b',' => expects_key = levels[..depth].last().is_some_and(|level| level.object),
            b'{' | b'[' => {
                let place = place_of(levels[..depth].last(), keys.last());
                let level = levels.get_mut(depth).ok_or(Refused::TooDeep)?;
                *level = Level { place, object: byte == b'{', first_key: keys.len() as u8 };
                depth += 1;
                expects_key = byte == b'{';
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                keys.truncate(levels[depth].first_key.into());
                expects_key = false;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What an object or array is that opens behind `key` inside `parent`.
fn place_of(parent: Option<&Level>, key: Option<&Cow<'_, [u8]>>) -> Place {
    let Some(parent) = parent else { return Place::Envelope };
    match parent.place {
        Place::Envelope if !parent.object => Place::Envelope,
        Place::Envelope if key.is_some_and(|key| **key == *b"params") => Place::Params,
        Place::Params if parent.object && key.is_some_and(|key| **key == *b"_meta") => Place::Meta,
        _ => Place::Other,
    }
}

/// Just behind the closing quote of the string that begins at `at`, and whether it has escapes.
fn string_end(text: &[u8], mut at: usize) -> (usize, bool) {
    let (mut escapes, mut near) = (false, at + NEAR);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (found, looked_at) = match at < near {
            true => (quote_or_escape(rest), 8),
            false => (memchr::memchr2(b'"', b'\\', rest), rest.len()),
        };
        let Some(found) = found else {
            at += looked_at;
            continue;
        };
        at += found + 1;
        if rest[found] == b'"' {
            return (at, escapes);
        }
        (escapes, at) = (true, at + 1);
        near = at + NEAR;
    }
    (text.len(), escapes)
}

/// Most strings end within so many bytes: to set up a search for long ones costs more than to look at eight at once.
const NEAR: usize = 32;

/// Where the first quote or backslash is among the next eight bytes.
fn quote_or_escape(text: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let Some(eight) = text.first_chunk() else {
        return text.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    };
    // The lowest bit that this leaves is in the first byte that is `byte`; above it there may be others.
    let is = |byte: u8| {
        let difference = u64::from_le_bytes(*eight) ^ (LOW * u64::from(byte));
        difference.wrapping_sub(LOW) & !difference & HIGH
    };
    let found = is(b'"') | is(b'\\');
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

fn note_key<'a>(keys: &mut Vec<Cow<'a, [u8]>>, first: usize, quoted: &'a [u8], escapes: bool) -> Result<(), Refused> {
    let key = match quoted.get(1..quoted.len().saturating_sub(1)) {
        Some(plain) if !escapes => Cow::Borrowed(plain),
        // A key written with escapes is compared as what it means. Not a string: the parser will say so.
        _ => Cow::Owned(serde_json::from_slice::<String>(quoted).unwrap_or_default().into_bytes()),
    };
    let siblings = keys.get(first..).unwrap_or_default();
    if siblings.contains(&key) {
        return Err(Refused::Twice(String::from_utf8_lossy(&key).into_owned()));
    }
    if siblings.len() == MEMBERS_MAX {
        return Err(Refused::TooWide);
    }
    keys.push(key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_lies() {
        for length in 0..40 {
            for filler in ["a", "\u{80}", "\\\"", "\\\\", "\u{a2}\u{dc}"] {
                let string = format!("\"{}\"", filler.repeat(length));
                for behind in ["", ", \"\" : \\"] {
                    let text = format!("{string}{behind}");
                    let escapes = filler.starts_with('\\') && length > 0;
                    assert_eq!(string_end(text.as_bytes(), 1), (string.len(), escapes), "{text}");
                }
            }
        }
        assert_eq!(string_end(b"\"no end \\", 1), (9, true));
        assert_eq!(string_end(b"\"no end, and long enough", 1), (24, false));
    }

    #[test]
    fn x41_p55_depth_and_twin_keys_are_refused_and_nothing_else() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        let wide = format!("{{{}}}", (0..65).map(|i| format!("\"k{i}\":0")).collect::<Vec<_>>().join(","));
        let twice = |key: &str| Err(Refused::Twice(key.into()));
        for (text, verdict) in [
            (deep(64), Ok(())),
            (deep(65), Err(Refused::TooDeep)),
            ("[".repeat(100_000), Err(Refused::TooDeep)),
            (r#"{"id":1,"method":"a","id":2}"#.into(), twice("id")),
            (r#"{"method":"a","\u006dethod":"b"}"#.into(), twice("method")),
            (r#"{"params":{"name":1,"name":2}}"#.into(), twice("name")),
            (r#"{"params":{"_meta":{"a":1,"a":2}}}"#.into(), twice("a")),
            (r#"[{"id":1},{"id":2}]"#.into(), Ok(())),
            (r#"[{"id":1,"id":2}]"#.into(), twice("id")),
            (r#"{"params":{"arguments":{"a":1,"a":2}}}"#.into(), Ok(())),
            (r#"{"result":{"a":1,"a":2}}"#.into(), Ok(())),
            (r#"{"id":"{\"id\":1,","method":"]]]"}"#.into(), Ok(())),
            (wide, Err(Refused::TooWide)),
            (r#"{"id"#.into(), Ok(())),
            (r#"{"a\"#.into(), Ok(())),
        ] {
            assert_eq!(check(text.as_bytes()), verdict, "{}", &text[..text.len().min(80)]);
        }
    }
}
