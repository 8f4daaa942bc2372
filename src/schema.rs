//! JSON Schema (2020-12, and draft-07 where the two agree): a tool's schema is compiled once, and every
//! value is checked against it (F-37, F-170).
//!
//! One decision is made here: a schema is checked whole or refused. A keyword that asserts something which
//! this file cannot check (`unevaluatedProperties`, `$dynamicRef`, a `$ref` out of the document) is an error
//! of `compile`, not a rule that is silently not there. Nothing is ever fetched. Keywords that assert nothing
//! (`title`, `default`, `format`, `x-…`) are passed over.
//!
//! A schema is trusted to mean well, a value is not: a check ends after a bounded number of steps and a
//! bounded depth, whatever the value.

mod check;
mod compile;
mod effort;
mod equal;
mod headers;
mod keywords;
mod loops;
mod number;
#[cfg(feature = "pattern")]
mod pattern;
#[cfg(not(feature = "pattern"))]
#[path = "schema/no_pattern.rs"]
mod pattern;
mod place;

use serde_json::Value;

#[allow(unused_imports)]
pub(crate) use headers::{HeaderKind, HeaderParam, header_params};

use number::{Divisor, Num};
use pattern::Pattern;

/// Nested schemas, and schemas that apply to the same value one through the other.
const DEPTH_MAX: usize = 64;

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The root is the first. Whoever is named by index is in it: `compile` counted.
    nodes: Box<[Node]>,
}

/// One subschema: its rules in the order in which they make the best sentences.
#[derive(Debug, Default)]
struct Node {
    rules: Vec<Rule>,
}

/// A property, and those that must be there if it is.
type Dependency = (Box<str>, Box<[Box<str>]>);

/// What one keyword, or a few that belong together, ask of a value. Numbers name nodes.
#[derive(Debug)]
enum Rule {
    /// The schema `false`.
    Never,
    /// Always the first rule of its node.
    Type(Types),
    /// `enum`, and `const` as an enum of one.
    Enum(Box<[Value]>),
    Bound(Side, Num),
    MultipleOf(Divisor),
    /// Length of a string in characters.
    Length(Count),
    Pattern(Pattern),
    Object(Box<Object>),
    Array(Box<Array>),
    Ref(usize),
    All(Box<[usize]>),
    Any(Box<[usize]>),
    One(Box<[usize]>),
    Not(usize),
    If {
        condition: usize,
        then: Option<usize>,
        otherwise: Option<usize>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Side {
    AtLeast,
    MoreThan,
    AtMost,
    LessThan,
}

/// How many; `usize::MAX` is no bound.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Count {
    min: usize,
    max: usize,
}

impl Count {
    const ANY: Count = Count { min: 0, max: usize::MAX };
}

#[derive(Debug)]
struct Object {
    /// Sorted by name.
    properties: Box<[(Box<str>, usize)]>,
    patterns: Box<[(Pattern, usize)]>,
    additional: Option<usize>,
    names: Option<usize>,
    required: Box<[Box<str>]>,
    count: Count,
    /// If the first is there, so must be the others.
    dependent_required: Box<[Dependency]>,
    dependent_schemas: Box<[(Box<str>, usize)]>,
}

#[derive(Debug)]
struct Array {
    prefix: Box<[usize]>,
    items: Option<usize>,
    contains: Option<(usize, Count)>,
    count: Count,
    unique: bool,
}

/// A set of the seven types.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Types(u8);

impl Types {
    const NONE: Types = Types(0);
    const NAMES: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];

    fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    fn named(name: &str) -> Option<Types> {
        Types::NAMES.iter().position(|known| *known == name).map(|at| Types(1 << at))
    }

    fn admits(self, value: &Value) -> bool {
        let bits = match value {
            Value::String(_) => 1,
            Value::Number(number) if Num::of(number).is_integer() => 0b110,
            Value::Number(_) => 0b100,
            Value::Bool(_) => 1 << 3,
            Value::Array(_) => 1 << 4,
            Value::Object(_) => 1 << 5,
            Value::Null => 1 << 6,
        };
        self.0 & bits != 0
    }

    /// "integer or null".
    fn names(self) -> String {
        let names: Vec<_> = Types::NAMES.into_iter().enumerate().filter(|(at, _)| self.0 & (1 << at) != 0).collect();
        names.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
    }
}

impl Schema {
    /// Compiles.
    ///
    /// # Errors
    /// One sentence that names the place (a JSON pointer that ends in the keyword) and the remedy.
    pub(crate) fn compile(schema: &Value) -> Result<Schema, String> {
        compile::compile(schema).map(|nodes| Schema { nodes })
    }

    /// Checks. A value that fits costs no allocation unless the schema has `propertyNames`, or `uniqueItems` for
    /// more than a few items.
    ///
    /// # Errors
    /// One sentence about the first fault, for the model to act on: what stands where, and what is expected.
    /// At most 300 bytes.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        check::check(&self.nodes, value)
    }
}

#[cfg(test)]
mod tests {}
