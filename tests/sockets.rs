//! The few things that only real sockets show. Loopback, real time, and no outcome that depends on how much.

use std::cell::{Cell, RefCell};
use std::future::ready;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use async_io::Async;
use portcullis::{Builder, CallError, Handle, Incoming, Listener, RequestContext, Server, Tool};
use rustix::net::{RecvFlags, recv};
use serde_json::{Value, json};
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use crate::sim::client::*;

/// A server on a thread of its own, dropped or shut down at the end.
struct Real {
    address: SocketAddr,
    handle: Handle,
    drop_it: async_channel::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

fn start(unix: Option<UnixListener>) -> Real {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Handle::new();
    let (drop_it, dropped) = async_channel::bounded(1);
    let remote = handle.clone();
    let thread = std::thread::spawn(move || {
        let slow = async |cx: RequestContext, args: Value| {
            cx.sleep(Duration::from_millis(args["ms"].as_u64().unwrap_or(0))).await;
            Ok::<_, CallError>("ok")
        };
        let tool = Tool::new("slow").input_schema(json!({ "type": "object" }));
        let server = Server::builder("real", "1").handle(&remote).tool(tool, slow).build().unwrap();
        let mut listeners = vec![Listener::tcp(listener).unwrap()];
        listeners.extend(unix.map(|unix| Listener::unix(unix).unwrap().operator()));
        let serve = async {
            pin!(server.serve(listeners)).await.unwrap();
        };
        async_io::block_on(serve.or(async {
            let _ = dropped.recv().await;
        }));
    });
    Real { address, handle, drop_it, thread }
}

impl Real {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends a request; reads until `until` has come.
    fn ask(&self, bytes: &[u8], until: &str) -> (TcpStream, String) {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let text = read_until(&mut stream, until);
        (stream, text)
    }

    fn open(&self) -> String {
        let (_, text) = self.ask(&post("/mcp", &[], &initialize(LATEST)), "listChanged");
        session_id(&text)
    }
}

fn session_id(text: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap().to_owned()
}

async fn read_on(stream: &mut Async<UnixStream>, until: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(until) {
        let n = stream.read(&mut buffer).await.unwrap();
        assert!(n > 0, "ended before {until:?}: {text}");
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
    text
}

fn read_until(stream: &mut impl Read, until: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(until) {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "ended before {until:?}: {text}");
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
    text
}

/// Only one test at a time has sockets, so that they can be counted.
static TURN: Mutex<()> = Mutex::new(());

/// Open descriptors that are sockets.
fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    links
        .filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link.to_string_lossy().starts_with("socket:")))
        .count()
}

#[test]
fn item6_over_real_sockets_a_server_serves_and_dropping_it_gives_every_descriptor_back() {
    let _turn = TURN.lock();
    let base = sockets();
    let path = std::env::temp_dir().join(format!("portcullis-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let real = start(Some(UnixListener::bind(&path).unwrap()));
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(real.ask(&get("/sse", &[]), "event: endpoint").0);
    }
    let id = real.open();
    let headers = [("Mcp-Session-Id", &*id)];
    let (_, text) = real.ask(&post("/mcp", &headers, &call(1, "slow", json!({ "ms": 300 }))), "\"ok\"");
    assert!(text.contains("text/event-stream"), "{text}");
    for n in 0..10 {
        let mut stream = real.connect();
        stream.write_all(&post("/mcp", &headers, &call(n, "slow", json!({ "ms": 3_600_000 })))).unwrap();
        clients.push(stream);
    }
    let begin = std::time::Instant::now();
    let view = loop {
        let mut operator = UnixStream::connect(&path).unwrap();
        operator.write_all(b"GET /debug/sessions HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        operator.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.0 200 OK\r\n") && !text.contains(&id), "{text}");
        let view: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        // The calls were sent, but nothing says that they have been read yet.
        if view["gauges"]["calls_running"] == 10 {
            break view;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{view}");
    };
    assert_eq!(view["gauges"]["sessions"], 101);
    real.drop_it.send_blocking(()).unwrap();
    real.thread.join().unwrap();
    for stream in &mut clients {
        // Everything that was sent before may still come; then the end.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    drop(clients);
    assert_eq!(sockets(), base);
    let again = start(None);
    assert!(again.ask(&get("/healthz", &[]), "ok").1.starts_with("HTTP/1.1 200"));
    again.handle.shutdown(Duration::from_secs(20));
    again.thread.join().unwrap();
    assert_eq!(sockets(), base);
    std::fs::remove_file(&path).unwrap();
}

/// Sockets of clients, and of their server.
fn pairs(n: usize) -> (Vec<UnixStream>, Vec<UnixStream>) {
    (0..n).map(|_| UnixStream::pair().unwrap()).unzip()
}

/// Serves connections on this thread, where the clients are too: nothing happens at the same time.
fn serve_while(server: Builder, sockets: Vec<UnixStream>, clients: impl Future<Output = ()>) {
    let incoming = sockets.into_iter().map(|socket| Incoming::unix(socket).unwrap());
    let serve = server.build().unwrap().serve(vec![Listener::streams(smol::stream::iter(incoming))]);
    async_io::block_on(async { serve.await.unwrap() }.or(clients));
}

#[test]
fn connections_that_are_ready_together_all_read_before_one_writes() {
    let _turn = TURN.lock();
    let (clients, servers) = pairs(3);
    let peers = || -> Vec<_> { clients[..2].iter().map(|client| client.try_clone().unwrap()).collect() };
    let (told, seen) = (peers(), peers());
    let session = Rc::new(RefCell::new(String::new()));
    let id = session.clone();
    let both = move |_: RequestContext, _: Value| {
        let request = post("/mcp", &[("Mcp-Session-Id", &id.borrow())], &call(2, "peek", json!({})));
        told.iter().for_each(|mut peer| Write::write_all(&mut peer, &request).unwrap());
        ready(Ok::<_, CallError>("asked"))
    };
    let peek = move |_: RequestContext, _: Value| {
        let is_answered = |peer: &&UnixStream| recv(peer, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok();
        ready(Ok::<_, CallError>(format!("{} answered", seen.iter().filter(is_answered).count())))
    };
    let server = Server::builder("real", "1").tool(Tool::new("both"), both).tool(Tool::new("peek"), peek);
    serve_while(server, servers, async {
        let mut clients: Vec<_> = clients.into_iter().map(|client| Async::new(client).unwrap()).collect();
        for client in &mut clients {
            client.write_all(&post("/mcp", &[], &initialize(LATEST))).await.unwrap();
            *session.borrow_mut() = session_id(&read_on(client, "listChanged").await);
        }
        let request = post("/mcp", &[("Mcp-Session-Id", &session.borrow())], &call(1, "both", json!({})));
        clients[2].write_all(&request).await.unwrap();
        for client in &mut clients[..2] {
            assert!(read_on(client, "answered").await.contains("0 answered"));
        }
    });
}

#[test]
fn f90_a_cancel_that_is_read_right_behind_its_call_on_another_connection_finds_it() {
    let _turn = TURN.lock();
    let (clients, servers) = pairs(4);
    let peers: Vec<_> = clients.iter().map(|client| client.try_clone().unwrap()).collect();
    let address = Rc::new(RefCell::new(String::new()));
    let to = address.clone();
    let both = move |_: RequestContext, _: Value| {
        // Read in the order in which they are written: the loop is here.
        for (mut peer, body) in peers.iter().zip([call(7, "slow", json!({})), cancelled(7)]) {
            Write::write_all(&mut peer, &post(&to.borrow(), &[], &body)).unwrap();
        }
        ready(Ok::<_, CallError>("asked"))
    };
    let ends = Rc::new(Cell::new("not begun"));
    let seen = ends.clone();
    let slow = move |cx: RequestContext, _: Value| {
        struct Guard(Rc<Cell<&'static str>>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.set("dropped");
            }
        }
        seen.set("runs");
        let guard = Guard(seen.clone());
        async move {
            let _guard = guard;
            cx.sleep(Duration::from_secs(3600)).await;
            Ok::<_, CallError>("slept")
        }
    };
    let server = Server::builder("real", "1").tool(Tool::new("both"), both).tool(Tool::new("slow"), slow);
    serve_while(server, servers, async {
        let mut clients: Vec<_> = clients.into_iter().map(|client| Async::new(client).unwrap()).collect();
        let [a, b, c, stream] = &mut clients[..] else { panic!() };
        stream.write_all(&get("/sse", &[])).await.unwrap();
        let text = read_on(stream, "session_id=").await; // an event comes whole
        let path = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().trim();
        *address.borrow_mut() = path.to_owned();
        for client in [&mut *a, &mut *b] {
            client.write_all(&post(path, &[], &initialize("2024-11-05"))).await.unwrap();
            read_on(client, "Accepted").await;
        }
        c.write_all(&post(path, &[], &call(1, "both", json!({})))).await.unwrap();
        for client in [a, b] {
            read_on(client, "Accepted").await;
        }
        let begin = std::time::Instant::now();
        while ends.get() != "dropped" {
            smol::Timer::after(Duration::from_millis(5)).await;
            assert!(begin.elapsed() < Duration::from_secs(20), "the call {}", ends.get());
        }
    });
}

#[test]
fn an_accepted_connection_waits_for_no_acknowledgement_before_it_sends_small_pieces() {
    let _turn = TURN.lock();
    // Where this is left off, every call that is more than one write takes 40 ms: the client's delayed acknowledgement.
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, same) = (listener.local_addr().unwrap(), listener.try_clone().unwrap());
    let _ours = Listener::tcp(listener).unwrap();
    same.set_nonblocking(false).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    assert!(same.accept().unwrap().0.nodelay().unwrap(), "TCP_NODELAY");
}
