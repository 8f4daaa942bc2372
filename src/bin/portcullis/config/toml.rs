//! TOML 1.1 as a tree in which everything knows where it stands.
//!
//! `text` says what stands there; decided here is what the pieces mean together: which tables are one, and that
//! nothing is said twice. The first fault ends it, and names the place, for a duplicate both places. What the keys
//! mean is not known here.

mod text;

use self::text::Text;
use crate::tools::short;
use serde_json::Value;
use std::fmt;

/// Arrays in arrays; the deepest thing that means something here has three.
const DEPTH_MAX: u32 = 16;

/// A file's text, and what it is called.
#[derive(Debug)]
pub(crate) struct Source {
    /// As a person named it.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: String,
}

/// A value and the byte at which it begins.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) item: Item,
}

/// A value.
#[derive(Debug)]
pub(crate) enum Item {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or a time, as it was written.
    Date(String),
    List(List),
    Table(Table),
}

/// An array. One of `[[…]]` tables is open: it grows with the next.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) nodes: Vec<Node>,
    is_open: bool,
}

/// A table, in the order in which it was written.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
    origin: Origin,
}

/// A key, the byte at which it begins, and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// What made a table, because it decides who may add to it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    /// A header that names it, or the file itself.
    Header,
    /// A header that goes through it.
    Path,
    /// A dotted key that goes through it.
    Dotted,
    /// Braces: it is complete.
    Inline,
}

/// What is wrong, and at which byte.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) why: String,
}

impl Source {
    /// Where a byte stands, as `FILE:LINE:COLUMN`.
    pub(crate) fn place(&self, at: usize) -> String {
        let (line, column) = self.position(at);
        format!("{}:{line}:{column}", self.name)
    }

    /// Line and column, both from 1; a column is a character.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn parse(&self) -> Result<Table, Fault> {
        // Nowhere allowed, but the parser looks for them in strings alone.
        let bytes = self.text.as_bytes();
        let is_control = |at: &usize| match bytes[*at] {
            b'\t' | b'\n' => false,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            byte => byte.is_ascii_control(),
        };
        if let Some(at) = (0..bytes.len()).find(is_control) {
            return Err(fault(at, &format!("a control character, U+{:04X}: write \\u{0:04x} in a string", bytes[at])));
        }
        Build { source: self, text: Text::new(&self.text) }.document()
    }
}

impl Item {
    /// What it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Item::Text(_) => "a string",
            Item::Integer(_) => "an integer",
            Item::Float(_) => "a float",
            Item::Boolean(_) => "a boolean",
            Item::Date(_) => "a date",
            Item::List(_) => "an array",
            Item::Table(_) => "a table",
        }
    }
}

/// As a person would write it, for messages.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Text(text) => write!(f, "{:?}", short(text)),
            Item::Integer(number) => write!(f, "{number}"),
            Item::Float(number) => {
                // As JSON writes it: the standard library's writer of floats is 15 KB of program.
                let text = Value::from(*number).to_string();
                f.write_str(text.strip_suffix(".0").unwrap_or(&text))
            }
            Item::Boolean(yes) => write!(f, "{yes}"),
            Item::Date(text) => f.write_str(text),
            other => f.write_str(other.kind()),
        }
    }
}

/// A key on the way to a value.
struct Key {
    text: String,
    at: usize,
}

/// Puts the pieces together.
struct Build<'a> {
    source: &'a Source,
    text: Text<'a>,
}

impl Build<'_> {
    fn document(&mut self) -> Result<Table, Fault> {
        let mut root = Table::new(Origin::Header);
        let mut header: Vec<Key> = Vec::new();
        loop {
            self.text.gap();
            let Some(first) = self.text.peek() else { return Ok(root) };
            if first == '[' {
                header = self.header(&mut root)?;
            } else {
                let table = self.descend(&mut root, &header, Origin::Path)?;
                self.entry(table, 0)?;
            }
            self.text.line_end()?;
        }
    }

    /// `[a.b]` or `[[a.b]]`, and the table that it begins.
    fn header(&mut self, root: &mut Table) -> Result<Vec<Key>, Fault> {
        let is_list = self.text.take("[[");
        let (end, unclosed) = match is_list {
            true => ("]]", "unclosed array table, expected `]]`"),
            false => ("]", "unclosed table, expected `]`"),
        };
        let _ = is_list || self.text.take("[");
        let keys = self.text.keys()?;
        if !self.text.take(end) {
            return Err(fault(self.text.at, unclosed));
        }
        if let Some((last, way)) = keys.split_last() {
            let table = self.descend(root, way, Origin::Path)?;
            match is_list {
                true => self.append(table, last)?,
                false => self.open(table, last)?,
            }
        }
        Ok(keys)
    }

    /// `a.b = value`, into a table.
    fn entry(&mut self, table: &mut Table, depth: u32) -> Result<(), Fault> {
        let mut keys = self.text.keys()?;
        if !self.text.take("=") {
            return Err(fault(self.text.at, "key with no value, expected `=`"));
        }
        let Some(last) = keys.pop() else { return Ok(()) };
        let table = self.descend(table, &keys, Origin::Dotted)?;
        if let Some(first) = table.find(&last.text) {
            return Err(self.twice(&last, first));
        }
        let node = self.value(depth)?;
        table.entries.push(Entry { key: last.text, at: last.at, node });
        Ok(())
    }

    fn value(&mut self, depth: u32) -> Result<Node, Fault> {
        self.text.blanks();
        let at = self.text.at;
        let is_list = self.text.take("[");
        let is_table = !is_list && self.text.take("{");
        if depth == DEPTH_MAX && (is_list || is_table) {
            return Err(fault(at, "cannot recurse further; max recursion depth met"));
        }
        let item = if is_list {
            let mut nodes = Vec::new();
            while !self.is_over("]", !nodes.is_empty())? {
                nodes.push(self.value(depth + 1)?);
            }
            Item::List(List { nodes, is_open: false })
        } else if is_table {
            let mut table = Table::new(Origin::Inline);
            while !self.is_over("}", !table.entries.is_empty())? {
                self.entry(&mut table, depth + 1)?;
            }
            Item::Table(table)
        } else {
            self.text.scalar()?
        };
        Ok(Node { at, item })
    }

    /// Whether an array or a table in braces ends here; if not, something of it comes next. Between two there is a
    /// comma, and one may stand behind the last.
    fn is_over(&mut self, end: &str, is_behind_one: bool) -> Result<bool, Fault> {
        self.text.gap();
        let has_comma = is_behind_one && self.text.take(",");
        self.text.gap();
        if self.text.take(end) {
            return Ok(true);
        }
        let what = if end == "]" { "array" } else { "inline table" };
        let why = match self.text.peek() {
            None => format!("unclosed {what}, expected `{end}`"),
            Some(',') => format!("extra comma in {what}, expected something before it or `{end}`"),
            Some(_) if is_behind_one && !has_comma => format!("missing comma in {what}, expected `,` or `{end}`"),
            Some(_) => return Ok(false),
        };
        Err(fault(self.text.at, &why))
    }

    /// The table at the end of the way; what is not there yet is made. Of an array of tables it is the last.
    fn descend<'t>(&self, from: &'t mut Table, way: &[Key], by: Origin) -> Result<&'t mut Table, Fault> {
        let mut table = from;
        for key in way {
            let index = table.find_or_add(key, by);
            let entry = &mut table.entries[index];
            let first = entry.at;
            table = match &mut entry.node.item {
                Item::Table(inner)
                    if inner.origin != Origin::Inline && (by != Origin::Dotted || inner.origin == Origin::Dotted) =>
                {
                    inner
                }
                Item::List(List { nodes, is_open: true }) if by == Origin::Path => match nodes.last_mut() {
                    Some(Node { item: Item::Table(inner), .. }) => inner,
                    _ => return Err(self.twice(key, first)),
                },
                _ => return Err(self.twice(key, first)),
            };
        }
        Ok(table)
    }

    /// `[table]`.
    fn open(&self, table: &mut Table, key: &Key) -> Result<(), Fault> {
        let index = table.find_or_add(key, Origin::Path);
        let entry = &mut table.entries[index];
        match &mut entry.node.item {
            Item::Table(inner) if inner.origin == Origin::Path => inner.origin = Origin::Header,
            _ => return Err(self.twice(key, entry.at)),
        }
        Ok(())
    }

    /// `[[table]]`.
    fn append(&self, table: &mut Table, key: &Key) -> Result<(), Fault> {
        let node = Node { at: key.at, item: Item::Table(Table::new(Origin::Header)) };
        let Some(entry) = table.entries.iter_mut().find(|entry| entry.key == key.text) else {
            let item = Item::List(List { nodes: vec![node], is_open: true });
            table.entries.push(Entry { key: key.text.clone(), at: key.at, node: Node { at: key.at, item } });
            return Ok(());
        };
        match &mut entry.node.item {
            Item::List(List { nodes, is_open: true }) => nodes.push(node),
            _ => return Err(self.twice(key, entry.at)),
        }
        Ok(())
    }

    fn twice(&self, key: &Key, first: usize) -> Fault {
        let line = self.source.position(first).0;
        fault(key.at, &format!("`{}` is there already, in line {line}: say it once", key.text))
    }
}

impl Table {
    fn new(origin: Origin) -> Table {
        Table { entries: Vec::new(), origin }
    }

    /// Whether there is such a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Where a key stands, as a byte.
    fn find(&self, key: &str) -> Option<usize> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.at)
    }

    /// The index of a key's entry; if there is none, of a new table.
    fn find_or_add(&mut self, key: &Key, origin: Origin) -> usize {
        if let Some(index) = self.entries.iter().position(|entry| entry.key == key.text) {
            return index;
        }
        let node = Node { at: key.at, item: Item::Table(Table::new(origin)) };
        self.entries.push(Entry { key: key.text.clone(), at: key.at, node });
        self.entries.len() - 1
    }
}

fn fault(at: usize, why: &str) -> Fault {
    Fault { at, why: why.to_owned() }
}
