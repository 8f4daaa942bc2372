//! portcullis is an MCP server for machines that guard networks: one thread, a minimal executor, an HTTP/SSE
//! handler written by hand, and a session table with bounded channels.
//!
//! ```no_run
//! use portcullis::{CallError, RequestContext, Server, Tool};
//!
//! async fn hello(_: RequestContext, _: serde_json::Value) -> Result<&'static str, CallError> {
//!     Ok("Hello from the gate.")
//! }
//!
//! let server = Server::builder("gate", "1.0.0").tool(Tool::new("hello").read_only(), hello).build()?;
//! server.run("127.0.0.1:8001")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The path of one request
//!
//! ```text
//! bytes → http::body::Framer → Head and body → transport::check, transport::admit → Admission
//!       → transport::messages (the method table) → features: tools, resources, prompts (your handler) → Outcome
//!       → mcp::compat → stream::Stream → JSON or SSE → http::response → bytes
//! ```
//!
//! `net` reads bytes and asks [`http`](crate) where a request ends; `transport` decides what it means and for which
//! session; a call is polled once on the spot and moves into the table of calls if it is not ready; its answer goes
//! into the exchange it came from, never by its id; and `net` writes it, as JSON if it came soon and alone, else
//! as a stream.
//!
//! # The floors
//!
//! Imports go to the same floor or down; a test enforces it.
//!
//! 0. words: `clock`, `process`, `wheel`, `limits`, `revision`, `door`, `jsonrpc`, `members`, `seen`, `schema`, `seal`, `counters`, `budget`
//! 1. bytes, no I/O: `http`, `sse`
//! 2. memory, no I/O: `mcp`, `stream`, `session`, `questions`, `subscription`, `events`
//! 3. rules for calls, no I/O: `access`, `context`, `asking`, `offload`, `call`, `method`, `transport`
//! 3. rules for what is offered: `features`, `tools`, `resources`, `prompts`, `listing`, `mirror`
//! 4. the shell: `net`, `observe`, `handle`, `server`

#![forbid(unsafe_code)]

mod access;
mod asking;
mod budget;
mod call;
mod clock;
mod context;
mod counters;
mod door;
mod events;
mod features;
mod handle;
mod http;
mod jsonrpc;
mod limits;
mod listing;
mod mcp;
mod members;
mod method;
mod mirror;
mod net;
mod observe;
mod offload;
mod process;
mod prompts;
mod questions;
mod resources;
mod revision;
mod schema;
mod seal;
mod seen;
mod server;
mod session;
mod sse;
mod stream;
mod subscription;
mod tools;
mod transport;
mod wheel;

pub use access::{Access, Credentials, Denied, Item};
pub use clock::{Clock, Instant, Sleep};
pub use context::{CancelFlag, RequestContext};
pub use features::BuildError;
pub use handle::{AskError, Handle};
pub use jsonrpc::RequestId;
pub use limits::Limits;
pub use mcp::capability::ClientCapability;
pub use mcp::content::{Content, Contents};
pub use mcp::describe::{Argument, Icon, Prompt, Resource, ResourceTemplate, Tool};
pub use mcp::elicit::{Elicited, Field, Form};
pub use mcp::level::Level;
pub use mcp::peer::{ClientInfo, Principal};
pub use mcp::result::{CallError, CallResult, Completion, PromptResult, ReadResult};
pub use mcp::sample::{Root, Sampled, Sampling};
pub use net::listen::{Incoming, Listener};
pub use prompts::CompletionRequest;
pub use resources::ReadRequest;
pub use server::{Builder, Server};
pub use tools::Toolset;
pub use transport::auth::{TokenError, Tokens};
pub use transport::guard::{Cidr, CidrError};
