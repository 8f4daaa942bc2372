//! Paths, methods, types, origins: what is let in at all, and in which form it is answered.

use portcullis::Tokens;
use serde_json::json;

use crate::sim;
use crate::sim::client::*;
use crate::sim::wire::Reply;

const ORIGIN: &str = "http://localhost:3000";

#[test]
fn p15_g17_no_path_redirects_and_a_trailing_slash_changes_nothing() {
    sim::run(|sim| async move {
        let server = sim.serve();
        for path in [
            "/mcp",
            "/sse",
            "/messages",
            "/healthz",
            "/debug/sessions",
            "/nonesuch",
            "/",
            "/mcp//",
            "/.well-known/oauth-protected-resource",
        ] {
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
                for query in ["", "?session_id=0123456789abcdef0123456789abcdef", "?x=1"] {
                    let ask = |path: String| {
                        let (server, body) = (server.clone(), if method == "POST" { "{}" } else { "" });
                        let bytes = request(method, &path, &[], body);
                        async move {
                            let mut conn = server.connect();
                            conn.send(bytes).await;
                            let mut reply = conn.head().await.unwrap();
                            if reply.header("content-type") != Some(SSE) && method != "HEAD" {
                                conn.rest_of(&mut reply).await;
                            }
                            reply
                        }
                    };
                    let plain = ask(format!("{path}{query}")).await;
                    if ["/mcp", "/sse", "/messages"].contains(&path) {
                        let slashed = ask(format!("{path}/{query}")).await;
                        let without_id = |reply: &Reply| {
                            reply
                                .head
                                .lines()
                                .filter(|line| !line.starts_with("mcp-session-id"))
                                .collect::<Vec<_>>()
                                .join("\n")
                        };
                        assert_eq!(
                            (without_id(&slashed), &slashed.body),
                            (without_id(&plain), &plain.body),
                            "{method} {path}{query}"
                        );
                    }
                    let status = plain.status;
                    let allow = plain.header("allow");
                    assert_eq!(allow.is_some(), status == 405, "{method} {path}{query}: {}", plain.head);
                    if path == "/.well-known/oauth-protected-resource" && method == "GET" {
                        assert_eq!((status, plain.header("www-authenticate")), (404, None), "P68");
                    }
                }
            }
        }
    });
}

#[test]
fn g6_g7_s12_methods_types_and_paths_are_refused_with_the_right_status_in_the_right_order() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| builder.tokens(Tokens::parse("a-token-of-sixteen").unwrap()));
        let auth = ("Authorization", "Bearer a-token-of-sixteen");
        let (evil, text, html) = (("Host", "evil.example"), ("Content-Type", "text/plain"), ("Accept", "text/html"));
        let huge = ("Content-Length", "99999999999");
        for (method, path, headers, status) in [
            ("PUT", "/nowhere", vec![evil, huge], 404),
            ("PUT", "/mcp", vec![evil, huge, ("Origin", "https://evil.example")], 403),
            ("PUT", "/mcp", vec![huge, ("Origin", "https://evil.example")], 403),
            ("PUT", "/mcp", vec![huge], 405),
            ("POST", "/mcp", vec![text, html, huge], 401),
            ("POST", "/mcp", vec![auth, text, html], 415),
            ("POST", "/mcp", vec![auth, html], 406),
            ("POST", "/mcp", vec![auth], 400),
            ("POST", "/mcp", vec![auth, ("Content-Type", "Application/JSON; charset=utf-8")], 400),
            ("GET", "/mcp", vec![auth, ("Accept", JSON)], 406),
            ("GET", "/mcp", vec![auth, ("Accept", SSE)], 400),
            ("POST", "/sse", vec![], 405),
            ("HEAD", "/sse", vec![], 405),
            ("GET", "/messages/", vec![], 405),
            ("HEAD", "/healthz", vec![], 200),
            ("GET", "/debug/sessions", vec![], 401),
            ("GET", "/debug/sessions", vec![auth], 200),
        ] {
            let mut conn = server.connect();
            conn.send(request(method, path, &headers, if method == "POST" { "{}" } else { "" })).await;
            let reply = conn.reply_to(method).await;
            assert_eq!(reply.status, status, "{method} {path} {headers:?}: {}", reply.head);
            if method == "HEAD" {
                sim.settle().await;
                assert_eq!(conn.end.unread(), 0, "a HEAD has no body");
            }
        }
        let reply = server.connect().ask(request("POST", "/mcp", &[auth, ("Content-Type", "")], "{}")).await;
        assert_eq!(reply.status, 415, "G-9");
    });
}

#[test]
fn p18_s33_no_refused_request_makes_a_session_or_mentions_one() {
    sim::run(|sim| async move {
        let open = sim.serve();
        let locked = sim.serve_with(|builder| builder.tokens(Tokens::parse("a-token-of-sixteen").unwrap()));
        let init = initialize(LATEST);
        for _ in 0..600 {
            for (server, bytes) in [
                (&open, get("/mcp", &[])),
                (&open, request("HEAD", "/mcp", &[], "")),
                (&open, request("OPTIONS", "/mcp", &[], "")),
                (&open, request("DELETE", "/mcp", &[], "")),
                (&open, post("/mcp", &[], "{nonsense")),
                (&open, post("/mcp", &[("Host", "evil.example")], &init)),
                (&open, post("/mcp", &[("Origin", "https://evil.example")], &init)),
                (&open, post("/mcp", &[("Content-Type", "text/plain")], &init)),
                (&open, post("/mcp", &[("Accept", "text/html")], &init)),
                (&open, post("/mcp", &[("MCP-Protocol-Version", "2026-07-28")], &init)),
                (&open, post("/mcp", &[], &ping(1))),
                (&open, post("/mcp", &[], &format!("[{init}]"))),
                (&open, get("/sse", &[("Host", "evil.example")])),
                (&open, get("/healthz", &[])),
                (&locked, post("/mcp", &[], &init)),
                (&locked, post("/mcp", &[("Authorization", "Bearer wrong-wrong-wrong")], &init)),
                (&locked, get("/sse", &[])),
            ] {
                let mut conn = server.connect();
                conn.send(&bytes).await;
                let reply = conn.head().await.unwrap();
                assert!(reply.header("mcp-session-id").is_none(), "{}", bytes.escape_ascii());
            }
        }
        for server in [&open, &locked] {
            let debug = server.debug().await;
            assert_eq!((&debug["gauges"]["sessions"], &debug["counters"]["sessions_opened"]), (&json!(0), &json!(0)));
            assert_eq!(debug["gauges"]["buffered_bytes"], 0);
        }
    });
}

#[test]
fn p49_g10_accept_is_read_leniently_and_the_answer_comes_in_that_form() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        for (accept, form) in [
            ("*/*", JSON),
            ("application/*", JSON),
            ("application/json", JSON),
            ("text/event-stream", SSE),
            ("text/*", SSE),
            (BOTH, SSE),
            ("text/event-stream, application/json", SSE),
            ("text/event-stream;q=0, application/json", JSON),
            ("APPLICATION/JSON;charset=utf-8, Text/Event-Stream", SSE),
            ("text/html", "406"),
            ("application/json;q=0", "406"),
        ] {
            let answer =
                session.post_with(&[("Accept", accept)], &call(1, "slow", json!({ "ms": 300, "text": "x" }))).await;
            match form {
                "406" => {
                    assert_eq!((answer.head.status, answer.head.header("content-type")), (406, Some(JSON)), "{accept}")
                }
                form => {
                    assert_eq!((answer.head.status, answer.head.header("content-type")), (200, Some(form)), "{accept}")
                }
            }
        }
        let bytes = String::from_utf8(session.bytes("POST", &[], &ping(1)))
            .unwrap()
            .replace(&format!("Accept: {BOTH}\r\n"), "");
        let reply = session.server.connect().ask(bytes).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(JSON)), "none at all");
    });
}

#[test]
fn g11_p63_a_page_of_an_allowed_origin_may_read_everything_and_another_nothing() {
    sim::run(|sim| async move {
        let tokens = Tokens::parse("a-token-of-sixteen").unwrap();
        let server = sim.serve_with(|builder| builder.tokens(tokens).allow_origin("https://app.example"));
        for origin in [ORIGIN, "https://app.example"] {
            let asks =
                ("Access-Control-Request-Headers", "content-type, mcp-param-region, x-evil, mcp-param-bad\u{e9}");
            for path in ["/mcp", "/mcp/", "/sse", "/messages/", "/healthz"] {
                let reply = server.connect().ask(request("OPTIONS", path, &[("Origin", origin), asks], "")).await;
                assert_eq!(
                    (reply.status, reply.header("access-control-allow-origin")),
                    (204, Some(origin)),
                    "before the token"
                );
                assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, DELETE, OPTIONS"));
                let allowed = reply.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
                for name in [
                    "content-type",
                    "accept",
                    "authorization",
                    "mcp-session-id",
                    "mcp-protocol-version",
                    "last-event-id",
                    "mcp-method",
                    "mcp-name",
                    "mcp-param-region",
                ] {
                    assert!(allowed.split(", ").any(|header| header == name), "{name}: {allowed}");
                }
                assert!(!allowed.contains("x-evil") && !allowed.contains("bad"), "{allowed}");
            }
            for bytes in [
                post("/mcp", &[("Origin", origin)], &ping(1)),
                get("/nowhere", &[("Origin", origin)]),
                get("/healthz", &[("Origin", origin)]),
                request("PUT", "/mcp", &[("Origin", origin)], ""),
            ] {
                let reply = server.connect().ask(&bytes).await;
                assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "on errors too: {}", reply.head);
                assert!(reply.header("access-control-expose-headers").unwrap().contains("Mcp-Session-Id"));
                assert_ne!(reply.header("access-control-allow-origin"), Some("*"));
            }
        }
        for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
            for bytes in [
                request("OPTIONS", "/mcp", &[("Origin", origin)], ""),
                post("/mcp", &[("Origin", origin)], &ping(1)),
                get("/sse", &[("Origin", origin)]),
            ] {
                let reply = server.connect().ask(&bytes).await;
                assert_eq!(
                    (reply.status, reply.header("access-control-allow-origin")),
                    (403, None),
                    "G-1, G-2 {origin}"
                );
            }
        }
    });
}

#[test]
fn g3_p62_the_hosts_own_name_is_let_in_by_default_and_others_by_option_and_the_refusal_says_how() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| builder.allow_host("fw.example").allow_host("*.corp.example"));
        let (local, lan) = (format!("{name}.local"), format!("{name}.lan:8001"));
        for (host, status) in [
            (&*name, 200),
            (&*local, 200),
            (&*lan, 200),
            ("localhost:8001", 200),
            ("127.0.0.1", 200),
            ("[::1]:1", 200),
            ("fw.example:443", 200),
            ("FW.EXAMPLE", 200),
            ("a.corp.example", 200),
            ("corp.example", 403),
            ("fw.example.evil", 403),
            ("10.9.8.7", 403),
            ("", 400),
            ("a b", 400),
        ] {
            let reply = server.connect().ask(get("/healthz", &[("Host", host)])).await;
            assert_eq!(reply.status, status, "{host}: {}", reply.text());
            if status == 403 {
                assert!(reply.text().contains(host) && reply.text().contains("--allow-host"), "{}", reply.text());
            }
        }
        let absolute = server.connect().ask(get("http://evil.example/healthz", &[])).await;
        assert_eq!(absolute.status, 403, "an absolute target's authority is checked like Host");
        assert_eq!(server.gauge("sessions").await, 0);
    });
}
