//! Three tools that outside test suites know by these names: `echo`, `add` and `slow`.
//!
//! It takes the program's options (`--help` lists them) and is made of the program's own files, included by
//! their paths; unlike the program it shows its sessions nowhere unless `--debug-listen` says where.

#[path = "../src/bin/portcullis/bounds.rs"]
mod bounds;
#[path = "../src/bin/portcullis/help.rs"]
mod help;
#[path = "../src/bin/portcullis/listeners.rs"]
mod listeners;
#[path = "../src/bin/portcullis/log.rs"]
mod log;
#[allow(dead_code)] // it has options from the command line alone
#[path = "../src/bin/portcullis/notify.rs"]
mod notify;
#[path = "../src/bin/portcullis/options.rs"]
mod options;
#[path = "../src/bin/portcullis/reload.rs"]
mod reload;
#[path = "../src/bin/portcullis/serve.rs"]
mod serve;
#[allow(dead_code)] // the command is the program's; what SIGUSR1 writes is not
#[path = "../src/bin/portcullis/sessions.rs"]
mod sessions;

use portcullis::{Builder, CallError, Handle, Limits, RequestContext, Tool};
use serde::Deserialize;
use serde_json::{Number, json};
use std::process::ExitCode;
use std::time::Duration;

/// Longest `slow`; a test that needs more than an hour has another problem.
const SECONDS_MAX: f64 = 3600.0;

#[derive(Deserialize)]
struct Echo {
    text: String,
}

async fn echo(_cx: RequestContext, args: Echo) -> Result<String, CallError> {
    Ok(args.text)
}

#[derive(Deserialize)]
struct Add {
    a: Number,
    b: Number,
}

async fn add(_cx: RequestContext, args: Add) -> Result<String, CallError> {
    sum(&args.a, &args.b).map(|sum| sum.to_string()).ok_or_else(|| CallError::new("the sum is too large"))
}

/// Exact for whole numbers; "3", never "3.0", because that is what 1 and 2 make.
fn sum(a: &Number, b: &Number) -> Option<Number> {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Number::from_i128(a + b).or_else(|| Number::from_f64((a + b) as f64)),
        _ => Number::from_f64(a.as_f64()? + b.as_f64()?),
    }
}

#[derive(Deserialize)]
struct Slow {
    seconds: f64,
    text: String,
}

/// Waits, tells how far it is about once a second, and returns the text.
async fn slow(cx: RequestContext, args: Slow) -> Result<String, CallError> {
    if !(0.0..=SECONDS_MAX).contains(&args.seconds) {
        return Err(CallError::new(format!("`seconds`: got {}, expected 0 to {SECONDS_MAX}", args.seconds)));
    }
    let mut done = 0.0;
    while done < args.seconds {
        let step = (args.seconds - done).min(1.0);
        cx.sleep(Duration::from_secs_f64(step)).await;
        done += step;
        cx.progress(done, Some(args.seconds), Some(&format!("{done:.0} of {} s", args.seconds)));
    }
    Ok(args.text)
}

/// Declares the three tools, each with a small schema.
fn register(builder: Builder, _: &Limits, _: &Handle) -> Builder {
    let number = json!({ "type": "number" });
    let text = json!({ "type": "string" });
    let object = |properties: serde_json::Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    let tool = |name: &str, what: &str| Tool::new(name).description(what).read_only().open_world(false);
    builder
        .tool(tool("echo", "Returns the text.").input_schema(object(json!({ "text": text }), &["text"])), echo)
        .tool(
            tool("add", "Adds two numbers.").input_schema(object(json!({ "a": number, "b": number }), &["a", "b"])),
            add,
        )
        .tool(
            tool("slow", "Waits, reports progress every second, then returns the text.").input_schema(object(
                json!({ "seconds": { "type": "number", "minimum": 0, "maximum": SECONDS_MAX }, "text": text }),
                &["seconds", "text"],
            )),
            slow,
        )
}

fn main() -> ExitCode {
    let program = options::Program {
        name: "echo",
        version: env!("CARGO_PKG_VERSION"),
        about: "an MCP server with the tools echo, add and slow",
        has_commands: false,
        debug_listen: options::Debug::Off,
        tools: |tools, _| tools,
        config: None,
    };
    serve::main(&program, std::env::args_os().skip(1), register)
}
