//! `[server]` and `[limits]`: the options of the command line, by their names with `_` for `-`.
//!
//! One table says what there is, for both (`options`, `bounds`), and the same functions read the values. An option
//! that may be repeated is an array, a switch is true or false, everything else is a string or a number.

use super::reader::Reader;
use super::toml::{Entry, Item, Table};
use crate::bounds::BOUNDS;
use crate::options::{Given, OPTIONS, Options};

/// How often an option may be given, and with what.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Switch,
    One,
    Many,
}

/// Reads one of the two tables into `draft`, to check it, and into `given`.
pub(super) fn read(reader: &Reader<'_>, header: &str, table: &Table, draft: &mut Options, given: &mut Vec<Given>) {
    let all = known(header);
    for Entry { key, at, node } in &table.entries {
        let Some(&Known { name, takes, .. }) = all.iter().find(|known| known.key == *key) else {
            reader.fault(*at, &unknown(header, key));
            continue;
        };
        if let Some(first) = given.iter().find(|first| first.name == name) {
            reader.fault(*at, &format!("`{key}` is there already, at {}: say it once", first.place));
            continue;
        }
        let nodes = match (takes, &node.item) {
            (Takes::Switch, Item::Boolean(_)) | (Takes::One, _) => std::slice::from_ref(node),
            (Takes::Many, Item::List(list)) => &list.nodes,
            (Takes::Switch, _) => {
                reader.wrong(key, node, "expected true or false");
                continue;
            }
            (Takes::Many, _) => {
                reader.wrong(key, node, "expected an array of strings");
                continue;
            }
        };
        for node in nodes {
            let text = match (takes, &node.item) {
                (Takes::Switch, Item::Boolean(false)) => continue,
                (Takes::Switch, _) => String::new(),
                _ => match reader.as_words(key, node) {
                    Some(text) => text,
                    None => continue,
                },
            };
            match draft.set(name, &text) {
                Ok(()) => given.push(Given { name, text, place: reader.source.place(*at) }),
                Err(expected) => reader.wrong(key, node, &expected),
            }
        }
    }
}

/// An option as a table has it: its key, its name on the command line, and what it takes.
struct Known {
    key: String,
    name: &'static str,
    takes: Takes,
}

/// The options that a table holds.
fn known(header: &str) -> Vec<Known> {
    let mut known = Vec::new();
    let mut add = |name: &'static str, takes| known.push(Known { key: name.replace('-', "_"), name, takes });
    if header == "[limits]" {
        BOUNDS.iter().for_each(|bound| add(bound.name, Takes::One));
        return known;
    }
    for opt in OPTIONS {
        match (opt.name, opt.value, opt.repeatable) {
            // A file does not name another: what belongs to it is beside it.
            ("config", ..) => {}
            (name, "", _) => add(name, Takes::Switch),
            (name, _, true) => add(name, Takes::Many),
            (name, _, false) => add(name, Takes::One),
        }
    }
    known
}

/// What to say of a key that is no option there.
fn unknown(header: &str, key: &str) -> String {
    let spelled = key.replace('-', "_");
    for table in ["[server]", "[limits]"] {
        if known(table).iter().any(|known| known.key == spelled) {
            return match table == header {
                true => format!("unknown key `{key}`: write `{spelled}`"),
                false => format!("unknown key `{key}` in {header}: it belongs into {table}"),
            };
        }
    }
    let mut why = format!("unknown key `{key}` in {header}: it has ");
    for (n, known) in known(header).iter().enumerate() {
        why.push_str(if n == 0 { "" } else { ", " });
        why.push_str(&known.key);
    }
    why
}
