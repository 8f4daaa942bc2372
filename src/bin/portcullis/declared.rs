//! A tool that a file declares: what it promises, and how a call of it runs.
//!
//! Decided here: a call waits for its turn, runs one command without a shell, and gives back what it printed as
//! text, as JSON, or line by line while it runs. What the file says is read and checked elsewhere (`config`); how a
//! child is started and ended, too (`process`).

pub(crate) mod arg;
pub(crate) mod argv;
#[cfg(test)]
mod endings;
pub(crate) mod lanes;
#[cfg(test)]
mod proofs;

use self::arg::Arg;
use self::argv::Argv;
use self::lanes::{Lane, Lanes};
use crate::process::{Finished, Run};
use crate::tools::{Called, add};
use portcullis::{CallError, CallResult, RequestContext, Tool, Toolset};
use serde_json::Value;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What a command's output is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Output {
    /// Text, shown when it has ended.
    #[default]
    Text,
    /// One JSON value: the structured result.
    Json,
    /// Text of which every line is told as progress when it comes.
    Lines,
}

/// A tool as a file declares it. Plain data: it may go to another thread.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    /// The program first.
    pub(crate) argv: Argv,
    pub(crate) args: Vec<Arg>,
    pub(crate) output: Output,
    /// How long the command may run.
    pub(crate) timeout: Duration,
    /// Between TERM and KILL.
    pub(crate) kill_after: Duration,
    /// How much of what it prints is read, in bytes.
    pub(crate) max_output: usize,
    /// Whether the rest is left out, and said to be; else it is an error.
    pub(crate) truncates: bool,
    /// Exit codes that are no failure.
    pub(crate) ok_exit: Vec<i32>,
    /// Calls that run at once.
    pub(crate) concurrency: usize,
    /// Calls that may wait for their turn, and how long.
    pub(crate) queue: usize,
    pub(crate) queue_wait: Duration,
    /// Tools of one group never run at once.
    pub(crate) group: Option<String>,
    /// The most memory that the command may have, in bytes.
    pub(crate) address_space: Option<u64>,
    /// The command's environment, besides `LC_ALL=C`.
    pub(crate) env: Vec<(String, String)>,
    /// read_only, destructive, idempotent and open_world, as far as they were said.
    pub(crate) hints: [Option<bool>; 4],
}

impl Spec {
    /// Its description for clients.
    pub(crate) fn tool(&self) -> Tool {
        let mut tool = Tool::new(self.name.as_str()).description(self.description.as_str());
        if let Some(title) = &self.title {
            tool = tool.title(title.as_str());
        }
        let [read_only, destructive, idempotent, open_world] = self.hints;
        if read_only == Some(true) {
            tool = tool.read_only();
        }
        if let Some(yes) = destructive {
            tool = tool.destructive(yes);
        }
        if idempotent == Some(true) {
            tool = tool.idempotent();
        }
        if let Some(yes) = open_world {
            tool = tool.open_world(yes);
        }
        // The parts of a call have limits of their own, which say more than the whole's.
        let whole = self.queue_wait + self.timeout + self.kill_after + Duration::from_secs(5);
        tool.input_schema(arg::schema(&self.args)).timeout(whole)
    }

    /// The program that it runs.
    pub(crate) fn program(&self) -> &str {
        self.argv.program()
    }
}

/// Adds declared tools to a set.
pub(crate) fn register(mut tools: Toolset, specs: &[Arc<Spec>], lanes: &Lanes) -> Toolset {
    for spec in specs {
        let declared = Declared::new(spec.clone(), lanes);
        let handler = move |cx, sent| -> Called { Box::pin(call(declared.clone(), cx, sent)) };
        tools = add(tools, spec.tool(), Box::new(handler));
    }
    tools
}

/// A tool that can be called.
#[derive(Clone)]
pub(crate) struct Declared {
    spec: Arc<Spec>,
    lanes: Rc<[Rc<Lane>]>,
}

impl Declared {
    /// Makes one of what a file says.
    pub(crate) fn new(spec: Arc<Spec>, lanes: &Lanes) -> Declared {
        let own = lanes.lane(format!("tool `{}`", spec.name), spec.concurrency);
        let group = spec.group.as_ref().map(|group| lanes.lane(format!("group `{group}`"), 1));
        Declared { spec, lanes: std::iter::once(own).chain(group).collect() }
    }
}

/// Runs one call.
///
/// # Errors
/// In words for the model: a value that may not reach a command, no turn, or what the command did wrong.
pub(crate) async fn call(declared: Declared, cx: RequestContext, sent: Value) -> Result<CallResult, CallError> {
    let spec = &*declared.spec;
    let argv = spec.argv.fill(&spec.args, &sent).map_err(CallError::new)?;
    let places = lanes::enter(&declared.lanes, spec.queue, spec.queue_wait, cx.sleep(spec.queue_wait)).await;
    let _places = places.map_err(CallError::new)?;
    let words: Vec<&str> = argv.iter().skip(1).map(String::as_str).collect();
    let run = Run {
        program: spec.program(),
        args: &words,
        env: &spec.env,
        wait: spec.timeout,
        kill_after: spec.kill_after,
        stdout_bytes_max: spec.max_output,
        truncates: spec.truncates,
        address_space: spec.address_space,
        ..Run::default()
    };
    let mut lines = 0.0;
    let mut told = |line: &str| {
        if spec.output == Output::Lines {
            lines += 1.0;
            cx.progress(lines, None, Some(line));
        }
    };
    let finished = run.finish(&mut told).await.map_err(|error| CallError::new(error.to_string()))?;
    spec.result(finished).map_err(CallError::new)
}

impl Spec {
    /// What a command that has ended means.
    fn result(&self, finished: Finished) -> Result<CallResult, String> {
        let code = finished.status.code();
        if !code.is_some_and(|code| self.ok_exit.contains(&code)) {
            return Err(self.failure(&finished));
        }
        match self.output {
            Output::Json => match serde_json::from_str::<Value>(&finished.stdout) {
                Ok(value) => Ok(CallResult::structured(value)),
                Err(error) => Err(format!("`{}` printed no JSON: {error}", self.program())),
            },
            Output::Text | Output::Lines if finished.stdout.trim_ascii_end().is_empty() => {
                // A command that is content and says nothing is the rule, and an empty answer looks like a fault.
                let code = code.unwrap_or_default();
                Ok(format!("`{}` printed nothing and ended with status {code}", self.program()).into())
            }
            Output::Text | Output::Lines => {
                let (mut text, all) = (finished.stdout, finished.stdout_bytes);
                if all > self.max_output {
                    // The cut may have gone through a character.
                    text.truncate(text.trim_end_matches('\u{fffd}').len());
                    text.push_str(&format!("\n[cut: the first {} of {all} bytes]", self.max_output));
                }
                Ok(text.into())
            }
        }
    }

    /// What to say of a command that failed: its own words, as far as it had some.
    fn failure(&self, finished: &Finished) -> String {
        let ended = match finished.status.code() {
            Some(code) => format!("`{}` ended with status {code}", self.program()),
            None => format!("`{}` was ended by a signal ({})", self.program(), finished.status),
        };
        let said = [&finished.stderr, &finished.stdout].into_iter().map(|text| text.trim_ascii_end());
        match said.into_iter().find(|text| !text.is_empty()) {
            Some(said) => format!("{ended}: {said}"),
            None => format!("{ended} and said nothing"),
        }
    }
}

/// What is wrong with a regular expression. The library compiles it when a server is built, so one is.
pub(crate) fn fault_of_pattern(pattern: &str) -> Option<String> {
    let arg = Arg { name: "pattern".into(), pattern: Some(pattern.to_owned()), ..Arg::default() };
    let tool = Tool::new("pattern").input_schema(arg::schema(&[arg]));
    let nothing = |_, _| -> Called { Box::pin(async { Err(CallError::new("")) }) };
    let checked = add(Toolset::new(), tool, Box::new(nothing)).check();
    let why = checked.err()?.to_string();
    Some(why.rsplit_once("`pattern`: ").map_or(why.as_str(), |(_, why)| why).to_owned())
}
