//! The smallest MCP client there can be: revision 2026-07-28 over a pair of sockets in this process.
//!
//! Each request stands alone there, so there is nothing to open and nothing to keep. It speaks HTTP/1.0, in which an
//! answer ends with its connection, be it JSON or a stream of events. It trusts the server, which is ours.

use super::Failed;
use async_signal::{Signal, Signals};
use portcullis::{Incoming, Listener, Server};
use serde_json::Value;
use smol::future;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::unix::UnixStream;
use smol::stream::StreamExt;
use std::io::{self, Write};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":0}"#;

/// A tool as the list has it.
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) read_only: bool,
    pub(crate) description: String,
}

/// What is asked of a server.
#[derive(Clone, Copy)]
pub(crate) enum Question<'a> {
    /// All its tools.
    Tools,
    /// A tool by its name, with its arguments, a JSON object.
    Call(&'a str, &'a str),
}

/// What it said.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) tools: Vec<Listed>,
    /// The text that a tool gives, and whether it is content.
    pub(crate) called: (String, bool),
}

/// Asks a server, which lives for as long as that takes.
pub(crate) fn ask(server: Server, question: Question<'_>) -> Result<Said, Failed> {
    // It goes into a header, and no tool can have another name.
    if let Question::Call(tool, _) = question
        && !tool.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(Failed { why: format!("there is no tool {tool:?}: `tools` lists them"), code: 2 });
    }
    run(server, async |line: &Line| {
        let mut said = Said::default();
        match question {
            Question::Tools => said.tools = line.tools().await?,
            Question::Call(tool, arguments) => said.called = line.call(tool, arguments).await?,
        }
        Ok(said)
    })
}

/// Runs a server for as long as somebody asks it something. A signal ends both, and whatever the tool has started.
pub(crate) fn run<T>(server: Server, ask: impl AsyncFnOnce(&Line) -> Result<T, Failed>) -> Result<T, Failed> {
    let (connect, incoming) = async_channel::bounded(1);
    let line = Line(connect);
    let mut signals =
        Signals::new([Signal::Term, Signal::Int]).map_err(|error| format!("cannot wait for signals: {error}"))?;
    let stopped = async {
        signals.next().await;
        Err(Failed { why: "stopped".into(), code: 130 })
    };
    let serving = async {
        match server.serve(vec![Listener::streams(incoming)]).await {
            Ok(()) => Err(Failed::from(String::from("the server ended"))),
            Err(error) => Err(Failed::from(error.to_string())),
        }
    };
    smol::block_on(future::or(Box::pin(ask(&line)), future::or(stopped, Box::pin(serving))))
}

/// Where connections come from.
#[derive(Clone)]
pub(crate) struct Line(async_channel::Sender<Incoming>);

impl Line {
    /// Sends one request and waits for its answer; progress on the way goes to stderr.
    pub(crate) async fn ask(&self, method: &str, name: &str, params: &str) -> Result<Value, Failed> {
        let answer = self.exchange(method, name, params).await.map_err(|error| Failed::from(error.to_string()))?;
        match (&answer["result"], &answer["error"]["message"]) {
            (_, Value::String(why)) => Err(Failed { why: why.clone(), code: 2 }),
            (result, _) => Ok(result.clone()),
        }
    }

    /// All tools, page by page.
    async fn tools(&self) -> Result<Vec<Listed>, Failed> {
        let (mut tools, mut cursor) = (Vec::new(), String::new());
        loop {
            let result = self.ask("tools/list", "", &cursor).await?;
            for tool in result["tools"].as_array().into_iter().flatten() {
                tools.push(Listed {
                    name: text(&tool["name"]),
                    read_only: tool["annotations"]["readOnlyHint"] == true,
                    description: text(&tool["description"]),
                });
            }
            match &result["nextCursor"] {
                Value::Null => return Ok(tools),
                next => cursor = format!("\"cursor\":{next},"),
            }
        }
    }

    /// Calls a tool: the text that it gives, and whether it is content.
    pub(crate) async fn call(&self, tool: &str, arguments: &str) -> Result<(String, bool), Failed> {
        let params = format!("\"name\":{},\"arguments\":{arguments},", Value::from(tool));
        let result = self.ask("tools/call", tool, &params).await?;
        let mut shown = String::new();
        for block in result["content"].as_array().into_iter().flatten() {
            match &block["text"] {
                Value::String(text) => shown.push_str(text),
                _ => shown.push_str(&block.to_string()),
            }
            if !shown.ends_with('\n') {
                shown.push('\n');
            }
        }
        Ok((shown, result["isError"] != true))
    }

    async fn exchange(&self, method: &str, name: &str, params: &str) -> io::Result<Value> {
        let (mut ours, theirs) = UnixStream::pair()?;
        self.0.send(Incoming::new(theirs, None)).await.map_err(|_| io::Error::other("the server has ended"))?;
        let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"{method}","params":{{{params}{META}}}}}"#);
        let name = if name.is_empty() { String::new() } else { format!("Mcp-Name: {name}\r\n") };
        let head = format!(
            "POST /mcp HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, \
             text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}Content-Length: \
             {}\r\n\r\n",
            body.len()
        );
        ours.write_all(head.as_bytes()).await?;
        ours.write_all(body.as_bytes()).await?;
        let (mut bytes, mut looked, mut answer) = (Vec::new(), 0, Value::Null);
        let mut chunk = vec![0; 16 * 1024];
        loop {
            let n = ours.read(&mut chunk).await?;
            bytes.extend_from_slice(&chunk[..n]);
            // A line is a header, an empty one, a comment, a whole JSON, or an event's field with one.
            while let Some(length) = bytes[looked..].iter().position(|byte| *byte == b'\n') {
                note(&bytes[looked..looked + length], &mut answer);
                looked += length + 1;
            }
            if n == 0 {
                note(&bytes[looked..], &mut answer);
                return Ok(answer);
            }
        }
    }
}

/// Looks at one line of an answer.
fn note(line: &[u8], answer: &mut Value) {
    let line = line.strip_prefix(b"data: ").or(line.strip_prefix(b"data:")).unwrap_or(line);
    let Some(message) = line.first().filter(|byte| **byte == b'{').and_then(|_| serde_json::from_slice(line).ok())
    else {
        return;
    };
    let message: Value = message;
    match &message["params"]["message"] {
        // Not `eprintln!`: that one panics if nobody reads stderr.
        Value::String(text) => drop(writeln!(io::stderr(), "{text}")),
        _ if message["id"].is_null() && message["error"].is_null() => {}
        _ => *answer = message,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
