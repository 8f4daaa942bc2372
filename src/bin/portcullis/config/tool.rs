//! `[[tool]]` and its `[tool.args.NAME]`.
//!
//! Decided here: what is taken where a file says nothing, and which things that a file says cannot be meant
//! together. What the values then mean is said where they are used (`declared`).

use super::reader::Reader;
use super::toml::{Item, Node, Table};
use crate::declared::arg::{Arg, KINDS, Kind, LENGTH, LENGTH_MAX, anchored};
use crate::declared::argv::{self, Argv, Parsed, Part, Word};
use crate::declared::{Output, Spec};
use serde_json::{Number, Value};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
const KILL_AFTER: Duration = Duration::from_secs(2);
const QUEUE_WAIT: Duration = Duration::from_secs(30);
const OUTPUT: usize = 64 * 1024;
const CONCURRENCY: usize = 4;
const QUEUE: usize = 8;

/// An hour. What takes longer is a job, not a call.
const SECONDS_MAX: u64 = 3600;
/// Between TERM and KILL, while the call still holds its place.
const KILL_AFTER_MAX: u64 = 60;
const OUTPUT_MAX: u64 = 64 << 20;

/// Reads a tool: it, where its name stands, and where its arguments' tables do.
pub(super) fn tool(mut reader: Reader<'_>) -> Option<(usize, Spec)> {
    let before = reader.faults.count();
    let name = reader.need("name", "\"disk_usage\"").and_then(|node| name(&reader, node));
    let title = reader.text("title");
    let description = reader.need("description", "\"…\"").and_then(|node| reader.as_text("description", node));
    let args = args(&mut reader);
    let words = reader.need("argv", r#"["df", "-h"]"#);
    // While an argument is not known, what is wrong with its use is not either.
    let argv =
        words.filter(|_| args.is_ok()).and_then(|node| argv_of(&reader, node, args.as_deref().unwrap_or_default()));
    let output = reader.word("output", &["text", "json", "lines"]);
    let (overflow_at, overflow) = reader.word("overflow", &["error", "truncate"]).unzip();
    let (timeout, kill_after) = (reader.seconds("timeout", SECONDS_MAX), reader.seconds("kill_after", KILL_AFTER_MAX));
    let max_output = reader.bytes("max_output", 256, OUTPUT_MAX);
    let ok_exit = reader.take("ok_exit").and_then(|node| codes(&reader, node));
    let (concurrency, queue) = (reader.count("concurrency", 1, 64), reader.count("queue", 0, 1024));
    let queue_wait = reader.seconds("queue_wait", SECONDS_MAX);
    let group = reader.text("group");
    let address_space = reader.bytes("address_space", 1 << 20, 1 << 40);
    let env = env(&mut reader);
    let hints = hints(&mut reader);
    let output = [Output::Text, Output::Json, Output::Lines][output.map_or(0, |(_, index)| index)];
    let truncates = overflow == Some(1);
    if output == Output::Json && truncates {
        reader.fault(
            overflow_at.unwrap_or(0),
            "`overflow = \"truncate\"` would cut JSON in two: leave it out, or say `output = \"text\"`",
        );
    }
    let faults = reader.faults;
    reader.finish();
    let (name_at, name) = name?;
    let spec = Spec {
        name,
        title: title.map(|(_, title)| title),
        description: description?.1,
        argv: argv?,
        args: args.ok()?,
        output,
        timeout: timeout.unwrap_or(TIMEOUT),
        kill_after: kill_after.unwrap_or(KILL_AFTER),
        max_output: max_output.unwrap_or(OUTPUT),
        truncates,
        ok_exit: ok_exit.unwrap_or_else(|| vec![0]),
        concurrency: concurrency.unwrap_or(CONCURRENCY),
        queue: queue.unwrap_or(QUEUE),
        queue_wait: queue_wait.unwrap_or(QUEUE_WAIT),
        group: group.map(|(_, group)| group),
        address_space,
        env,
        read_only: hints[0] == Some(true),
        destructive: hints[1],
        idempotent: hints[2] == Some(true),
        open_world: hints[3],
    };
    (faults.count() == before).then_some((name_at, spec))
}

fn name(reader: &Reader<'_>, node: Node) -> Option<(usize, String)> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    match &node.item {
        Item::Text(text) if (1..=128).contains(&text.len()) && text.bytes().all(legal) => Some((node.at, text.clone())),
        _ => {
            reader.wrong("name", &node, "expected 1 to 128 of A-Z a-z 0-9 _ - .");
            None
        }
    }
}

/// `argv`, in which every argument must be used.
fn argv_of(reader: &Reader<'_>, node: Node, args: &[Arg]) -> Option<Argv> {
    let (at, before) = (node.at, reader.faults.count());
    let nodes = reader.list("argv", node)?;
    if nodes.is_empty() {
        reader.fault(at, "`argv` is empty: its first text is the program");
    }
    let mut parts = Vec::new();
    for (n, node) in nodes.into_iter().enumerate() {
        let at = node.at;
        match node.item {
            Item::List(list) if n > 0 => parts.extend(group(reader, at, list.nodes, args)),
            _ => {
                let Some(word) = word(reader, node, args) else { continue };
                let Parsed::Word(word) = word else {
                    reader.fault(at, "`{…?}` belongs into an inner array: it says whether that is there");
                    continue;
                };
                if n == 0 {
                    program(reader, at, &word);
                }
                if let Some(absent) = word.values().map(|index| &args[index]).find(|arg| !arg.is_always_there()) {
                    let remedy = "put it into an inner array, which is left out with it, or give it a `default`";
                    reader.fault(at, &format!("`{{{}}}` may be missing: {remedy}", absent.name));
                }
                parts.push(Part::Word(word));
            }
        }
    }
    let argv = Argv(parts);
    let used = argv.uses();
    // Where a word was refused, what is in it is not known.
    if let Some((_, arg)) = args.iter().enumerate().find(|(index, _)| !used.contains(index))
        && reader.faults.count() == before
    {
        let remedy = format!("use it as `{{{}}}`, or take it away", arg.name);
        reader.fault(at, &format!("the argument `{}` is not used in `argv`: {remedy}", arg.name));
    }
    Some(argv)
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
fn group(reader: &Reader<'_>, at: usize, nodes: Vec<Node>, args: &[Arg]) -> Option<Part> {
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
    Some(Part::Group { words, only_if })
}

fn word(reader: &Reader<'_>, node: Node, args: &[Arg]) -> Option<Parsed> {
    match &node.item {
        Item::Text(text) if text.contains('\0') => reader.wrong("argv", &node, "expected a text without NUL"),
        Item::Text(text) => match argv::parse(text, args) {
            Ok(word) => return Some(word),
            Err(why) => reader.fault(node.at, &format!("`argv`: {why}")),
        },
        _ => reader.wrong("argv", &node, "expected a string; write numbers in quotes"),
    }
    None
}

fn codes(reader: &Reader<'_>, node: Node) -> Option<Vec<i32>> {
    let (mut codes, at) = (Vec::new(), node.at);
    let nodes = reader.list("ok_exit", node)?;
    if nodes.is_empty() {
        reader.fault(at, "`ok_exit`: expected at least one exit code");
    }
    for node in nodes {
        match node.item {
            Item::Integer(code @ 0..=255) => codes.push(code as i32),
            _ => reader.wrong("ok_exit", &node, "expected exit codes from 0 to 255, such as [0, 1]"),
        }
    }
    Some(codes)
}

fn env(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let Some((_, table)) = reader.table("env") else { return Vec::new() };
    let mut env = Vec::new();
    for entry in table.entries {
        match &entry.node.item {
            _ if entry.key.is_empty() || entry.key.contains(['=', '\0']) => {
                reader.fault(entry.at, &format!("`env`: {:?} is no name of a variable", entry.key));
            }
            Item::Text(value) if !value.contains('\0') => env.push((entry.key, value.clone())),
            _ => reader.wrong(&format!("env.{}", entry.key), &entry.node, "expected a string"),
        }
    }
    env
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
    for entry in table.entries {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(1..=64).contains(&entry.key.len()) || !entry.key.bytes().all(legal) {
            reader.fault(
                entry.at,
                &format!("{:?} is no name of an argument: expected 1 to 64 of A-Z a-z 0-9 _", entry.key),
            );
            continue;
        }
        let Item::Table(table) = entry.node.item else {
            reader.wrong(&format!("args.{}", entry.key), &entry.node, "expected a table such as { type = \"string\" }");
            continue;
        };
        let what = format!("`args.{}`", entry.key);
        args.push(arg(Reader::new(reader.source, reader.faults, &what, entry.at, table), entry.key));
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
                reader.wrong("type", &node, &format!("expected one of {}", names.join(", ")));
                None
            }
        },
    };
    let is_known = kind.is_some();
    let kind = kind.map_or(Kind::String, |(_, kind)| *kind);
    let description = reader.text("description").map(|(_, text)| text);
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
        let names: Vec<_> = KINDS.iter().filter(|(_, kind)| kinds.contains(kind)).map(|(name, _)| *name).collect();
        reader.fault(node.at, &format!("`{key}` is for arguments of type {}: take it away", names.join(" or ")));
    }
    fits
}

/// `minimum` and `maximum`.
fn range(reader: &mut Reader<'_>, arg: &mut Arg) {
    for key in ["minimum", "maximum"] {
        let Some(node) = reader.take(key) else { continue };
        if !only(reader, arg, key, &node, &[Kind::Integer, Kind::Number]) {
            continue;
        }
        let Some(Value::Number(number)) = value(arg.kind, &node.item) else {
            reader.wrong(key, &node, "expected a number of the argument's type");
            continue;
        };
        if arg.minimum.as_ref().is_some_and(|minimum| minimum.as_f64() > number.as_f64()) {
            reader.wrong(key, &node, "expected at least the minimum");
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
        if !only(reader, arg, key, &node, &[Kind::String]) {
            continue;
        }
        let length = reader.checked(key, &node, |text| crate::bounds::count(text, 0, LENGTH_MAX as u64));
        match (key, length) {
            ("min_length", Some(length)) => arg.min_length = length,
            (_, Some(length)) if length < arg.min_length => {
                reader.wrong(key, &node, &format!("expected at least `min_length`, which is {}", arg.min_length));
            }
            (_, Some(length)) => arg.max_length = length,
            (_, None) => {}
        }
    }
    if let Some(node) = reader.take("pattern")
        && only(reader, arg, "pattern", &node, &[Kind::String])
        && let Some((at, pattern)) = reader.as_text("pattern", node)
    {
        match crate::declared::fault_of_pattern(&pattern) {
            None => arg.pattern = Some(pattern),
            Some(why) => reader.fault(at, &format!("`pattern`: {why}")),
        }
    }
    if let Some(node) = reader.take("allow_newline")
        && only(reader, arg, "allow_newline", &node, &[Kind::String])
    {
        match node.item {
            Item::Boolean(yes) => arg.allow_newline = yes,
            _ => reader.wrong("allow_newline", &node, "expected true or false"),
        }
    }
}

/// `enum`, `default` and `required`, which speak of values.
fn values(reader: &mut Reader<'_>, arg: &mut Arg) {
    if let Some(node) = reader.take("enum") {
        let at = node.at;
        let nodes = reader.list("enum", node);
        if nodes.as_ref().is_some_and(Vec::is_empty) {
            reader.fault(at, "`enum`: expected an array with at least one value");
        }
        for node in nodes.unwrap_or_default() {
            if let Some(value) = fitting(reader, arg, "enum", &node) {
                if arg.allowed.contains(&value) {
                    reader.wrong("enum", &node, "expected each value once");
                }
                arg.allowed.push(value);
            }
        }
    }
    let default = reader.take("default");
    let has_default = default.is_some();
    if let Some(node) = default
        && let Some(value) = fitting(reader, arg, "default", &node)
    {
        match arg.allowed.is_empty() || arg.allowed.contains(&value) {
            true => arg.default = Some(value),
            false => reader.wrong("default", &node, "expected one of the values of `enum`"),
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

/// A value that the argument may have.
fn fitting(reader: &Reader<'_>, arg: &Arg, key: &str, node: &Node) -> Option<Value> {
    let Some(value) = value(arg.kind, &node.item) else {
        let name = KINDS.iter().find(|(_, kind)| *kind == arg.kind).map_or("", |(name, _)| name);
        reader.wrong(key, node, &format!("expected the argument's type, {name}"));
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
        Some(Item::Text(name)) => format!("the tool `{}`", name.chars().take(64).collect::<String>()),
        _ => String::from("[[tool]]"),
    }
}
