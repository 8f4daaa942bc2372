//! From the `argv` of a file to the arguments of a command.
//!
//! A word of the file is one argument of the command, whatever values stand in it: there is no shell and nothing is
//! split. `{name}` is the value of an argument, `{{` and `}}` are braces. An inner array is left out as a whole if an
//! argument in it was not sent; `{name?}` adds no word and keeps the inner array only if the argument was sent, or,
//! of a boolean, if it is true.

use super::arg::{Arg, Kind, fits};
use serde_json::Value;

/// The arguments of a command, before they have values.
#[derive(Debug, Default)]
pub(crate) struct Argv(pub(crate) Vec<Part>);

/// Words that stand or fall together; mostly only one, which always stands.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) words: Vec<Word>,
    /// Arguments that are asked for besides those in the words.
    pub(crate) only_if: Vec<usize>,
}

/// One argument of the command.
#[derive(Debug)]
pub(crate) struct Word(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    /// The value of the argument with this index.
    Value(usize),
}

/// What a text of the file is.
#[derive(Debug)]
pub(crate) enum Parsed {
    Word(Word),
    /// `{name?}`, by the index of its argument.
    OnlyIf(usize),
}

/// Reads one text of the file.
///
/// # Errors
/// What is wrong with it, and what helps.
pub(crate) fn parse(text: &str, args: &[Arg]) -> Result<Parsed, String> {
    let find = |name: &str| {
        let index = args.iter().position(|arg| arg.name == name);
        index.ok_or_else(|| {
            format!("`{{{name}}}` is no argument: declare it under `[tool.args.{name}]`, or write `{{{{` for a brace")
        })
    };
    if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix("?}"))
        && !name.contains(['{', '}'])
    {
        return find(name).map(Parsed::OnlyIf);
    }
    let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..];
        if brace.starts_with("{{") || brace.starts_with("}}") {
            literal.push_str(&brace[..1]);
            rest = &brace[2..];
            continue;
        }
        let name = brace.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let Some((name, after)) = name else {
            return Err("a brace without its other: write `{{` or `}}` for a brace itself".into());
        };
        if name.ends_with('?') {
            return Err(format!("`{{{name}}}` stands alone in an inner array, as a text of its own"));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Value(find(name)?));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(Parsed::Word(Word(pieces)))
}

impl Word {
    /// The indices of the arguments in it.
    pub(crate) fn values(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value(index) => Some(*index),
            Piece::Text(_) => None,
        })
    }

    /// Its text, if no argument is in it.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl Argv {
    /// Indices of all arguments that are used.
    pub(crate) fn uses(&self) -> Vec<usize> {
        let mut used = Vec::new();
        for part in &self.0 {
            used.extend(&part.only_if);
            part.words.iter().for_each(|word| used.extend(word.values()));
        }
        used
    }

    /// The program, which no value is part of.
    pub(crate) fn program(&self) -> &str {
        self.0.first().and_then(|part| part.words.first()?.literal()).unwrap_or_default()
    }

    /// The command: its program, and its arguments with the values of one call in them.
    ///
    /// # Errors
    /// Which value may not reach a command, and why.
    pub(crate) fn fill(&self, args: &[Arg], sent: &Value) -> Result<Vec<String>, String> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            let value = sent.get(&arg.name).or(arg.default.as_ref());
            // A boolean alone decides about its inner array also where it was sent.
            let is_on = value.is_some_and(|value| arg.kind != Kind::Boolean || *value == Value::Bool(true));
            values.push((value.map(|value| arg.text(value)).transpose()?, is_on));
        }
        let mut filled = Vec::with_capacity(self.0.len());
        for Part { words, only_if } in &self.0 {
            let is_there = words.iter().flat_map(Word::values).all(|index| values[index].0.is_some());
            if !is_there || !only_if.iter().all(|index| values[*index].1) {
                continue;
            }
            for word in words {
                let mut text = String::new();
                for piece in &word.0 {
                    match piece {
                        Piece::Text(literal) => text.push_str(literal),
                        Piece::Value(index) => text.push_str(values[*index].0.as_deref().unwrap_or_default()),
                    }
                }
                if !fits(&text) {
                    let name = word.values().next().map_or("argv", |index| args[index].name.as_str());
                    return Err(format!(
                        "`{name}`: got {} bytes, expected less than 128 KiB in one argument",
                        text.len()
                    ));
                }
                filled.push(text);
            }
        }
        Ok(filled)
    }
}
