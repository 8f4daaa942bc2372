//! Connections that the host accepts.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use async_io::Async;
use portcullis::{Builder, CallError, Handle, Incoming, Listener, RequestContext, Server, Tokens, Tool};
use serde_json::{Value, json};
use smol::future::{FutureExt, poll_once};
use smol::stream::StreamExt;

use crate::client::{Answer, Place, get, post, post_with, read_until, rpc};
use crate::turn;

/// What a peer gets that sends `bytes` and then only listens.
fn exchange(builder: Builder, wrap: impl Fn(UnixStream) -> Incoming, bytes: &[u8]) -> Answer {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(bytes).unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    smol::block_on(builder.build().unwrap().serve_connection(wrap(ours))).unwrap();
    let mut text = String::new();
    theirs.read_to_string(&mut text).unwrap();
    Answer(text)
}

fn builder() -> Builder {
    Server::builder("host", "1")
}

#[test]
fn nothing_is_taken_on_trust_from_a_connection_that_the_host_accepted() {
    let _turn = turn();
    let stream = |stream| Async::<UnixStream>::new(stream).unwrap();
    let unknown = |ours| Incoming::new(stream(ours), None);
    let loopback = |ours| Incoming::new(stream(ours), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let here: IpAddr = "192.0.2.1".parse().unwrap();
    let addressed = move |ours| Incoming::new(stream(ours), None).accepted_on(here);
    let unix = |ours| Incoming::unix(ours).unwrap();
    let tokens = || builder().tokens(Tokens::parse("0123456789abcdef0123456789abcdef").unwrap());
    let ping = rpc(1, "ping", json!({}));
    type Wrap<'a> = &'a dyn Fn(UnixStream) -> Incoming;
    let cases: [(&str, Builder, Wrap<'_>, Vec<u8>, &str); 11] = [
        ("a good host", builder(), &unknown, get("/healthz", "Host: localhost\r\n"), "200"),
        ("a foreign host", builder(), &unknown, get("/healthz", "Host: evil.example\r\n"), "403"),
        ("a foreign host from loopback", builder(), &loopback, get("/healthz", "Host: evil.example\r\n"), "403"),
        ("the address it was accepted on", builder(), &addressed, get("/healthz", "Host: 192.0.2.1\r\n"), "200"),
        ("that address, unnamed", builder(), &unknown, get("/healthz", "Host: 192.0.2.1\r\n"), "403"),
        ("no page reaches a Unix socket", builder(), &unix, get("/healthz", "Host: gate\r\n"), "200"),
        ("but a page is a page", builder(), &unix, get("/healthz", "Origin: https://evil.example\r\n"), "403"),
        ("no operator's view", builder(), &loopback, get("/debug/sessions", ""), "403"),
        ("nor on a Unix socket", builder(), &unix, get("/debug/sessions", ""), "403"),
        ("no token, from loopback", tokens(), &loopback, post(None, &ping), "401"),
        ("no token, on a Unix socket", tokens(), &unix, post(None, &ping), "401"),
    ];
    for (name, builder, wrap, bytes, status) in cases {
        let answer = exchange(builder, wrap, &bytes);
        assert_eq!(answer.status(), status, "{name}: {answer:?}");
    }
}

#[test]
fn forwarded_headers_are_believed_from_nobody_unless_his_address_is_named() {
    let _turn = turn();
    let client = json!({ "name": "c", "version": "1" });
    let init =
        rpc(0, "initialize", json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client }));
    let proxy: IpAddr = "192.0.2.9".parse().unwrap();
    for (address, trusted, shown) in [
        (None, true, Value::Null),
        (Some(proxy), false, json!("192.0.2.9")),
        (Some(Ipv4Addr::LOCALHOST.into()), true, json!("127.0.0.1")),
        (Some(proxy), true, json!("203.0.113.5")),
    ] {
        let handle = Handle::new();
        let mut builder = builder().handle(&handle);
        if trusted {
            builder = builder.trust_proxy("192.0.2.9".parse().unwrap());
        }
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&post_with("X-Forwarded-For: 203.0.113.5\r\n", &init)).unwrap();
        let serving = builder.build().unwrap().serve_connection(Incoming::new(Async::new(ours).unwrap(), address));
        smol::block_on(async {
            let ask = async {
                loop {
                    let view: Value = serde_json::from_str(&handle.sessions().await.unwrap()).unwrap();
                    if let Some(session) = view["sessions"].get(0) {
                        assert_eq!(session.get("address").unwrap_or(&Value::Null), &shown, "{address:?} {trusted}");
                        return Ok(());
                    }
                    smol::future::yield_now().await;
                }
            };
            ask.or(serving).await.unwrap();
        });
    }
}

#[test]
fn a_server_of_one_connection_ends_when_it_is_over_and_its_calls_are() {
    let _turn = turn();
    let (release, wait) = async_channel::bounded::<()>(1);
    let seen = Rc::new(std::cell::Cell::new(0));
    let (counted, handle) = (seen.clone(), Handle::new());
    let tool = Tool::new("commit").input_schema(json!({ "type": "object" }));
    let server = builder().handle(&handle).tool(tool, move |_: RequestContext, _: Value| {
        let (wait, counted) = (wait.clone(), counted.clone());
        async move {
            counted.set(1);
            let _ = wait.recv().await;
            counted.set(2);
            Ok::<_, CallError>("committed")
        }
    });
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let client = json!({ "name": "c", "version": "1" });
    let init =
        rpc(0, "initialize", json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client }));
    let keep = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace("HTTP/1.0", "HTTP/1.1").into_bytes();
    theirs.write_all(&keep(post(None, &init))).unwrap();
    let mut serving = Box::pin(server.build().unwrap().serve_connection(Incoming::unix(ours).unwrap()));
    smol::block_on(async {
        let mut turn = async |until: &dyn Fn() -> bool| {
            while !until() {
                assert!(poll_once(&mut serving).await.is_none(), "it goes on");
                smol::future::yield_now().await;
            }
        };
        theirs.set_nonblocking(true).unwrap();
        turn(&|| rustix::net::recv(&theirs, &mut [0; 1][..], rustix::net::RecvFlags::PEEK).is_ok()).await;
        theirs.set_nonblocking(false).unwrap();
        let text = read_until(&mut theirs, "listChanged");
        let id = text.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap().to_owned();
        let call = rpc(1, "tools/call", json!({ "name": "commit", "arguments": {} }));
        theirs.write_all(&keep(post(Some(&id), &call))).unwrap();
        turn(&|| seen.get() == 1).await;
        drop(theirs);
        for _ in 0..100 {
            turn(&|| true).await;
        }
        assert_eq!(seen.get(), 1, "the peer is gone, the call is not");
        release.send(()).await.unwrap();
    });
    smol::block_on(serving).unwrap();
    assert_eq!(seen.get(), 2, "it ran to its end before the server ended");
}

#[test]
fn connections_that_another_thread_accepts_share_their_sessions_with_those_of_the_server() {
    let _turn = turn();
    let (own, hosts) = (listener(), listener());
    let places = [&own, &hosts].map(|listener| Place::Tcp(listener.local_addr().unwrap()));
    let (hand_over, accepted) = async_channel::bounded::<TcpStream>(4);
    let (handle, host) = (Handle::new(), hosts.try_clone().unwrap());
    let accepting = thread::spawn(move || while hand_over.send_blocking(host.accept().unwrap().0).is_ok() {});
    let remote = handle.clone();
    let serving = thread::spawn(move || {
        let accepted = accepted.filter_map(|stream| Incoming::tcp(stream).ok());
        let listeners = vec![Listener::tcp(own).unwrap(), Listener::streams(accepted)];
        smol::block_on(builder().handle(&remote).build().unwrap().serve(listeners)).unwrap();
    });
    let session = places[0].open(json!({}));
    let ping = rpc(7, "ping", json!({}));
    for place in &places {
        assert_eq!(place.ask(&post(Some(&session), &ping)).messages()[0]["id"], 7);
    }
    let other = places[1].open(json!({}));
    assert_eq!(places[0].ask(&post(Some(&other), &ping)).status(), "200");
    handle.shutdown(Duration::ZERO);
    serving.join().unwrap();
    // The next one that the host accepts finds nobody to take it.
    let _ = TcpStream::connect(hosts.local_addr().unwrap());
    accepting.join().unwrap();
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}
