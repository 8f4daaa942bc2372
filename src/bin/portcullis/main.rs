//! The program: an MCP server for the machine it runs on, with the appliance's own tools.
//!
//! It uses only the library's public API. `options` and `bounds` say what a person may ask for, `serve` runs it,
//! `log` lets its lines out, `tools` is what a model can do.

mod bounds;
#[cfg(feature = "config")]
mod commands;
#[cfg(feature = "config")]
mod config;
#[cfg(feature = "config")]
mod declared;
mod help;
mod listeners;
mod log;
mod notify;
mod options;
mod process;
mod reload;
#[cfg(feature = "config")]
mod roles;
mod serve;
mod sessions;
mod stdio;
mod tools;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

const PROGRAM: options::Program = options::Program {
    name: "portcullis",
    version: env!("CARGO_PKG_VERSION"),
    about: "an MCP server for machines that guard networks",
    has_commands: true,
    debug_listen: options::Debug::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8002)),
    tools: tools::register,
    #[cfg(feature = "config")]
    config: Some(config::program),
    #[cfg(not(feature = "config"))]
    config: None,
};

/// The first word says what is wanted; without one, or with an option first, it is to serve.
fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    let command = args.next_if(|word| !word.as_encoded_bytes().starts_with(b"-"));
    match command.as_ref().map(|word| word.to_string_lossy()).as_deref() {
        None | Some("serve") => serve::main(&PROGRAM, args, tools::describe),
        Some("stdio") => stdio::main(&PROGRAM, args, tools::describe),
        #[cfg(feature = "config")]
        Some(word @ ("check-config" | "tools" | "call")) => commands::main(&PROGRAM, word, args),
        Some("sessions") => sessions::main(&PROGRAM, args),
        Some(other) => serve::fail(&PROGRAM, &options::unknown(&PROGRAM, other), 2),
    }
}
