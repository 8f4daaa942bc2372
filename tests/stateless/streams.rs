//! How answers go out (T-4 … T-9): JSON or a stream, and what it means that the client goes away.

use std::time::Duration;

use portcullis::Limits;
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;
use crate::sim::wire::Event;

fn slow(client: &Stateless, ms: u64) -> Ask {
    client.call("slow", json!({ "ms": ms, "text": "done" }))
}

#[test]
fn t09_the_head_waits_for_the_answer_the_first_notification_or_fifteen_seconds() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        let steps = |gap: u64| client.call("steps", json!({ "count": 2, "gap_ms": gap, "text": "done" }));
        let talk = |gap: u64| client.call("talk", json!({ "count": 2, "gap_ms": gap, "text": "done" }));
        for (ask, form, head_after, ends_after, messages) in [
            (slow(&client, 0), JSON, 0, 0, 1),
            (slow(&client, 400), JSON, 400, 400, 1),
            (slow(&client, 14_900), JSON, 14_900, 14_900, 1),
            (slow(&client, 15_100), SSE, 15_000, 15_100, 1),
            (slow(&client, 70_000), SSE, 15_000, 70_000, 1),
            (steps(500), JSON, 1_000, 1_000, 1),
            (steps(500).meta("progressToken", "t"), SSE, 0, 1_000, 3),
            (talk(500), JSON, 1_000, 1_000, 1),
            (talk(500).meta(LOG_LEVEL, "warning"), JSON, 1_000, 1_000, 1),
            (talk(500).meta(LOG_LEVEL, "info"), SSE, 0, 1_000, 3),
            (slow(&client, 100).header("Accept", SSE), SSE, 0, 100, 1),
        ] {
            let begin = sim.ms();
            let mut conn = client.send(&ask).await;
            let head = conn.head().await.unwrap();
            let took = sim.ms() - begin;
            assert_eq!((head.header("content-type"), took), (Some(form), head_after), "{}", ask.body);
            let mut answer = head;
            let last = if form == SSE {
                assert_eq!(answer.header("x-accel-buffering"), Some("no"), "T-8");
                let events = conn.events().await;
                let got: Vec<_> = events.iter().filter(|event| event.is_message()).map(Event::json).collect();
                assert_eq!(got.len(), messages, "{}", ask.body);
                got.last().unwrap().clone()
            } else {
                conn.rest_of(&mut answer).await;
                answer.json()
            };
            assert_eq!((said(&last), sim.ms() - begin), ("done", ends_after));
            conn.send(client.call("add", json!({ "a": 1, "b": 1 })).bytes()).await;
            assert_eq!(conn.answer().await.said(), "2", "its connection goes on");
        }
    });
}

#[test]
fn t09_t20_x17_an_error_keeps_its_status_as_long_as_no_head_is_out_and_is_in_band_after() {
    sim::run(|sim| async move {
        let client = Stateless::new(&features::serve(&sim));
        for (ms, accept, status, form) in [
            (0, BOTH, 400, JSON),
            (14_000, BOTH, 400, JSON),
            (16_000, BOTH, 200, SSE),
            (14_000, JSON, 400, JSON),
            (20_000, JSON, 400, JSON),
        ] {
            let ask = client.call("ask_late", json!({ "ms": ms })).header("Accept", accept);
            let answer = client.post(&ask).await;
            let error = &answer.last()["error"];
            assert_eq!((answer.head.status, answer.head.header("content-type")), (status, Some(form)), "{ms} {accept}");
            assert_eq!((&error["code"], &answer.last()["id"]), (&json!(-32021), &json!(1)));
            assert_eq!(error["data"]["requiredCapabilities"], json!({ "elicitation": { "form": {} } }));
        }
        let first = client.post(&client.call("needs_model", json!({})).header("Accept", SSE)).await;
        assert_eq!(fault(&first).1, -32021, "{first:?}");
        for ask in [client.call("panics", json!({ "when": "later" })), client.call("panics", json!({ "when": "call" }))]
        {
            let answer = client.post(&ask).await;
            assert_eq!(fault(&answer), (200, -32603, &json!(1)), "T-21");
        }
    });
}

#[test]
fn t05_w7_a_stream_has_comments_and_messages_and_no_ids_retries_or_priming() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        let args = json!({ "count": 4, "gap_ms": 20_000, "text": "done" });
        let ask = client.call("steps", args).meta("progressToken", 0).meta(LOG_LEVEL, "debug");
        let answer = client.post(&ask).await;
        assert!(answer.is_stream());
        for event in &answer.events {
            assert!(event.id.is_none() && event.retry.is_none(), "{event:?}");
            assert!(event.is_comment() || event.name.as_deref() == Some("message"), "{event:?}");
        }
        let mut last = 0.0;
        for message in &answer.messages[..answer.messages.len() - 1] {
            assert_eq!(
                (&message["method"], &message["id"]),
                (&json!("notifications/progress"), &Value::Null),
                "{message}"
            );
            assert_eq!(message["params"]["progressToken"], 0, "X-57");
            let progress = message["params"]["progress"].as_f64().unwrap();
            assert!(progress > last, "F-80");
            last = progress;
        }
        let gaps = answer.events.windows(2).map(|pair| pair[1].at - pair[0].at);
        assert!(gaps.max().unwrap() <= 15_250, "T-8: something every 15 s");
        assert_eq!(answer.said(), "done", "X-35: the answer is the last");
    });
}

#[test]
fn p37_p74_t06_a_client_that_goes_away_cancels_within_200_ms_before_and_after_the_head() {
    for commit in [false, true] {
        for reset in [false, true] {
            for (wait, accept) in [(0, BOTH), (5_000, BOTH), (5_000, JSON), (20_000, BOTH), (20_000, JSON), (100, SSE)]
            {
                sim::run(|sim| async move {
                    let client = Stateless::new(&features::serve(&sim));
                    let server = &client.server;
                    let ask = client.call(if commit { "commit" } else { "slow" }, json!({ "ms": 60_000 }));
                    let conn = client.send(&ask.header("Accept", accept)).await;
                    sim.sleep(wait).await;
                    sim.settle().await;
                    assert_eq!(server.seen().alive.get(), 1);
                    if reset {
                        conn.end.reset()
                    } else {
                        conn.end.fin()
                    }
                    sim.sleep(200).await;
                    let (alive, case) = (server.seen().alive.get(), format!("{reset} {wait} {accept}"));
                    if commit {
                        assert_eq!(alive, 1, "what must not stop half-way goes on: {case}");
                        sim.until(61_000).await;
                        assert_eq!((server.seen().finished.get(), server.seen().alive.get()), (1, 0), "{case}");
                        assert_eq!(server.counter("responses_undeliverable").await, 1, "P08 {case}");
                        assert_eq!(server.counter("calls_disconnected").await, 0);
                    } else {
                        assert_eq!(alive, 0, "its future is dropped: {case}");
                        assert_eq!(server.counter("calls_disconnected").await, 1, "{case}");
                        sim.until(61_000).await;
                        assert_eq!(server.counter("responses_undeliverable").await, 0);
                    }
                    let debug = server.debug().await;
                    for gauge in ["calls_running", "buffered_bytes"] {
                        assert_eq!(debug["gauges"][gauge], 0, "{gauge} {case}");
                    }
                });
            }
        }
    }
}

#[test]
fn p37_x15_d8_in_a_session_the_same_goes_on_and_a_half_closed_client_is_answered() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for revision in STREAMABLE {
            let session = Session::open(&server, revision).await;
            for (ms, accept) in [(100, BOTH), (100, JSON), (2_000, BOTH), (2_000, JSON), (20_000, BOTH)] {
                let body = call(1, "slow", json!({ "ms": ms, "text": "still here" }));
                let mut conn = session.send_with(&[("Accept", accept)], &body).await;
                sim.sleep(50).await;
                conn.end.fin();
                assert_eq!(conn.answer().await.said(), "still here", "{revision} {ms} {accept}");
            }
            let conn = session.send(&call(2, "slow", json!({ "ms": 2_000 }))).await;
            sim.sleep(50).await;
            conn.end.reset();
            sim.sleep(500).await;
            assert_eq!(server.seen().alive.get(), 1, "{revision}");
            sim.sleep(2_000).await;
            assert_eq!(server.seen().alive.get(), 0);
        }
        assert_eq!(server.counter("calls_disconnected").await, 0);
    });
}

#[test]
fn t06_what_was_pipelined_behind_a_cancelled_call_is_not_begun() {
    sim::run(|sim| async move {
        let client = Stateless::new(&sim.serve());
        let mut conn = client.server.connect();
        let note = client.call("note", json!({ "text": "ran" }));
        conn.send([slow(&client, 10_000).bytes(), note.bytes()].concat()).await;
        sim.sleep(1_000).await;
        conn.end.reset();
        sim.sleep(20_000).await;
        assert!(client.server.seen().notes.borrow().is_empty(), "nothing is sent or done any more for who is gone");
        let mut conn = client.server.connect();
        conn.send([slow(&client, 1_000).bytes(), note.bytes()].concat()).await;
        assert_eq!((conn.answer().await.said(), conn.answer().await.said()), ("done", "noted"), "P54");
    });
}

#[test]
fn f102_x58_logs_come_only_for_the_request_that_asked_from_its_level_on_and_on_its_own_stream() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::new(&server);
        let (mut listener, _) = client.listen(9, json!({ "toolsListChanged": true })).await;
        let talk = client.call("talk", json!({ "count": 3, "text": "done" }));
        for (level, count) in [
            (None, 0),
            (Some("debug"), 3),
            (Some("info"), 3),
            (Some("notice"), 0),
            (Some("warning"), 0),
            (Some("emergency"), 0),
        ] {
            let ask = level.map_or(talk.clone(), |level| talk.clone().meta(LOG_LEVEL, level));
            let answer = client.post(&ask).await;
            assert_eq!(answer.messages.len() - 1, count, "{level:?}");
            assert!(answer.messages[..count].iter().all(|message| message["method"] == "notifications/message"));
        }
        for level in [json!("loud"), json!(7), json!("INFO")] {
            let answer = client.post(&talk.clone().meta(LOG_LEVEL, level.clone())).await;
            assert_eq!(answer.last()["error"]["code"], -32602, "{level}");
        }
        let session = Session::open(&server, LATEST).await;
        session.post(&rpc(1, "logging/setLevel", json!({ "level": "emergency" }))).await;
        assert_eq!(client.post(&talk.meta(LOG_LEVEL, "info")).await.messages.len(), 4, "levels of sessions are theirs");
        assert!(sim.within(20_000, listener.message()).await.is_none(), "F-153: never on a listen stream");
    });
}

#[test]
fn p42_a_call_that_stands_alone_is_dropped_and_answered_when_its_time_is_over() {
    let limits = Limits { call_wait: Duration::from_secs(60), ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| features::add(builder.limits(limits)));
        let client = Stateless::new(&server);
        for (ask, at, form) in [
            (client.call("short", json!({ "ms": 100_000 })), 5_000, JSON),
            (slow(&client, 100_000).header("Accept", JSON), 60_000, JSON),
            (slow(&client, 100_000), 60_000, SSE),
        ] {
            let begin = sim.ms();
            let answer = client.post(&ask).await;
            assert_eq!(fault(&answer), (200, -32603, &json!(1)));
            assert_eq!(answer.head.header("content-type"), Some(form));
            assert!((at..=at + 250).contains(&(answer.at - begin)), "{at}: {}", answer.at - begin);
        }
        assert_eq!((server.seen().alive.get(), server.counter("calls_timed_out").await), (0, 3));
    });
}

#[test]
fn p78_shutdown_lets_calls_that_stand_alone_finish_within_its_grace() {
    sim::run(|sim| async move {
        let client = Stateless::new(&sim.serve());
        let mut in_time = client.send(&slow(&client, 2_000)).await;
        let mut too_long = client.send(&slow(&client, 60_000)).await;
        sim.sleep(500).await;
        client.server.handle().shutdown(Duration::from_secs(5));
        assert_eq!(in_time.answer().await.said(), "done");
        assert_eq!(too_long.reply().await.status, 503, "ended, and told so");
        assert!(client.server.end().await <= 5_700);
        assert_eq!(client.server.seen().alive.get(), 0);
    });
}

#[test]
fn d12_g8_p48_a_call_that_stands_alone_is_refused_without_room_for_its_answer_and_too_large_a_result_is_an_error() {
    // Room for four answers and their requests.
    let limits = Limits { buffered_bytes_max: (2 << 20) + 4096, ..Limits::default() };
    sim::run(|sim| async move {
        let client = Stateless::new(&sim.serve_with(|builder| features::add(builder.limits(limits))));
        let mut running = Vec::new();
        for _ in 0..4 {
            running.push(client.send(&slow(&client, 1_000)).await);
        }
        let refused = client.post(&slow(&client, 1).id("r")).await;
        assert_eq!((refused.head.status, &refused.last()["id"]), (503, &json!("r")));
        assert!(refused.head.header("retry-after").is_some(), "G-8");
        assert!(refused.last()["error"]["message"].as_str().unwrap().contains("buffered_bytes_max"), "P80");
        for conn in &mut running {
            assert_eq!(conn.answer().await.said(), "done");
        }
        let large = client.calls("big", json!({ "bytes": 600_000 })).await;
        assert_eq!((large.head.status, &large.last()["result"]["isError"]), (200, &json!(true)));
        assert!(large.said().contains("result_bytes_max"), "P80");
        assert_eq!(client.server.gauge("buffered_bytes").await, 0);
    });
}
