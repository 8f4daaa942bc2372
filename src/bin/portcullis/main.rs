//! The program: an MCP server for the machine it runs on, with the appliance's own tools.
//!
//! It uses only the library's public API. `options` and `bounds` say what a person may ask for, `serve` runs it,
//! `log` lets its lines out, `tools` is what a model can do.

mod bounds;
mod log;
mod options;
mod serve;
mod tools;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

fn main() -> ExitCode {
    let program = options::Program {
        name: "portcullis",
        version: env!("CARGO_PKG_VERSION"),
        about: "an MCP server for machines that guard networks",
        debug_listen: options::Debug::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8002)),
    };
    serve::main(&program, tools::register)
}
