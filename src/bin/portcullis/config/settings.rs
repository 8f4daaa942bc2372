//! `[server]` and `[limits]`: the options of the command line, by their names with `_` for `-`.
//!
//! One table says what there is, for both (`options`, `bounds`), and the same functions read the values. An option
//! that may be repeated is an array, a switch is true or false, everything else is a string or a number.

use super::reader::{Faults, Reader};
use super::toml::{Item, Node, Source, Table};
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
pub(super) fn read(
    source: &Source,
    faults: &Faults,
    header: &str,
    table: Table,
    draft: &mut Options,
    given: &mut Vec<Given>,
) {
    let reader = Reader::new(source, faults, header, 0, Table::empty());
    for entry in table.entries {
        let Some((name, takes)) = known(header).find(|(name, _)| name.replace('-', "_") == entry.key) else {
            reader.fault(entry.at, &unknown(header, &entry.key));
            continue;
        };
        if let Some(first) = given.iter().find(|first| first.name == name) {
            reader.fault(entry.at, &format!("`{}` is there already, at {}: say it once", entry.key, first.place));
            continue;
        }
        let place = source.place(entry.at);
        for (node, text) in values(&reader, &entry.key, takes, entry.node) {
            match draft.set(name, &text) {
                Ok(()) => given.push(Given { name, text, place: place.clone() }),
                Err(expected) => reader.wrong(&entry.key, &node, &expected),
            }
        }
    }
    reader.finish();
}

/// The values of an option, each as the command line would have it.
fn values(reader: &Reader<'_>, key: &str, takes: Takes, node: Node) -> Vec<(Node, String)> {
    let nodes = match (takes, node.item) {
        (Takes::Switch, Item::Boolean(false)) => return Vec::new(),
        (Takes::Switch, Item::Boolean(true)) => {
            return vec![(Node { at: node.at, item: Item::Boolean(true) }, String::new())];
        }
        (Takes::Switch, item) => {
            reader.wrong(key, &Node { at: node.at, item }, "expected true or false");
            return Vec::new();
        }
        (Takes::Many, Item::List(list)) => list.nodes,
        (Takes::Many, item) => {
            reader.wrong(key, &Node { at: node.at, item }, "expected an array of strings");
            return Vec::new();
        }
        (Takes::One, item) => vec![Node { at: node.at, item }],
    };
    let text = |node: Node| reader.checked(key, &node, |text| Ok(text.to_owned())).map(|text| (node, text));
    nodes.into_iter().filter_map(text).collect()
}

/// The options that a table holds.
fn known(header: &str) -> Box<dyn Iterator<Item = (&'static str, Takes)>> {
    match header {
        "[limits]" => Box::new(BOUNDS.iter().map(|bound| (bound.name, Takes::One))),
        // A file does not name another: what belongs to it is beside it.
        _ => Box::new(OPTIONS.iter().filter(|opt| opt.name != "config").map(|opt| match (opt.value, opt.repeatable) {
            ("", _) => (opt.name, Takes::Switch),
            (_, true) => (opt.name, Takes::Many),
            (_, false) => (opt.name, Takes::One),
        })),
    }
}

/// What to say of a key that is no option there.
fn unknown(header: &str, key: &str) -> String {
    let spelled = key.replace('-', "_");
    for table in ["[server]", "[limits]"] {
        if known(table).any(|(name, _)| name.replace('-', "_") == spelled) {
            return match table == header {
                true => format!("unknown key `{key}`: write `{spelled}`"),
                false => format!("unknown key `{key}` in {header}: it belongs into {table}"),
            };
        }
    }
    let names: Vec<_> = known(header).map(|(name, _)| name.replace('-', "_")).collect();
    format!("unknown key `{key}` in {header}: it has {}", names.join(", "))
}
