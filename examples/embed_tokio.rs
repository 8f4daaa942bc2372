//! A daemon on tokio, with the MCP server as one more task of its `LocalSet`.
//!
//! Everything here is tokio's: the listener, the timer that a handler awaits, the signal that ends it. The server is one
//! future that is not `Send`, so it wants `spawn_local`. Its own timers and sockets are served by `async-io`, whose
//! thread wakes tokio's when something is due.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis::{BuildError, CallError, Handle, Incoming, Listener, RequestContext, Server, Tool};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

/// Connections that tokio has accepted and the server has not taken yet. More wait in the kernel.
const ACCEPTED_MAX: usize = 64;

#[derive(serde::Deserialize)]
struct Wait {
    ms: u64,
}

/// A handler may await whatever its executor can: here tokio's own timer.
async fn wait(_cx: RequestContext, args: Wait) -> Result<String, CallError> {
    tokio::time::sleep(Duration::from_millis(args.ms)).await;
    Ok(format!("waited {} ms", args.ms))
}

fn server(handle: &Handle) -> Result<Server, BuildError> {
    let ms = json!({ "type": "integer", "minimum": 0, "maximum": 60_000 });
    let tool = Tool::new("wait")
        .description("Waits for so many milliseconds.")
        .input_schema(json!({ "type": "object", "properties": { "ms": ms }, "required": ["ms"] }))
        .read_only();
    Server::builder("embed-tokio", "1.0.0").handle(handle).tool(tool, wait).build()
}

/// Accepts with tokio and hands over. A host that ends TLS would give `Incoming::new` its TLS stream, through the
/// `compat()` of `tokio-util`, and the peer's address.
async fn accept(listener: TcpListener, hand_over: async_channel::Sender<Incoming>) {
    loop {
        let accepted = listener.accept().await.and_then(|(stream, _)| Incoming::tcp(stream.into_std()?));
        match accepted {
            Ok(incoming) => {
                if hand_over.send(incoming).await.is_err() {
                    return; // the server has ended
                }
            }
            Err(error) => {
                eprintln!("accept failed: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn run(address: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(address).await?;
    println!("MCP on http://{}/mcp", listener.local_addr()?);
    let handle = Handle::new();
    let (hand_over, accepted) = async_channel::bounded(ACCEPTED_MAX);
    tokio::task::spawn_local(accept(listener, hand_over));
    let serving = tokio::task::spawn_local(server(&handle)?.serve(vec![Listener::streams(accepted)]));

    signal(SignalKind::terminate())?.recv().await;
    // On the server's own thread one awaits; `sessions_blocking` would refuse here.
    let view: serde_json::Value = serde_json::from_str(&handle.sessions().await?)?;
    println!("ending with {} sessions", view["gauges"]["sessions"]);
    handle.shutdown(Duration::from_secs(2));
    serving.await??;
    println!("ended");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8001".into()).parse()?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&tokio, run(address))
}
