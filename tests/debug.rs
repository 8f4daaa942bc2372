//! What an operator sees: every session, what it waits for, and why the last ones ended.

use serde_json::json;

use crate::sim;
use crate::sim::client::*;
use crate::sim::logs;
use crate::sim::server::idle;

#[test]
fn p44_p79_the_view_shows_every_session_its_calls_queues_and_deadlines() {
    sim::run(|sim| async move {
        let server = sim.serve_within(idle(60_000));
        let session = Session::open(&server, LATEST).await;
        let legacy = Legacy::open(&server).await;
        let _get = session.listen().await;
        session.post(&call(8, "fail", json!({}))).await;
        let _running = session.send(&call("job 7", "slow", json!({ "ms": 60_000 }))).await;
        sim.sleep(5_000).await;
        let reply = server.connect_as_operator().ask(get("/debug/sessions", &[])).await;
        assert_eq!(
            (reply.status, reply.header("content-type"), reply.header("cache-control")),
            (200, Some(JSON), Some("no-store"))
        );
        let view = reply.json();
        let shown = &view["sessions"][0];
        for (field, expected) in [
            ("transport", json!("streamable")),
            ("revision", json!("2025-11-25")),
            ("principal", json!("anonymous")),
            ("client", json!({ "name": "sim", "version": "0.1" })),
            ("address", json!("127.0.0.1")),
            ("age_s", json!(5.0)),
            ("idle_s", json!(0.0)),
            ("expires_because", json!("expired_life")),
            ("calls", json!([{ "tool": "slow", "id": "\"job 7\"", "running_ms": 5_000 }])),
            ("calls_in_flight", json!(1)),
            ("messages_in", json!(3)),
            ("answers_out", json!(2)),
            ("last_error", json!("tools/call fail: tool_error")),
        ] {
            assert_eq!(shown[field], expected, "{field}");
        }
        for field in ["expires_in_s", "streams", "queue", "calls_max", "closing", "initialized"] {
            assert!(!shown[field].is_null(), "{field}");
        }
        assert_eq!(shown["streams"]["live"], 2);
        assert_eq!(shown["session"].as_str().unwrap().len(), 10, "a fingerprint");
        assert_eq!(view["sessions"][1]["transport"], "http+sse");
        for (gauge, value) in [("sessions", 2), ("calls_running", 1)] {
            assert_eq!(view["gauges"][gauge], value, "{gauge}");
        }
        let text = reply.text();
        assert!(!text.contains(&session.id) && !text.contains(legacy.session_id()), "P13");
    });
}

#[test]
fn the_ended_are_shown_newest_first_with_their_reason_and_every_counter_says_what_it_means() {
    sim::run(|sim| async move {
        let server = sim.serve_within(idle(2_000));
        let (first, second) = (Session::open(&server, LATEST).await, Session::open(&server, LATEST).await);
        second.delete().await;
        sim.sleep(5_000).await;
        let _ = first;
        let view = server.debug().await;
        let reasons: Vec<_> = view["ended"].as_array().unwrap().iter().map(|tomb| &tomb["reason"]).collect();
        assert_eq!(reasons, ["expired_idle", "closed_by_client"]);
        assert_eq!((&view["ended"][0]["lived_s"], &view["ended"][0]["ended_s_ago"]), (&json!(2.0), &json!(3.0)));
        for (name, value) in view["counters"].as_object().unwrap() {
            let meaning = view["counters_mean"][name].as_str().unwrap_or_default();
            assert!(value.is_u64() && meaning.len() > 10 && meaning.ends_with('.'), "{name}: {meaning}");
        }
    });
}

#[test]
fn p13_the_view_is_on_the_operators_listener_and_health_creates_nothing() {
    sim::run(|sim| async move {
        let server = sim.serve();
        for (operator, method, path, status) in [
            (true, "GET", "/debug/sessions", 200),
            (true, "HEAD", "/debug/sessions", 200),
            (true, "GET", "/healthz", 200),
            (true, "POST", "/debug/sessions", 405),
            (true, "GET", "/mcp", 404),
            (true, "GET", "/sse", 404),
            (false, "GET", "/debug/sessions", 403),
            (false, "GET", "/healthz", 200),
            (false, "HEAD", "/healthz", 200),
        ] {
            let mut conn = if operator { server.connect_as_operator() } else { server.connect() };
            conn.send(request(method, path, &[], "")).await;
            let reply = conn.reply_to(method).await;
            assert_eq!(reply.status, status, "{method} {path} operator={operator}: {}", reply.text());
            if path == "/healthz" && method == "GET" {
                assert_eq!(reply.json(), json!({ "status": "ok" }));
            }
        }
        let foreign =
            server.connect_as_operator().ask(get("/debug/sessions", &[("Origin", "https://evil.example")])).await;
        assert_eq!(foreign.status, 403, "a page is a page, whatever the socket");
        assert_eq!(server.debug().await["counters"]["sessions_opened"], 0);
    });
}

#[test]
fn p79_one_fingerprint_tells_the_whole_story_of_a_session() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let print = server.debug().await["sessions"][0]["session"].as_str().unwrap().to_owned();
        session.post(&call(1, "fail", json!({}))).await;
        session.post(&call(2, "slow", json!({ "ms": 2_000 }))).await;
        session.delete().await;
        let story = logs::lines(&format!("session={print}"));
        let told = |words: &[&str]| story.iter().any(|line| words.iter().all(|word| line.contains(word)));
        for words in [
            ["session_opened", "client=\"sim\"", "revision=2025-11-25"],
            ["call ", "tool=fail", "outcome=tool_error"],
            ["call ", "tool=slow", "ms=2000"],
            ["session_ended", "reason=closed_by_client", "age_s=2"],
        ] {
            assert!(told(&words), "{words:?} in {story:#?}");
        }
        assert!(story.iter().filter(|line| line.starts_with("INFO")).count() >= 4);
    });
}

#[test]
fn a_clients_words_about_itself_are_cut_to_64_bytes() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let client = json!({ "name": "é".repeat(1_000), "version": "9".repeat(1_000) });
        let params = json!({ "protocolVersion": LATEST, "capabilities": {}, "clientInfo": client });
        assert_eq!(server.connect().ask(post("/mcp", &[], &rpc(1, "initialize", params))).await.status, 200);
        let shown = &server.debug().await["sessions"][0]["client"];
        assert_eq!((shown["name"].as_str().unwrap(), shown["version"].as_str().unwrap().len()), (&*"é".repeat(32), 64));
    });
}

#[test]
fn behind_a_trusted_proxy_the_view_shows_the_address_that_the_proxy_vouches_for() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| builder.trust_proxy("192.0.2.0/24".parse().unwrap()));
        for (from, forwarded, shown) in [
            ("192.0.2.1", "203.0.113.5", "203.0.113.5"),
            ("192.0.2.1", "6.6.6.6, 203.0.113.6", "203.0.113.6"),
            ("198.51.100.1", "203.0.113.7", "198.51.100.1"),
        ] {
            let mut conn = server.connect_from(from, 1 << 16);
            conn.ask(post("/mcp", &[("X-Forwarded-For", forwarded)], &initialize(LATEST))).await;
            let view = server.debug().await;
            assert_eq!(view["sessions"].as_array().unwrap().last().unwrap()["address"], shown);
        }
    });
}
