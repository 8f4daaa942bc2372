//! HTTP/1.1 over the wire: what is served, what is refused and in which words.

use portcullis::Limits;
use serde_json::json;

use crate::sim;
use crate::sim::client::*;
use crate::sim::server::Server;
use crate::sim::wire::Reply;

/// The replies on one connection to bytes that are sent in pieces, each read before the next is sent.
async fn replies(server: &Server, pieces: &[&[u8]], count: usize) -> Vec<Reply> {
    let mut conn = server.connect();
    for piece in pieces {
        conn.send(piece).await;
        server.sim().settle().await;
    }
    let mut replies = Vec::new();
    for _ in 0..count {
        replies.push(conn.reply().await);
    }
    replies
}

#[test]
fn p54_pipelined_posts_are_answered_in_order_however_they_are_split() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let post = |id: u32, tool: &str, args| session.bytes("POST", &[("Accept", JSON)], &call(id, tool, args));
        let chunked = {
            let body = ping(3);
            let (a, b) = body.split_at(7);
            let head = format!(
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
                session.id
            );
            format!("{head}{:x};name=\"v\"\r\n{a}\r\n{:X}\r\n{b}\r\n0\r\nX-Trailer: y\r\n\r\n", a.len(), b.len())
                .into_bytes()
        };
        let text =
            [post(1, "echo", json!({ "text": "a" })), post(2, "add", json!({ "a": 1, "b": 2 })), chunked].concat();
        let ids =
            |replies: &[Reply]| replies.iter().map(|reply| reply.json()["id"].as_u64().unwrap()).collect::<Vec<_>>();
        let whole = replies(&session.server, &[&text], 3).await;
        assert_eq!(ids(&whole), [1, 2, 3]);
        for cut in 1..text.len() {
            assert_eq!(replies(&session.server, &[&text[..cut], &text[cut..]], 3).await, whole, "cut at {cut}");
        }
        let bytes: Vec<_> = text.chunks(1).collect();
        assert_eq!(replies(&session.server, &bytes, 3).await, whole, "byte by byte");
        assert_eq!(sim.ms(), 0, "none of them waited");
    });
}

#[test]
fn p54_requests_behind_a_slow_call_wait_their_turn_and_nothing_is_lost() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let mut conn = session.server.connect();
        let slow = |id: u32, accept, ms: u32| {
            session.bytes(
                "POST",
                &[("Accept", accept)],
                &call(id, "slow", json!({ "ms": ms, "text": format!("{id}") })),
            )
        };
        conn.send([slow(1, JSON, 500), slow(2, BOTH, 500), slow(3, JSON, 0), slow(4, SSE, 100)].concat()).await;
        for (id, at) in [(1, 500), (2, 1_000), (3, 1_000), (4, 1_100)] {
            let answer = conn.answer().await;
            assert_eq!((answer.said(), answer.at), (&*id.to_string(), at));
        }
        // A hundred small ones in one write, more than are served in one turn.
        conn.send((0..100).flat_map(|id| session.bytes("POST", &[], &ping(id))).collect::<Vec<_>>()).await;
        for id in 0..100 {
            assert_eq!(conn.reply().await.json()["id"], id);
        }
    });
}

#[test]
fn p50_p51_bodies_in_chunks_after_100_continue_and_with_an_upgrade_offer_are_read() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let body = initialize(LATEST);
        let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let ones: String = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
        for text in [
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            format!("{head}Transfer-Encoding: Chunked\r\n\r\n{ones}0;last\r\nA: b\r\nC: d\r\n\r\n"),
            format!(
                "{head}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            format!("\r\n{head}content-length:{}\r\n\r\n{body}", body.len()),
            format!("{head}Content-Length: {}\r\nCONTENT-TYPE2: x\r\n\r\n{body}", body.len())
                .replace("/mcp", "http://localhost/mcp"),
        ] {
            let reply = server.connect().ask(&text).await;
            assert_eq!(reply.status, 200, "{text:?}: {}", reply.text());
        }
        let mut conn = server.connect();
        conn.send(format!("{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        assert_eq!(conn.head().await.unwrap().head, "HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(conn.ask(&body).await.status, 200);
        conn.send("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            .await;
        assert_eq!(conn.reply().await.status, 404, "a refused one is not told to go on");
        assert!(conn.rest().await.is_empty(), "and its connection ends: whether the body comes is unknown");
    });
}

#[test]
fn p50_p55_ambiguous_oversized_and_malformed_requests_are_refused_and_end_the_connection() {
    let json = "Content-Type: application/json\r\n";
    for (text, status) in [
        (
            format!(
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{json}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (
            format!(
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{json}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"
            ),
            400,
        ),
        (
            format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n{json}Content-Length: 2\r\n\r\n{{}}"),
            400,
        ),
        (
            format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{json}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            501,
        ),
        (
            format!(
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{json}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (
            format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{json}Transfer-Encoding: chunked\r\n\r\n200000000\r\n"),
            413,
        ),
        (format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{json}Content-Length: 4194305\r\n\r\n"), 413),
        ("GET /healthz HTTP/1.1\nHost: localhost\n\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\u{1}b\r\n\r\n".into(), 400),
        ("GET /healthz HTTP/1.1\r\n\r\n".into(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}".into(), 400),
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(65_536)), 431),
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: a\r\n".repeat(101)), 431),
    ] {
        sim::run(|sim| async move {
            let server = sim.serve();
            let mut conn = server.connect_from("127.0.0.1", 1 << 20);
            conn.send(&text).await;
            let reply = conn.reply().await;
            let shown = &text[..text.len().min(90)];
            assert!(reply.status == status || (status == 400 && reply.status == 505), "{shown:?}: {}", reply.head);
            assert_eq!(reply.header("content-type"), Some(JSON), "{shown:?}");
            assert!(reply.json()["error"]["message"].as_str().is_some_and(|words| words.len() > 10));
            assert!(conn.rest().await.is_empty() && reply.header("connection") == Some("close"), "{shown:?}");
            sim.sleep(2_000).await;
            assert_eq!((server.gauge("connections").await, server.gauge("sessions").await), (0, 0));
        });
    }
}

#[test]
fn g8_p55_a_body_over_the_limit_is_413_with_a_length_before_it_is_read_and_in_chunks_as_soon_as_it_shows() {
    let limits = Limits { body_bytes_max: 1_000, ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let fits = format!("{:<1000}", initialize(LATEST));
        for (text, status) in [
            (format!("{head}Content-Length: 1000\r\n\r\n{fits}"), 200),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n3e8\r\n{fits}\r\n0\r\n\r\n"), 200),
            (format!("{head}Content-Length: 1001\r\n\r\n"), 413),
            (format!("{head}Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n"), 413),
            (format!("{head}Content-Length: 18446744073709551616\r\n\r\n"), 413),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n3e9\r\n"), 413),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n3e8\r\n{fits}\r\n1\r\n"), 413),
        ] {
            let reply = server.connect().ask(&text).await;
            assert_eq!(reply.status, status, "{text}");
            assert!(status == 200 || reply.text().contains("body_bytes_max"), "P80: {}", reply.text());
        }
        let legacy = Legacy::open(&server).await;
        assert_eq!(legacy.post(&format!("{:<1001}", ping(1))).await.status, 413, "on both transports");
        assert_eq!(server.gauge("buffered_bytes").await, 0);
    });
}

#[test]
fn p55_x41_json_bombs_have_defined_answers() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let deep = |n: usize| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}{}}}}}"#, "[".repeat(n), "]".repeat(n))
        };
        for (body, status, code) in [
            (deep(100_000), 400, -32700),
            (deep(63), 400, -32700),
            (deep(62), 200, 0),
            ("[".repeat(1_000_000), 400, -32700),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.into(), 400, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1e400}}"#.into(), 200, 0),
            (format!(r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#, "9".repeat(1_000_000)), 400, -32600),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.into(), 400, -32600),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#.into(), 400, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a\ud800"}"#.into(), 400, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"p\u0000ng"}"#.into(), 200, -32601),
            ("\u{feff}{}".into(), 400, -32700),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\u{0}\"}".into(), 400, -32700),
            ("".into(), 400, -32700),
            ("[]".into(), 400, -32600),
            ("null".into(), 400, -32600),
            (format!("[{}]", ping(1)), 400, -32600),
        ] {
            let answer = session.post(&body).await;
            let shown = &body[..body.len().min(80)];
            assert_eq!(answer.head.status, status, "{shown}: {}", answer.head.text());
            if code != 0 {
                let expected = if status == 200 || body.starts_with('[') && body.contains("ping") {
                    answer.last()["id"].clone()
                } else {
                    json!(null)
                };
                assert!(
                    (&answer.last()["error"]["code"], &answer.last()["id"]) == (&json!(code), &expected),
                    "G-14, G-15 {shown}: {}",
                    answer.last()
                );
            }
        }
        let invalid =
            [b"{\"jsonrpc\":\"2.0\",\"id\":\"".as_slice(), &[0xff, 0xfe], b"\",\"method\":\"ping\"}"].concat();
        let mut bytes = session.bytes("POST", &[("Content-Length", &invalid.len().to_string())], "");
        bytes.extend(invalid);
        let reply = session.server.connect().ask(bytes).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(-32700)), "not UTF-8");
        assert_eq!(session.status().await, 200);
    });
}

#[test]
fn p52_s5_a_202_has_an_empty_body_of_length_zero_and_the_connection_goes_on() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let mut conn = session.server.connect();
        for body in [
            initialized(),
            cancelled(7),
            notification("notifications/unknown", json!({})),
            r#"{"jsonrpc":"2.0","id":5,"result":{}}"#.into(),
        ] {
            let reply = conn.ask(session.bytes("POST", &[], &body)).await;
            assert_eq!((reply.status, reply.header("content-length"), reply.body.len()), (202, Some("0"), 0), "{body}");
            assert_eq!((reply.header("transfer-encoding"), reply.header("connection")), (None, None));
        }
        assert_eq!(conn.ask(session.bytes("POST", &[], &ping(1))).await.status, 200);
    });
}

#[test]
fn http_1_0_clients_get_no_chunks_and_a_close_unless_they_ask_to_be_kept() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), "2025-06-18").await;
        let old = |accept, more: &str| {
            let bytes =
                session.bytes("POST", &[("Accept", accept)], &call(1, "slow", json!({ "ms": 400, "text": "x" })));
            String::from_utf8(bytes).unwrap().replace("HTTP/1.1\r\n", &format!("HTTP/1.0\r\n{more}"))
        };
        for accept in [JSON, SSE] {
            let mut conn = session.server.connect();
            conn.send(old(accept, "")).await;
            let answer = conn.answer().await;
            assert!(
                answer.head.head.starts_with("HTTP/1.0 200 OK\r\n")
                    && answer.head.header("transfer-encoding").is_none()
            );
            assert_eq!((answer.said(), conn.rest().await.len()), ("x", 0), "{accept}: ends with its connection");
        }
        let mut conn = session.server.connect();
        conn.send(old(JSON, "Connection: keep-alive\r\n")).await;
        let answer = conn.answer().await;
        assert_eq!((answer.said(), answer.head.header("connection")), ("x", Some("keep-alive")));
        assert_eq!(conn.ask(session.bytes("POST", &[], &ping(1))).await.status, 200);
        let mut bare = session.server.connect();
        let health = bare.ask("GET /healthz HTTP/1.0\r\n\r\n").await;
        assert!(health.status == 200 && health.json()["status"] == "ok", "{}", health.text());
        assert!(bare.rest().await.is_empty());
        let mut closing = session.server.connect();
        assert_eq!(
            closing.ask(session.bytes("POST", &[("Connection", "close")], &ping(1))).await.header("connection"),
            Some("close")
        );
        assert!(closing.rest().await.is_empty());
    });
}

#[test]
fn d4_a_client_that_floods_one_connection_does_not_hold_the_others_up() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let note = |text: &str| session.bytes("POST", &[], &call(1, "note", json!({ "text": text })));
        let mut flooding = session.server.connect_narrow(4 << 20);
        flooding.send(note("flood").repeat(5_000)).await;
        let mut other = session.server.connect();
        assert_eq!(other.ask(note("other")).await.status, 200);
        let turn = session.server.seen().notes.borrow().iter().position(|text| text == "other").unwrap();
        assert!(turn <= 64, "{turn} of the flood were served before the other had its turn");
        for _ in 0..5_000 {
            assert_eq!(flooding.reply().await.status, 200);
        }
    });
}

#[test]
fn a_refusal_is_readable_while_the_client_is_still_sending_its_body() {
    sim::run(|sim| async move {
        let server = sim.serve();
        for (path, length, status) in [("/nowhere", 1 << 20, 404), ("/mcp", 8 << 20, 413)] {
            let mut conn = server.connect();
            let length = length.to_string();
            conn.send(post(path, &[("Content-Length", &length)], "")).await;
            for _ in 0..10 {
                conn.send(vec![b'x'; 50_000]).await;
                sim.sleep(50).await;
            }
            assert_eq!(conn.reply().await.status, status);
            sim.sleep(2_000).await;
            assert!(conn.try_send("x").await.is_err(), "and then it has ended");
        }
        assert_eq!(server.gauge("connections").await, 0);
    });
}

#[test]
fn d29_p55_deep_json_is_refused_on_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(192 * 1024);
    let thread = small.spawn(|| {
        sim::run(|sim| async move {
            let session = Session::open(&sim.serve(), LATEST).await;
            let arguments = format!("{}{}", "{\"a\":".repeat(100_000), "0");
            for body in ["[".repeat(100_000), arguments] {
                assert_eq!(session.post(&body).await.last()["error"]["code"], -32700);
            }
            assert_eq!(session.status().await, 200);
        });
    });
    thread.unwrap().join().expect("no overflow, in a debug build at that");
}
