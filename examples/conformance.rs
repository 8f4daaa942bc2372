//! Everything that the official conformance suite asks of a server, under the names it asks for: a tour of the API,
//! one small function each.
//!
//! `tools` gives results of every kind, `asking` asks the client back, `prompts` and `resources` are what their names
//! say, and `changes` changes the lists while clients look. No function knows of revisions: the library speaks them.
//! It takes the program's options (`--help` lists them) and is made of the program's own files, included by their
//! paths.

#[path = "../src/bin/portcullis/bounds.rs"]
mod bounds;
#[path = "../src/bin/portcullis/help.rs"]
mod help;
#[path = "../src/bin/portcullis/listeners.rs"]
mod listeners;
#[path = "../src/bin/portcullis/log.rs"]
mod log;
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
#[path = "../src/bin/portcullis/stdio.rs"]
mod stdio;

#[path = "conformance/asking.rs"]
mod asking;
#[path = "conformance/changes.rs"]
mod changes;
#[path = "conformance/prompts.rs"]
mod prompts;
#[path = "conformance/resources.rs"]
mod resources;
#[path = "conformance/tools.rs"]
mod tools;

use std::process::ExitCode;
use std::time::Duration;

use portcullis::{Builder, Handle, Limits, Tool};

/// A picture: one pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\
    \0\0\0\x0cIDATx\xdac\xf8\xcf\xc0\0\0\x03\x01\x01\0\xf7\x03AC\0\0\0\0IEND\xaeB`\x82";

/// A tool that changes nothing and reaches nobody; without arguments, until it gets a schema.
fn tool(name: &str, what: &str) -> Tool {
    Tool::new(name).description(what).read_only().open_world(false)
}

/// Registers everything. The lists keep the order: `test_simple_text`, which needs nothing, comes first.
fn register(builder: Builder, _: &Limits, handle: &Handle) -> Builder {
    let builder = builder
        .title("Conformance fixtures")
        .instructions("Every tool here is a test; none does anything of use.")
        .cache(Duration::from_secs(1), false);
    let builder = tools::register(builder);
    let builder = asking::register(builder);
    let builder = prompts::register(builder);
    let builder = resources::register(builder);
    changes::register(builder, handle)
}

fn main() -> ExitCode {
    let program = options::Program {
        name: "conformance",
        version: env!("CARGO_PKG_VERSION"),
        about: "an MCP server with the fixtures of the official conformance suite",
        has_commands: false,
        debug_listen: options::Debug::Off,
        tools: |tools, _| tools,
        config: None,
    };
    let mut args = std::env::args_os().skip(1).peekable();
    match args.next_if(|word| word == "stdio") {
        Some(_) => stdio::main(&program, args, register),
        None => serve::main(&program, args, register),
    }
}
