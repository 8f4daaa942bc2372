//! The smallest MCP client there can be: revision 2026-07-28 over a pair of sockets in this process.
//!
//! Each request stands alone there, so there is nothing to open and nothing to keep. It speaks HTTP/1.0, in which an
//! answer ends with its connection, be it JSON or a stream of events. It trusts the server, which is ours.

use super::Failed;
use crate::process::drain;
use crate::serve::{block_on, signals};
use async_signal::Signal;
use portcullis::{Incoming, Listener, Server};
use serde_json::Value;
use smol::io::AsyncWriteExt;
use smol::stream::{self, Stream, StreamExt};
use smol::{Async, future};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":0}"#;

/// A tool as the list has it.
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) read_only: bool,
    pub(crate) description: String,
    /// The schema of its arguments.
    pub(crate) arguments: Value,
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
        return Err(no_tool(tool));
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

/// There is none of this name.
pub(crate) fn no_tool(name: &str) -> Failed {
    Failed { why: format!("there is no tool {name:?}: `tools` lists them"), code: 2 }
}

/// Runs a server for as long as somebody asks it something. A signal ends both, and whatever the tool has started.
pub(crate) fn run<T>(server: Server, ask: impl AsyncFnOnce(&Line) -> Result<T, Failed>) -> Result<T, Failed> {
    let (line, over) = open(server)?;
    let mut said = None;
    let asking = async { Some(ask(&line).await) };
    let over = async { Some(Err(over.await)) };
    block_on(Box::pin(async { said = future::or(Box::pin(asking), over).await }));
    said.unwrap_or_else(|| Err(String::from("nobody answered").into()))
}

/// Why a server cannot be asked any more, once that is so.
type Over = Pin<Box<dyn Future<Output = Failed>>>;

/// A server that can be asked.
fn open(server: Server) -> Result<(Line, Over), Failed> {
    let line = Line::default();
    let mut signals = signals(&[Signal::Term, Signal::Int])?;
    let stopped = async move {
        signals.next().await;
        Failed { why: "stopped".into(), code: 130 }
    };
    let listener = Listener::streams(line.incoming());
    let serving = async move {
        match server.serve(vec![listener]).await {
            Ok(()) => Failed::from(String::from("the server ended")),
            Err(error) => Failed::from(error.to_string()),
        }
    };
    Ok((line, Box::pin(future::or(stopped, Box::pin(serving)))))
}

/// Where connections come from. A channel of them would be 4 KB of program.
#[derive(Clone, Default)]
pub(crate) struct Line(Rc<RefCell<Waiting>>);

#[derive(Default)]
struct Waiting {
    connections: VecDeque<Incoming>,
    server: Option<Waker>,
}

impl Line {
    /// Connects to the server.
    fn connect(&self, connection: Incoming) {
        self.0.borrow_mut().connections.push_back(connection);
        let server = self.0.borrow_mut().server.take();
        server.into_iter().for_each(Waker::wake);
    }

    /// The server's end, which never closes.
    fn incoming(&self) -> impl Stream<Item = Incoming> + use<> {
        let waiting = self.0.clone();
        stream::poll_fn(move |cx| {
            let mut waiting = waiting.borrow_mut();
            match waiting.connections.pop_front() {
                None => waiting.server = Some(cx.waker().clone()),
                connection => return Poll::Ready(connection),
            }
            Poll::Pending
        })
    }

    /// Sends one request and waits for its answer; progress on the way goes to stderr.
    pub(crate) async fn ask(&self, method: &str, name: &str, params: &str) -> Result<Value, Failed> {
        let mut answer = self.exchange(method, name, params).await.map_err(|error| Failed::from(error.to_string()))?;
        if let Value::String(why) = &answer["error"]["message"] {
            return Err(Failed { why: why.clone(), code: 2 });
        }
        Ok(answer["result"].take())
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
                    arguments: tool["inputSchema"].clone(),
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
        let (ours, theirs) = UnixStream::pair()?;
        self.connect(Incoming::unix(theirs)?);
        let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"{method}","params":{{{params}{META}}}}}"#);
        let name = if name.is_empty() { String::new() } else { format!("Mcp-Name: {name}\r\n") };
        let request = format!(
            "POST /mcp HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, \
             text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}Content-Length: \
             {}\r\n\r\n{body}",
            body.len()
        );
        let mut ours = Async::new(ours)?;
        ours.write_all(request.as_bytes()).await?;
        let (mut bytes, mut looked, mut answer) = (Vec::new(), 0, Value::Null);
        let mut take = |more: &[u8]| {
            bytes.extend_from_slice(more);
            // A line is a header, an empty one, a comment, a whole JSON, or an event's field with one.
            while let Some(length) = bytes[looked..].iter().position(|byte| *byte == b'\n') {
                note(&bytes[looked..looked + length], &mut answer);
                looked += length + 1;
            }
            true
        };
        drain(ours.into_inner()?.into(), &mut take).await?;
        note(&bytes[looked..], &mut answer);
        Ok(answer)
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
