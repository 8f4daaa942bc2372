//! TOML 1.1 as a tree in which everything knows where it stands.
//!
//! `toml_parser` says what the text is made of; decided here is what the pieces mean together: which tables are
//! one, and that nothing is said twice. A fault names the place, and for a duplicate both places. What the keys
//! mean is not known here.

use std::fmt;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{EventReceiver, RecursionGuard, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Raw, Span};

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
        let tokens = toml_parser::Source::new(&self.text).lex().into_vec();
        let mut pieces = Pieces { list: Vec::new() };
        let mut error = None;
        parse_document(&tokens, &mut RecursionGuard::new(&mut pieces, DEPTH_MAX), &mut error);
        if let Some(error) = error {
            return Err(self.syntax(&error));
        }
        let mut build = Build { source: self, pieces: pieces.list.into_iter().peekable() };
        build.document()
    }

    /// A fault of the syntax, in words.
    fn syntax(&self, error: &ParseError) -> Fault {
        let at = error.unexpected().or(error.context()).map_or(0, |span| span.start());
        let mut why = error.description().to_owned();
        for (n, expected) in error.expected().unwrap_or_default().iter().enumerate() {
            why.push_str(if n == 0 { ", expected " } else { ", " });
            match expected {
                Expected::Literal(text) => why.extend(["`", if *text == "\n" { "\\n" } else { text }, "`"]),
                Expected::Description(text) => why.push_str(text),
                _ => why.push_str("something else"),
            }
        }
        Fault { at, why }
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
            Item::Text(text) => write!(f, "{:?}", text.chars().take(64).collect::<String>()),
            Item::Integer(number) => write!(f, "{number}"),
            Item::Float(number) => write!(f, "{number}"),
            Item::Boolean(yes) => write!(f, "{yes}"),
            Item::Date(text) => f.write_str(text),
            other => f.write_str(other.kind()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    HeaderOpen,
    TablesOpen,
    HeaderClose,
    Key,
    Equals,
    Scalar,
    ListOpen,
    ListClose,
    InlineOpen,
    InlineClose,
}

/// A piece of the text that means something.
#[derive(Clone, Copy, Debug)]
struct Piece {
    kind: Kind,
    span: Span,
    encoding: Option<Encoding>,
}

struct Pieces {
    list: Vec<Piece>,
}

impl Pieces {
    fn push(&mut self, kind: Kind, span: Span, encoding: Option<Encoding>) {
        self.list.push(Piece { kind, span, encoding });
    }
}

impl EventReceiver for Pieces {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(Kind::HeaderOpen, span, None);
    }
    fn std_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(Kind::HeaderClose, span, None);
    }
    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(Kind::TablesOpen, span, None);
    }
    fn array_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(Kind::HeaderClose, span, None);
    }
    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.push(Kind::InlineOpen, span, None);
        true
    }
    fn inline_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(Kind::InlineClose, span, None);
    }
    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.push(Kind::ListOpen, span, None);
        true
    }
    fn array_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(Kind::ListClose, span, None);
    }
    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, _: &mut dyn ErrorSink) {
        self.push(Kind::Key, span, encoding);
    }
    fn key_val_sep(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(Kind::Equals, span, None);
    }
    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, _: &mut dyn ErrorSink) {
        self.push(Kind::Scalar, span, encoding);
    }
}

/// A key on the way to a value.
#[derive(Clone, Debug)]
struct Key {
    text: String,
    at: usize,
}

/// Puts the pieces together.
struct Build<'a> {
    source: &'a Source,
    pieces: std::iter::Peekable<std::vec::IntoIter<Piece>>,
}

impl Build<'_> {
    fn document(&mut self) -> Result<Table, Fault> {
        let mut root = Table::new(Origin::Header);
        let mut header: Vec<Key> = Vec::new();
        while let Some(piece) = self.pieces.peek().copied() {
            match piece.kind {
                Kind::HeaderOpen | Kind::TablesOpen => {
                    self.pieces.next();
                    header = self.keys(Kind::HeaderClose)?;
                    let (last, way) =
                        header.split_last().ok_or_else(|| fault(piece.span.start(), "an empty header"))?;
                    let table = self.descend(&mut root, way, Origin::Path)?;
                    match piece.kind {
                        Kind::TablesOpen => self.append(table, last)?,
                        _ => self.open(table, last)?,
                    }
                }
                _ => {
                    let table = self.descend(&mut root, &header, Origin::Path)?;
                    self.entry(table)?;
                }
            }
        }
        Ok(root)
    }

    /// The keys up to a piece of this kind, which is taken too.
    fn keys(&mut self, end: Kind) -> Result<Vec<Key>, Fault> {
        let mut keys = Vec::new();
        for piece in self.pieces.by_ref() {
            match piece.kind {
                Kind::Key => keys.push(Key { text: self.source.decode(piece)?.1, at: piece.span.start() }),
                kind if kind == end => break,
                _ => return Err(fault(piece.span.start(), "expected a key")),
            }
        }
        Ok(keys)
    }

    /// `a.b = value`, into a table.
    fn entry(&mut self, table: &mut Table) -> Result<(), Fault> {
        let keys = self.keys(Kind::Equals)?;
        let (last, way) = keys.split_last().ok_or_else(|| fault(0, "expected a key before `=`"))?;
        let table = self.descend(table, way, Origin::Dotted)?;
        if let Some(first) = table.find(&last.text) {
            return Err(self.twice(last, first));
        }
        let node = self.value(last.at)?;
        table.entries.push(Entry { key: last.text.clone(), at: last.at, node });
        Ok(())
    }

    fn value(&mut self, before: usize) -> Result<Node, Fault> {
        let missing = || fault(before, "expected a value");
        let piece = self.pieces.next().ok_or_else(missing)?;
        let at = piece.span.start();
        let item = match piece.kind {
            Kind::Scalar => self.source.scalar(piece)?,
            Kind::ListOpen => {
                let mut nodes = Vec::new();
                while self.pieces.next_if(|next| next.kind == Kind::ListClose).is_none() {
                    nodes.push(self.value(at)?);
                }
                Item::List(List { nodes, is_open: false })
            }
            Kind::InlineOpen => {
                let mut table = Table::new(Origin::Inline);
                while self.pieces.next_if(|next| next.kind == Kind::InlineClose).is_none() {
                    self.pieces.peek().ok_or_else(missing)?;
                    self.entry(&mut table)?;
                }
                Item::Table(table)
            }
            _ => return Err(missing()),
        };
        Ok(Node { at, item })
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

impl Source {
    /// A key or a scalar without its quotes, escapes and underscores.
    fn decode(&self, piece: Piece) -> Result<(ScalarKind, String), Fault> {
        let raw = self.text.get(piece.span.start()..piece.span.end()).unwrap_or_default();
        let raw = Raw::new_unchecked(raw, piece.encoding, piece.span);
        let (mut text, mut error) = (String::new(), None);
        let kind = match piece.kind {
            Kind::Key => {
                raw.decode_key(&mut text, &mut error);
                ScalarKind::String
            }
            _ => raw.decode_scalar(&mut text, &mut error),
        };
        match error {
            None => Ok((kind, text)),
            Some(error) => Err(self.syntax(&error)),
        }
    }

    fn scalar(&self, piece: Piece) -> Result<Item, Fault> {
        let at = piece.span.start();
        let (kind, text) = self.decode(piece)?;
        Ok(match kind {
            ScalarKind::String => Item::Text(text),
            ScalarKind::Boolean(yes) => Item::Boolean(yes),
            ScalarKind::DateTime => Item::Date(text),
            ScalarKind::Float => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Item::Float(number),
                _ => return Err(fault(at, "expected a finite number")),
            },
            ScalarKind::Integer(radix) => match i64::from_str_radix(&text, radix.value()) {
                Ok(number) => Item::Integer(number),
                Err(_) => return Err(fault(at, "expected an integer of at most 64 bits")),
            },
        })
    }
}

fn fault(at: usize, why: &str) -> Fault {
    Fault { at, why: why.to_owned() }
}
