//! What an operator sees besides the list of sessions: what happened in one, the stream of snapshots, numbers, the page,
//! and who may see it.

use portcullis::{Limits, Tokens, Tool};
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::server::Server;

/// The views, and whether everybody may see them.
const VIEWS: [(&str, bool); 7] = [
    ("/healthz", true),
    ("/readyz", true),
    ("/metrics", false),
    ("/debug/sessions", false),
    ("/debug/sessions/0123456789", false),
    ("/debug/sessions/..", false),
    ("/debug/events", false),
];

async fn status(server: &Server, operator: bool, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut conn = if operator { server.connect_as_operator() } else { server.connect() };
    conn.send(request(method, path, headers, "")).await;
    conn.head().await.unwrap().status
}

#[test]
fn p13_nobody_but_the_operator_and_holders_of_tokens_sees_what_is_not_health() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let guarded = sim.serve_with(|builder| builder.tokens(Tokens::parse("a-token-of-a-decent-length").unwrap()));
        let bearer = [("Authorization", "Bearer a-token-of-a-decent-length")];
        for (path, public) in VIEWS {
            let found = if path.contains("sessions/") { 404 } else { 200 };
            let unreadable = path.ends_with("..");
            assert_eq!(status(&server, true, "GET", path, &[]).await, found, "{path}");
            let anonymous = if unreadable {
                404
            } else if public {
                200
            } else {
                403
            };
            assert_eq!(status(&server, false, "GET", path, &[]).await, anonymous, "{path}");
            let unknown = if unreadable {
                404
            } else if public {
                200
            } else {
                401
            };
            assert_eq!(status(&guarded, false, "GET", path, &[]).await, unknown, "{path}");
            assert_eq!(status(&guarded, false, "GET", path, &bearer).await, found, "{path}");
            let refused = if unreadable { 404 } else { 405 };
            assert_eq!(status(&server, true, "POST", path, &[]).await, refused, "{path}");
            let foreign = [("Origin", "https://evil.example")];
            let expected = if unreadable { 404 } else { 403 };
            assert_eq!(status(&server, true, "GET", path, &foreign).await, expected, "{path}");
        }
    });
}

/// The fingerprint of the first session.
async fn fingerprint(server: &Server) -> String {
    server.debug().await["sessions"][0]["session"].as_str().unwrap().to_owned()
}

async fn story(server: &Server, print: &str) -> Value {
    let reply = server.connect_as_operator().ask(get(&format!("/debug/sessions/{print}"), &[])).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(JSON)), "{}", reply.text());
    reply.json()
}

/// The events as `event of what`.
fn told(story: &Value) -> Vec<String> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let of = |event: &Value| event["tool"].as_str().or(event["method"].as_str()).unwrap_or("-").to_owned();
    let events = story["events"].as_array().unwrap().iter();
    events.map(|event| format!("{} {} {}", text(event, "event"), of(event), text(event, "what"))).collect()
}

#[test]
fn p44_p79_a_sessions_last_events_are_told_in_order_and_outlive_it() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let print = fingerprint(&server).await;
        session.post(&call(1, "fail", json!({ "secret": "hunter2" }))).await;
        session.post_with(&[("Accept", JSON)], &call(2, "slow", json!({ "ms": 2_000 }))).await;
        let get = session.listen().await;
        drop(get);
        sim.sleep(1_000).await;
        for n in 0..50 {
            session.post(&ping(n)).await;
        }
        session.delete().await;
        sim.sleep(1_000).await;
        let story = story(&server, &print).await;
        assert_eq!(
            told(&story),
            [
                "opened - streamable",
                "initialized - 2025-11-25",
                "call_ended initialize ok",
                "call_ended fail tool_error",
                "call_began slow -",
                "call_ended slow ok",
                "stream_attached - get",
                "stream_lost - get",
                "call_ended ping ok",
                "ended - closed_by_client",
            ]
        );
        assert_eq!(story["events"][5]["ms"], 2_000);
        assert_eq!((&story["events"][8]["times"], &story["events"][8]["s_ago"]), (&json!(50), &json!(1.0)));
        assert_eq!((&story["live"], &story["ended"]["reason"]), (&Value::Null, &json!("closed_by_client")));
        let text = story.to_string();
        assert!(!text.contains(&session.id) && !text.contains("hunter2"), "P13: {text}");
    });
}

#[test]
fn what_a_client_is_refused_loses_or_leaves_is_among_its_events() {
    sim::run(|sim| async move {
        let server = sim.serve_within(Limits { calls_max: 1, ..Limits::default() });
        let session = Session::open(&server, LATEST).await;
        let print = fingerprint(&server).await;
        let slow = session.send(&call(1, "slow", json!({ "ms": 60_000 }))).await;
        sim.sleep(1_000).await;
        assert_eq!(session.post(&ping(2)).await.head.status, 503);
        let (_, head) = session.resume("0123456789abcdef.7").await;
        assert_eq!(head.status, 400);
        drop(slow);
        sim.sleep(1_000).await;
        session.send(&cancelled(1)).await.reply().await;
        let told = told(&story(&server, &print).await);
        for event in
            ["refused - calls_max", "refused - cannot_resume", "stream_lost - answer", "call_ended slow cancelled"]
        {
            assert!(told.iter().any(|line| line == event), "{event} in {told:#?}");
        }
    });
}

#[test]
fn sessions_that_nobody_remembers_are_a_404_that_says_why() {
    sim::run(|sim| async move {
        let server = sim.serve_within(Limits { events_max: 8, tombstones_max: 1, ..Limits::default() });
        let session = Session::open(&server, LATEST).await;
        let print = fingerprint(&server).await;
        session.delete().await;
        assert_eq!(told(&story(&server, &print).await).len(), 4, "opened, initialized, its call, ended");
        for _ in 0..2 {
            Session::open(&server, LATEST).await.delete().await;
        }
        for text in [print.as_str(), "0000000000", "nonsense", ""] {
            let reply = server.connect_as_operator().ask(get(&format!("/debug/sessions/{text}"), &[])).await;
            assert_eq!(reply.status, 404);
            assert!(reply.text().contains("/debug/sessions names all there are"), "{}", reply.text());
        }
    });
}

/// The next snapshot of a stream.
async fn snapshot(conn: &mut crate::sim::wire::Conn) -> Value {
    let event = conn.event().await.unwrap();
    assert_eq!(event.name.as_deref(), Some("snapshot"));
    event.json()
}

async fn watch(server: &Server) -> crate::sim::wire::Conn {
    let mut conn = server.connect_as_operator();
    conn.send(get("/debug/events", &[("Accept", SSE)])).await;
    let head = conn.head().await.unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, Some(SSE)));
    conn
}

#[test]
fn whoever_watches_gets_a_snapshot_a_second_with_the_calls_of_ten_minutes() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut early = watch(&server).await;
        assert_eq!(snapshot(&mut early).await["history"]["slots"].as_array().unwrap().len(), 1);
        let session = Session::open(&server, LATEST).await;
        sim.until(4_000).await;
        session.post(&call(1, "fail", json!({}))).await;
        session.post_with(&[("Accept", JSON)], &call(2, "slow", json!({ "ms": 1_500 }))).await;
        sim.until(600_500).await;
        let (mut conn, before) = (watch(&server).await, sim.ms());
        let first = snapshot(&mut conn).await;
        let slots = first["history"]["slots"].as_array().unwrap();
        assert_eq!((slots.len(), first["history"]["newest"].as_u64()), (300, Some(300)));
        assert_eq!(
            slots[1],
            json!([2, 1, 750_000, 1_500_000, 0]),
            "number 2 of 300: calls, failed, mean, longest, lag"
        );
        assert!(slots[2..].iter().all(|slot| *slot == json!(0)), "{slots:?}");
        assert_eq!(first["sessions"][0]["client"]["name"], "sim");
        let second = snapshot(&mut conn).await;
        assert_eq!((sim.ms() - before, second["history"]["slots"].as_array().unwrap().len()), (1_000, 1));
    });
}

#[test]
fn few_may_watch_who_left_is_forgotten_and_a_shutdown_does_not_wait_for_them() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut watching = Vec::new();
        for _ in 0..4 {
            watching.push(watch(&server).await);
        }
        let refused = server.connect_as_operator().ask(get("/debug/events", &[])).await;
        assert!(refused.status == 503 && refused.text().contains("close a page"), "{}", refused.text());
        drop(watching.pop());
        sim.sleep(2_000).await;
        assert_eq!(server.gauge("watchers").await, 3);
        let timers = server.gauge("timers").await;
        watching.push(watch(&server).await);
        let begin = sim.ms();
        server.handle().shutdown(std::time::Duration::from_secs(60));
        assert!(server.end().await - begin < 200, "timers={timers}");
    });
}

#[test]
fn a_snapshot_of_a_thousand_sessions_has_the_fifty_that_matter_and_counts_the_rest() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let busy = Session::open(&server, LATEST).await;
        let _running = busy.send(&call(1, "slow", json!({ "ms": 600_000 }))).await;
        for n in 0..999 {
            if n == 500 {
                sim.sleep(1_000).await;
            }
            Session::open(&server, LATEST).await;
        }
        let text = server.handle().snapshot().await.unwrap();
        assert!(text.len() < 64 * 1024 && !text.contains('\n'), "{} bytes", text.len());
        let shown: Value = serde_json::from_str(&text).unwrap();
        let sessions = shown["sessions"].as_array().unwrap();
        assert_eq!((sessions.len(), &shown["sessions_not_shown"]), (50, &json!(950)));
        assert_eq!(
            sessions.iter().filter(|session| session["calls"][0]["tool"] == "slow").count(),
            1,
            "who calls is shown"
        );
    });
}

#[test]
fn metrics_are_counters_gauges_and_a_histogram_with_the_tools_of_this_server_as_labels() {
    sim::run(|sim| async move {
        let odd = Tool::new("odd.name");
        let tool = async |_: portcullis::RequestContext, _: Value| Ok("ok");
        let server = sim.serve_with(|builder| builder.tool(odd, tool));
        let session = Session::open(&server, LATEST).await;
        for (tool, arguments) in
            [("fail", json!({})), ("odd.name", json!({})), ("slow", json!({ "ms": 700 })), ("no such", json!({}))]
        {
            session.post(&call(1, tool, arguments)).await;
        }
        let reply = server.connect_as_operator().ask(get("/metrics", &[])).await;
        assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        for line in [
            "# TYPE portcullis_sessions_opened_total counter",
            "portcullis_sessions_opened_total 1",
            "# TYPE portcullis_sessions gauge",
            "portcullis_sessions 1",
            "portcullis_sessions_max 10000",
            "portcullis_tool_calls_total{tool=\"fail\",outcome=\"tool_error\"} 1",
            "portcullis_tool_calls_total{tool=\"odd.name\",outcome=\"ok\"} 1",
            "portcullis_tool_calls_total{tool=\"slow\",outcome=\"ok\"} 1",
            "# TYPE portcullis_tool_call_duration_seconds histogram",
            "portcullis_tool_call_duration_seconds_bucket{le=\"0.5\"} 2",
            "portcullis_tool_call_duration_seconds_bucket{le=\"1\"} 3",
            "portcullis_tool_call_duration_seconds_bucket{le=\"+Inf\"} 3",
            "portcullis_tool_call_duration_seconds_count 3",
            "portcullis_tool_call_duration_seconds_sum 0.700000",
            "portcullis_loop_stall_max_seconds 0.000",
        ] {
            assert!(reply.text().lines().any(|other| other == line), "{line} in\n{}", reply.text());
        }
        assert!(!reply.text().contains("no such"), "a client's word is no label");
        assert_eq!(server.handle().metrics().await.unwrap().lines().count(), reply.text().lines().count());
    });
}

#[test]
fn a_server_is_ready_while_a_newcomer_would_be_served() {
    sim::run(|sim| async move {
        let server = sim.serve_within(Limits { sessions_max: 1, ..Limits::default() });
        let ready = async || server.connect().ask(get("/readyz", &[])).await;
        assert_eq!(ready().await.json(), json!({ "status": "ready" }));
        let _session = Session::open(&server, LATEST).await;
        let full = ready().await;
        assert_eq!((full.status, full.json()), (503, json!({ "status": "full: limit sessions_max" })));
        assert_eq!(full.header("retry-after"), Some("1"));
        sim.sleep(60_000).await;
        assert_eq!(ready().await.status, 200, "the idle one would give way");
    });
}

#[cfg(feature = "page")]
#[test]
fn a_browser_gets_the_page_and_everybody_else_json() {
    const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    fn ask(
        sim: &sim::Sim,
        server: &Server,
        path: &'static str,
        accept: &'static str,
    ) -> smol::Task<(u16, String, Option<String>)> {
        let server = server.clone();
        sim.spawn(async move {
            let reply = server.connect_as_operator().ask(get(path, &[("Accept", accept)])).await;
            let policy = reply.header("content-security-policy").map(str::to_owned);
            (reply.status, reply.header("content-type").unwrap().to_owned(), policy)
        })
    }
    sim::run(|sim| async move {
        let server = sim.serve();
        for path in ["/debug/sessions", "/debug/sessions/0123456789"] {
            let (status, kind, policy) = ask(&sim, &server, path, HTML).await;
            assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"), "{path}");
            let policy = policy.unwrap();
            assert!(policy.starts_with("default-src 'none'") && policy.contains("script-src 'sha256-"), "{policy}");
        }
        for accept in ["*/*", "application/json", "text/*", "text/html;q=0"] {
            let (status, kind, _) = ask(&sim, &server, "/debug/sessions", accept).await;
            assert_eq!((status, kind.as_str()), (200, JSON), "{accept}");
        }
        assert_eq!(ask(&sim, &server, "/metrics", HTML).await.1, "text/plain; version=0.0.4; charset=utf-8");
        let anonymous = server.connect().ask(get("/debug/sessions", &[("Accept", HTML)])).await;
        assert_eq!(anonymous.status, 403);
    });
}
