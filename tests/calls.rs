//! Calls: each gets its own answer, whatever else happens.

use std::time::Duration;

use portcullis::Limits;
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::logs;

const TIMED_JSON: [(&str, &str); 1] = [("Accept", JSON)];

fn slow(id: impl Into<Value>, ms: u64, text: impl Into<String>) -> String {
    call(id, "slow", json!({ "ms": ms, "text": text.into() }))
}

#[test]
fn p01_s45_sixteen_calls_with_one_id_each_get_their_own_answer_in_either_order_and_form() {
    for accept in [BOTH, JSON, SSE] {
        for reversed in [false, true] {
            sim::run(|sim| async move {
                let session = Session::open(&sim.serve(), LATEST).await;
                let answers = sim.all(16, |n| {
                    let session = session.clone();
                    async move {
                        session.server.sim().sleep(n as u64 * 10).await;
                        let ms = if reversed { 5_000 - n as u64 * 200 } else { 600 + n as u64 * 200 };
                        let answer =
                            session.post_with(&[("Accept", accept)], &slow(1, ms, format!("answer {n}"))).await;
                        (answer, ms + n as u64 * 10)
                    }
                });
                for (n, (answer, due)) in answers.await.iter().enumerate() {
                    assert_eq!(
                        (answer.said(), answer.at, answer.messages.len()),
                        (&*format!("answer {n}"), *due, 1),
                        "{accept}"
                    );
                    assert_eq!(answer.last()["id"], 1);
                }
            });
        }
    }
}

#[test]
fn p01_g13_the_ids_1_and_text_1_differ_and_each_comes_back_as_it_was() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), "2025-06-18").await;
        let ids = [json!(1), json!("1"), json!(0), json!(""), json!(-1), json!(i64::MAX), json!("a\u{2028}\"b")];
        let expected = ids.clone();
        let answers = sim.all(ids.len(), |n| {
            let (session, id) = (session.clone(), ids[n].clone());
            async move { session.post(&slow(id, 300 - n as u64, format!("{n}"))).await }
        });
        for (n, answer) in answers.await.iter().enumerate() {
            assert_eq!((&answer.last()["id"], answer.said()), (&expected[n], &*n.to_string()));
        }
        let huge = r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}"#;
        assert!(session.send(huge).await.reply().await.text().contains(r#""id":123456789012345678901234567890,"#));
    });
}

#[test]
fn p01_progress_of_equal_ids_goes_only_to_its_own_exchange() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let answers = sim.all(16, |n| {
            let session = session.clone();
            let args = json!({ "count": 5, "gap_ms": 100 + n, "text": format!("answer {n}") });
            async move { session.post(&call_with_token(1, "steps", args, format!("token {n}"))).await }
        });
        for (n, answer) in answers.await.iter().enumerate() {
            assert_eq!((answer.said(), answer.messages.len()), (&*format!("answer {n}"), 6));
            let tokens = answer.messages[..5].iter().map(|message| &message["params"]["progressToken"]);
            assert!(tokens.clone().all(|token| *token == *format!("token {n}")), "{:?}", tokens.collect::<Vec<_>>());
        }
    });
}

#[test]
fn p01_over_http_sse_every_post_with_an_equal_id_gets_one_answer() {
    sim::run(|sim| async move {
        let mut legacy = Legacy::open(&sim.serve()).await;
        for n in 0..16 {
            assert_eq!(legacy.post(&slow(1, 1_000 - n * 10, format!("answer {n}"))).await.status, 202);
        }
        let mut texts = Vec::new();
        for _ in 0..16 {
            texts.push(said(&legacy.stream.message().await.unwrap()).to_owned());
        }
        assert_eq!(texts, (0..16).rev().map(|n| format!("answer {n}")).collect::<Vec<_>>());
        assert!(sim.within(10_000, legacy.stream.message()).await.is_none(), "and no more");
    });
}

#[test]
fn p01_a_cancel_that_could_mean_two_calls_cancels_none_and_is_logged() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let mut twins = [session.send(&slow(1, 1_000, "a")).await, session.send(&slow(1, 2_000, "b")).await];
        let mut text = session.send(&slow("1", 3_000, "c")).await;
        sim.sleep(500).await;
        assert_eq!(session.post(&cancelled(1)).await.head.status, 202);
        assert_eq!(session.server.counter("ambiguous_cancels").await, 1);
        assert_eq!(logs::lines("ambiguous_cancel").len(), 1);
        session.post(&cancelled("1")).await;
        let cancelled_one = text.answer().await;
        assert_eq!((&cancelled_one.last()["error"]["code"], cancelled_one.at), (&json!(-32800), 500), "\"1\" is not 1");
        assert_eq!(twins[0].answer().await.said(), "a");
        session.post(&cancelled(1)).await;
        assert_eq!(twins[1].answer().await.last()["error"]["code"], -32800, "the last one is decidable");
        assert_eq!(session.server.seen().alive.get(), 0);
    });
}

#[test]
fn p02_fifty_clients_get_their_own_nonces_and_one_that_reconnects_a_hundred_times_disturbs_nobody() {
    sim::run(|sim| async move {
        let server = sim.serve();
        sim.all(50, |n| {
            let server = server.clone();
            async move {
                server.sim().sleep(n as u64 * 2).await;
                let session = Session::open(&server, STREAMABLE[n % 3]).await;
                for turn in 0..20 {
                    let nonce = format!("{n}/{turn}");
                    let body = slow(1, (n as u64 * 7 + turn) % 40, nonce.as_str());
                    assert_eq!(session.post(&body).await.said(), nonce);
                }
                std::mem::forget(session);
            }
        })
        .await;
        assert_eq!(server.gauge("sessions").await, 50);
        for _ in 0..100 {
            let legacy = Legacy::open(&server).await;
            legacy.stream.end.reset();
        }
        sim.settle().await;
        assert_eq!(server.gauge("sessions").await, 50);
    });
}

#[test]
fn p31_a_cancel_that_races_its_answer_gives_exactly_one_and_the_session_lives() {
    for transport in ["streamable", "http+sse"] {
        sim::run(|sim| async move {
            let server = sim.serve();
            let session = Session::open(&server, LATEST).await;
            let mut legacy = Legacy::open(&server).await;
            let mut won = 0;
            for n in 0..5_000u64 {
                let (took, gap) = (10 + n % 3, n / 3 % 25);
                let cancel = cancelled(n);
                if transport == "streamable" {
                    let mut call = session.send(&slow(n, took, "in time")).await;
                    sim.sleep(gap).await;
                    assert_eq!(session.post(&cancel).await.head.status, 202);
                    let answer = call.answer().await;
                    assert_eq!(answer.messages.len(), 1);
                    won += u64::from(answer.last()["error"]["code"] == -32800);
                } else {
                    legacy.post(&slow(n, took, "in time")).await;
                    sim.sleep(gap).await;
                    legacy.post(&cancel).await;
                    let answer = sim.within(100, legacy.stream.message()).await;
                    assert!(answer.is_none_or(|answer| answer.unwrap()["id"] == n), "a late answer of another call");
                    assert!(sim.within(50, legacy.stream.message()).await.is_none(), "never two");
                }
            }
            assert!(transport != "streamable" || (1_500..3_000).contains(&won), "both sides win sometimes: {won}");
            assert_eq!((session.status().await, legacy.post(&ping(1)).await.status), (200, 202));
            assert_eq!((server.seen().alive.get(), server.gauge("calls_running").await), (0, 0));
        });
    }
}

#[test]
fn a_cancelled_calls_future_is_dropped_at_once_and_an_uncancellable_one_runs_to_its_end() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let seen = session.server.seen();
        let mut dropped = session.send(&slow(1, 10_000, "never")).await;
        let mut commit = session.send(&call(2, "commit", json!({ "ms": 10_000, "text": "committed" }))).await;
        sim.sleep(1_000).await;
        session.post(&cancelled(1)).await;
        session.post(&cancelled(2)).await;
        session.post(&cancelled(77)).await;
        sim.settle().await;
        assert_eq!((seen.alive.get(), session.server.counter("calls_cancelled").await), (1, 1));
        assert_eq!(dropped.answer().await.at, 1_000);
        assert_eq!(commit.answer().await.said(), "committed");
        assert_eq!(seen.finished.get(), 1);
    });
}

#[test]
fn p37_delete_drops_running_calls_but_never_one_that_must_not_stop_half_way() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let server = session.server.clone();
        let mut streaming = session.send(&slow(1, 10_000, "never")).await;
        sim.sleep(1_000).await;
        let mut undecided = session.send(&slow(2, 10_000, "never")).await;
        let mut commit = session.send(&call(3, "commit", json!({ "ms": 10_000 }))).await;
        sim.settle().await;
        assert_eq!(session.delete().await.status, 200);
        assert!(streaming.answer().await.messages.is_empty(), "S-31: its stream is closed");
        for conn in [&mut undecided, &mut commit] {
            let answer = conn.answer().await;
            assert_eq!((answer.head.status, answer.at), (404, 1_000), "no head was out yet: {answer:?}");
        }
        assert_eq!((server.seen().alive.get(), server.gauge("sessions").await), (1, 0));
        sim.sleep(10_001).await;
        assert_eq!((server.seen().finished.get(), server.gauge("calls_running").await), (1, 0));
        assert_eq!(server.counter("responses_undeliverable").await, 1);
    });
}

#[test]
fn p81_g20_a_panic_answers_its_own_call_and_nobody_else_notices() {
    sim::run(|sim| async move {
        let server = sim.serve();
        for when in ["call", "poll", "later"] {
            let before = server.counter("handler_panics").await;
            let answers = sim.all(10, |n| {
                let server = server.clone();
                async move {
                    let session = Session::open(&server, LATEST).await;
                    let when = if n == 3 { when } else { "never" };
                    let answer = session.post(&call(n, "panics", json!({ "when": when }))).await;
                    assert_eq!(session.status().await, 200);
                    answer
                }
            });
            for (n, answer) in answers.await.iter().enumerate() {
                if n == 3 {
                    let error = &answer.last()["error"];
                    assert_eq!(
                        (answer.head.status, &answer.last()["id"], &error["code"]),
                        (200, &json!(3), &json!(-32603))
                    );
                    assert!(!error["message"].as_str().unwrap().contains("a panic"), "its words stay inside: {error}");
                } else {
                    assert_eq!(answer.said(), "calm", "{when}");
                }
            }
            assert_eq!((server.counter("handler_panics").await, server.seen().alive.get()), (before + 1, 0), "{when}");
        }
        assert_eq!(logs::lines("handler_panic tool=panics").len(), 3);
    });
}

#[test]
fn f34_a_tools_error_and_wrong_arguments_are_results_for_the_model_and_wrong_params_are_errors() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        for (tool, arguments, words) in [
            ("fail", json!({}), "the device said no"),
            ("add", json!({ "a": 1 }), "invalid arguments for add: `b`: missing"),
            ("add", json!({ "a": 1, "b": "x" }), "invalid arguments for add: `b`: expected integer, got \"x\""),
            ("big", json!({ "bytes": "x" }), "invalid type: string"),
        ] {
            let answer = session.post(&call(1, tool, arguments)).await;
            assert_eq!((answer.head.status, &answer.last()["result"]["isError"]), (200, &json!(true)), "{tool}");
            assert!(answer.said().contains(words), "{words}: {}", answer.said());
        }
        for (body, code) in [
            (call(1, "nonesuch", json!({})), -32602),
            (call(1, "echo", json!([1])), -32602),
            (rpc(1, "tools/call", json!({ "name": 7 })), -32602),
            (rpc(1, "tools/call", Value::Null), -32602),
            (rpc(1, "tools/list", json!({ "cursor": "x" })), -32602),
            (rpc(1, "logging/setLevel", json!({ "level": "loud" })), -32602),
            (rpc(1, "resources/list", json!({})), -32601),
            (rpc(1, "server/discover", json!({})), -32601),
        ] {
            let answer = session.post(&body).await;
            assert_eq!((answer.head.status, &answer.last()["error"]["code"]), (200, &json!(code)), "S-11 {body}");
            assert_eq!(answer.last()["id"], 1);
        }
    });
}

#[test]
fn p48_a_result_over_the_limit_becomes_an_error_that_names_both_sizes_and_the_session_lives() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let mut legacy = Legacy::open(&server).await;
        let fits = session.post(&call(1, "big", json!({ "bytes": 512 * 1024 - 200 }))).await;
        assert_eq!(fits.said().len(), 512 * 1024 - 200);
        for answer in [
            session.post(&call(2, "big", json!({ "bytes": 600_000 }))).await.last().clone(),
            legacy.ask(&call(2, "big", json!({ "bytes": 600_000 }))).await,
        ] {
            assert_eq!(answer["result"]["isError"], true);
            let words = said(&answer);
            assert!(
                words.contains("600") && words.contains("524288") && words.contains("result_bytes_max"),
                "P80: {words}"
            );
        }
        assert_eq!((session.status().await, legacy.post(&ping(1)).await.status), (200, 202));
    });
}

#[test]
fn p42_a_call_that_runs_too_long_is_dropped_and_answered_with_its_time_on_every_transport() {
    let limits = Limits { call_wait: Duration::from_secs(60), ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let session = Session::open(&server, LATEST).await;
        let mut legacy = Legacy::open(&server).await;
        let mut own = session.send(&call(1, "short", json!({ "ms": 100_000 }))).await;
        let mut usual = session.send_with(&TIMED_JSON, &slow(2, 100_000, "")).await;
        legacy.post(&call(3, "short", json!({ "ms": 100_000 }))).await;
        let answer = own.answer().await;
        assert!(answer.at <= 5_250, "its own timeout: {}", answer.at);
        let message = answer.last()["error"]["message"].as_str().unwrap();
        assert!(message.contains("short") && message.contains("5 s"), "P80: {message}");
        assert_eq!(legacy.stream.message().await.unwrap()["error"]["code"], -32603);
        let answer = usual.answer().await;
        assert!((60_000..=60_250).contains(&answer.at) && answer.last()["error"]["code"] == -32603, "{answer:?}");
        assert_eq!((server.seen().alive.get(), server.counter("calls_timed_out").await), (0, 3));
    });
}

#[test]
fn p32_a_call_with_a_token_beats_every_fifteen_seconds_with_rising_values_and_without_one_never() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let mut legacy = Legacy::open(&server).await;
        let mut silent = session.send(&slow(1, 70_000, "s")).await;
        let mut beating = session.send(&call_with_token(2, "slow", json!({ "ms": 70_000, "text": "b" }), "t")).await;
        // Its own reports come every 20 s: 1, 2, 3; a beat goes between them.
        let steps = json!({ "count": 3, "gap_ms": 20_000, "text": "own" });
        let mut own = session.send(&call_with_token(3, "steps", steps, 7)).await;
        legacy.post(&call_with_token(4, "slow", json!({ "ms": 70_000, "text": "l" }), 9)).await;
        let answer = beating.answer().await;
        let beats: Vec<_> = answer.events.iter().filter(|event| event.is_message()).map(|event| event.at).collect();
        assert_eq!(beats, [15_000, 30_000, 45_000, 60_000, 70_000]);
        rises(&answer.messages[..4], &json!("t"));
        let answer = own.answer().await;
        rises(&answer.messages[..answer.messages.len() - 1], &json!(7));
        assert!(answer.messages.len() >= 6, "its own three and beats: {:?}", answer.messages);
        let mut messages = Vec::new();
        for _ in 0..5 {
            messages.push(legacy.stream.message().await.unwrap());
        }
        rises(&messages[..4], &json!(9));
        assert_eq!(said(&messages[4]), "l");
        assert_eq!(silent.answer().await.messages.len(), 1, "without a token none");
        assert!(sim.within(100_000, legacy.stream.message()).await.is_none(), "none after the answer");
    });
}

fn rises(messages: &[Value], token: &Value) {
    let mut last = f64::NEG_INFINITY;
    for message in messages {
        assert_eq!(
            (&message["method"], &message["params"]["progressToken"]),
            (&json!("notifications/progress"), token)
        );
        let progress = message["params"]["progress"].as_f64().unwrap();
        assert!(progress > last, "{progress} after {last}");
        last = progress;
    }
}

#[test]
fn p25_p38_d18_d19_blocking_work_holds_no_session_up_and_what_cannot_be_stopped_is_counted() {
    let limits = Limits { unblock_threads_max: 1, ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let (open, gate) = async_channel::unbounded();
        *server.seen().gate.borrow_mut() = Some(gate);
        let (session, other) = (Session::open(&server, LATEST).await, Session::open(&server, LATEST).await);
        sim.hold_clock(true);
        let mut first = session.send_with(&TIMED_JSON, &call(1, "block", json!({ "text": "first" }))).await;
        let mut second = session.send_with(&TIMED_JSON, &call(2, "block", json!({ "text": "second" }))).await;
        sim.settle().await;
        for _ in 0..100 {
            assert_eq!((other.status().await, session.status().await), (200, 200));
        }
        session.post(&cancelled(1)).await;
        assert_eq!(first.answer().await.last()["error"]["code"], -32800);
        assert_eq!((server.gauge("unblock_zombies").await, server.seen().alive.get()), (1, 1), "its thread goes on");
        open.send(()).await.unwrap();
        open.send(()).await.unwrap();
        assert_eq!(second.answer().await.said(), "second", "its turn came when the thread was free");
        assert_eq!(server.gauge("unblock_zombies").await, 0);
    });
}

#[test]
fn g19_one_call_more_than_a_session_may_run_is_503_and_the_others_go_on() {
    let limits = Limits { calls_max: 4, ..Limits::default() };
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve_within(limits), LATEST).await;
        let mut running = Vec::new();
        for n in 0..4 {
            running.push(session.send(&slow(n, 1_000, "ok")).await);
        }
        let refused = session.post(&slow(9, 1, "no")).await;
        assert_eq!((refused.head.status, refused.head.header("retry-after")), (503, Some("1")));
        assert!(refused.last()["error"]["message"].as_str().unwrap().contains("calls_max"));
        for conn in &mut running {
            assert_eq!(conn.answer().await.said(), "ok");
        }
        assert_eq!(session.post(&slow(9, 1, "yes")).await.said(), "yes");
    });
}

#[test]
fn d12_g8_a_call_is_refused_when_there_is_no_room_for_its_answer_and_the_room_comes_back() {
    let limits = Limits { buffered_bytes_max: 2 << 20, ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let session = Session::open(&server, LATEST).await;
        let mut running = Vec::new();
        for n in 0..4 {
            running.push(session.send_with(&TIMED_JSON, &slow(n, 1_000, "ok")).await);
        }
        let refused = session.post(&slow(9, 1, "no")).await;
        assert_eq!((refused.head.status, server.counter("over_budget").await), (503, 1));
        assert!(refused.last()["error"]["message"].as_str().unwrap().contains("buffered_bytes_max"), "P80");
        for conn in &mut running {
            assert_eq!(conn.answer().await.said(), "ok");
        }
        assert_eq!(server.gauge("buffered_bytes").await, 0);
        assert_eq!(session.status().await, 200);
    });
}

#[test]
fn a_handler_knows_its_session_request_principal_and_client() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let answer = session.post(&call("r-7", "who", json!({}))).await;
        let who = &answer.last()["result"]["structuredContent"];
        let shown = &session.server.debug().await["sessions"][0];
        assert_eq!(who["session"], shown["session"]);
        assert_eq!(
            *who,
            json!({ "session": shown["session"], "id": "\"r-7\"", "principal": "anonymous", "client": "sim", "version": "0.1" })
        );
    });
}

/// What gives room back, or lets a waiting call go on, is taken even when there is no room for anything else.
#[test]
fn s45_a_cancel_and_an_answer_need_no_room_in_full_buffers() {
    let limits = Limits { buffered_bytes_max: 2 << 20, ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let stuck = server.connect_narrow(4_096);
        let stuck = Legacy::connect_with(&server, stuck, "/sse", &[]).await;
        stuck.post(&initialize("2025-03-26")).await;
        assert_eq!(stuck.post(&call(1, "talk", json!({ "count": 10_000, "gap_ms": 1 }))).await.status, 202);
        let session = Session::open(&server, LATEST).await;
        for _ in 0..3 {
            session.send_with(&TIMED_JSON, &slow(1, 20_000, "ok")).await;
        }
        sim.sleep(2_000).await;
        assert!(server.gauge("buffered_bytes").await > 2 << 20);
        let refused = session.post(&slow(2, 1, "ok")).await;
        assert_eq!(refused.head.status, 503);
        let before = server.counter("over_budget").await;
        for message in [
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }),
            json!({ "jsonrpc": "2.0", "id": 77, "result": {} }),
        ] {
            assert_eq!(session.post(&message.to_string()).await.head.status, 202, "{message}");
        }
        assert_eq!(server.counter("over_budget").await, before);
    });
}
