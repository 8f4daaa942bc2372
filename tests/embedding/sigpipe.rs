//! SIGPIPE: a host may have it at its default disposition, which is to die.
//!
//! Rust's `main` ignores the signal, and no safe code can undo that. But a handler can be put in its place, which is run
//! whenever the signal is raised: here it must never be. `.ci/embedding.sh` does it to a process whose disposition
//! really is the default.

use std::io::{Write, pipe};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_signal::{Signal, Signals};
use portcullis::{CallError, Handle, Incoming, Listener, RequestContext, Server, Tool};
use serde_json::{Value, json};
use smol::future::poll_once;
use smol::stream::StreamExt;

use crate::client::{Place, post, rpc};
use crate::turn;

const PEERS: usize = 20;

/// How often the signal has been raised since this was last asked.
fn raised(signals: &mut Signals) -> usize {
    smol::block_on(async {
        let mut count = 0;
        while poll_once(signals.next()).await.flatten().is_some() {
            count += 1;
        }
        count
    })
}

/// A server that writes a lot to peers that have gone before it reads what they want: its loop stands still meanwhile.
#[test]
fn d9_no_write_to_a_peer_that_has_gone_raises_sigpipe_in_the_host() {
    let _turn = turn();
    let mut signals = Signals::new([Signal::Pipe]).unwrap();
    let (reader, mut writer) = pipe().unwrap();
    drop(reader);
    assert!(writer.write(b"into the void").is_err());
    assert_eq!(raised(&mut signals), 1, "the trap works");

    let path = std::env::temp_dir().join(format!("portcullis-{}-pipe.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let (tcp, unix) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), UnixListener::bind(&path).unwrap());
    let places = [Place::Tcp(tcp.local_addr().unwrap()), Place::unix(&path)];
    let (handle, (stalled, stalls)) = (Handle::new(), mpsc::channel());
    let (remote, (hand_tcp, tcps), (hand_unix, unixes)) =
        (handle.clone(), async_channel::unbounded::<TcpStream>(), async_channel::unbounded::<UnixStream>());
    let thread = thread::spawn(move || {
        let tool = |name: &str| Tool::new(name).input_schema(json!({ "type": "object" }));
        let stall = move |_: RequestContext, _: Value| {
            let (release, wait) = mpsc::channel::<()>();
            stalled.send(release).unwrap();
            let _ = wait.recv_timeout(Duration::from_secs(20));
            async { Ok::<_, CallError>("released") }
        };
        let large = |_: RequestContext, _: Value| async { Ok::<_, CallError>("x".repeat(200_000)) };
        let server = Server::builder("pipe", "1").handle(&remote).tool(tool("stall"), stall).tool(tool("large"), large);
        let listeners = vec![
            Listener::tcp(tcp).unwrap(),
            Listener::unix(unix).unwrap(),
            Listener::streams(tcps.filter_map(|stream| Incoming::tcp(stream).ok())),
            Listener::streams(unixes.filter_map(|stream| Incoming::unix(stream).ok())),
        ];
        smol::block_on(server.build().unwrap().serve(listeners)).unwrap();
    });

    let session = places[0].open(json!({}));
    let call = |tool: &str| post(Some(&session), &rpc(1, "tools/call", json!({ "name": tool, "arguments": {} })));
    let mut stalling = places[0].connect();
    stalling.write_all(&call("stall")).unwrap();
    let release = stalls.recv().unwrap();
    for _ in 0..PEERS {
        for place in &places {
            place.connect().write_all(&call("large")).unwrap();
        }
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&call("large")).unwrap();
        hand_unix.try_send(ours).unwrap();
        let between = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        TcpStream::connect(between.local_addr().unwrap()).unwrap().write_all(&call("large")).unwrap();
        hand_tcp.try_send(between.accept().unwrap().0).unwrap();
    }
    release.send(()).unwrap();
    let done = |view: &str| {
        let view: Value = serde_json::from_str(view).unwrap();
        view["gauges"]["connections"] == 0
            && view["counters"]["connections_accepted"].as_u64().unwrap() >= 4 * PEERS as u64
    };
    let begin = std::time::Instant::now();
    drop(stalling);
    while !done(&handle.sessions_blocking(Duration::from_secs(20)).unwrap()) {
        assert!(begin.elapsed() < Duration::from_secs(20), "connections that never end");
        thread::sleep(Duration::from_millis(5));
    }
    handle.shutdown(Duration::ZERO);
    thread.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(raised(&mut signals), 0);
}
