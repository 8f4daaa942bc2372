//! Two servers at once, a hundred times, and nothing left: descriptors, threads, memory.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use portcullis::{CallError, Handle, Listener, RequestContext, Server, Tool};
use serde_json::{Value, json};
use smol::future::FutureExt;

use crate::client::{Place, Wire, get, post, rpc};
use crate::turn;

/// What this process holds.
fn held() -> (usize, usize) {
    let entries = |folder: &str| fs::read_dir(folder).unwrap().count();
    (entries("/proc/self/fd"), entries("/proc/self/task"))
}

/// Kilobytes of resident memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// Waits until no more is held than before: a thread that has ended and been joined is listed for a moment longer, and
/// one for blocking work stays for half a second.
fn settle(before: (usize, usize)) {
    let begin = Instant::now();
    while held() != before {
        assert!(begin.elapsed() < Duration::from_secs(20), "held {:?}, before {before:?}", held());
        thread::sleep(Duration::from_millis(5));
    }
}

struct Running {
    places: Vec<Place>,
    handle: Handle,
    drop_it: async_channel::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// A server on a thread of its own, with a TCP and a Unix listener.
fn start(name: &'static str, path: PathBuf) -> Running {
    let _ = fs::remove_file(&path);
    let (tcp, unix) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), UnixListener::bind(&path).unwrap());
    let places = vec![Place::Tcp(tcp.local_addr().unwrap()), Place::unix(&path)];
    let (handle, (drop_it, dropped)) = (Handle::new(), async_channel::bounded(1));
    let remote = handle.clone();
    let thread = thread::spawn(move || {
        let who = move |_: RequestContext, _: Value| async move { Ok::<_, CallError>(name) };
        let wait = |cx: RequestContext, _: Value| async move {
            cx.sleep(Duration::from_secs(3600)).await;
            Ok::<_, CallError>("never")
        };
        let tool = |name: &str| Tool::new(name).input_schema(json!({ "type": "object" }));
        let server = Server::builder(name, "1").handle(&remote).tool(tool("who"), who).tool(tool("wait"), wait);
        let listeners = vec![Listener::tcp(tcp).unwrap(), Listener::unix(unix).unwrap()];
        let serving = async { server.build().unwrap().serve(listeners).await.unwrap() };
        smol::block_on(serving.or(async {
            let _ = dropped.recv().await;
        }));
        fs::remove_file(&path).unwrap();
    });
    Running { places, handle, drop_it, thread }
}

impl Running {
    /// Sessions, streams, a call that is answered and one that never is, over both listeners.
    fn use_it(&self, name: &str) -> Vec<Box<dyn Wire>> {
        let mut open = Vec::new();
        for place in &self.places {
            let session = place.open(json!({}));
            assert_eq!(place.call(&session, "who", json!({})), name);
            open.push(place.begin(&get("/sse", "Host: localhost\r\n"), "event: endpoint").0);
            let header = format!("Host: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n");
            open.push(place.begin(&get("/mcp", &header), "\r\n\r\n").0);
            let mut waiting = place.connect();
            let call = rpc(2, "tools/call", json!({ "name": "wait", "arguments": {} }));
            waiting.write_all(&post(Some(&session), &call)).unwrap();
            open.push(waiting);
        }
        open
    }

    fn end(self, dropping: bool) {
        if dropping {
            self.drop_it.send_blocking(()).unwrap();
        } else {
            // Once would do, 0.15 s later: for peers that have not taken their last bytes yet.
            (0..2).for_each(|_| self.handle.shutdown(Duration::ZERO));
        }
        self.thread.join().unwrap();
    }
}

fn cycle(n: usize) {
    let path = |name: &str| std::env::temp_dir().join(format!("portcullis-{}-{name}.sock", std::process::id()));
    let (one, two) = (start("one", path("one")), start("two", path("two")));
    let (_open, _also) = (one.use_it("one"), two.use_it("two"));
    // What one of them knows the other does not.
    let foreign = two.places[0].open(json!({}));
    assert_eq!(one.places[0].ask(&post(Some(&foreign), &rpc(1, "ping", json!({})))).status(), "404");
    one.end(n.is_multiple_of(2));
    assert_eq!(two.places[1].call(&foreign, "who", json!({})), "two", "the end of one is nothing to the other");
    two.end(n.is_multiple_of(3));
}

#[test]
fn d21_two_servers_at_once_a_hundred_times_leave_no_descriptor_no_thread_and_no_memory() {
    let _turn = turn();
    // What the process keeps from its first servers: the reactor and its helper thread, and the allocator's arenas.
    (0..10).for_each(cycle);
    thread::sleep(Duration::from_millis(700)); // threads of other tests' blocking work
    let (before, kilobytes) = (held(), resident());
    for n in 0..100 {
        cycle(n);
        settle(before);
    }
    let more = resident().saturating_sub(kilobytes);
    // A leak of one session, connection or call per cycle would be some 500 KB, one of a server's buffers 13 MB.
    assert!(more < 400, "{more} KB more after a hundred cycles");
    println!("100 cycles of two servers: {before:?} descriptors and threads, {more} KB more");
}
