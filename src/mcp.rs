//! The protocol's nouns: who asks, what is described, what is given back, and how that is written down.

pub(crate) mod capability;
pub(crate) mod compat;
pub(crate) mod content;
pub(crate) mod describe;
pub(crate) mod elicit;
pub(crate) mod level;
pub(crate) mod meta;
pub(crate) mod peer;
pub(crate) mod result;
pub(crate) mod sample;
pub(crate) mod uri_template;

use serde_json::{Map, Value};

use crate::jsonrpc::write_string;

/// Adds a member; out of line, because what `insert` is made of is larger than what calls it.
#[inline(never)]
pub(crate) fn put(members: &mut Map<String, Value>, key: &str, value: Value) {
    members.insert(key.to_owned(), value);
}

/// Appends an object of those members that are there: name, whether it is, and its value as JSON.
pub(crate) fn write_those(out: &mut Vec<u8>, members: &[(&str, bool, &[u8])]) {
    out.push(b'{');
    let begin = out.len();
    for (name, _, value) in members.iter().filter(|(_, is_there, _)| *is_there) {
        if out.len() > begin {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
}

/// An object of one member.
pub(crate) fn object(key: &str, value: Value) -> Map<String, Value> {
    let mut members = Map::new();
    put(&mut members, key, value);
    members
}
