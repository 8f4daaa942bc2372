//! What a request repeats in its headers (2026-07-28): `Mcp-Name` and `Mcp-Param-*` say what the body says.
//!
//! One decision is made here: does the header say the same? Somebody in front of us may have routed or let in by
//! the header, so everything that could be read in two ways is refused. Which headers are due, the schema of the
//! tool says; an argument of another type than the schema names is not compared, and refused for its type later. This file knows neither.

use std::borrow::Cow;

use base64ct::{Base64, Encoding};

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// What the body says where the schema has an `x-mcp-header`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected<'a> {
    /// Not there, or `null`.
    Absent,
    String(&'a str),
    /// The number as it stands in the JSON.
    Integer(&'a str),
    Boolean(bool),
}

/// What a header value means: itself, or the text within `=?base64?` and `?=` (V-1, V-2).
///
/// # Errors
/// Why it means nothing.
pub(crate) fn decoded(value: &str) -> Result<Cow<'_, str>, &'static str> {
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Err("expected visible ASCII, spaces and tabs, anything else as =?base64?...?=");
    }
    // The suffix is looked for behind the prefix: `=?base64?=` has one question mark for both and is a literal.
    let Some(coded) = value.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes =
        Base64::decode_vec(coded).map_err(|_| "expected standard Base64 with padding within =?base64? and ?=")?;
    let text = String::from_utf8(bytes).map_err(|_| "expected Base64 of UTF-8 text within =?base64? and ?=")?;
    Ok(Cow::Owned(text))
}

/// Does `header` say what `body` says?
///
/// # Errors
/// As [`decoded`].
pub(crate) fn same_string(header: &str, body: &str) -> Result<bool, &'static str> {
    Ok(decoded(header)? == body)
}

/// Checks `Mcp-Param-<token>` against the argument it repeats (V-4, V-5). Values are not repeated: they may be long.
///
/// # Errors
/// A sentence for the client's author: which header, what is wrong, what to send.
pub(crate) fn check_param(token: &str, header: Option<&str>, expected: Expected<'_>) -> Result<(), String> {
    same_param(header, expected).map_err(|why| format!("Mcp-Param-{token}: {why}"))
}

fn same_param(header: Option<&str>, expected: Expected<'_>) -> Result<(), &'static str> {
    let value = match (header, expected) {
        (None, Expected::Absent) => return Ok(()),
        (Some(_), Expected::Absent) => {
            return Err("the header is there and the argument is not; leave the header away or send the argument");
        }
        (None, _) => return Err("the header is missing; expected the value of the argument in it"),
        (Some(header), _) => decoded(header)?,
    };
    match expected {
        Expected::Absent => Ok(()),
        Expected::String(body) if value == body => Ok(()),
        Expected::String(_) => Err("header and argument differ; expected the same text in both"),
        Expected::Boolean(body) if value == if body { "true" } else { "false" } => Ok(()),
        Expected::Boolean(true) => Err("header and argument differ; expected true"),
        Expected::Boolean(false) => Err("header and argument differ; expected false"),
        Expected::Integer(body) => {
            let Some(in_body) = Integer::of(body) else {
                return Err("the argument is no integer within 64 digits; expected one in the body");
            };
            match Integer::of(&value) {
                // An exponent in the body is JSON's; in a header nobody else would read it.
                Some(_) if value.bytes().any(|byte| matches!(byte, b'e' | b'E')) => {
                    Err("expected a decimal integer without an exponent")
                }
                None => Err("expected a decimal integer such as 42"),
                Some(in_header) if in_header == in_body => Ok(()),
                Some(_) => Err("header and argument differ; expected the same number in both"),
            }
        }
    }
}

/// A whole number, exactly: `42`, `42.0` and `4.2e1` are the same one, `9007199254740993` and its neighbour are not.
#[derive(Debug, PartialEq, Eq)]
struct Integer {
    negative: bool,
    /// Without leading zeros; empty for zero.
    digits: String,
}

/// More digits than this are no number of ours (2^53 has 16), however they are written.
const DIGITS_MAX: usize = 64;

impl Integer {
    /// Reads a number of JSON (RFC 8259, section 6), if it is whole.
    fn of(text: &str) -> Option<Integer> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(halves) => halves,
            None => (mantissa, ""),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let all = all.trim_start_matches('0');
        let kept = all.trim_end_matches('0');
        if kept.is_empty() {
            return Some(Integer { negative: false, digits: String::new() });
        }
        // How many zeros follow the digits that count; below none it is a fraction.
        let cut = i64::try_from(all.len() - kept.len()).ok()?;
        let zeros = cut.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(exponent)?;
        let zeros = usize::try_from(zeros).ok().filter(|zeros| zeros.saturating_add(kept.len()) <= DIGITS_MAX)?;
        Some(Integer { negative: unsigned.len() < text.len(), digits: format!("{kept}{}", "0".repeat(zeros)) })
    }
}

/// `+2`, `-07` or `2` of an exponent.
fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let size = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i32>().ok())??;
    Some(i64::from(if text.starts_with('-') { -size } else { size }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_v2_a_value_is_itself_or_the_base64_in_it() {
        let alphabet = "expected standard Base64";
        for (value, expected) in [
            ("us-west1", Ok("us-west1")),
            ("", Ok("")),
            ("a b\tc~", Ok("a b\tc~")),
            ("=?base64?SGVsbG8=?=", Ok("Hello")),
            ("=?base64?SGVsbG8gV29ybGQh?=", Ok("Hello World!")),
            ("=?base64?w7Y=?=", Ok("ö")),
            ("=?base64?Cg==?=", Ok("\n")),
            ("=?base64?PT9iYXNlNjQ/U0dWc2JHOD0/PQ==?=", Ok("=?base64?SGVsbG8=?=")),
            ("=?base64??=", Ok("")),
            ("=?base64?=", Ok("=?base64?=")),
            ("=?base64?", Ok("=?base64?")),
            ("?=", Ok("?=")),
            ("=?BASE64?SGVsbG8=?=", Ok("=?BASE64?SGVsbG8=?=")),
            ("=?Base64?SGVsbG8=?=", Ok("=?Base64?SGVsbG8=?=")),
            (" =?base64?SGVsbG8=?=", Ok(" =?base64?SGVsbG8=?=")),
            ("=?base64?SGVsbG8=", Ok("=?base64?SGVsbG8=")),
            ("SGVsbG8=?=", Ok("SGVsbG8=?=")),
            ("=?base64?SGVsbG8?=", Err(alphabet)),
            ("=?base64?SGVsbG8==?=", Err(alphabet)),
            ("=?base64?SGVsbG9=?=", Err(alphabet)),
            ("=?base64?SGVs!!!bG8=?=", Err(alphabet)),
            ("=?base64?SGVs bG8=?=", Err(alphabet)),
            ("=?base64?SGVs\tbG8=?=", Err(alphabet)),
            ("=?base64?PT9_YXNl?=", Err(alphabet)),
            ("=?base64?PT9-YXNl?=", Err(alphabet)),
            ("=?base64?S===?=", Err(alphabet)),
            ("=?base64?====?=", Err(alphabet)),
            ("=?base64?=?=", Err(alphabet)),
            ("=?base64?SGV=sbG8=?=", Err(alphabet)),
            ("=?base64?SGVsbG8=?=?=", Err(alphabet)),
            ("=?base64?/w==?=", Err("expected Base64 of UTF-8")),
            ("=?base64?7aCA?=", Err("expected Base64 of UTF-8")),
            ("ö", Err("expected visible ASCII")),
            ("a\0", Err("expected visible ASCII")),
            ("a\r", Err("expected visible ASCII")),
            ("a\x7f", Err("expected visible ASCII")),
        ] {
            match (decoded(value), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{value:?}"),
                (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{value:?}: {why}"),
                (found, _) => panic!("{value:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn v1_names_are_compared_by_what_they_mean() {
        for (header, body, expected) in [
            ("add", "add", Ok(true)),
            ("Add", "add", Ok(false)),
            ("=?base64?YWRk?=", "add", Ok(true)),
            ("=?base64?YWRk?=", "=?base64?YWRk?=", Ok(false)),
            ("=?base64?SGVsbG8=?=", "World", Ok(false)),
            ("=?base64?YWR?=", "add", Err(())),
        ] {
            assert_eq!(same_string(header, body).map_err(drop), expected, "{header} {body}");
        }
    }

    #[test]
    fn v4_v5_a_parameter_header_says_what_the_argument_says() {
        use Expected::{Absent, Boolean, Integer, String};
        for (header, expected, why) in [
            (None, Absent, None),
            (Some("x"), Absent, Some("leave the header away")),
            (Some(""), Absent, Some("leave the header away")),
            (None, String("x"), Some("is missing")),
            (None, String(""), Some("is missing")),
            (None, Integer("1"), Some("is missing")),
            (None, Boolean(false), Some("is missing")),
            (Some("x"), String("x"), None),
            (Some(""), String(""), None),
            (Some("X"), String("x"), Some("differ")),
            (Some("=?base64?SGVsbG8=?="), String("Hello"), None),
            (Some("=?base64?SGVsbG8=?="), String("hello"), Some("differ")),
            (Some("=?base64?SGVsbG8=?="), String("=?base64?SGVsbG8=?="), Some("differ")),
            (Some("=?base64?SGVsbG8?="), String("Hello"), Some("padding")),
            (Some("ö"), String("ö"), Some("visible ASCII")),
            (Some("true"), Boolean(true), None),
            (Some("false"), Boolean(false), None),
            (Some("=?base64?dHJ1ZQ==?="), Boolean(true), None),
            (Some("false"), Boolean(true), Some("expected true")),
            (Some("True"), Boolean(true), Some("expected true")),
            (Some("1"), Boolean(true), Some("expected true")),
            (Some("true"), Boolean(false), Some("expected false")),
            (Some("42"), Integer("42"), None),
            (Some("42.0"), Integer("42"), None),
            (Some("42"), Integer("42.000"), None),
            (Some("42"), Integer("4.2e1"), None),
            (Some("42"), Integer("4200E-2"), None),
            (Some("1000"), Integer("1e+3"), None),
            (Some("-7"), Integer("-7"), None),
            (Some("0"), Integer("-0"), None),
            (Some("-0.0"), Integer("0e99999999"), None),
            (Some("=?base64?NDI=?="), Integer("42"), None),
            (Some("9007199254740993"), Integer("9007199254740993"), None),
            (Some("9007199254740992"), Integer("9007199254740993"), Some("differ")),
            (Some("18446744073709551617"), Integer("1"), Some("differ")),
            (Some("7"), Integer("-7"), Some("differ")),
            (Some("420"), Integer("42"), Some("differ")),
            (Some("4.2e1"), Integer("42"), Some("without an exponent")),
            (Some("42e0"), Integer("42"), Some("without an exponent")),
            (Some("42.5"), Integer("42"), Some("such as 42")),
            (Some("042"), Integer("42"), Some("such as 42")),
            (Some("+42"), Integer("42"), Some("such as 42")),
            (Some(" 42"), Integer("42"), Some("such as 42")),
            (Some("42."), Integer("42"), Some("such as 42")),
            (Some(".0"), Integer("0"), Some("such as 42")),
            (Some("--1"), Integer("1"), Some("such as 42")),
            (Some("0x2a"), Integer("42"), Some("such as 42")),
            (Some("1_000"), Integer("1000"), Some("such as 42")),
            (Some("-"), Integer("0"), Some("such as 42")),
            (Some(""), Integer("0"), Some("such as 42")),
            (Some("1"), Integer("1.5"), Some("the argument is no integer")),
            (Some("1"), Integer("1e2147483647"), Some("the argument is no integer")),
            (Some("1"), Integer("1e-2147483648"), Some("the argument is no integer")),
            (Some("1"), Integer("1e99999999999999999999"), Some("the argument is no integer")),
            (Some("1"), Integer("1e"), Some("the argument is no integer")),
            (Some("1"), Integer("1e+-1"), Some("the argument is no integer")),
            (Some("1"), Integer("nonsense"), Some("the argument is no integer")),
        ] {
            let verdict = check_param("Region", header, expected);
            match (&verdict, why) {
                (Ok(()), None) => {}
                (Err(said), Some(why)) if said.starts_with("Mcp-Param-Region: ") && said.contains(why) => {}
                _ => panic!("{header:?} {expected:?}: {verdict:?}, expected {why:?}"),
            }
        }
        let long = "9".repeat(100_000);
        assert!(check_param("N", Some(&long), Integer("1")).is_err());
        assert!(check_param("N", Some("1"), Integer(&long)).is_err());
        assert!(check_param("N", Some("1"), Integer(&format!("1.{}", "0".repeat(100_000)))).is_ok());
    }
}
