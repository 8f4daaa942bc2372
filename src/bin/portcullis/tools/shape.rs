//! The one shape of the program's tools: a row of text declares one, a function answers it.
//!
//! One shape, so that what surrounds a handler is compiled once for all of them. The library has checked the
//! arguments against the schema before a function here sees them (types, choices, ranges, no unknown ones), so
//! they are read as they stand; what a schema cannot say is checked by who needs it.

pub(super) use super::put;
use super::{Called, LOOK_WAIT, add, refusal, schema};
use crate::process::{Finished, Run};
use portcullis::{CallError, CallResult, RequestContext, Tool, Toolset};
use serde_json::{Map, Value};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// What a call comes to: the fields of its answer, or what is wrong.
pub(super) type Told = Result<Map<String, Value>, String>;

/// An answer that takes its time.
pub(super) type Later<'a> = Pin<Box<dyn Future<Output = Told> + 'a>>;

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
    pub(super) how: How,
}

/// How a tool comes to its answer.
pub(super) enum How {
    /// At once.
    Now(fn(&Call) -> Told),
    /// By a command: which one, or why none.
    Command(fn(&Call) -> Result<Command, String>),
    /// In steps of its own.
    Steps(for<'a> fn(&'a Call) -> Later<'a>),
}

/// A command, and what is made of it.
pub(super) struct Command {
    pub(super) program: &'static str,
    /// What came from a client has been checked.
    pub(super) args: Vec<String>,
    pub(super) wait: Duration,
    pub(super) stdout_bytes_max: usize,
    /// Whether its lines are only shown, not kept; the bound is then one for a line.
    pub(super) streams: bool,
    /// The most memory that it may have, if it is not the usual.
    pub(super) address_space: Option<u64>,
    pub(super) reading: Box<dyn Reading>,
    /// Adds to a fault what helps.
    pub(super) with_remedy: fn(&str) -> String,
}

impl Command {
    /// One that looks something up.
    pub(super) fn new(program: &'static str, args: Vec<String>, reading: Box<dyn Reading>) -> Command {
        Command {
            program,
            args,
            wait: LOOK_WAIT,
            stdout_bytes_max: Run::default().stdout_bytes_max,
            streams: false,
            address_space: Run::default().address_space,
            reading,
            with_remedy: str::to_owned,
        }
    }
}

/// What is made of what a command prints.
pub(super) trait Reading {
    /// Sees a line, as it comes.
    fn line(&mut self, _call: &Call, _line: &str) {}

    /// What the command has told when it has ended, or why it has not.
    fn end(self: Box<Self>, call: &Call, finished: &Finished) -> Told;
}

/// Reads what counts up: each next number is progress, up to the most there is.
pub(super) fn rising(most: u32, number: fn(&str) -> Option<u32>, read: fn(&Finished) -> Told) -> Box<dyn Reading> {
    Box::new(Rising { last: 0, most, number, read })
}

struct Rising {
    last: u32,
    most: u32,
    /// The number of a line that has one.
    number: fn(&str) -> Option<u32>,
    read: fn(&Finished) -> Told,
}

impl Reading for Rising {
    fn line(&mut self, call: &Call, line: &str) {
        // A number that comes twice or late must not make progress fall.
        if let Some(n) = (self.number)(line).filter(|n| (self.last + 1..=self.most).contains(n)) {
            self.last = n;
            call.cx.progress(f64::from(n), Some(f64::from(self.most)), Some(line.trim_ascii()));
        }
    }

    fn end(self: Box<Self>, _: &Call, finished: &Finished) -> Told {
        (self.read)(finished)
    }
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
        let handler = move |cx, args| -> Called {
            let call = Call { cx, args: Arguments(args), answer_bytes_max };
            Box::pin(async move {
                let told = match &self.how {
                    How::Now(tell) => tell(&call),
                    How::Steps(tell) => tell(&call).await,
                    How::Command(command) => match command(&call) {
                        Ok(command) => run(&call, command).await,
                        Err(why) => Err(why),
                    },
                };
                told.map(|told| CallResult::structured(Value::Object(told))).map_err(CallError::new)
            })
        };
        add(tools, tool.open_world(self.open_world), Box::new(handler))
    }
}

/// Runs a command, and reads what it prints.
pub(super) fn run(call: &Call, command: Command) -> Later<'_> {
    Box::pin(async move {
        let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
        let mut reading = command.reading;
        let run = Run {
            program: command.program,
            args: &args,
            wait: command.wait,
            stdout_bytes_max: command.stdout_bytes_max,
            streams: command.streams,
            address_space: command.address_space,
            ..Run::default()
        };
        match run.finish(&mut |line| reading.line(call, line)).await {
            Ok(finished) => reading.end(call, &finished),
            Err(error) => Err((command.with_remedy)(&error.to_string())),
        }
    })
}

/// Words of a command, of which none comes from a client.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What a command said of its failure, in a sentence.
pub(super) fn failure(program: &str, finished: &Finished) -> String {
    format!("`{program}` said: {}", finished.stderr.trim_ascii())
}

/// What a command said of its failure, on stderr or else on stdout.
pub(super) fn said(finished: &Finished) -> &str {
    match (finished.stderr.trim_ascii(), finished.stdout.trim_ascii()) {
        ("", "") => "nothing",
        ("", printed) => printed,
        (said, _) => said,
    }
}

/// Texts of which one in a fault is the sign of its cause, and what helps then.
pub(super) type Remedies = [(&'static [&'static str], &'static str)];

/// Adds to a fault what helps, if something does: the first that one of its signs speaks for.
pub(super) fn remedied(fault: &str, remedies: &Remedies) -> String {
    match remedies.iter().find(|(signs, _)| signs.iter().any(|sign| fault.contains(sign))) {
        Some((_, remedy)) => format!("{fault}\n{remedy}"),
        None => fault.to_owned(),
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

    /// An argument that is an address.
    pub(super) fn address(&self, name: &str) -> Result<Option<IpAddr>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| refusal(name, text, "expected an IP address"))
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
        put(&mut answer, "shown", self.kept.len().into());
        put(&mut answer, "total", self.total.into());
        put(&mut answer, name, Value::Array(self.kept));
        answer
    }
}

/// An object of texts; those that are empty are not there.
pub(super) fn object(fields: &[(&str, &str)]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, text) in fields.iter().filter(|(_, text)| !text.is_empty()) {
        // One by one: to collect would bring in a sort, 14 KiB of it.
        put(&mut object, name, Value::from(*text));
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
