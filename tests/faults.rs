//! Faults that servers have which pass the official suite in full, each with the test that it lacks.

use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;

#[test]
fn g1_g2_a_foreign_origin_is_403_on_every_path_in_both_eras_although_the_host_is_local() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let modern = Stateless::new(&server).call("add", json!({ "a": 1, "b": 2 }));
        let endpoint = "/messages/?session_id=0123456789abcdef0123456789abcdef";
        for origin in ["https://evil.example", "http://localhost.evil.example", "null", "http://evil.example:80"] {
            let headers = [("Host", "localhost:8001"), ("Origin", origin)];
            for (method, path) in
                [("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("GET", "/sse"), ("POST", endpoint)]
            {
                let reply = server.connect().ask(request(method, path, &headers, &initialize(LATEST))).await;
                assert_eq!(reply.status, 403, "{origin} {method} {path}");
                assert_eq!((&reply.json()["error"]["code"], &reply.json()["id"]), (&json!(-32600), &Value::Null));
                assert_eq!(reply.header("access-control-allow-origin"), None);
            }
            let answer = Stateless::new(&server).post(&modern.clone().more("Origin", origin)).await;
            assert_eq!(answer.head.status, 403, "{origin}");
        }
        assert_eq!(server.counter("sessions_opened").await + server.counter("calls_started").await, 0);
    });
}

#[test]
fn g3_the_authority_of_an_absolute_target_is_checked_like_host_and_wins_over_it() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let modern = Stateless::new(&server).call("add", json!({ "a": 1, "b": 2 }));
        for (target, status) in [
            ("http://evil.example/mcp", 403),
            ("http://evil.example:8001/mcp", 403),
            ("https://localhost.evil.example/mcp", 400),
            ("http://localhost/mcp", 200),
        ] {
            let reply = server.connect().ask(post(target, &[("Host", "localhost")], &initialize(LATEST))).await;
            assert_eq!(reply.status, status, "{target}");
            let bytes = String::from_utf8(modern.bytes()).unwrap().replacen("POST /mcp", &format!("POST {target}"), 1);
            assert_eq!(server.connect().ask(bytes).await.status, status, "{target}");
        }
    });
}

#[test]
fn g14_x40_an_id_that_is_null_an_object_or_a_fraction_is_400_and_never_202() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open(&server, LATEST).await;
        let legacy = Legacy::open(&server).await;
        for id in ["null", "{}", "[]", "1.5", "true", "-0.5"] {
            for method in ["ping", "tools/list", "initialize"] {
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{}}}}"#);
                for reply in [session.send(&body).await.reply().await, legacy.post(&body).await] {
                    let error = reply.json();
                    assert_eq!((reply.status, &error["error"]["code"]), (400, &json!(-32600)), "{body}");
                    assert_eq!(error["id"], Value::Null);
                }
                let headers = [("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)];
                let reply = server.connect().ask(post("/mcp", &headers, &body)).await;
                assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(-32600)), "{body}");
            }
        }
        assert_eq!(session.status().await, 200);
    });
}

#[test]
fn g14_malformed_json_is_answered_in_json_on_every_path_and_in_both_eras() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open(&server, LATEST).await;
        let legacy = Legacy::open(&server).await;
        for body in
            ["{", "", "{\"jsonrpc\":\"2.0\",\"id\":1,}", "nonsense", "\u{feff}{}", "{\"a\":1}}", "'x'", "{\"id\":01}"]
        {
            let modern = [("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/list")];
            for reply in [
                session.send(body).await.reply().await,
                legacy.post(body).await,
                server.connect().ask(post("/mcp", &[], body)).await,
                server.connect().ask(post("/mcp", &modern, body)).await,
            ] {
                let error = reply.json();
                assert_eq!((reply.status, reply.header("content-type")), (400, Some(JSON)), "{body:?}");
                assert_eq!((&error["error"]["code"], &error["id"]), (&json!(-32700), &Value::Null), "{body:?}");
            }
        }
    });
}

#[test]
fn g3_p50_p55_two_hosts_a_coding_in_front_of_chunked_and_bare_line_feeds_are_refused_and_end_the_connection() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let good = String::from_utf8(Stateless::new(&server).call("note", json!({ "text": "ran" })).bytes()).unwrap();
        let chunked = |codings: &str| {
            let (head, body) = good.split_once("\r\n\r\n").unwrap();
            let head: Vec<_> = head.split("\r\n").filter(|line| !line.starts_with("Content-Length")).collect();
            let head = head.join("\r\n");
            format!("{head}\r\nTransfer-Encoding: {codings}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        };
        for (why, bytes, status) in [
            ("two hosts", good.replacen("\r\n", "\r\nHost: localhost\r\n", 1), 400),
            ("a second, foreign host", good.replacen("\r\n", "\r\nHost: evil.example\r\n", 1), 400),
            ("no host", good.replacen("Host: localhost\r\n", "", 1), 400),
            ("gzip, chunked", chunked("gzip, chunked"), 501),
            ("bare line feeds", good.replace("\r\n", "\n"), 400),
            ("one bare line feed", good.replacen("\r\n", "\n", 1), 400),
        ] {
            let mut conn = server.connect();
            assert_eq!(conn.ask(&bytes).await.status, status, "{why}");
            assert!(conn.rest().await.is_empty(), "{why}: nothing behind it is read as a request");
        }
        assert!(server.seen().notes.borrow().is_empty());
        assert_eq!(server.connect().ask(chunked("chunked")).await.status, 200);
        assert_eq!(*server.seen().notes.borrow(), ["ran"]);
    });
}

#[test]
fn p20_p70_a_request_that_stops_half_way_is_408_in_its_time_and_leaves_nothing() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let bytes = Stateless::new(&server).call("add", json!({ "a": 1, "b": 2 })).bytes();
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        for (length, most) in
            [(1, 10_250), (head / 2, 10_250), (head - 1, 10_250), (head, 30_250), (bytes.len() - 1, 30_250)]
        {
            let begin = sim.ms();
            let mut conn = server.connect();
            conn.send(&bytes[..length]).await;
            let reply = conn.reply().await;
            assert_eq!((reply.status, reply.json()["id"].clone()), (408, Value::Null), "{length}");
            assert!(conn.rest().await.is_empty());
            assert!(sim.ms() - begin <= most + 1_000, "{length}: {}", sim.ms() - begin);
        }
        assert_eq!((server.counter("calls_started").await, server.gauge("buffered_bytes").await), (0, 0));
    });
}
