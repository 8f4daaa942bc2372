//! Served on Unix sockets, where no browser and no other machine comes: one that the server accepts on, and one on which
//! the host accepts itself, because it wants to see who it is.
//!
//! ```text
//! unix_socket /run/user/1000/mcp.sock
//! curl --unix-socket /run/user/1000/mcp.sock http://localhost/healthz
//! ```
//!
//! Behind an SSH login this is a server without a port: `ssh -L 8001:/run/user/1000/mcp.sock gate`.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_io::Async;
use portcullis::{CallError, Incoming, Listener, RequestContext, Server, Tool};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Uid, geteuid};
use smol::stream::StreamExt;

async fn who(cx: RequestContext, _: serde_json::Value) -> Result<String, CallError> {
    Ok(format!("You are {}.", cx.client().name))
}

/// Binds `path` for its owner alone, in place of a socket that nobody serves any more.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Lets in whoever runs as the same user, or as root. The kernel says who it is; the peer cannot lie about it.
fn screen(accepted: io::Result<Async<UnixStream>>) -> Option<Incoming> {
    let stream = accepted.and_then(Async::into_inner);
    let peer = stream.and_then(|stream| Ok((socket_peercred(&stream)?.uid, stream)));
    match peer {
        Ok((uid, stream)) if uid == geteuid() || uid == Uid::ROOT => Incoming::unix(stream).ok(),
        Ok((uid, _)) => {
            eprintln!("user {} is not let in", uid.as_raw());
            None
        }
        Err(error) => {
            eprintln!("accept failed: {error}");
            None
        }
    }
}

/// Every connection that `listener` accepts, for as long as it is asked.
fn connections(listener: Async<UnixListener>) -> impl smol::stream::Stream<Item = io::Result<Async<UnixStream>>> {
    smol::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        if accepted.is_err() {
            smol::Timer::after(Duration::from_millis(100)).await; // out of descriptors, usually
        }
        Some((accepted, listener))
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or("expected the path of a socket")?);
    let screened = path.with_extension("screened");
    let own = Async::new(bind(&screened)?)?;
    let accepted = connections(own).filter_map(screen);
    let listeners = vec![Listener::unix(bind(&path)?)?, Listener::streams(accepted)];
    println!("MCP on {} and {}", path.display(), screened.display());

    let tool = Tool::new("who").description("Says who asks.").read_only();
    let server = Server::builder("unix-socket", "1.0.0").tool(tool, who).build()?;
    Ok(smol::block_on(server.serve(listeners))?)
}
