//! Patterns: the regular expressions of ECMA-262 (with its flag `u`), as far as they can be matched in linear time.
//!
//! `regex-lite` matches; its dialect differs from the standard's in a few places where both accept a text and mean
//! something else by it. Those are rewritten here or refused, so that what a client's validator accepts is what we
//! accept. Not known here: `\p{…}`, look-around and backreferences; they are refused.

use regex_lite::{Regex, RegexBuilder};

/// White space outside of ASCII, as `\s` has it.
const SPACE: &str = r"\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";
/// Everything else, as `\S` has it.
const NOT_SPACE: &str = r"\x00-\x08\x0e-\x1f\x21-\u{9f}\u{a1}-\u{167f}\u{1681}-\u{1fff}\u{200b}-\u{2027}\u{202a}-\u{202e}\u{2030}-\u{205e}\u{2060}-\u{2fff}\u{3001}-\u{fefe}\u{ff00}-\u{10ffff}";
/// Compiled sizes in bytes. Most patterns fit into the first; beyond the second they are refused.
const BYTES_MIN: usize = 512;
const BYTES_MAX: usize = 256 * 1024;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// As it was written.
    shown: Box<str>,
    /// The cost of a character of text, in steps. Matching may look at every state of the pattern for every
    /// character, but few patterns keep more than a handful of states alive, so a state counts for a quarter.
    weight: usize,
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Result<Pattern, String> {
        let rewritten = rewrite(pattern)?;
        let mut bytes_max = BYTES_MIN;
        loop {
            match RegexBuilder::new(&rewritten).size_limit(bytes_max).build() {
                Ok(regex) => {
                    return Ok(Pattern { regex, shown: pattern.into(), weight: 1 + bytes_max / BYTES_MIN / 4 });
                }
                // It does not say whether size was the reason, so try up to the end.
                Err(_) if bytes_max < BYTES_MAX => bytes_max *= 2,
                Err(error) if error.to_string().contains("size limit") => {
                    return Err("too large when compiled; lengths are cheaper as `minLength` and `maxLength`".into());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Whether it matches anywhere in `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What `matches` costs.
    pub(super) fn steps(&self, text: &str) -> usize {
        (text.chars().count() + 1).saturating_mul(self.weight)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.shown
    }
}

/// From the standard's dialect to that of `regex-lite`.
fn rewrite(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut letters = Vec::with_capacity(pattern.len());
    for letter in pattern.chars() {
        letters.push(letter);
    }
    let (mut at, mut in_class) = (0, false);
    while let Some(&letter) = letters.get(at) {
        at += 1;
        let next = letters.get(at).copied();
        let mut own = [0; 4];
        let piece: &str = match letter {
            '\\' => {
                at += 1;
                let behind = letters.get(at).copied();
                match behind {
                    Some(control) if next == Some('c') && control.is_ascii_alphabetic() => {
                        at += 1;
                        out.push_str(&format!(r"\x{:02x}", u32::from(control) % 32));
                    }
                    _ => escape(next, behind, in_class, &mut out)?,
                }
                ""
            }
            '[' if in_class => "\\[",
            '[' => {
                let excludes = next == Some('^');
                at += usize::from(excludes);
                // To the standard this is an empty class, to `regex-lite` a class that begins with a bracket.
                let is_empty = letters.get(at) == Some(&']');
                at += usize::from(is_empty);
                in_class = !is_empty;
                match (excludes, is_empty) {
                    (false, true) => return Err("`[]` matches nothing; write `\\]` for a bracket".into()),
                    (true, true) => r"[\s\S]",
                    (true, false) => "[^",
                    (false, false) => "[",
                }
            }
            ']' if in_class => {
                in_class = false;
                "]"
            }
            // Doubled, they would be operators on classes.
            '&' if in_class => r"\&",
            '~' if in_class => r"\~",
            '-' if in_class && next == Some('-') => return Err("`--` in a class; write `\\-`".into()),
            '.' if !in_class => r"[^\n\r\u{2028}\u{2029}]",
            '(' if next == Some('?') => match (letters.get(at + 1), letters.get(at + 2)) {
                (Some('=' | '!'), _) | (Some('<'), Some('=' | '!')) => {
                    return Err("look-around is not supported".into());
                }
                (Some(':' | '<'), _) => "(",
                _ => return Err("a group begins with `(`, `(?:` or `(?<name>`; flags are not supported".into()),
            },
            other => other.encode_utf8(&mut own),
        };
        out.push_str(piece);
    }
    Ok(out)
}

/// Rewrites a backslash and the `letter` behind it.
fn escape(letter: Option<char>, next: Option<char>, in_class: bool, out: &mut String) -> Result<(), String> {
    let Some(letter) = letter else { return Err("ends in a backslash".into()) };
    let mut own = [0; 4];
    let own: &str = letter.encode_utf8(&mut own);
    let pieces = match letter {
        // What is a class on both ends cannot become the end of a range.
        's' if in_class => [r"\s", SPACE, r"\s"],
        'S' if in_class => [r"\d", NOT_SPACE, r"\d"],
        's' => [r"[\s", SPACE, "]"],
        'S' => [r"[^\s", SPACE, "]"],
        'b' if in_class => [r"\x08", "", ""],
        'b' if next == Some('{') => return Err("`\\b` is not repeated".into()),
        '0' if !next.is_some_and(|next| next.is_ascii_digit()) => [r"\x00", "", ""],
        // Without the backslash: to `regex-lite` these are word boundaries.
        '<' | '>' => [own, "", ""],
        // It has the better words for the last of these, which it does not know.
        'd' | 'D' | 'w' | 'W' | 'b' | 'B' | 't' | 'n' | 'v' | 'f' | 'r' | 'x' | 'u' | 'p' | 'P' | '0'..='9' => {
            ["\\", own, ""]
        }
        letter if letter.is_ascii_punctuation() => ["\\", own, ""],
        letter => return Err(format!("`\\{letter}` is no escape of ECMA-262")),
    };
    pieces.iter().for_each(|piece| out.push_str(piece));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::Schema;

    #[test]
    fn a_pattern_means_what_it_means_in_ecma_262() {
        for (pattern, matching, other) in [
            ("^a*$", "aaa", "aab"),
            ("a+", "xxaayy", "xxyy"),
            ("^.$", "é", "\r"),
            (r"^\d$", "0", "\u{9ea}"),
            (r"^\w$", "a", "é"),
            (r"^\s$", "\u{feff}", "x"),
            (r"^\S$", "x", "\u{a0}"),
            (r"^[\s-]$", "-", "x"),
            (r"^[^\s]$", "x", "\u{2003}"),
            (r"^[^\S]$", "\u{2003}", "x"),
            (r"^[\s\S]$", "\n", ""),
            (r"^[^]$", "\n", ""),
            (r"^[\d\-.]+$", "1-.", "a"),
            ("^[[:alpha:]]$", "a]", "z"),
            ("^[a&&b]$", "&", "c"),
            (r"^[\b]$", "\u{8}", "b"),
            (r"^\<\>\/\-$", "<>/-", "/-"),
            (r"^\u00e9\x41\u{1F600}$", "éA😀", "e"),
            (r"^\0$", "\0", "0"),
            (r"^\cC$", "\u{3}", "C"),
            ("^(?<year>[0-9]{4})-(?:0[1-9]|1[0-2])$", "2026-11", "2026-13"),
            ("a$", "a", "a\n"),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            assert!(compiled.matches(matching), "{pattern} {matching:?}");
            assert!(!compiled.matches(other), "{pattern} {other:?}");
        }
    }

    #[test]
    fn what_cannot_be_matched_in_linear_time_or_means_two_things_is_refused() {
        for (pattern, words) in [
            ("a(?=b)", "look-around"),
            ("(?<!a)b", "look-around"),
            (r"(a)\1", "backreferences"),
            (r"\p{L}", "Unicode"),
            ("(?i)a", "flags"),
            ("(?P<a>b)", "(?<name>"),
            ("[]a]", "matches nothing"),
            ("[+--]", "`\\-`"),
            (r"\Aa\z", "no escape"),
            (r"a\", "backslash"),
            ("(", "group"),
            ("a{2,1}", "repetition"),
            ("(a{1000}){1000}", "too large"),
        ] {
            let error = Pattern::new(pattern).unwrap_err();
            assert!(error.contains(words), "{pattern}: {error}");
        }
    }

    #[test]
    fn larger_patterns_cost_more() {
        let weight = |pattern: &str| Pattern::new(pattern).unwrap().weight;
        assert_eq!(weight("^[a-z0-9_]+$"), 1);
        // A text of a thousand characters still fits into what a check may cost.
        assert!((16..100).contains(&weight("^.{1,1000}$")));
    }

    #[test]
    fn f37_patterns_of_texts_and_of_names_are_checked_within_the_budget_of_steps() {
        let spent = "too large to be checked (more than 100000 steps); send less at once";
        for (schema, value, fault) in [
            (json!({"pattern": "^[a-z]+$"}), json!("ab"), None),
            (json!({"pattern": "^[a-z]+$"}), json!("A1"), Some("expected a match of /^[a-z]+$/, got \"A1\"")),
            (json!({"patternProperties": {"^n": {"type": "number"}}}), json!({"n1": 1, "x": "y"}), None),
            (
                json!({"patternProperties": {"^n": {"type": "number"}}}),
                json!({"n": "1"}),
                Some("`n`: expected number, got \"1\""),
            ),
            (json!({"pattern": "^(a?){50}$"}), "a".repeat(49).into(), None),
            (json!({"pattern": "^(a?){50}$"}), "a".repeat(50_000).into(), Some(spent)),
        ] {
            let checked = Schema::compile(&schema).unwrap().check(&value);
            assert_eq!(checked.err().as_deref(), fault, "{schema}");
        }
    }
}
