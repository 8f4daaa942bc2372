//! `check-config`, `tools` and `call`: what an operator asks of the program without an MCP client.
//!
//! Decided here: a tool that is tried by hand runs on the same server as for a model, asked over a pair of sockets
//! in this process, so that its schema, its limits and its words are those that a client gets. Nothing listens, and
//! nobody is asked for a token: whoever can start the program with its file may use what is in it.
//! Exit codes: 0 all is well; 1 the file is wrong, or the tool failed; 2 the question makes no sense.

pub(crate) mod client;

use self::client::Question;
use crate::config::{self, Config, matches};
use crate::declared::{self, lanes::Lanes};
use crate::options::{Options, Program, Wish, parse};
use crate::serve::{fail, say};
use crate::{process, tools};
use portcullis::{Server, Toolset};
use serde_json::Value;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// What a command line of one of these commands says.
#[derive(Debug, Default, PartialEq)]
struct Words {
    config: Option<PathBuf>,
    others: Vec<String>,
    help: bool,
}

/// Runs one of the commands.
pub(crate) fn main(program: &Program, command: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    let (usage, most) = match command {
        "check-config" => ("check-config FILE", 1),
        "tools" => ("tools [TOOL] [--config FILE]", 1),
        _ => ("call TOOL ['{\"argument\": \"value\"}'] [--config FILE]", 2),
    };
    let usage = format!("usage: {} {usage}", program.name);
    let words = match words(args.collect()) {
        Ok(words) if words.help => {
            say(&format!("{usage}\n"));
            return ExitCode::SUCCESS;
        }
        Ok(words) if words.others.len() <= most => words,
        Ok(words) => return fail(program, &format!("unexpected {:?}; {usage}", words.others[most]), 2),
        Err(why) => return fail(program, &format!("{why}; {usage}"), 2),
    };
    let file = words.config.as_deref();
    let outcome = match (command, &*words.others) {
        ("check-config", []) if file.is_none() => return fail(program, &usage, 2),
        ("check-config", others) => check(program, others.first().map(Path::new).or(file).unwrap_or(Path::new(""))),
        ("tools", []) => list(program, file),
        ("tools", [tool, ..]) => show(program, file, tool),
        (_, []) => return fail(program, &usage, 2),
        (_, [tool, rest @ ..]) => call(program, file, tool, rest.first().map_or("{}", String::as_str)),
    };
    match outcome {
        Ok((text, true)) => {
            say(&text);
            ExitCode::SUCCESS
        }
        // A tool's own error goes to stderr.
        Ok((text, false)) => fail(program, text.trim_ascii_end(), 1),
        Err(failed) => fail(program, &failed.why, failed.code),
    }
}

/// What a command prints, and whether that is well.
type Outcome = Result<(String, bool), Failed>;

/// Why a command ends badly, and with which code.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) why: String,
    pub(crate) code: u8,
}

impl From<String> for Failed {
    fn from(why: String) -> Failed {
        Failed { why, code: 1 }
    }
}

fn words(args: Vec<OsString>) -> Result<Words, String> {
    let mut said = Words::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => said.help = true,
            lexopt::Arg::Long("config") if said.config.is_some() => return Err("`--config` is given twice".into()),
            lexopt::Arg::Long("config") => {
                said.config = Some(parser.value().map_err(|_| "`--config`: no value, expected a file")?.into());
            }
            lexopt::Arg::Value(value) => {
                said.others.push(value.into_string().map_err(|raw| format!("{raw:?} is not UTF-8 text"))?);
            }
            lexopt::Arg::Short(letter) => return Err(format!("unknown argument \"-{letter}\"")),
            lexopt::Arg::Long(name) => return Err(format!("unknown argument \"--{name}\"")),
        }
    }
    Ok(said)
}

/// The options of a file, checked together as they are when the program serves.
fn options(program: &Program, file: Option<&Path>) -> Result<Options, String> {
    let args = file.map_or_else(Vec::new, |file| vec![OsString::from("--config"), file.into()]);
    match parse(program, args)? {
        Wish::Run(options) => Ok(*options),
        Wish::Print(text) => Err(text),
    }
}

/// What is in a file, if it is right.
fn check(program: &Program, file: &Path) -> Outcome {
    let config = config::load(file, program)?;
    let options = options(program, Some(file))?;
    let there_are = client::ask(server(program, &options, &config)?, Question::Tools)?.tools;
    let Config { tools, roles, tokens, files, settings, .. } = &config;
    let mut text = format!("{}: right", file.display());
    // Writing into a String cannot fail.
    for file in files.iter().skip(1) {
        let _ = write!(text, ", with {}", file.display());
    }
    let (n, t, r, k) = (settings.len(), tools.len(), roles.len(), tokens.len());
    let _ = writeln!(text, "\n{t} tools, {r} roles, {k} tokens, {n} options");
    let listen: Vec<_> = options.listen.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "{} listeners: {}", listen.len(), listen.join(", "));
    for role in roles {
        let may_use = there_are.iter().filter(|tool| role.allows(&tool.name)).count();
        let _ = writeln!(text, "role `{}` may use {may_use} of {} tools", role.name, there_are.len());
        for glob in role.tools.iter().filter(|glob| !there_are.iter().any(|tool| matches(glob, &tool.name))) {
            let _ = writeln!(text, "warning: the role `{}`: no tool is called {glob:?}", role.name);
        }
    }
    for tool in tools.iter().filter(|tool| process::find(tool.program()).is_none()) {
        let _ = writeln!(text, "warning: the tool `{}`: there is no program `{}` here", tool.name, tool.program());
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    for token in tokens.iter().filter(|token| token.expires.is_some_and(|end| end <= now)) {
        let _ = writeln!(text, "warning: the token `{}` has expired", token.name);
    }
    for warning in &config.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    Ok((text, true))
}

/// A server with all tools and without anybody who asks who it is.
pub(crate) fn server(program: &Program, options: &Options, config: &Config) -> Result<Server, String> {
    let builder = Server::builder(program.name, program.version).limits(options.limits());
    let tools = tools::register(Toolset::new(), &options.limits);
    let tools = declared::register(tools, &config.tools, &Lanes::default());
    builder.tools(tools).build().map_err(|error| error.to_string())
}

fn ready(program: &Program, file: Option<&Path>) -> Result<Server, String> {
    let options = options(program, file)?;
    let config = file.map_or(Ok(Config::default()), |file| config::load(file, program))?;
    server(program, &options, &config)
}

/// A line for each tool.
fn list(program: &Program, file: Option<&Path>) -> Outcome {
    let tools = client::ask(ready(program, file)?, Question::Tools)?.tools;
    let width = tools.iter().map(|tool| tool.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for client::Listed { name, read_only, description, .. } in &tools {
        let what = what(*read_only);
        let first = description.split_once(". ").map_or(description.trim_end_matches('.'), |(first, _)| first);
        let _ = writeln!(text, "{name:<width$}  {what:<9}  {first}");
    }
    Ok((text, true))
}

fn what(read_only: bool) -> &'static str {
    if read_only { "read-only" } else { "changes" }
}

/// All about one tool: what it does, its arguments, and how it is called.
fn show(program: &Program, file: Option<&Path>, name: &str) -> Outcome {
    let tools = client::ask(ready(program, file)?, Question::Tools)?.tools;
    let Some(tool) = tools.iter().find(|tool| tool.name == name) else {
        return Err(client::no_tool(name));
    };
    let mut text = format!("{name}, {}\n{}\n", what(tool.read_only), tool.description);
    let required = tool.arguments["required"].as_array().map_or(&[][..], Vec::as_slice);
    let arguments = tool.arguments["properties"].as_object();
    for (argument, schema) in arguments.into_iter().flatten() {
        let must = if required.iter().any(|name| name == argument) { ", required" } else { "" };
        let about = schema["description"].as_str().map_or_else(String::new, |about| format!(". {about}"));
        let _ = writeln!(text, "  {argument}: {}{must}{about}", kind(schema));
    }
    let example: Vec<_> = required.iter().map(|name| format!("{name}: …")).collect();
    let example = if example.is_empty() { String::new() } else { format!(" '{{{}}}'", example.join(", ")) };
    let file = file.map_or_else(String::new, |file| format!(" --config {}", file.display()));
    let _ = writeln!(text, "{} call {name}{example}{file}", program.name);
    Ok((text, true))
}

/// What an argument may be, in a few words.
fn kind(schema: &Value) -> String {
    let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values: Vec<_> = schema["enum"].as_array().into_iter().flatten().map(words).collect();
    if !values.is_empty() {
        return values.join(" or ");
    }
    let mut kind = words(&schema["type"]);
    for (bound, word) in [("minimum", " from "), ("maximum", " to ")] {
        if let Some(number) = schema[bound].as_f64() {
            let _ = write!(kind, "{word}{number}");
        }
    }
    kind
}

/// Runs a tool: what it gave, and whether it is content.
fn call(program: &Program, file: Option<&Path>, tool: &str, arguments: &str) -> Outcome {
    let fault = match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(_)) => None,
        Ok(_) => Some(String::new()),
        Err(error) => Some(format!(" {error};")),
    };
    if let Some(fault) = fault {
        let remedy = r#"expected a JSON object in single quotes, such as '{"host": "192.0.2.1"}'"#;
        return Err(Failed { why: format!("{arguments:?} is none:{fault} {remedy}"), code: 2 });
    }
    Ok(client::ask(ready(program, file)?, Question::Call(tool, arguments))?.called)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_told_in_a_few_words() {
        for (schema, expected) in [
            (r#"{"type":"string"}"#, "string"),
            (r#"{"type":"integer","minimum":1,"maximum":20}"#, "integer from 1 to 20"),
            (r#"{"type":"number","minimum":0.2}"#, "number from 0.2"),
            (r#"{"type":"string","enum":["tcp","udp"]}"#, "tcp or udp"),
            (r#"{"enum":[1,"a"]}"#, "1 or a"),
            (r#"{"type":["string","null"]}"#, r#"["string","null"]"#),
        ] {
            assert_eq!(kind(&serde_json::from_str(schema).unwrap()), expected);
        }
    }

    fn read(line: &str) -> Result<Words, String> {
        words(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn words_may_stand_before_and_behind_the_file() {
        for line in ["ping_host {} --config f.toml", "--config f.toml ping_host {}", "ping_host --config=f.toml {}"] {
            let words = read(line).unwrap();
            assert_eq!((words.config.unwrap(), words.others), ("f.toml".into(), vec!["ping_host".into(), "{}".into()]));
        }
        for (line, expected) in [
            ("--config", "no value"),
            ("--config a --config b", "given twice"),
            ("--confg a", "unknown argument \"--confg\""),
            ("-c a", "unknown argument \"-c\""),
        ] {
            assert!(read(line).unwrap_err().contains(expected), "{line}");
        }
    }
}
