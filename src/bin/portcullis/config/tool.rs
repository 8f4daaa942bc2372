//! `[[tool]]` and its `[tool.args.NAME]`.
//!
//! Decided here: what is taken where a file says nothing, and which things that a file says cannot be meant
//! together. What the values then mean is said where they are used (`declared`).

use super::reader::{Reader, Unit};
use super::toml::{Entry, Item, Node, Table};
use crate::declared::arg::{Arg, KINDS, Kind, LENGTH, LENGTH_MAX, anchored};
use crate::declared::argv::{self, Argv, Parsed, Part, Word};
use crate::declared::{Output, Spec};
use crate::tools::short;
use serde_json::{Number, Value};
use std::time::Duration;

type Set = fn(&mut Spec, u64);

/// The numbers of a tool: the key, what it counts, and what is set.
const NUMBERS: [(&str, Unit, Set); 7] = [
    // An hour. What takes longer is a job, not a call.
    ("timeout", Unit::Seconds(3600), |spec, ms| spec.timeout = Duration::from_millis(ms)),
    // Between TERM and KILL, while the call still holds its place.
    ("kill_after", Unit::Seconds(60), |spec, ms| spec.kill_after = Duration::from_millis(ms)),
    ("queue_wait", Unit::Seconds(3600), |spec, ms| spec.queue_wait = Duration::from_millis(ms)),
    ("max_output", Unit::Bytes(256, 64 << 20), |spec, bytes| spec.max_output = bytes as usize),
    ("address_space", Unit::Bytes(1 << 20, 1 << 40), |spec, bytes| spec.address_space = Some(bytes)),
    ("concurrency", Unit::Count(1, 64), |spec, count| spec.concurrency = count as usize),
    ("queue", Unit::Count(0, 1024), |spec, count| spec.queue = count as usize),
];

/// Reads a tool: it, and where its name stands.
pub(super) fn tool(mut reader: Reader<'_>) -> Option<(usize, Spec)> {
    let before = reader.faults.count();
    let mut spec = Spec {
        timeout: Duration::from_secs(30),
        kill_after: Duration::from_secs(2),
        queue_wait: Duration::from_secs(30),
        max_output: 64 * 1024,
        concurrency: 4,
        queue: 8,
        ok_exit: vec![0],
        ..Spec::default()
    };
    let name = reader.need("name", "\"disk_usage\"");
    if let Some(node) = name {
        spec.name = self::name(&reader, node);
    }
    spec.title = reader.text("title");
    if let Some(node) = reader.need("description", "\"…\"") {
        spec.description = reader.as_text("description", node).unwrap_or_default();
    }
    let known = args(&mut reader);
    let words = reader.need("argv", r#"["df", "-h"]"#);
    // While an argument is not known, what is wrong with its use is not either.
    if let (Some(node), Ok(args)) = (words, known) {
        spec.argv = argv_of(&reader, node, &args);
        spec.args = args;
    }
    let output = reader.word("output", &["text", "json", "lines"]);
    spec.output = [Output::Text, Output::Json, Output::Lines][output.map_or(0, |(_, index)| index)];
    let overflow = reader.word("overflow", &["error", "truncate"]);
    spec.truncates = overflow.is_some_and(|(_, index)| index == 1);
    if let (Output::Json, Some((at, 1))) = (spec.output, overflow) {
        reader.fault(at, "`overflow = \"truncate\"` would cut JSON in two: leave it out, or say `output = \"text\"`");
    }
    for (key, unit, set) in NUMBERS {
        if let Some(node) = reader.take(key)
            && let Some(number) = reader.number(key, node, unit)
        {
            set(&mut spec, number);
        }
    }
    if let Some(node) = reader.take("ok_exit") {
        spec.ok_exit = codes(&reader, node);
    }
    spec.group = reader.text("group");
    env(&mut reader, &mut spec.env);
    spec.hints = hints(&mut reader);
    let faults = reader.faults;
    reader.finish();
    (faults.count() == before).then(|| (name.map_or(0, |node| node.at), spec))
}

fn name(reader: &Reader<'_>, node: &Node) -> String {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    match &node.item {
        Item::Text(text) if (1..=128).contains(&text.len()) && text.bytes().all(legal) => return text.clone(),
        _ => reader.wrong("name", node, "expected 1 to 128 of A-Z a-z 0-9 _ - ."),
    }
    String::new()
}

/// `argv`, in which every argument must be used.
fn argv_of<'a>(reader: &Reader<'a>, node: &'a Node, args: &[Arg]) -> Argv {
    let before = reader.faults.count();
    let nodes = reader.list("argv", node);
    if nodes.is_empty() && reader.faults.count() == before {
        reader.fault(node.at, "`argv` is empty: its first text is the program");
    }
    let mut argv = Argv::default();
    for (n, node) in nodes.iter().enumerate() {
        match &node.item {
            Item::List(list) if n > 0 => {
                if let Some(part) = group(reader, node.at, &list.nodes, args) {
                    argv.0.push(part);
                }
            }
            _ => {
                let Some(word) = word(reader, node, args) else { continue };
                let Parsed::Word(word) = word else {
                    reader.fault(node.at, "`{…?}` belongs into an inner array: it says whether that is there");
                    continue;
                };
                if n == 0 {
                    program(reader, node.at, &word);
                }
                if let Some(absent) = word.values().map(|index| &args[index]).find(|arg| !arg.is_always_there()) {
                    let remedy = "put it into an inner array, which is left out with it, or give it a `default`";
                    reader.fault(node.at, &format!("`{{{}}}` may be missing: {remedy}", absent.name));
                }
                argv.0.push(Part { words: vec![word], only_if: Vec::new() });
            }
        }
    }
    let used = argv.uses();
    // Where a word was refused, what is in it is not known.
    if let Some((_, arg)) = args.iter().enumerate().find(|(index, _)| !used.contains(index))
        && reader.faults.count() == before
    {
        let remedy = format!("use it as `{{{}}}`, or take it away", arg.name);
        reader.fault(node.at, &format!("the argument `{}` is not used in `argv`: {remedy}", arg.name));
    }
    argv
}

/// What a program may be: a path from the root, or a name that is looked for where systems keep their programs.
fn program(reader: &Reader<'_>, at: usize, word: &Word) {
    match word.literal() {
        Some(path) if path.starts_with('/') || (!path.contains('/') && !path.is_empty()) => {}
        Some(_) => reader.fault(at, "`argv`: expected the program's path from the root, or its name without any `/`"),
        None => reader.fault(at, "`argv`: expected a program, and not one that a client chooses"),
    }
}

/// An inner array: words that stand or fall together.
fn group(reader: &Reader<'_>, at: usize, nodes: &[Node], args: &[Arg]) -> Option<Part> {
    let (mut words, mut only_if) = (Vec::new(), Vec::new());
    for node in nodes {
        match word(reader, node, args)? {
            Parsed::Word(word) => words.push(word),
            Parsed::OnlyIf(index) => only_if.push(index),
        }
    }
    let varies = |index: usize| !args[index].is_always_there();
    let is_optional = words.iter().flat_map(Word::values).any(varies)
        || only_if.iter().any(|index| varies(*index) || args[*index].kind == Kind::Boolean);
    if !is_optional {
        reader.fault(at, "an inner array is left out with an argument that may be missing, and this has none: write its words without the inner brackets");
    } else if words.is_empty() {
        reader.fault(at, "this inner array adds no word: put one behind `{…?}`");
    }
    Some(Part { words, only_if })
}

fn word(reader: &Reader<'_>, node: &Node, args: &[Arg]) -> Option<Parsed> {
    match &node.item {
        Item::Text(text) if text.contains('\0') => reader.wrong("argv", node, "expected a text without NUL"),
        Item::Text(text) => match argv::parse(text, args) {
            Ok(word) => return Some(word),
            Err(why) => reader.fault(node.at, &format!("`argv`: {why}")),
        },
        _ => reader.wrong("argv", node, "expected a string; write numbers in quotes"),
    }
    None
}

fn codes<'a>(reader: &Reader<'a>, node: &'a Node) -> Vec<i32> {
    let (mut codes, before) = (Vec::new(), reader.faults.count());
    for node in reader.list("ok_exit", node) {
        match node.item {
            Item::Integer(code @ 0..=255) => codes.push(code as i32),
            _ => reader.wrong("ok_exit", node, "expected exit codes from 0 to 255, such as [0, 1]"),
        }
    }
    if codes.is_empty() && reader.faults.count() == before {
        reader.fault(node.at, "`ok_exit`: expected at least one exit code");
    }
    codes
}

fn env(reader: &mut Reader<'_>, env: &mut Vec<(String, String)>) {
    let Some((_, table)) = reader.table("env") else { return };
    for Entry { key, at, node } in &table.entries {
        match &node.item {
            _ if key.is_empty() || key.contains(['=', '\0']) => {
                reader.fault(*at, &format!("`env`: {key:?} is no name of a variable"));
            }
            Item::Text(value) if !value.contains('\0') => env.push((key.clone(), value.clone())),
            _ => reader.wrong(&format!("env.{key}"), node, "expected a string"),
        }
    }
}

/// The annotations, in the order read_only, destructive, idempotent, open_world.
fn hints(reader: &mut Reader<'_>) -> [Option<bool>; 4] {
    let Some((at, table)) = reader.table("annotations") else { return [None; 4] };
    let mut inner = Reader::new(reader.source, reader.faults, "`annotations`", at, table);
    let hints = ["read_only", "destructive", "idempotent", "open_world"].map(|key| inner.boolean(key));
    if hints[0] == Some(true) && hints[1] == Some(true) {
        inner.fault(at, "`annotations`: what is read_only is not destructive: say one of them");
    }
    inner.finish();
    hints
}

/// All `[tool.args.NAME]`, if nothing is wrong with any.
fn args(reader: &mut Reader<'_>) -> Result<Vec<Arg>, ()> {
    let before = reader.faults.count();
    let Some((_, table)) = reader.table("args") else { return Ok(Vec::new()) };
    let mut args = Vec::new();
    for entry in &table.entries {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(1..=64).contains(&entry.key.len()) || !entry.key.bytes().all(legal) {
            reader.fault(
                entry.at,
                &format!("{:?} is no name of an argument: expected 1 to 64 of A-Z a-z 0-9 _", entry.key),
            );
            continue;
        }
        let Item::Table(table) = &entry.node.item else {
            reader.wrong(&format!("args.{}", entry.key), &entry.node, "expected a table such as { type = \"string\" }");
            continue;
        };
        let what = format!("`args.{}`", entry.key);
        args.push(arg(Reader::new(reader.source, reader.faults, &what, entry.at, table), entry.key.clone()));
    }
    if reader.faults.count() == before { Ok(args) } else { Err(()) }
}

/// One argument. Where something is wrong it is noted, and what is made goes no further.
fn arg(mut reader: Reader<'_>, name: String) -> Arg {
    let names = KINDS.map(|(name, _)| name);
    let kind = match reader.take("type") {
        None => {
            reader.fault(reader.at, &format!("`args.{name}` has no `type`: add one of {}", names.join(", ")));
            None
        }
        Some(node) => match &node.item {
            Item::Text(text) if names.contains(&text.as_str()) => KINDS.iter().find(|(name, _)| name == text),
            _ => {
                reader.wrong("type", node, &format!("expected one of {}", names.join(", ")));
                None
            }
        },
    };
    let is_known = kind.is_some();
    let kind = kind.map_or(Kind::String, |(_, kind)| *kind);
    let description = reader.text("description");
    let mut arg = Arg { name, kind, description, min_length: 1, max_length: LENGTH, ..Arg::default() };
    if is_known {
        range(&mut reader, &mut arg);
        text_only(&mut reader, &mut arg);
        arg.allow_dash = reader.boolean("allow_dash").unwrap_or(false);
        values(&mut reader, &mut arg);
        reader.finish();
    }
    arg
}

/// Refuses a key that means nothing for this type.
fn only(reader: &Reader<'_>, arg: &Arg, key: &str, node: &Node, kinds: &[Kind]) -> bool {
    let fits = kinds.contains(&arg.kind);
    if !fits {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        reader.fault(node.at, &format!("`{key}` is for arguments of type {}: take it away", names.join(" or ")));
    }
    fits
}

/// `minimum` and `maximum`.
fn range(reader: &mut Reader<'_>, arg: &mut Arg) {
    for key in ["minimum", "maximum"] {
        let Some(node) = reader.take(key) else { continue };
        if !only(reader, arg, key, node, &[Kind::Integer, Kind::Number]) {
            continue;
        }
        let Some(Value::Number(number)) = value(arg.kind, &node.item) else {
            reader.wrong(key, node, "expected a number of the argument's type");
            continue;
        };
        if arg.minimum.as_ref().is_some_and(|minimum| minimum.as_f64() > number.as_f64()) {
            reader.wrong(key, node, "expected at least the minimum");
        }
        match key {
            "minimum" => arg.minimum = Some(number),
            _ => arg.maximum = Some(number),
        }
    }
}

/// What only strings have: lengths, a pattern, line ends.
fn text_only(reader: &mut Reader<'_>, arg: &mut Arg) {
    for key in ["min_length", "max_length"] {
        let Some(node) = reader.take(key) else { continue };
        if !only(reader, arg, key, node, &[Kind::String]) {
            continue;
        }
        let length = reader.number(key, node, Unit::Count(0, LENGTH_MAX as u64)).map(|length| length as usize);
        match (key, length) {
            ("min_length", Some(length)) => arg.min_length = length,
            (_, Some(length)) if length < arg.min_length => {
                reader.wrong(key, node, &format!("expected at least `min_length`, which is {}", arg.min_length));
            }
            (_, Some(length)) => arg.max_length = length,
            (_, None) => {}
        }
    }
    if let Some(node) = reader.take("pattern")
        && only(reader, arg, "pattern", node, &[Kind::String])
        && let Some(pattern) = reader.as_text("pattern", node)
    {
        match crate::declared::fault_of_pattern(&pattern) {
            None => arg.pattern = Some(pattern),
            Some(why) => reader.fault(node.at, &format!("`pattern`: {why}")),
        }
    }
    if let Some(node) = reader.take("allow_newline")
        && only(reader, arg, "allow_newline", node, &[Kind::String])
    {
        match node.item {
            Item::Boolean(yes) => arg.allow_newline = yes,
            _ => reader.wrong("allow_newline", node, "expected true or false"),
        }
    }
}

/// `enum`, `default` and `required`, which speak of values.
fn values(reader: &mut Reader<'_>, arg: &mut Arg) {
    if let Some(node) = reader.take("enum") {
        let before = reader.faults.count();
        for node in reader.list("enum", node) {
            if let Some(value) = fitting(reader, arg, "enum", node) {
                if allows(arg, &value) {
                    reader.wrong("enum", node, "expected each value once");
                }
                arg.allowed.push(value);
            }
        }
        if arg.allowed.is_empty() && reader.faults.count() == before {
            reader.fault(node.at, "`enum`: expected an array with at least one value");
        }
    }
    let default = reader.take("default");
    let has_default = default.is_some();
    if let Some(node) = default
        && let Some(value) = fitting(reader, arg, "default", node)
    {
        match arg.allowed.is_empty() || allows(arg, &value) {
            true => arg.default = Some(value),
            false => reader.wrong("default", node, "expected one of the values of `enum`"),
        }
    }
    let at = reader.at;
    arg.required = match (reader.boolean("required"), has_default) {
        (Some(true), true) => {
            reader.fault(
                at,
                &format!("`args.{}` is required and has a default, which nobody would get: keep one of them", arg.name),
            );
            true
        }
        (said, has_default) => said.unwrap_or(!has_default),
    };
}

/// Whether a value is one of those that `enum` names.
fn allows(arg: &Arg, value: &Value) -> bool {
    arg.allowed.iter().any(|allowed| allowed == value)
}

/// A value that the argument may have.
fn fitting(reader: &Reader<'_>, arg: &Arg, key: &str, node: &Node) -> Option<Value> {
    let Some(value) = value(arg.kind, &node.item) else {
        reader.wrong(key, node, &format!("expected the argument's type, {}", arg.kind.name()));
        return None;
    };
    let number = value.as_f64();
    let below = arg.minimum.as_ref().is_some_and(|minimum| number < minimum.as_f64());
    let above = arg.maximum.as_ref().is_some_and(|maximum| number > maximum.as_f64());
    let length = value.as_str().map(|text| text.chars().count());
    let fits = length.is_none_or(|length| (arg.min_length..=arg.max_length).contains(&length) || key == "enum");
    if below || above || !fits {
        reader.wrong(key, node, "expected a value within the limits of its own argument");
        return None;
    }
    if let (Some(text), Some(pattern)) = (value.as_str(), &arg.pattern)
        && regex_lite::Regex::new(&anchored(pattern)).is_ok_and(|pattern| !pattern.is_match(text))
    {
        reader.wrong(key, node, "expected a value that matches the argument's own `pattern`");
        return None;
    }
    match arg.text(&value) {
        Ok(_) => Some(value),
        Err(why) => {
            reader.fault(node.at, &format!("`{key}`: {why}; `allow_dash` and `allow_newline` let such values through"));
            None
        }
    }
}

/// A value of the file as a value of this type.
fn value(kind: Kind, item: &Item) -> Option<Value> {
    match (kind, item) {
        (Kind::String, Item::Text(text)) => Some(text.as_str().into()),
        (Kind::Integer | Kind::Number, Item::Integer(number)) => Some((*number).into()),
        (Kind::Number, Item::Float(number)) => Number::from_f64(*number).map(Value::Number),
        (Kind::Boolean, Item::Boolean(yes)) => Some((*yes).into()),
        _ => None,
    }
}

/// Reads the tables of one file's tools.
pub(super) fn header(table: &Table) -> String {
    let name = table.entries.iter().find(|entry| entry.key == "name").map(|entry| &entry.node.item);
    match name {
        Some(Item::Text(name)) => format!("the tool `{}`", short(name)),
        _ => String::from("[[tool]]"),
    }
}
