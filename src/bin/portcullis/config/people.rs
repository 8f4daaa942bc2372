//! `[[role]]` and `[[token]]`: who may ask, and for what.
//!
//! A role is a name and globs of tools; a token is a name, the SHA-256 of the bearer token, a role and, mostly, an
//! end. The token itself never stands in the file: whoever reads the file, or a backup of it, cannot use it.
//! Asking them is not done here.

use super::date;
use super::reader::Reader;
use super::toml::{Item, Node};

/// Characters of a name that is shown to people and in logs.
const NAME_MAX: usize = 64;

/// What its holders may use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Role {
    /// Its name.
    pub(crate) name: String,
    /// Names of tools, in which `*` stands for any letters.
    pub(crate) tools: Vec<String>,
}

/// A bearer token that is let in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// Whose it is; the principal in sessions and logs.
    pub(crate) name: String,
    /// SHA-256 of the token.
    pub(crate) sha256: [u8; 32],
    /// The name of a role, which there is.
    pub(crate) role: String,
    /// From when on it is worth nothing, in seconds since 1970.
    pub(crate) expires: Option<u64>,
}

impl Role {
    /// May its holders use this tool?
    pub(crate) fn allows(&self, tool: &str) -> bool {
        self.tools.iter().any(|glob| matches(glob, tool))
    }
}

/// Whether a glob, in which `*` stands for any letters, means this name.
///
/// Linear in the name for each star: a star that was passed is never looked at again.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else { return glob == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

/// Reads `[[role]]`: it, and where its name stands.
pub(super) fn role(mut reader: Reader<'_>) -> Option<(usize, Role)> {
    let name = name(&mut reader);
    let globs = reader.need("tools", r#"["fw_*"]"#);
    let mut tools = Vec::new();
    for node in globs.map_or([].as_slice(), |node| reader.list("tools", node)) {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-.*".contains(c);
        match &node.item {
            Item::Text(text) if !text.is_empty() && text.chars().all(legal) => tools.push(text.clone()),
            _ => {
                let expected = "expected the name of a tool, in which * stands for any letters, such as \"fw_*\"";
                reader.wrong("tools", node, expected);
            }
        }
    }
    reader.finish();
    name.map(|(at, name)| (at, Role { name, tools }))
}

/// Reads `[[token]]`: the token, where its name and where its role stand.
pub(super) fn token(mut reader: Reader<'_>) -> Option<(usize, usize, Token)> {
    let name = name(&mut reader);
    let sha256 = reader.need("sha256", "\"…\"").and_then(|node| digest(&reader, node));
    let role = reader.need("role", "\"…\"").and_then(|node| Some((node.at, reader.as_text("role", node)?)));
    // Where the end makes no sense, the fault that is noted keeps the token from being used at all.
    let expires = reader.take("expires").and_then(|node| moment(&reader, node));
    reader.finish();
    let ((at, name), (role_at, role)) = (name?, role?);
    Some((at, role_at, Token { name, sha256: sha256?, role, expires }))
}

fn name(reader: &mut Reader<'_>) -> Option<(usize, String)> {
    let node = reader.need("name", "\"ops\"")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
    match &node.item {
        Item::Text(text) if (1..=NAME_MAX).contains(&text.len()) && text.chars().all(legal) => {
            Some((node.at, text.clone()))
        }
        _ => {
            reader.wrong("name", node, &format!("expected 1 to {NAME_MAX} of A-Z a-z 0-9 _ - . @"));
            None
        }
    }
}

fn digest(reader: &Reader<'_>, node: &Node) -> Option<[u8; 32]> {
    let bytes = match &node.item {
        Item::Text(text) => hex(text),
        _ => None,
    };
    if bytes.is_none() {
        // What stands there may be the token: it is not shown.
        let remedy = "`printf %s TOKEN | sha256sum` prints them";
        reader.fault(node.at, &format!("`sha256`: expected the 64 hex digits of the token's digest; {remedy}"));
    }
    bytes
}

/// 32 bytes in hex digits; a sign would be read as part of a number.
fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn moment(reader: &Reader<'_>, node: &Node) -> Option<u64> {
    let seconds = match &node.item {
        Item::Date(text) | Item::Text(text) => date::seconds(text),
        _ => None,
    };
    if seconds.is_none() {
        reader.wrong("expires", node, date::EXPECTED);
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters_and_everything_else_for_itself() {
        for (glob, name, expected) in [
            ("*", "anything", true),
            ("*", "", true),
            ("fw_*", "fw_rules", true),
            ("fw_*", "fw_", true),
            ("fw_*", "fw", false),
            ("fw_*", "xfw_rules", false),
            ("*_list", "set_list", true),
            ("*_list", "set_lists", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a**b", "ab", true),
            ("*a*a*", "a", false),
            ("*a*a*", "xaxax", true),
            ("ping", "ping", true),
            ("ping", "ping_host", false),
            ("a.c", "abc", false),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }
}
