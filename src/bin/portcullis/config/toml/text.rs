//! The text of a TOML file, letter by letter: what stands between the pieces, keys, strings and numbers.
//!
//! A control character where none may be was refused before, so only tabs and line ends are among them here.

use super::{Fault, Item, Key, fault};
use serde_json::Value;

/// What a key without quotes has.
const KEY: &str = "expected letters, numbers, `-`, `_`";

/// A place in the text.
pub(super) struct Text<'a> {
    text: &'a str,
    /// Between two characters.
    pub(super) at: usize,
}

impl<'a> Text<'a> {
    /// The beginning, behind the mark that some editors put there.
    pub(super) fn new(text: &'a str) -> Text<'a> {
        let mut begin = Text { text, at: 0 };
        begin.take("\u{feff}");
        begin
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes this, if it comes next.
    pub(super) fn take(&mut self, what: &str) -> bool {
        let is_next = self.rest().starts_with(what);
        self.at += if is_next { what.len() } else { 0 };
        is_next
    }

    /// Takes all that comes of these, and gives it back.
    fn take_while(&mut self, is_wanted: &dyn Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !is_wanted(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    pub(super) fn blanks(&mut self) {
        self.take_while(&|c| matches!(c, ' ' | '\t'));
    }

    fn comment(&mut self) -> bool {
        let is_there = self.peek() == Some('#');
        if is_there {
            self.take_while(&|c| !matches!(c, '\r' | '\n'));
        }
        is_there
    }

    /// Blanks, line ends and comments.
    pub(super) fn gap(&mut self) {
        loop {
            self.take_while(&|c| c.is_ascii_whitespace());
            if !self.comment() {
                return;
            }
        }
    }

    /// The end of an expression, which is that of its line.
    pub(super) fn line_end(&mut self) -> Result<(), Fault> {
        self.blanks();
        self.comment();
        match self.peek() {
            None | Some('\r' | '\n') => Ok(()),
            Some(_) => Err(fault(self.at, "unexpected key or value, expected `\\n`, `#`")),
        }
    }

    /// `a."b c".d`, with what stands around it.
    pub(super) fn keys(&mut self) -> Result<Vec<Key>, Fault> {
        let mut keys = Vec::new();
        loop {
            self.blanks();
            keys.push(self.key()?);
            self.blanks();
            if !self.take(".") {
                return Ok(keys);
            }
        }
    }

    fn key(&mut self) -> Result<Key, Fault> {
        let at = self.at;
        if let Some(quote @ ('"' | '\'')) = self.peek() {
            self.at += 1;
            let text = self.string(quote, false)?;
            let text = text.ok_or_else(|| fault(self.at, &format!("key without its {quote}, expected `=` behind it")));
            return Ok(Key { text: text?, at });
        }
        let text = self.take_while(&|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        match self.peek() {
            _ if text.is_empty() => Err(fault(at, &format!("unquoted keys cannot be empty, {KEY}"))),
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | '=' | ',' | '[' | ']' | '{' | '}' | '#') => {
                Ok(Key { text: text.to_owned(), at })
            }
            Some(_) => Err(fault(self.at, &format!("invalid unquoted key, {KEY}"))),
        }
    }

    /// A string, a number, a date, true or false.
    pub(super) fn scalar(&mut self) -> Result<Item, Fault> {
        let at = self.at;
        let Some(quote @ ('"' | '\'')) = self.peek() else {
            let word = self.take_while(&|c| !matches!(c, ',' | '=' | '#' | '[' | ']' | '{' | '}' | '\r' | '\n'));
            return word_of(word.trim_ascii_end()).map_err(|(within, why)| fault(at + within, why));
        };
        let end = if quote == '"' { "\"\"\"" } else { "'''" };
        let is_long = self.take(end);
        if is_long {
            // A line end right there is not part of it.
            let _ = self.take("\r\n") || self.take("\n");
        } else {
            self.at += 1;
        }
        let text = self.string(quote, is_long)?;
        let end = if is_long { end } else { &end[..1] };
        text.map(Item::Text).ok_or_else(|| fault(self.at, &format!("unclosed string, expected `{end}`")))
    }

    /// A string up to its end, of three quotes if it is long; none if there is no end.
    fn string(&mut self, quote: char, is_long: bool) -> Result<Option<String>, Fault> {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            match c {
                '\r' | '\n' if !is_long => return Ok(None),
                '\\' if quote == '"' => {
                    self.at += 1;
                    self.escape(&mut text, is_long)?;
                    continue;
                }
                c if c == quote && !is_long => {
                    self.at += 1;
                    return Ok(Some(text));
                }
                c if c == quote => {
                    // Up to two more may stand before the three that end it.
                    let quotes = self.rest().bytes().take(5).take_while(|byte| char::from(*byte) == quote).count();
                    self.at += quotes;
                    (0..if quotes < 3 { quotes } else { quotes - 3 }).for_each(|_| text.push(quote));
                    if quotes >= 3 {
                        return Ok(Some(text));
                    }
                    continue;
                }
                c => text.push(c),
            }
            self.at += c.len_utf8();
        }
        Ok(None)
    }

    /// What stands behind a backslash.
    fn escape(&mut self, text: &mut String, is_long: bool) -> Result<(), Fault> {
        const KNOWN: &str = "missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `t`, `\\`, `\"`, `x`, `u`, `U`";
        let at = self.at;
        let letter = self.peek().unwrap_or_default();
        let digits = match letter {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if is_long && letter.is_ascii_whitespace() {
            // The line goes on with what comes next.
            return match self.take_while(&|c| c.is_ascii_whitespace()).contains('\n') {
                true => Ok(()),
                false => Err(fault(at, KNOWN)),
            };
        }
        self.at += letter.len_utf8();
        if digits > 0 {
            let number = self.rest().get(..digits).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let letter = number.and_then(|hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
            text.push(letter.ok_or_else(|| fault(self.at, "invalid value, expected unicode hexadecimal value"))?);
            self.at += digits;
            return Ok(());
        }
        text.push(match letter {
            'b' => '\u{8}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '"' | '\\' => letter,
            _ => return Err(fault(at, KNOWN)),
        });
        Ok(())
    }
}

const INTEGER: &str = "expected an integer of at most 64 bits";
const NO_VALUE: &str = "string values must be quoted, expected literal string";

/// What a word without quotes is; or what is wrong with it, and where in it.
fn word_of(word: &str) -> Result<Item, (usize, &'static str)> {
    let number = word.strip_prefix(['+', '-']).unwrap_or(word);
    let digits = number.len() - number.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-:._ \t".contains(c);
    match word {
        "true" | "false" => return Ok(Item::Boolean(word == "true")),
        _ if matches!(number, "inf" | "nan") => return Err((0, "expected a finite number")),
        _ if digits == 0 || !word.chars().all(is_plain) => return Err((0, NO_VALUE)),
        _ if number[digits..].starts_with(['-', ':']) => return Ok(Item::Date(word.to_owned())),
        _ => {}
    }
    let base = if number.starts_with("0x") { 16 } else { 10 };
    let is_digit = |at: usize| number.as_bytes().get(at).is_some_and(|byte| char::from(*byte).is_digit(base));
    let lone = number.match_indices('_').find(|(at, _)| !is_digit(at - 1) || !is_digit(at + 1));
    if let Some((at, _)) = lone {
        return Err((at + word.len() - number.len(), "`_` may only go between digits"));
    }
    let plain = word.replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = plain.strip_prefix(prefix).filter(|digits| !digits.starts_with(['+', '-'])) {
            return i64::from_str_radix(digits, radix).map(Item::Integer).map_err(|_| (0, INTEGER));
        }
    }
    if number.starts_with('0') && number[1..].starts_with(|c: char| c.is_ascii_digit() || c == '_') {
        return Err((word.len() - number.len(), "unexpected leading zero"));
    }
    if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        return plain.parse().map(Item::Integer).map_err(|_| (0, INTEGER));
    }
    // What is left is written as in JSON, but for the `+`.
    match serde_json::from_str(plain.strip_prefix('+').unwrap_or(&plain)) {
        Ok(Value::Number(number)) => Ok(Item::Float(number.as_f64().unwrap_or_default())),
        _ => Err((0, "expected a finite number, such as 1 or 0.5; string values must be quoted")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Item, Source};

    /// The value of `x`, as it is shown in messages; a string as it is.
    fn value(text: &str) -> Result<String, String> {
        let source = Source { name: "f".into(), text: format!("x = {text}\n") };
        let table = source.parse().map_err(|fault| format!("{}: {}", fault.at, fault.why))?;
        match &table.entries[0].node.item {
            Item::Text(text) => Ok(text.clone()),
            Item::List(list) => Ok(list.nodes.iter().map(|node| node.item.to_string()).collect::<Vec<_>>().join(" ")),
            other => Ok(other.to_string()),
        }
    }

    #[test]
    fn values_are_read_as_toml_1_1_has_them() {
        for (text, expected) in [
            (r"'a\b'", r"a\b"),
            (r#""\b\e\f\n\r\t\"\\\x41\u00e9\U0001F600""#, "\u{8}\u{1b}\u{c}\n\r\t\"\\Aé😀"),
            ("\"\"\"\r\na\nb \\ \n\n  c\"\"\"", "a\nb c"),
            ("\"\"\"\"a\"\"b\"\"\"\"\"", "\"a\"\"b\"\""),
            ("'''\na'''''", "a''"),
            ("\"\"\"\"\"\" # none", ""),
            ("+1_000", "1000"),
            ("0xdead_beef", "3735928559"),
            ("0o17", "15"),
            ("0b101", "5"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("+6.25e-1_0", "6.25e-10"),
            ("1E2", "100"),
            ("-0.5", "-0.5"),
            ("1979-05-27 07:32:00.5Z", "1979-05-27 07:32:00.5Z"),
            ("07:32", "07:32"),
            ("[ 1, # one\n 'b',\n\n]", "1 \"b\""),
            ("[{ a.b = [\n] , \"c\" = 1,\n}, []]", "a table an array"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_where_it_is() {
        for (text, expected) in [
            ("1_", "5: `_`"),
            ("0_1", "4: unexpected leading zero"),
            ("-01", "5: unexpected leading zero"),
            ("-0x0", "4: expected a finite number"),
            ("1_e5", "5: `_`"),
            ("1.", "4: expected a finite number"),
            (".5", "4: string values must be quoted"),
            ("1e400", "4: expected a finite number"),
            ("0x", "4: expected an integer"),
            ("0x+1", "4: expected a finite number"),
            ("tru", "4: string values must be quoted"),
            ("\"a", "6: unclosed string, expected `\"`"),
            ("'''a''", "11: unclosed string, expected `'''`"),
            ("\"\\u12é4\"", "7: invalid value, expected unicode"),
            ("\"\\ud800\"", "7: invalid value, expected unicode"),
            ("\"\"\"\\ a\"\"\"", "8: missing escaped value"),
            ("1 # a\ny", "11: key with no value"),
            ("'a' 'b'", "8: unexpected key or value"),
            ("[1 '2']", "5: string values"),
            ("['1' 2]", "9: missing comma"),
            ("[,]", "5: extra comma"),
            ("[1,,]", "7: extra comma"),
            ("[1", "7: unclosed array, expected `]`"),
            ("{a = 1", "11: unclosed inline table, expected `}`"),
            ("{a\n= 1}", "6: key with no value"),
            ("{é = 1}", "5: unquoted keys cannot be empty"),
            ("{a! = 1}", "6: invalid unquoted key"),
        ] {
            let why = value(text).unwrap_err();
            assert!(why.starts_with(expected), "{text}: {why}");
        }
    }
}
