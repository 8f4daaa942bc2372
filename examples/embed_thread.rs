//! A daemon of threads and blocking calls, which gives its MCP server a thread of its own and talks to it by a handle.
//!
//! The daemon keeps a list of blocked addresses. People change it through the daemon's own little protocol, one line a
//! connection; models read it as a resource and are told when it changes:
//!
//! ```text
//! embed_thread 127.0.0.1:8001 127.0.0.1:8003
//! echo block 192.0.2.7 | nc 127.0.0.1 8003
//! echo status | nc 127.0.0.1 8003
//! ```

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use portcullis::{BuildError, CallError, Handle, Listener, Resource, Server};

const BLOCKED: &str = "fw://blocked";
/// How long the daemon waits for its own server, and for a person who has connected and says nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a command's line.
const LINE_BYTES_MAX: u64 = 200;

/// What the daemon and the server share. Only this crosses threads; the server and its handlers never do.
type Blocked = Arc<Mutex<BTreeSet<IpAddr>>>;

/// Made on the server's thread, because a server and its handlers are not `Send`.
fn server(handle: &Handle, blocked: Blocked) -> Result<Server, BuildError> {
    let resource = Resource::new(BLOCKED, "blocked").description("Addresses that are blocked.").mime_type("text/plain");
    let read = move |_, _| {
        // A lock that is held for a moment only. What takes longer belongs into `cx.unblock`.
        let blocked = blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = blocked.iter().map(IpAddr::to_string).collect();
        async move { Ok::<_, CallError>(lines.join("\n")) }
    };
    Server::builder("embed-thread", "1.0.0").handle(handle).resource(resource, read).build()
}

/// Does what one line asks for; false if that is to end.
fn obey(line: &str, handle: &Handle, blocked: &Blocked) -> (bool, String) {
    let address = |word: &str| word.parse::<IpAddr>().map_err(|_| format!("{word:?} is no address"));
    let changed = |did: bool, address: IpAddr| {
        if did {
            handle.resource_updated(BLOCKED); // returns at once, whatever the server does
        }
        format!("{address}: {}", if did { "done" } else { "nothing to do" })
    };
    let words: Vec<_> = line.split_whitespace().collect();
    let said = match words[..] {
        ["stop"] => return (false, "stopping".into()),
        ["status"] => match handle.sessions_blocking(PATIENCE) {
            Ok(view) => sessions(&view),
            Err(error) => format!("the MCP server does not answer: {error}"),
        },
        ["block", word] => address(word).map_or_else(
            |why| why,
            |address| changed(blocked.lock().unwrap_or_else(PoisonError::into_inner).insert(address), address),
        ),
        ["allow", word] => address(word).map_or_else(
            |why| why,
            |address| changed(blocked.lock().unwrap_or_else(PoisonError::into_inner).remove(&address), address),
        ),
        _ => "expected: status, block ADDRESS, allow ADDRESS, or stop".into(),
    };
    (true, said)
}

/// The number of sessions in what `/debug/sessions` shows.
fn sessions(view: &str) -> String {
    let view: serde_json::Value = serde_json::from_str(view).unwrap_or_default();
    format!("{} sessions", view["gauges"]["sessions"])
}

/// One person, one line, one answer.
fn attend(stream: TcpStream, handle: &Handle, blocked: &Blocked) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(&stream).take(LINE_BYTES_MAX).read_line(&mut line)?;
    let (goes_on, said) = obey(&line, handle, blocked);
    writeln!(&stream, "{said}")?;
    Ok(goes_on)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut address = |usual: &str| args.next().unwrap_or_else(|| usual.into());
    // Bound here, where an error can still be told; the server's thread gets them ready to use.
    let (mcp, control) = (TcpListener::bind(address("127.0.0.1:8001"))?, TcpListener::bind(address("127.0.0.1:8003"))?);
    println!("MCP on http://{}/mcp, commands on {}", mcp.local_addr()?, control.local_addr()?);

    let (handle, blocked) = (Handle::new(), Blocked::default());
    let (remote, shared) = (handle.clone(), blocked.clone());
    let serving = thread::spawn(move || -> io::Result<()> {
        let server = server(&remote, shared).map_err(io::Error::other)?;
        smol::block_on(server.serve(vec![Listener::tcp(mcp)?]))
    });

    // The daemon's own loop, which knows nothing of futures.
    for stream in control.incoming() {
        match stream.and_then(|stream| attend(stream, &handle, &blocked)) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => eprintln!("a command was lost: {error}"),
        }
    }
    handle.shutdown(PATIENCE);
    serving.join().map_err(|_| "the server's thread panicked")??;
    println!("ended");
    Ok(())
}
