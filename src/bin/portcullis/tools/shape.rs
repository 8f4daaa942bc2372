//! The one shape of the program's tools: a row of text declares one, a function answers it.
//!
//! One shape, so that what surrounds a handler is compiled once for all of them. The library has checked the
//! arguments against the schema before a function here sees them (types, choices, ranges, no unknown ones), so
//! they are read as they stand; what a schema cannot say is checked by who needs it.

use super::schema;
use portcullis::{CallError, CallResult, RequestContext, Tool, Toolset};
use serde_json::{Map, Value};
use std::future::Future;
use std::pin::Pin;

/// What a call comes to.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<CallResult, CallError>>>>;

/// Rows of an answer that nobody asked to be longer or shorter; the schemas say so too.
pub(super) const ROWS: usize = 100;

/// A tool; it only reads, unless it is added as one that acts.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// The properties of its arguments' schema, and what else stands beside them.
    pub(super) input: &'static str,
    /// The schema of its answer, or nothing.
    pub(super) output: &'static str,
    /// Whether others than this machine are asked.
    pub(super) open_world: bool,
    pub(super) call: fn(Call) -> Answer,
}

/// One call of a tool.
pub(super) struct Call {
    pub(super) cx: RequestContext,
    pub(super) args: Arguments,
    pub(super) answer_bytes_max: usize,
}

/// The arguments of a call.
pub(super) struct Arguments(pub(super) Value);

impl Shape {
    /// The schema of its arguments.
    pub(super) fn input_schema(&self) -> String {
        format!(r#"{{"type":"object","additionalProperties":false,{}}}"#, self.input)
    }

    /// Adds the tool, as one that changes something for the time of its call if it `acts`.
    pub(super) fn register(&'static self, tools: Toolset, answer_bytes_max: usize, acts: bool) -> Toolset {
        let input = self.input_schema();
        let tool = Tool::new(self.name).description(self.description).input_schema(schema(&input));
        let tool = if self.output.is_empty() { tool } else { tool.output_schema(schema(self.output)) };
        let tool = if acts { tool.destructive(false) } else { tool.read_only() };
        tools.tool(tool.open_world(self.open_world), move |cx, args: Value| {
            (self.call)(Call { cx, args: Arguments(args), answer_bytes_max })
        })
    }
}

impl Arguments {
    /// An argument that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// An argument that is a whole number; the schema has its range.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        u32::try_from(self.0.get(name)?.as_u64()?).ok()
    }

    /// An argument that is a number.
    pub(super) fn real(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// Rows for an answer, as many as the argument `limit` says.
    pub(super) fn rows(&self) -> Rows {
        Rows { limit: self.number("limit").map_or(ROWS, |limit| limit as usize), total: 0, kept: Vec::new() }
    }
}

/// A number that a command or the kernel prints. Read as JSON's is: the standard library's reader is 15 KB more.
pub(super) fn real(text: &str) -> Option<f64> {
    serde_json::from_str::<Value>(text).ok()?.as_f64()
}

/// Rows of an answer: all are counted, the first are kept.
pub(super) struct Rows {
    limit: usize,
    total: usize,
    kept: Vec<Value>,
}

impl Rows {
    /// Counts a row, and makes it if it will be seen.
    pub(super) fn push(&mut self, row: &mut dyn FnMut() -> Value) {
        self.total += 1;
        if self.kept.len() < self.limit {
            self.kept.push(row());
        }
    }

    /// The answer: the rows, and how many are shown of how many there are.
    pub(super) fn answer(self, name: &str) -> Map<String, Value> {
        let mut answer = Map::new();
        answer.insert("shown".into(), self.kept.len().into());
        answer.insert("total".into(), self.total.into());
        answer.insert(name.into(), Value::Array(self.kept));
        answer
    }
}

/// An object of texts; those that are empty are not there.
pub(super) fn object(fields: &[(&str, &str)]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, text) in fields.iter().filter(|(_, text)| !text.is_empty()) {
        // One by one: to collect would bring in a sort, 14 KiB of it.
        object.insert((*name).into(), Value::from(*text));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_over_the_limit_are_counted_and_not_made() {
        let mut rows = Rows { limit: 2, total: 0, kept: Vec::new() };
        for row in 0..5 {
            rows.push(&mut || {
                assert!(row < 2);
                row.into()
            });
        }
        assert_eq!(Value::Object(rows.answer("rows")), serde_json::json!({ "rows": [0, 1], "shown": 2, "total": 5 }));
    }
}
