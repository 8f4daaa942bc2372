//! One argument of a declared tool: what a client may send for it, and what of that reaches a command.
//!
//! Decided here: the schema that clients see and the library enforces (types, ranges, lengths, patterns), and what
//! no schema can say: a value never holds NUL or control characters, never begins with `-` where nobody allowed it
//! (a command would take it for an option), and fits into one argument of the kernel's.

use crate::tools::{self, put, refusal};
use serde_json::{Map, Number, Value};

/// What a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Kind {
    #[default]
    String,
    Integer,
    Number,
    Boolean,
}

/// Its names in the file and in the schema.
pub(crate) const KINDS: [(&str, Kind); 4] =
    [("string", Kind::String), ("integer", Kind::Integer), ("number", Kind::Number), ("boolean", Kind::Boolean)];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Characters of a string for which nothing was said.
pub(crate) const LENGTH: usize = 4096;

/// The most that can be said: Linux takes 128 KiB in one argument (`MAX_ARG_STRLEN`), and a character has up to 4 bytes.
pub(crate) const LENGTH_MAX: usize = 32_000;

/// Bytes of one argument of a command, with its closing NUL.
const BYTES_MAX: usize = 128 * 1024 - 1;

/// An argument of a tool.
#[derive(Debug, Default)]
pub(crate) struct Arg {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) description: Option<String>,
    /// If there are any, the only values.
    pub(crate) allowed: Vec<Value>,
    pub(crate) minimum: Option<Number>,
    pub(crate) maximum: Option<Number>,
    /// Characters.
    pub(crate) min_length: usize,
    /// Characters.
    pub(crate) max_length: usize,
    /// A regular expression that the whole value must match.
    pub(crate) pattern: Option<String>,
    /// What is taken if nothing is sent.
    pub(crate) default: Option<Value>,
    pub(crate) required: bool,
    /// May begin with `-`.
    pub(crate) allow_dash: bool,
    /// May hold line ends and tabs.
    pub(crate) allow_newline: bool,
}

impl Arg {
    /// Whether there is a value in every call.
    pub(crate) fn is_always_there(&self) -> bool {
        self.required || self.default.is_some()
    }

    /// Its JSON Schema.
    pub(crate) fn schema(&self) -> Value {
        let mut schema = Map::new();
        let mut put = |key: &str, value: Value| tools::put(&mut schema, key, value);
        put("type", self.kind.name().into());
        if let Some(description) = &self.description {
            put("description", description.as_str().into());
        }
        if let Some(minimum) = &self.minimum {
            put("minimum", minimum.clone().into());
        }
        if let Some(maximum) = &self.maximum {
            put("maximum", maximum.clone().into());
        }
        match (self.kind, self.allowed.is_empty()) {
            (_, false) => put("enum", self.allowed.clone().into()),
            (Kind::String, true) => {
                put("minLength", self.min_length.into());
                put("maxLength", self.max_length.into());
            }
            _ => {}
        }
        if let Some(pattern) = &self.pattern {
            put("pattern", anchored(pattern).into());
        }
        if let Some(default) = &self.default {
            put("default", default.clone());
        }
        schema.into()
    }

    /// The text of a value as it reaches a command.
    ///
    /// # Errors
    /// What is wrong with it, by its name, with what helps.
    pub(crate) fn text(&self, value: &Value) -> Result<String, String> {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let refuse = |why: &str| Err(refusal(&self.name, &text, why));
        if text.starts_with('-') && !self.allow_dash {
            return refuse("expected a value that does not begin with -, because the command would read an option");
        }
        let is_allowed = |c: char| !c.is_control() || (self.allow_newline && matches!(c, '\n' | '\r' | '\t'));
        if let Some(bad) = text.chars().find(|c| !is_allowed(*c)) {
            let name = match bad {
                '\0' => "a NUL",
                '\n' | '\r' => "a line end",
                _ => "a control character",
            };
            return refuse(&format!("expected a value without {name} in it"));
        }
        Ok(text)
    }
}

/// Whether a finished word fits into one argument.
pub(super) fn fits(word: &str) -> bool {
    word.len() < BYTES_MAX
}

/// A pattern that holds for a whole value and not for a part of it.
pub(crate) fn anchored(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

/// The schema of all arguments.
pub(crate) fn schema(args: &[Arg]) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for arg in args {
        put(&mut properties, &arg.name, arg.schema());
        if arg.required {
            required.push(Value::from(arg.name.as_str()));
        }
    }
    let mut schema = Map::new();
    put(&mut schema, "type", "object".into());
    put(&mut schema, "additionalProperties", false.into());
    if !args.is_empty() {
        put(&mut schema, "properties", properties.into());
    }
    if !required.is_empty() {
        put(&mut schema, "required", required.into());
    }
    schema.into()
}
