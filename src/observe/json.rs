//! JSON objects written member by member: what an operator sees is large, and a tree of it would be larger.

use std::time::Duration;

use crate::jsonrpc::{write_integer, write_string};

/// An object that is being written. It ends with [`Object::end`].
pub(super) struct Object<'o> {
    pub(super) out: &'o mut Vec<u8>,
    begun: bool,
}

impl<'o> Object<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, begun: false }
    }

    /// Writes a member's name; its value follows.
    pub(super) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(b',');
        }
        write_string(self.out, name);
        self.out.push(b':');
        self.out
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        write_string(self.key(name), value);
    }

    /// Text that may be missing: `null`.
    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.key(name).extend_from_slice(b"null"),
        }
    }

    pub(super) fn number(&mut self, name: &str, value: usize) {
        write_integer(self.key(name), value as i64);
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn seconds(&mut self, name: &str, time: Duration) {
        write_seconds(self.key(name), time);
    }

    pub(super) fn object(&mut self, name: &str) -> Object<'_> {
        Object::new(self.key(name))
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

/// Seconds with three digits.
pub(super) fn write_seconds(out: &mut Vec<u8>, time: Duration) {
    let ms = time.as_millis() as u64;
    write_integer(out, (ms / 1000) as i64);
    out.push(b'.');
    out.extend([ms / 100 % 10, ms / 10 % 10, ms % 10].map(|digit| b'0' + digit as u8));
}

/// Appends what `write` writes for each, with commas between; `follows` says that there is one before the first. Says
/// whether there were any.
pub(super) fn write_list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    follows: bool,
    mut write: impl FnMut(&mut Vec<u8>, T),
) -> bool {
    let mut some = false;
    for item in items {
        out.extend_from_slice(if some || follows { b",\n  " } else { b"\n  " });
        write(out, item);
        some = true;
    }
    some
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_out_as_json_with_seconds_of_three_digits() {
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        object.text("a", "\"\n</script>");
        object.maybe("b", None);
        object.seconds("c", Duration::from_millis(61_007));
        let mut inner = object.object("d");
        inner.flag("e", true);
        inner.end();
        object.number("f", 7);
        object.end();
        let expected = r#"{"a":"\"\n</script>","b":null,"c":61.007,"d":{"e":true},"f":7}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
