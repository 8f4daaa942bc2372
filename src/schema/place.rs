//! Where in a value a check stands, and how that and the value are quoted in a sentence.

use serde_json::Value;

/// A sentence ends here; it is read by a model, and what it quotes came from one.
const SENTENCE_BYTES_MAX: usize = 300;
const PATH_BYTES_MAX: usize = 120;
const QUOTE_BYTES_MAX: usize = 48;

/// One step of the way from the root, on the stack of the check.
pub(super) enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    /// The name of a member instead of its value.
    Name(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl Place<'_> {
    /// "`rules[2].chain`: " and the message; the root has no name.
    pub(super) fn sentence(&self, message: &str) -> String {
        let (path, what) = match self {
            Place::Root => return printable(message),
            Place::Name(above, name) => (Place::Member(above, name).path(), " (its name)"),
            _ => (self.path(), ""),
        };
        printable(&format!("`{path}`{what}: {message}"))
    }

    pub(super) fn is_root(&self) -> bool {
        matches!(self, Place::Root)
    }

    /// `rules[2].chain`; of a long one, the end.
    fn path(&self) -> String {
        let mut path = String::new();
        let mut place = self;
        // Backwards, so that the walk ends once there is enough.
        loop {
            let (above, step) = match place {
                Place::Root => break,
                Place::Item(above, at) => (above, format!("[{at}]")),
                Place::Member(above, name) | Place::Name(above, name) => match is_plain(name) {
                    true if above.is_root() => (above, (*name).to_owned()),
                    true => (above, format!(".{name}")),
                    false => (above, format!("[{}]", quote_text(name))),
                },
            };
            if path.len() + step.len() > PATH_BYTES_MAX {
                path.insert(0, '…');
                break;
            }
            path.insert_str(0, &step);
            place = above;
        }
        path
    }
}

/// Cut, and without the control characters that JSON does not escape; it may go to a log.
fn printable(sentence: &str) -> String {
    let sentence = cut(sentence, SENTENCE_BYTES_MAX);
    sentence.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// Whether a name can stand in a path as it is.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
    !name.is_empty() && name.len() <= QUOTE_BYTES_MAX && name.bytes().all(plain)
}

/// The beginning of `text` and "…", at most so many bytes in all.
pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// A value as JSON, if it is short; else its beginning, or what it is.
pub(super) fn quote(value: &Value) -> String {
    match value {
        Value::String(text) => quote_text(text),
        Value::Array(items) => if items.is_empty() { "[]" } else { "an array" }.into(),
        Value::Object(members) => if members.is_empty() { "{}" } else { "an object" }.into(),
        other => other.to_string(),
    }
}

fn quote_text(text: &str) -> String {
    Value::from(cut(text, QUOTE_BYTES_MAX)).to_string()
}

/// What an `enum` allows; of many, the first.
pub(super) fn quote_all(values: &[Value]) -> String {
    match values {
        [one] => quote_whole(one),
        _ => format!("one of {}", list(&mut values.iter().map(quote_whole))),
    }
}

/// Unlike `quote`, for values of the schema: they are short, and "an object" would not help.
fn quote_whole(value: &Value) -> String {
    cut(&value.to_string(), QUOTE_BYTES_MAX)
}

/// "a, b, c", at most so many bytes.
pub(super) fn list(names: &mut dyn Iterator<Item = String>) -> String {
    let mut list = String::new();
    for name in names {
        let comma = if list.is_empty() { "" } else { ", " };
        if list.len() + comma.len() + name.len() > PATH_BYTES_MAX {
            return format!("{list}{comma}…");
        }
        list.push_str(comma);
        list.push_str(&name);
    }
    list
}

/// A name in a list of names.
pub(super) fn name(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { quote_text(name) }
}
