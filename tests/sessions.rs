//! How sessions begin and end, and what those are told who come too late.

use std::time::Duration;

use portcullis::Limits;
use serde_json::json;

use crate::sim;
use crate::sim::client::*;
use crate::sim::logs;
use crate::sim::server::idle;

const SLOT_MS: u64 = 250;

#[test]
fn s26_s27_s33_an_initialize_opens_a_session_with_128_bits_in_visible_letters_and_a_failed_one_opens_none() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut ids: Vec<_> = Vec::new();
        for _ in 0..100 {
            ids.push(Session::open(&server, LATEST).await.id);
        }
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "P11: {ids:?}");
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), server.gauge("sessions").await), (100, 100));
        for params in [json!({}), json!({ "protocolVersion": 1 }), json!({ "protocolVersion": LATEST }), json!([])] {
            let reply = server.connect().ask(post("/mcp", &[], &rpc(1, "initialize", params))).await;
            assert_eq!((reply.status, reply.header("mcp-session-id")), (400, None), "{}", reply.text());
            assert_eq!(reply.json()["id"], 1);
        }
        assert_eq!(server.gauge("sessions").await, 100);
    });
}

#[test]
fn s43_each_revision_is_negotiated_and_an_unknown_one_gets_the_newest() {
    sim::run(|sim| async move {
        let server = sim.serve();
        for (asked, given) in [
            ("2024-11-05", "2024-11-05"),
            ("2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            ("1.0", "2025-11-25"),
        ] {
            let reply = server.connect().ask(post("/mcp", &[], &initialize(asked))).await;
            assert_eq!((reply.status, &reply.json()["result"]["protocolVersion"]), (200, &json!(given)), "{asked}");
        }
    });
}

#[test]
fn p04_s32_initialize_with_any_session_id_opens_a_fresh_session() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let live = Session::open(&server, LATEST).await;
        let gone = Session::open(&server, LATEST).await;
        gone.delete().await;
        for stale in ["deadbeef", &live.id, &gone.id, "", "00000000000000000000000000000000"] {
            let reply = server.connect().ask(post("/mcp", &[("Mcp-Session-Id", stale)], &initialize(LATEST))).await;
            assert_eq!(reply.status, 200, "{stale}: {}", reply.text());
            assert_ne!(reply.header("mcp-session-id").unwrap(), stale);
        }
        assert_eq!((live.status().await, server.gauge("sessions").await), (200, 6));
    });
}

#[test]
fn p05_nothing_depends_on_the_initialized_notification_nor_on_the_address() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let reply = server.connect().ask(post("/mcp", &[], &initialize(LATEST))).await;
        let id = reply.header("mcp-session-id").unwrap().to_owned();
        let headerless = server.connect().ask(post("/mcp", &[], &initialized())).await;
        assert_eq!((headerless.status, server.gauge("sessions").await), (202, 1));
        for (n, address) in ["192.0.2.1", "192.0.2.122", "2001:db8::7"].iter().enumerate() {
            let mut conn = server.connect_from(address, 1 << 16);
            let reply = conn.ask(post("/mcp", &[("Mcp-Session-Id", &id)], &rpc(n, "tools/list", json!({})))).await;
            assert_eq!((reply.status, reply.json()["id"].as_u64()), (200, Some(n as u64)), "{address}");
        }
    });
}

#[test]
fn p03_p10_p11_s28_s29_a_request_without_a_session_is_400_and_with_a_wrong_one_404_and_neither_makes_state() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let only = Session::open(&server, LATEST).await;
        let without = Session { id: String::new(), ..only.clone() };
        for method in ["POST", "GET", "DELETE"] {
            let body = if method == "POST" { ping(7) } else { String::new() };
            let reply = server.connect().ask(without.bytes(method, &[("Accept", BOTH)], &body)).await;
            assert_eq!((reply.status, reply.header("content-type")), (400, Some(JSON)), "P10 {method}");
            for id in ["deadbeef", "0123456789abcdef0123456789abcdef", "", "x y", "é"] {
                let session = Session { id: id.into(), ..only.clone() };
                let headers = [("Mcp-Session-Id", id), ("Accept", BOTH)];
                let reply = server.connect().ask(session.bytes(method, &headers, &body)).await;
                assert_eq!((reply.status, reply.header("content-type")), (404, Some(JSON)), "{method} {id:?}");
                let body = reply.json();
                assert_eq!(
                    (&body["id"], &body["error"]["code"]),
                    (&json!(null), &json!(-32600)),
                    "S-29 {method} {id:?}"
                );
                assert_eq!(body["error"]["data"]["reason"], "unknown");
                assert_eq!(reply.header("mcp-session-id"), None, "P18");
            }
        }
        assert_eq!((server.gauge("sessions").await, only.status().await), (1, 200));
    });
}

#[test]
fn p03_a_404_tells_the_owner_why_the_session_is_gone() {
    let limits = Limits { session_life: Duration::from_secs(3600), ..idle(60_000) };
    for (reason, transport) in [
        ("expired_idle", "/mcp"),
        ("closed_by_client", "/mcp"),
        ("expired_life", "/mcp"),
        ("not_initialized", "/messages/"),
        ("stream_ended", "/messages/"),
    ] {
        let limits = limits.clone();
        sim::run(|sim| async move {
            let server = sim.serve_within(limits);
            let reply = match reason {
                "stream_ended" | "not_initialized" => {
                    let Legacy { stream, endpoint, .. } = Legacy::connect(&server).await;
                    if reason == "stream_ended" {
                        drop(stream);
                        sim.settle().await;
                    } else {
                        sim.sleep(31_000).await;
                    }
                    server.connect().ask(post(&endpoint, &[], &ping(1))).await
                }
                _ => {
                    let session = Session::open(&server, LATEST).await;
                    match reason {
                        "expired_idle" => sim.sleep(60_000 + SLOT_MS).await,
                        "expired_life" => {
                            let mut listening = session.listen().await;
                            listening.events().await;
                            assert_eq!(sim.ms(), 3_600_000, "its stream ends with it");
                        }
                        _ => assert_eq!(session.delete().await.status, 200),
                    }
                    session.send(&ping(1)).await.reply().await
                }
            };
            assert_eq!(reply.status, 404, "{reason} {transport}: {}", reply.text());
            assert_eq!(reply.json()["error"]["data"]["reason"], reason, "{transport}");
            assert_eq!(server.gauge("sessions").await, 0);
        });
    }
}

#[test]
fn p03_p21_across_the_instant_of_expiry_there_is_only_200_or_404_and_once_404_always_404() {
    sim::run(|sim| async move {
        let server = sim.serve_within(idle(2_000));
        for offset in 0..500 {
            let session = Session::open(&server, LATEST).await;
            sim.sleep(1_750 + offset).await;
            let first = session.status().await;
            assert!(first == 200 || first == 404, "{first} at {offset}");
            assert!(first == 200 || offset >= 250, "never early: {offset}");
            assert!(first == 404 || offset <= 250 + SLOT_MS, "at most a slot late: {offset}");
            if first == 404 {
                assert_eq!(session.status().await, 404);
            }
        }
    });
}

#[test]
fn p22_the_idle_time_begins_at_the_completion_of_the_last_call_and_a_session_lives_while_one_runs() {
    sim::run(|sim| async move {
        let server = sim.serve_within(idle(2_000));
        let session = Session::open(&server, LATEST).await;
        let answer =
            session.post_with(&[("Accept", JSON)], &call(1, "slow", json!({ "ms": 10_000, "text": "applied" }))).await;
        assert_eq!((answer.said(), answer.at), ("applied", 10_000));
        sim.until(11_999).await;
        assert_eq!(server.gauge("sessions").await, 1);
        sim.until(12_000 + SLOT_MS).await;
        assert_eq!(server.gauge("sessions").await, 0);
        assert_eq!(server.reasons().await, ["expired_idle"]);
    });
}

#[test]
fn p17_p24_s34_an_idle_session_ends_and_one_with_an_open_stream_does_not() {
    sim::run(|sim| async move {
        let server = sim.serve_within(idle(30 * 60_000));
        let _quiet = Session::open(&server, LATEST).await;
        let listening = Session::open(&server, LATEST).await;
        let stream = listening.listen().await;
        let _legacy = Legacy::open(&server).await;
        sim.sleep(30 * 60_000 + SLOT_MS).await;
        assert_eq!(server.gauge("sessions").await, 2, "only the quiet one is gone");
        sim.sleep(300 * 60_000).await;
        assert_eq!(listening.status().await, 200, "alive for ten times the limit");
        drop(stream);
        sim.sleep(30 * 60_000 - SLOT_MS).await;
        assert_eq!(server.gauge("sessions").await, 2, "its time begins when its stream ends");
        sim.sleep(3 * SLOT_MS).await;
        assert_eq!(server.gauge("sessions").await, 1);
    });
}

#[test]
fn p17_p26_five_thousand_sessions_that_nobody_deletes_are_gone_after_their_idle_time_and_leave_nothing() {
    sim::run(|sim| async move {
        let server = sim.serve_within(idle(60_000));
        let first = Session::open(&server, LATEST).await;
        for n in 0..5_000 {
            let session = Session::open(&server, STREAMABLE[n % 3]).await;
            if n % 10 == 0 {
                let stream = session.listen().await;
                stream.end.reset();
            }
        }
        assert_eq!((first.status().await, server.gauge("sessions").await), (200, 5_001), "P26: no connection is left");
        sim.sleep(60_000 + SLOT_MS).await;
        let debug = server.debug().await;
        for (gauge, base) in [("sessions", 0), ("connections", 0), ("calls_running", 0), ("buffered_bytes", 0)] {
            assert_eq!(debug["gauges"][gauge], base, "P19 {gauge}");
        }
        assert_eq!(debug["ended"].as_array().unwrap().len(), 256, "tombstones are bounded");
    });
}

#[test]
fn p19_s31_ten_thousand_deletes_leave_nothing() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut conn = server.connect();
        for _ in 0..10_000 {
            let reply = conn.ask(post("/mcp", &[], &initialize(LATEST))).await;
            let id = reply.header("mcp-session-id").unwrap().to_owned();
            let reply = conn.ask(request("DELETE", "/mcp", &[("Mcp-Session-Id", &id)], "")).await;
            assert_eq!((reply.status, reply.body.len()), (200, 0));
        }
        let debug = server.debug().await;
        for (gauge, base) in [("sessions", 0), ("calls_running", 0), ("buffered_bytes", 0), ("connections", 1)] {
            assert_eq!(debug["gauges"][gauge], base, "{gauge}");
        }
        assert_eq!(debug["counters"]["sessions_opened"], 10_000);
        assert_eq!(debug["counters"]["sessions_ended"], 10_000);
    });
}

#[test]
fn p20_a_stream_that_never_initialises_is_closed_after_its_time_with_a_last_comment() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut legacy = Legacy::connect(&server).await;
        sim.sleep(20_000).await;
        assert_eq!(legacy.post(&ping(1)).await.status, 202, "a ping may be answered before");
        assert_eq!(legacy.stream.message().await.unwrap()["result"], json!({}));
        let events = legacy.stream.events().await;
        assert_eq!(sim.ms(), 30_000, "even though its stream is open");
        assert!(
            events.iter().any(|event| event.comments.iter().any(|comment| comment.contains("ended"))),
            "{events:?}"
        );
        assert!(events.last().unwrap().retry.is_some(), "P43: not at once");
        assert_eq!(server.reasons().await, ["not_initialized"]);
        let kept = Legacy::open(&server).await;
        sim.sleep(60_000).await;
        assert_eq!(kept.post(&ping(1)).await.status, 202);
    });
}

#[test]
fn p06_a_call_before_initialize_is_told_why_at_once_and_the_session_can_still_be_initialised() {
    sim::run(|sim| async move {
        let server = sim.serve();
        for _ in 0..1_000 {
            let mut legacy = Legacy::connect(&server).await;
            let answer = legacy.ask(&rpc(1, "tools/list", json!({}))).await;
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32600)), "S-41");
            assert!(answer["error"]["message"].as_str().unwrap().contains("send initialize"), "{answer}");
            assert_eq!(legacy.ask(&initialize(LATEST)).await["result"]["protocolVersion"], LATEST, "H-10");
            assert!(legacy.ask(&rpc(2, "tools/list", json!({}))).await["result"]["tools"].is_array());
        }
        sim.settle().await;
        assert_eq!((sim.ms(), server.gauge("sessions").await, server.gauge("buffered_bytes").await), (0, 0, 0));
    });
}

#[test]
fn p28_g19_a_full_table_evicts_the_longest_idle_session_and_never_a_busy_or_a_fresh_one() {
    let limits = Limits { sessions_max: 8, ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let mut sessions = Vec::new();
        for _ in 0..8 {
            sessions.push(Session::open(&server, LATEST).await);
            sim.sleep(1_000).await;
        }
        // 0 and 1 run a call, 2 and 3 have a stream, 4 to 7 are idle.
        let calls = [
            sessions[0].send(&call(1, "slow", json!({ "ms": 600_000 }))).await,
            sessions[1].send(&call(1, "slow", json!({ "ms": 600_000 }))).await,
        ];
        let streams = [sessions[2].listen().await, sessions[3].listen().await];
        let newcomer = || async { server.connect().ask(post("/mcp", &[], &initialize(LATEST))).await };
        let refused = newcomer().await;
        assert_eq!(
            (refused.status, refused.header("retry-after").is_some()),
            (503, true),
            "all are protected: {}",
            refused.text()
        );
        assert_eq!(refused.json()["error"]["code"], -32603);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains("sessions_max"), "P80");
        sim.until(69_000).await;
        assert_eq!(sessions[4].status().await, 200, "used again: not the longest idle one any more");
        assert_eq!(newcomer().await.status, 200);
        let answer = sessions[5].post(&ping(1)).await;
        assert_eq!((answer.head.status, &answer.last()["error"]["data"]["reason"]), (404, &json!("evicted")));
        assert_eq!(newcomer().await.status, 200, "6 goes");
        assert_eq!(newcomer().await.status, 200, "7 goes");
        assert_eq!(newcomer().await.status, 503, "4 and the newcomers are protected, the others busy");
        for busy in &sessions[..4] {
            assert_eq!(busy.status().await, 200);
        }
        drop((calls, streams));
        assert_eq!(server.gauge("sessions").await, 8);
    });
}

#[test]
fn p22_p28_a_table_of_busy_sessions_turns_newcomers_away_until_one_is_done() {
    let limits = Limits { sessions_max: 4, session_protected: Duration::ZERO, ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let mut running = Vec::new();
        for n in 0..4 {
            let session = Session::open(&server, LATEST).await;
            running.push(session.send(&call(n, "slow", json!({ "ms": 10_000 + n * 1_000 }))).await);
        }
        let newcomer = || async { server.connect().ask(post("/mcp", &[], &initialize(LATEST))).await.status };
        for _ in 0..100 {
            assert_eq!(newcomer().await, 503);
        }
        let legacy = server.connect().ask(get("/sse", &[])).await;
        assert_eq!(legacy.status, 503, "on both transports");
        sim.until(10_500).await;
        assert_eq!((newcomer().await, server.gauge("sessions").await), (200, 4));
        for conn in &mut running {
            assert_eq!(conn.answer().await.said(), "");
        }
    });
}

#[test]
fn a_life_that_is_over_refuses_new_requests_lets_running_calls_finish_and_then_ends() {
    let limits = Limits { session_life: Duration::from_secs(60), ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let session = Session::open(&server, LATEST).await;
        let mut stream = session.listen().await;
        sim.until(55_000).await;
        let mut running = session.send(&call(1, "slow", json!({ "ms": 20_000, "text": "done" }))).await;
        sim.until(61_000).await;
        let late = session.post(&ping(2)).await;
        assert_eq!((late.head.status, &late.last()["error"]["data"]["reason"]), (404, &json!("expired_life")));
        let answer = running.answer().await;
        assert_eq!((answer.said(), answer.at), ("done", 75_000));
        stream.events().await;
        assert_eq!((sim.ms(), server.gauge("sessions").await), (75_000, 0));
        assert_eq!(server.reasons().await, ["expired_life"]);
    });
}

#[test]
fn p79_no_word_of_a_client_can_forge_a_log_line() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let client = json!({ "name": "evil\nINFO session_ended session=0\u{1b}[2J\u{2028}x", "version": "1\r\n2" });
        let params = json!({ "protocolVersion": LATEST, "capabilities": {}, "clientInfo": client });
        server.connect().ask(post("/mcp", &[], &rpc("a\nb", "initialize", params))).await;
        let session = Session::open(&server, LATEST).await;
        session.post(&call("x\ny", "no\nsuch", json!({}))).await;
        session.post(&call("x\ny", "slow", json!({ "ms": "no\nnumber" }))).await;
        server.connect().ask(post("/mcp", &[("Mcp-Session-Id", "a\u{b}b")], &ping(1))).await;
        for line in logs::lines("") {
            assert!(!line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{line:?}");
        }
    });
}
