//! The checks of a request in their order (T-11 … T-21), which era a POST is of (SPEC 3.3), and what has no session.

use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::server::idle;
use crate::sim::stateless::*;

/// What is wrong with a request, and how it is answered if nothing before it is.
type Step = (&'static str, fn(Ask) -> Ask, u16, i64);

/// In the order in which they are looked for.
const LADDER: [Step; 10] = [
    ("T-11", |ask| ask.more("Mcp-Method", "tools/call"), 400, -32020),
    ("T-12", |ask| ask.without_meta(CAPABILITIES), 400, -32602),
    ("T-13", |ask| ask.header("MCP-Protocol-Version", "2025-11-25"), 400, -32020),
    ("T-14", |ask| ask.header("Mcp-Method", "tools/list"), 400, -32020),
    ("T-15", |ask| ask.param("taskId", "other").header("Mcp-Name", "wrong"), 400, -32020),
    ("T-16", |ask| ask.version("2099-01-01"), 400, -32022),
    (
        "T-17",
        |mut ask| {
            ask.body["method"] = "tasks/get".into();
            ask.header("Mcp-Method", "tasks/get")
        },
        404,
        -32601,
    ),
    ("T-18", |ask| ask.header("Mcp-Param-Region", "north"), 400, -32020),
    ("T-19", |ask| ask.meta(LOG_LEVEL, "loud"), 200, -32602),
    ("T-20", |ask| ask.meta(CAPABILITIES, json!({})), 400, -32021),
];

#[test]
fn t11_to_t21_of_two_faults_the_first_on_the_ladder_is_answered_and_with_its_own_status() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        let good = client.call("routed_model", json!({ "region": "south" })).more("Mcp-Param-Region", "south");
        let answer = client.post(&good).await;
        assert_eq!((answer.head.status, answer.said()), (200, "ran"), "T-21");
        for (at, (name, spoil, status, code)) in LADDER.iter().enumerate() {
            for (later, spoil_too, ..) in &LADDER[at..] {
                let ask = spoil(if name == later { good.clone() } else { spoil_too(good.clone()) });
                let answer = client.post(&ask).await;
                let (got_status, got_code, id) = fault(&answer);
                assert_eq!((got_status, got_code), (*status, *code), "{name} before {later}: {}", answer.last());
                assert_eq!(
                    *id,
                    if *name == "T-11" { Value::Null } else { json!(1) },
                    "{name}: the id is known by then"
                );
            }
        }
    });
}

#[test]
fn t17_x6_removed_methods_are_404_with_their_real_params_and_with_none() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::able(&server);
        let introduction = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
        let table = [
            ("initialize", introduction),
            ("ping", json!({})),
            ("logging/setLevel", json!({ "level": "info" })),
            ("resources/subscribe", json!({ "uri": "fw://rules" })),
            ("resources/unsubscribe", json!({ "uri": "fw://rules" })),
            ("tasks/list", json!({ "cursor": "x" })),
            ("tasks/result", json!({ "taskId": "x" })),
            ("sampling/createMessage", json!({ "messages": [], "maxTokens": 1 })),
            ("roots/list", json!({})),
            ("unknown/method", json!({})),
            ("TOOLS/LIST", json!({})),
            ("", json!({})),
        ];
        for (n, (method, params)) in table.into_iter().enumerate() {
            for params in [params, json!({})] {
                let answer = client.post(&client.ask(method, params).id(n)).await;
                assert_eq!(fault(&answer), (404, -32601, &json!(n)), "{method}");
                assert_eq!(answer.head.header("content-type"), Some(JSON), "X-4: a 404 has a body that says why");
                assert_eq!(answer.head.header("mcp-session-id"), None);
            }
        }
        assert_eq!((server.gauge("sessions").await, server.counter("sessions_opened").await), (0, 0));
    });
}

#[test]
fn t17_a_method_of_a_capability_that_is_not_offered_is_404() {
    sim::run(|sim| async move {
        let client = Stateless::able(&sim.serve());
        for (method, params) in [
            ("resources/list", json!({})),
            ("resources/templates/list", json!({})),
            ("resources/read", json!({ "uri": "fw://rules" })),
            ("prompts/list", json!({})),
            ("prompts/get", json!({ "name": "explain" })),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/prompt", "name": "x" }, "argument": { "name": "a", "value": "" } }),
            ),
        ] {
            assert_eq!(fault(&client.gets(method, params).await), (404, -32601, &json!(1)), "{method}");
        }
        let found = client.gets("server/discover", json!({})).await;
        let offered: Vec<_> = found.last()["result"]["capabilities"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(offered, ["logging", "tools"], "F-21: and none of it is said to be there");
    });
}

#[test]
fn t19_wrong_params_are_answered_in_band() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        for (method, params) in [
            ("tools/call", json!({})),
            ("tools/call", json!({ "name": 7 })),
            ("tools/call", json!({ "name": "nonesuch" })),
            ("tools/call", json!({ "name": "add", "arguments": [1] })),
            ("tools/call", json!({ "name": "add", "arguments": "x" })),
            ("tools/list", json!({ "cursor": 7 })),
            ("tools/list", json!({ "cursor": "not ours" })),
            ("resources/read", json!({})),
            ("resources/read", json!({ "uri": 7 })),
            ("resources/read", json!({ "uri": "fw://nowhere" })),
            ("prompts/get", json!({ "name": "nonesuch" })),
            ("prompts/get", json!({ "name": "explain" })),
            ("completion/complete", json!({})),
            ("subscriptions/listen", json!({})),
        ] {
            let ask = client.ask(method, params);
            let answer = client.post(&ask).await;
            let last = answer.last();
            assert_eq!((answer.head.status, &last["error"]["code"]), (200, &json!(-32602)), "X-3 {}: {last}", ask.body);
            assert_eq!(last["id"], 1);
        }
    });
}

#[test]
fn x1_x6_x7_t23_one_endpoint_tells_the_eras_apart_by_the_body_and_the_header_is_a_cross_check() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let live = Session::open(&server, LATEST).await;
        let modern = Stateless::able(&server).ask("tools/list", json!({}));
        let enveloped = modern.body.to_string();
        let claims_old = modern.clone().meta(VERSION, LATEST).body.to_string();
        let init = initialize("2025-06-18");
        let (list, answer) = (rpc(1, "tools/list", json!({})), response(&json!(1), json!({})));
        let batch = format!("[{}]", ping(1));
        let mixed = format!("[{},{enveloped}]", ping(1));
        const VERSIONS: [&str; 4] = ["", "2025-06-18", MODERN, "2099-01-01"];
        // The body; then status and code for no header, a handshake's, 2026-07-28 and an unknown one.
        for (body, expected) in [
            (&enveloped, [(400, -32020), (400, -32020), (200, 0), (400, -32020)]),
            (&claims_old, [(400, -32020); 4]),
            (&init, [(200, 0), (200, 0), (400, -32020), (200, 0)]),
            (&list, [(400, -32600), (400, -32600), (400, -32602), (400, -32022)]),
            (&answer, [(400, -32600), (400, -32600), (400, -32600), (400, -32600)]),
            (&batch, [(400, -32600); 4]),
            (&mixed, [(400, -32600); 4]),
            (&"[]".to_owned(), [(400, -32600); 4]),
            (&"7".to_owned(), [(400, -32600); 4]),
            (&"{".to_owned(), [(400, -32700); 4]),
        ] {
            for (version, expected) in VERSIONS.into_iter().zip(expected) {
                let header = [("MCP-Protocol-Version", version), ("Mcp-Method", "tools/list")];
                let headers = if version.is_empty() { &header[1..] } else { &header[..] };
                let reply = server.connect().ask(post("/mcp", headers, body)).await;
                let got = (reply.status, reply.json()["error"]["code"].as_i64().unwrap_or(0));
                assert_eq!(got, expected, "header {version:?}: {body}\n{}", reply.text());
                // The same with a live session's id: what is of the modern era does not look at it.
                if expected.0 != 200 && matches!(expected.1, -32020 | -32602) {
                    let mut headers = headers.to_vec();
                    headers.push(("Mcp-Session-Id", &live.id));
                    assert_eq!(server.connect().ask(post("/mcp", &headers, body)).await, reply, "{body}");
                }
            }
        }
        let headers = [("Mcp-Session-Id", &*live.id), ("MCP-Protocol-Version", "2099-01-01")];
        let reply = server.connect().ask(post("/mcp", &headers, &list)).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(-32600)), "S-36");
        assert_eq!(live.status().await, 200);
    });
}

#[test]
fn t02_t03_notifications_are_202_and_never_act_and_other_bodies_are_400_without_an_id() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let (client, session) = (Stateless::able(&server), Session::open(&server, LATEST).await);
        let mut running = client.send(&client.call("slow", json!({ "ms": 2_000, "text": "mine" })).id(7)).await;
        let mut theirs = session.send(&call(7, "slow", json!({ "ms": 2_000, "text": "theirs" }))).await;
        sim.sleep(100).await;
        let enveloped = |version: &str| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7, "_meta": { VERSION: version } } });
        let none = notification("notifications/cancelled", json!({ "requestId": 7 }));
        let number = json!({ "jsonrpc": "2.0", "method": "x", "params": { "_meta": { VERSION: 7 } } });
        for (version, body, status, code) in [
            (MODERN, none.clone(), 202, 0),
            (MODERN, enveloped(MODERN).to_string(), 202, 0),
            ("", enveloped(MODERN).to_string(), 202, 0),
            (MODERN, notification("notifications/nonesuch", Value::Null), 202, 0),
            (MODERN, notification("notifications/roots/list_changed", json!({})), 202, 0),
            (MODERN, enveloped("2099-01-01").to_string(), 400, -32020),
            ("2099-01-01", enveloped("2099-01-01").to_string(), 400, -32022),
            ("2099-01-01", none.clone(), 400, -32022),
            (MODERN, number.to_string(), 400, -32602),
            (MODERN, response(&json!(7), json!({})), 400, -32600),
            (MODERN, format!("[{none}]"), 400, -32600),
            (MODERN, "\"text\"".into(), 400, -32600),
            (MODERN, "null".into(), 400, -32600),
            (MODERN, "{\"jsonrpc\":\"2.0\",".into(), 400, -32700),
        ] {
            let header = [("MCP-Protocol-Version", version)];
            let headers = if version.is_empty() { &[] } else { &header[..] };
            let reply = server.connect().ask(post("/mcp", headers, &body)).await;
            assert_eq!(reply.status, status, "{version:?} {body}: {}", reply.text());
            if status == 202 {
                assert_eq!((reply.body.len(), reply.header("mcp-session-id")), (0, None));
            } else {
                let error = reply.json();
                assert_eq!((&error["error"]["code"], &error["id"]), (&json!(code), &Value::Null), "{body}");
            }
        }
        assert_eq!((running.answer().await.said(), theirs.answer().await.said()), ("mine", "theirs"), "F-92");
    });
}

#[test]
fn p72_t10_x29_no_session_is_looked_up_touched_minted_or_echoed_in_a_thousand_calls() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| features::add(builder.limits(idle(10_000))));
        let session = Session::open(&server, LATEST).await;
        let client = Stateless::able(&server);
        for n in 0..1_000 {
            let id = match n % 3 {
                0 => session.id.as_str(),
                1 => "0123456789abcdef0123456789abcdef",
                _ => "not an id at all",
            };
            let ask = client.call("add", json!({ "a": n, "b": 1 })).more("Mcp-Session-Id", id);
            let answer = client.post(&ask).await;
            assert_eq!((answer.said(), answer.head.status), (&*(n + 1).to_string(), 200));
            assert_eq!(answer.head.header("mcp-session-id"), None);
            sim.sleep(9).await;
        }
        let debug = server.debug().await;
        assert_eq!((&debug["gauges"]["sessions"], &debug["counters"]["sessions_opened"]), (&json!(1), &json!(1)));
        assert_eq!(debug["counters"]["stateless_requests"], 1_000);
        sim.until(10_500).await;
        assert_eq!(server.reasons().await, ["expired_idle"], "none of it kept the session awake");
        assert_eq!((server.gauge("sessions").await, server.gauge("buffered_bytes").await), (0, 0));
    });
}

#[test]
fn p72_t10_get_and_delete_are_405_with_allow_post_and_a_live_session_is_not_touched() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        for method in ["GET", "DELETE"] {
            for (version, with_session, status) in
                [(MODERN, false, 405), (MODERN, true, 405), ("2099-01-01", false, 405), ("2025-11-25", false, 400)]
            {
                let mut headers = vec![("MCP-Protocol-Version", version), ("Accept", SSE), ("Last-Event-ID", "1.1")];
                if with_session {
                    headers.push(("Mcp-Session-Id", &session.id));
                }
                let reply = server.connect().ask(request(method, "/mcp", &headers, "")).await;
                let allow = (status == 405).then_some("POST");
                assert_eq!((reply.status, reply.header("allow")), (status, allow), "{method} {version}");
            }
        }
        assert_eq!(session.status().await, 200);
    });
}

#[test]
fn t24_x12_nothing_of_an_earlier_request_or_of_its_connection_counts() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let (able, unable) = (Stateless::able(&server), Stateless::new(&server));
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let mut conn = server.connect();
        for _ in 0..3 {
            conn.send(able.call("needs_model", json!({})).bytes()).await;
            assert_eq!(conn.answer().await.said(), "ran");
            conn.send(session.bytes("POST", &[], &ping(1))).await;
            assert_eq!(conn.answer().await.head.status, 200);
            conn.send(unable.call("needs_model", json!({})).bytes()).await;
            let answer = conn.answer().await;
            assert_eq!(fault(&answer), (400, -32021, &json!(1)), "on the same connection");
            assert_eq!(answer.last()["error"]["data"]["requiredCapabilities"], json!({ "sampling": {} }), "T-20");
            conn.send(able.call("talk", json!({ "count": 1, "text": "x" })).meta(LOG_LEVEL, "debug").bytes()).await;
            assert_eq!(conn.answer().await.messages.len(), 2);
            conn.send(able.call("talk", json!({ "count": 1, "text": "x" })).bytes()).await;
            assert_eq!(conn.answer().await.messages.len(), 1, "nor the log level");
        }
    });
}

#[test]
fn t26_two_instances_with_one_key_serve_one_client_by_turns() {
    sim::run(|sim| async move {
        let instance = || sim.serve_with(|builder| features::add(builder.state_key([7; 32])));
        let clients = [Stateless::able(&instance()), Stateless::able(&instance())];
        let first = clients[0].calls("ask_in_turn", json!({ "count": 3 })).await;
        let mut state = first.last()["result"]["requestState"].clone();
        for n in 0..3 {
            let client = &clients[(n + 1) % 2];
            let answers = json!({ format!("q{n}"): { "action": "accept", "content": { "reason": format!("r{n}") } } });
            let answer = client.post(&client.call("ask_in_turn", json!({ "count": 3 })).again(&state, answers)).await;
            if n == 2 {
                assert_eq!(answer.said(), "r0, r1, r2");
            } else {
                assert_eq!(answer.last()["result"]["resultType"], "input_required", "{answer:?}");
                state = answer.last()["result"]["requestState"].clone();
            }
        }
    });
}
