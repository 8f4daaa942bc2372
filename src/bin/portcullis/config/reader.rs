//! A table of a file, read key by key into what is meant.
//!
//! Decided here: every fault has its place, what was expected and mostly the remedy; a key that nobody asked for
//! is a fault; and reading goes on after a fault, so that a person sees all of them at once (but no more than
//! [`FAULTS_MAX`]). A reader gives back nothing where it has noted a fault.

use super::toml::{Item, Node, Source, Table};
use crate::bounds;
use std::cell::RefCell;

/// Faults that are shown. Who has more made one mistake many times.
const FAULTS_MAX: usize = 20;

/// What was wrong with a file, or with several.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<String>>);

impl Faults {
    /// Notes one, with its place in front.
    pub(super) fn note(&self, place: &str, why: &str) {
        let mut all = self.0.borrow_mut();
        if all.len() < FAULTS_MAX {
            all.push(format!("{place}: {why}"));
        }
    }

    /// All of them, one a line.
    pub(super) fn all(self) -> Option<String> {
        let all = self.0.into_inner();
        (!all.is_empty()).then(|| all.join("\n"))
    }

    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }
}

/// A table that is being read.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) faults: &'a Faults,
    /// What it is, for messages: `[[tool]]`.
    what: &'a str,
    /// Where it stands.
    pub(super) at: usize,
    table: &'a Table,
    known: Vec<&'static str>,
}

/// What a number counts, and from where to where it goes.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Count(u64, u64),
    /// Bytes: an integer, or a string such as "64K".
    Bytes(u64, u64),
    /// Seconds with decimals, up to so many; read as milliseconds.
    Seconds(u64),
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a Source,
        faults: &'a Faults,
        what: &'a str,
        at: usize,
        table: &'a Table,
    ) -> Reader<'a> {
        Reader { source, faults, what, at, table, known: Vec::new() }
    }

    /// Notes a fault at a byte.
    pub(super) fn fault(&self, at: usize, why: &str) {
        self.faults.note(&self.source.place(at), why);
    }

    /// Notes that a key has another value than one that makes sense.
    pub(super) fn wrong(&self, key: &str, node: &Node, expected: &str) {
        self.fault(node.at, &format!("`{key}`: got {}, {expected}", node.item));
    }

    /// The value of a key, which is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.table.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value of a key that must be there.
    pub(super) fn need(&mut self, key: &'static str, such_as: &str) -> Option<&'a Node> {
        let node = self.take(key);
        if node.is_none() {
            self.fault(self.at, &format!("{} has no `{key}`: add one, such as `{key} = {such_as}`", self.what));
        }
        node
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        self.as_text(key, node)
    }

    pub(super) fn as_text(&self, key: &str, node: &Node) -> Option<String> {
        match &node.item {
            Item::Text(text) if !text.is_empty() && !text.contains('\0') => Some(text.clone()),
            _ => {
                self.wrong(key, node, "expected a string that is not empty");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = self.take(key)?;
        if let Item::Boolean(yes) = node.item {
            return Some(yes);
        }
        self.wrong(key, node, "expected true or false");
        None
    }

    /// A number, in the words of the command line.
    pub(super) fn number(&self, key: &str, node: &Node, unit: Unit) -> Option<u64> {
        let text = self.as_words(key, node)?;
        let read = match unit {
            Unit::Count(min, max) => bounds::count(&text, min, max).map(|count| count as u64),
            Unit::Bytes(min, max) => bounds::bytes(&text, min, max).map(|bytes| bytes as u64),
            Unit::Seconds(max) => match bounds::seconds(&text) {
                Ok(time) if time.as_secs() < max || time.as_millis() == u128::from(max) * 1000 => {
                    Ok(time.as_millis() as u64)
                }
                _ => Err(format!("expected seconds, at most {max}, such as 30 or 0.25")),
            },
        };
        read.map_err(|expected| self.wrong(key, node, &expected)).ok()
    }

    /// A value as one would type it on the command line.
    pub(super) fn as_words(&self, key: &str, node: &Node) -> Option<String> {
        match &node.item {
            Item::Text(text) => Some(text.clone()),
            Item::Integer(_) | Item::Float(_) => Some(node.item.to_string()),
            other => {
                self.wrong(key, node, &format!("expected a string or a number, and not {}", other.kind()));
                None
            }
        }
    }

    /// One of these words: where it stands, and its index.
    pub(super) fn word(&mut self, key: &'static str, words: &[&str]) -> Option<(usize, usize)> {
        let node = self.take(key)?;
        let found = match &node.item {
            Item::Text(text) => words.iter().position(|word| word == text),
            _ => None,
        };
        if found.is_none() {
            self.wrong(key, node, &format!("expected one of {}", quoted(words)));
        }
        found.map(|index| (node.at, index))
    }

    /// An array; where there is none, an empty one, and a fault.
    pub(super) fn list(&self, key: &str, node: &'a Node) -> &'a [Node] {
        match &node.item {
            Item::List(list) => &list.nodes,
            _ => {
                self.wrong(key, node, "expected an array");
                &[]
            }
        }
    }

    /// A table in this one.
    pub(super) fn table(&mut self, key: &'static str) -> Option<(usize, &'a Table)> {
        let node = self.take(key)?;
        if let Item::Table(table) = &node.item {
            return Some((node.at, table));
        }
        self.wrong(key, node, "expected a table");
        None
    }

    /// Tables in this one, each with the byte at which it begins.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(usize, &'a Table)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let nodes = match &node.item {
            Item::List(list) => list.nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let is_list = matches!(node.item, Item::List(_));
        let mut tables = Vec::new();
        for node in nodes {
            match &node.item {
                Item::Table(table) if is_list => tables.push((node.at, table)),
                _ => self.wrong(key, node, &format!("expected tables, each under a header `[[{key}]]`")),
            }
        }
        tables
    }

    /// Notes every key that nobody has asked for.
    pub(super) fn finish(self) {
        for entry in &self.table.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let why = match self.known.iter().find(|known| entry.key.replace('-', "_") == **known) {
                Some(known) => format!("unknown key `{}`: write `{known}`", entry.key),
                None => format!("unknown key `{}` in {}: it has {}", entry.key, self.what, quoted(&self.known)),
            };
            self.fault(entry.at, &why);
        }
    }
}

/// `a`, `b`, `c`.
fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
