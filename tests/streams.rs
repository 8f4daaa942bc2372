//! Streams: a slow call's answer always arrives, and what a broken connection lost can be fetched.

use std::time::Duration;

use portcullis::Limits;
use serde_json::json;

use crate::sim;
use crate::sim::client::*;
use crate::sim::server::{Server, idle};
use crate::sim::wire::{Conn, Event};

fn slow_ten(id: u32) -> String {
    call(id, "slow", json!({ "ms": 10_000, "text": "applied" }))
}

/// Reports once at its begin, then is silent for ten seconds.
fn steps_ten(id: u32) -> String {
    call_with_token(id, "steps", json!({ "count": 1, "gap_ms": 10_000, "text": "applied" }), "t")
}

/// With nobody there, the session ends 2 s after its call was complete at 10 s.
async fn expires_at_twelve(server: &Server) {
    let sim = server.sim();
    sim.until(11_999).await;
    assert_eq!(server.gauge("sessions").await, 1, "not before its idle time");
    sim.until(12_250).await;
    assert_eq!(server.gauge("sessions").await, 0, "at most a slot of the wheel later");
    assert_eq!(server.reasons().await, ["expired_idle"]);
}

#[test]
fn p22_item4_a_call_of_ten_seconds_is_answered_under_an_idle_limit_of_two_in_every_form() {
    for revision in STREAMABLE {
        for (accept, streams) in [(BOTH, true), (SSE, true), (JSON, false), ("*/*", false)] {
            sim::run(|sim| async move {
                let server = sim.serve_within(idle(2_000));
                let session = Session::open(&server, revision).await;
                let answer = session.post_with(&[("Accept", accept)], &slow_ten(1)).await;
                assert_eq!((answer.said(), answer.at, answer.is_stream()), ("applied", 10_000, streams), "{accept}");
                expires_at_twelve(&server).await;
            });
        }
    }
}

#[test]
fn p22_item4_over_http_sse_the_call_is_answered_and_the_session_lives_with_its_stream() {
    sim::run(|sim| async move {
        let server = sim.serve_within(idle(2_000));
        let mut legacy = Legacy::open(&server).await;
        assert_eq!(said(&legacy.ask(&slow_ten(1)).await), "applied");
        sim.until(60_000).await;
        assert_eq!(legacy.post(&ping(2)).await.status, 202);
    });
}

#[test]
fn p22_item4_with_the_clients_get_open_and_silent_the_call_is_answered() {
    sim::run(|sim| async move {
        let server = sim.serve_within(idle(2_000));
        let session = Session::open(&server, LATEST).await;
        let silent = session.listen().await;
        let answer = session.post(&slow_ten(1)).await;
        assert_eq!((answer.said(), answer.at), ("applied", 10_000));
        drop(silent);
        expires_at_twelve(&server).await;
    });
}

#[test]
fn p35_p37_item4_an_answer_whose_connection_was_cut_is_fetched_by_last_event_id() {
    // Resumed while the call runs, and after it; cut by RST, and by a client that closes both ways.
    for (revision, body) in [(LATEST, slow_ten(1)), ("2025-06-18", steps_ten(1)), ("2025-03-26", steps_ten(1))] {
        for resume_at in [1_001, 5_000, 9_999, 10_001, 11_900] {
            for reset in [true, false] {
                let body = body.clone();
                sim::run(|sim| async move {
                    let server = sim.serve_within(idle(2_000));
                    let session = Session::open(&server, revision).await;
                    let mut conn = session.send(&body).await;
                    conn.head().await.unwrap();
                    let id = loop {
                        if let Some(id) = conn.event().await.unwrap().id {
                            break id;
                        }
                    };
                    sim.until(1_000).await;
                    if reset {
                        conn.end.reset();
                    }
                    drop(conn);
                    sim.until(resume_at).await;
                    let (mut resumed, head) = session.resume(&id).await;
                    assert_eq!((head.status, head.header("content-type")), (200, Some(SSE)), "{revision} {resume_at}");
                    let answer = resumed.message().await.unwrap();
                    assert_eq!((said(&answer), sim.ms()), ("applied", resume_at.max(10_000)), "{revision}");
                    assert!(resumed.message().await.is_none(), "exactly once, and then the stream ends (S-19)");
                    assert_eq!(server.counter("responses_undeliverable").await, 0);
                    assert_eq!((server.seen().finished.get(), server.counter("streams_resumed").await), (1, 1));
                    sim.until(14_200).await;
                    assert_eq!(server.gauge("sessions").await, 0);
                });
            }
        }
    }
}

#[test]
fn p08_p37_item4_the_answer_of_a_silent_older_stream_that_was_cut_is_counted_undeliverable() {
    for (revision, accept) in [("2025-03-26", BOTH), ("2025-06-18", BOTH), ("2025-06-18", JSON), (LATEST, JSON)] {
        sim::run(|sim| async move {
            let server = sim.serve_within(idle(2_000));
            let session = Session::open(&server, revision).await;
            let conn = session.send_with(&[("Accept", accept)], &slow_ten(7)).await;
            sim.until(1_000).await;
            conn.end.reset();
            sim.until(9_999).await;
            assert_eq!(
                (server.seen().alive.get(), server.counter("responses_undeliverable").await),
                (1, 0),
                "it goes on"
            );
            sim.until(10_001).await;
            assert_eq!((server.seen().finished.get(), server.counter("responses_undeliverable").await), (1, 1));
            assert_eq!(crate::sim::logs::lines("response_undeliverable").len(), 1);
            expires_at_twelve(&server).await;
        });
    }
}

#[test]
fn p08_an_answer_that_was_kept_and_never_fetched_is_counted_when_it_is_let_go() {
    for how in ["idle", "delete", "replay_wait"] {
        sim::run(|sim| async move {
            let server = sim.serve();
            let session = Session::open(&server, LATEST).await;
            let conn = session.send(&slow_ten(1)).await;
            sim.until(1_000).await;
            drop(conn);
            sim.until(20_000).await;
            assert_eq!(server.counter("responses_undeliverable").await, 0, "it can still be fetched");
            match how {
                "idle" => sim.sleep(31 * 60_000).await,
                "delete" => assert_eq!(session.delete().await.status, 200),
                _ => {
                    sim.sleep(6 * 60_000).await;
                    session.status().await;
                }
            }
            assert_eq!(server.counter("responses_undeliverable").await, 1, "{how}");
        });
    }
}

/// A call of 2025-11-25 whose stream is primed; the id of the priming event comes with it.
async fn primed(session: &Session, body: &str) -> (Conn, String) {
    let mut conn = session.send(body).await;
    conn.head().await.unwrap();
    let first = conn.event().await.unwrap();
    assert_eq!((first.name.as_deref(), first.data.as_deref()), (None, Some("")), "S-20, W-6: {first:?}");
    (conn, first.id.unwrap())
}

#[test]
fn s19_s23_a_resume_replays_only_later_events_of_its_own_stream_and_the_newest_connection_wins() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let steps =
            |id| call_with_token(id, "steps", json!({ "count": 5, "gap_ms": 1_000, "text": format!("end {id}") }), id);
        let (mut first, start) = primed(&session, &steps(1)).await;
        let (mut other, _) = primed(&session, &steps(2)).await;
        let second = loop {
            let event = first.event().await.unwrap();
            if event.is_message() && event.json()["params"]["progress"] == 2 {
                break event.id.unwrap();
            }
        };
        sim.until(2_500).await;
        let (mut resumed, _) = session.resume(&second).await;
        assert!(first.message().await.is_none_or(|message| message["params"]["progress"] == 3), "the old one ends");
        let rest: Vec<_> = resumed.events().await.iter().filter(|event| event.is_message()).map(Event::json).collect();
        let progress: Vec<_> = rest.iter().filter_map(|message| message["params"]["progress"].as_u64()).collect();
        assert_eq!((progress, said(rest.last().unwrap())), (vec![3, 4, 5], "end 1"));
        assert!(other.events().await.iter().all(|event| !event.text.contains("end 1")), "S-15");
        let (mut again, head) = session.resume(&start).await;
        let all: Vec<_> = again.events().await.iter().filter(|event| event.is_message()).map(Event::json).collect();
        assert_eq!((head.status, all.len(), said(&all[5])), (200, 6, "end 1"), "complete, and all of it once more");
        let ids: Vec<_> =
            session.resume(&second).await.0.events().await.into_iter().filter_map(|event| event.id).collect();
        assert_eq!(ids.len(), 4);
    });
}

#[test]
fn s18_s23_s24_p66_an_event_id_that_is_not_this_sessions_own_is_400_and_nothing_panics() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let (mine, theirs) = (Session::open(&server, LATEST).await, Session::open(&server, LATEST).await);
        let (_running, id) = primed(&theirs, &slow_ten(1)).await;
        let (nonce, seq) = id.split_once('.').unwrap();
        assert_eq!((nonce.len(), seq), (16, "0"), "S-18: 64 bits name the stream");
        let max = format!("{nonce}.18446744073709551615");
        let over = format!("{nonce}.18446744073709551616");
        let far = format!("{nonce}.5");
        let shouted = id.to_uppercase();
        for bad in [
            "",
            ".",
            "0",
            "0.0",
            "x.y",
            nonce,
            &max,
            &over,
            &far,
            "-1.-1",
            "0000000000000000.0",
            &"9".repeat(999),
            "é.1",
        ] {
            let (_, head) = theirs.resume(bad).await;
            assert_eq!(head.status, 400, "{bad}");
            assert!(head.text().contains("cannot resume"), "P80: {}", head.text());
        }
        for foreign in [&id, &shouted] {
            assert_eq!(mine.resume(foreign).await.1.status, 400, "another session's");
        }
        assert_eq!(theirs.resume(&id).await.1.status, 200);
        assert_eq!(server.counter("handler_panics").await, 0);
    });
}

#[test]
fn p35_a_finished_stream_can_be_resumed_for_replay_wait_and_then_it_is_400_and_not_an_empty_200() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let (conn, id) = primed(&session, &call(1, "slow", json!({ "ms": 1_000, "text": "kept" }))).await;
        drop(conn);
        sim.until(1_000 + 5 * 60_000 - 10).await;
        let (mut resumed, _) = session.resume(&id).await;
        assert_eq!(said(&resumed.message().await.unwrap()), "kept");
        resumed.events().await;
        drop(resumed);
        sim.until(1_000 + 5 * 60_000 + 1_000).await;
        let (_, head) = session.resume(&id).await;
        assert_eq!(head.status, 400, "{}", head.text());
    });
}

#[test]
fn p67_d12_what_is_kept_for_replay_is_bounded_in_bytes_and_gives_way_to_new_requests() {
    sim::run(|sim| async move {
        let server = sim.serve_within(Limits { buffered_bytes_max: 4 << 20, ..Limits::default() });
        let session = Session::open(&server, LATEST).await;
        for n in 0..100 {
            let answer = session.post_with(&[("Accept", SSE)], &call(n, "big", json!({ "bytes": 200_000 }))).await;
            assert_eq!(answer.said().len(), 200_000);
            let debug = server.debug().await;
            let kept = debug["sessions"][0]["streams"]["kept_bytes"].as_u64().unwrap();
            assert!(kept <= 1 << 20, "replay_bytes_max: {kept}");
        }
        let held = server.gauge("buffered_bytes").await;
        assert!((200_000..=1 << 20).contains(&held), "something is kept: {held}");
        let mut others = Vec::new();
        for n in 0..7 {
            let other = Session::open(&server, LATEST).await;
            others.push(
                other.send_with(&[("Accept", JSON)], &call(n, "slow", json!({ "ms": 1_000, "text": "ok" }))).await,
            );
        }
        for other in &mut others {
            assert_eq!(other.answer().await.said(), "ok", "replay went first");
        }
        session.delete().await;
        assert_eq!(server.gauge("buffered_bytes").await, 0);
    });
}

#[test]
fn p45_s21_only_the_newest_session_revision_is_primed_and_older_ones_see_json_first() {
    for revision in STREAMABLE {
        for accept in [BOTH, SSE] {
            sim::run(|sim| async move {
                let session = Session::open(&sim.serve(), revision).await;
                let answer = session.post_with(&[("Accept", accept)], &call(1, "slow", json!({ "ms": 400 }))).await;
                let empty = answer.events.iter().filter(|event| event.data.as_deref() == Some("")).count();
                assert_eq!(empty, usize::from(revision == LATEST), "{revision} {accept}");
                let get = session.listen().await;
                let first = { get }.event().await.unwrap();
                assert_eq!(
                    (first.data.is_some(), first.is_comment()),
                    (revision == LATEST, revision != LATEST),
                    "{first:?}"
                );
                let at: Vec<_> = answer.events.iter().map(|event| event.at).collect();
                let first_byte = if accept == SSE { 0 } else { 250 };
                assert_eq!((at[0], *at.last().unwrap()), (first_byte, 400), "S-9: after 250 ms of silence");
            });
        }
    }
}

#[test]
fn p27_s16_a_second_get_replaces_the_first_and_queued_notifications_come_exactly_once() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let mut post = session.send(&slow_ten(1)).await;
        let mut first = session.listen().await;
        server.handle().tools_list_changed();
        assert_eq!(first.message().await.unwrap()["method"], "notifications/tools/list_changed");
        // From now on the first one is a black hole: nobody reads it, and it takes nothing.
        drop(first);
        let mut hole = server.connect_narrow(16);
        hole.send(session.bytes("GET", &[("Accept", SSE)], "")).await;
        sim.sleep(100).await;
        for _ in 0..3 {
            server.handle().tools_list_changed();
            sim.settle().await; // three at once would be one
        }
        sim.sleep(100).await;
        let mut second = session.listen().await;
        assert_eq!(sim.ms(), 200, "at once");
        for _ in 0..3 {
            assert_eq!(second.message().await.unwrap()["method"], "notifications/tools/list_changed");
        }
        assert!(sim.within(1_000, second.message()).await.is_none(), "exactly once");
        server.handle().tools_list_changed();
        assert!(sim.within(10, second.message()).await.is_some(), "it is the live one");
        let mut third = session.listen().await;
        assert!(second.message().await.is_none(), "a replaced stream ends");
        server.handle().tools_list_changed();
        assert!(third.message().await.is_some());
        assert_eq!(post.answer().await.said(), "applied", "calls are untouched");
    });
}

#[test]
fn p27_a_hundred_gets_in_a_second_leave_one() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let mut streams = Vec::new();
        for _ in 0..100 {
            streams.push(session.listen().await);
            sim.sleep(10).await;
        }
        for mut stream in streams.drain(..99) {
            stream.events().await;
        }
        sim.sleep(2_000).await;
        let debug = server.debug().await;
        assert_eq!((&debug["sessions"][0]["streams"]["live"], &debug["gauges"]["connections"]), (&json!(1), &json!(1)));
    });
}

#[test]
fn s13_s14_s15_answers_never_come_on_the_get_stream_and_each_message_goes_to_one_stream() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let (mut listening, mut other) = (session.listen().await, Session::open(&server, LATEST).await.listen().await);
        let body = call_with_token(1, "steps", json!({ "count": 3, "gap_ms": 500, "text": "end" }), "t");
        let mut post = session.send(&body).await;
        sim.sleep(700).await;
        server.handle().tools_list_changed();
        let answer = post.answer().await;
        assert_eq!((answer.messages.len(), answer.said()), (4, "end"));
        for stream in [&mut listening, &mut other] {
            assert_eq!(stream.message().await.unwrap()["method"], "notifications/tools/list_changed");
            assert!(sim.within(1_000, stream.message()).await.is_none());
        }
    });
}

#[test]
fn s10_p37_a_client_that_goes_away_does_not_cancel_whatever_the_transport() {
    for (how, reset) in [("stream", true), ("stream", false), ("json", true), ("legacy", true), ("legacy", false)] {
        sim::run(|sim| async move {
            let server = sim.serve();
            let session = Session::open(&server, LATEST).await;
            let legacy = Legacy::open(&server).await;
            let conn = match how {
                "stream" => session.send(&call(1, "slow", json!({ "ms": 1_500 }))).await,
                "json" => session.send_with(&[("Accept", JSON)], &call(1, "slow", json!({ "ms": 1_500 }))).await,
                _ => {
                    legacy.post(&call(1, "slow", json!({ "ms": 1_500 }))).await;
                    legacy.stream
                }
            };
            sim.until(300).await;
            if reset {
                conn.end.reset();
            }
            drop(conn);
            sim.until(1_499).await;
            assert_eq!(server.seen().alive.get(), 1, "{how}");
            sim.until(1_501).await;
            assert_eq!((server.seen().finished.get(), server.gauge("calls_running").await), (1, 0), "{how}");
            let lost = u64::from(how != "stream");
            assert_eq!(server.counter("responses_undeliverable").await, lost, "{how}: the stream's can be fetched");
        });
    }
}

#[test]
fn logs_reach_the_exchange_they_belong_to_and_only_at_the_level_that_was_asked_for() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), LATEST).await;
        let talk = call(1, "talk", json!({ "count": 3, "gap_ms": 10, "text": "end" }));
        let answer = session.post(&talk).await;
        assert_eq!((answer.messages.len(), &answer.messages[0]["params"]["level"]), (4, &json!("info")));
        session.post(&rpc(2, "logging/setLevel", json!({ "level": "error" }))).await;
        assert_eq!(session.post(&talk).await.messages.len(), 1);
        let json = session.post_with(&[("Accept", JSON)], &talk).await;
        assert_eq!((json.said(), json.is_stream()), ("end", false), "S-9: nowhere to go, and nothing hangs");
    });
}

#[test]
fn p42_a_stream_of_progress_longer_than_call_wait_still_ends_with_an_answer() {
    sim::run(|sim| async move {
        let server = sim.serve_within(Limits { call_wait: Duration::from_secs(20), ..Limits::default() });
        let session = Session::open(&server, LATEST).await;
        let body = call_with_token(1, "steps", json!({ "count": 100, "gap_ms": 1_000 }), "t");
        let answer = session.post(&body).await;
        assert!(answer.at <= 20_250 && answer.last()["error"]["code"] == -32603, "{:?}", answer.last());
    });
}

#[test]
fn s17_what_changes_while_no_get_is_open_is_kept_within_bounds_and_told_once_it_is() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        server.handle().tools_list_changed();
        let mut listening = session.listen().await;
        assert!(sim.within(1_000, listening.message()).await.is_none(), "before the first GET there is nobody to tell");
        drop(listening);
        sim.sleep(1_000).await;
        for _ in 0..1_000 {
            server.handle().tools_list_changed();
            sim.settle().await;
        }
        assert!(server.gauge("buffered_bytes").await <= 64 * 1024);
        let mut again = session.listen().await;
        let mut told = 0;
        while sim.within(1_000, again.message()).await.is_some() {
            told += 1;
        }
        assert!((1..=100).contains(&told), "{told}");
    });
}

#[test]
fn s19_a_get_stream_is_resumed_by_what_was_read_of_it() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let mut listening = session.listen().await;
        let start = listening.event().await.unwrap().id.unwrap();
        for _ in 0..3 {
            server.handle().tools_list_changed();
            sim.settle().await; // three at once would be one
        }
        let seen = listening.event().await.unwrap().id.unwrap();
        // Two more are on the wire and are never read.
        sim.sleep(100).await;
        listening.end.reset();
        let (mut resumed, head) = session.resume(&seen).await;
        assert_eq!(head.status, 200, "{}", head.text());
        for _ in 0..2 {
            assert_eq!(resumed.message().await.unwrap()["method"], "notifications/tools/list_changed");
        }
        assert!(sim.within(1_000, resumed.message()).await.is_none());
        server.handle().tools_list_changed();
        assert!(sim.within(1_000, resumed.message()).await.is_some(), "it goes on as the live one");
        drop(resumed);
        let (mut all, _) = session.resume(&start).await;
        for _ in 0..4 {
            assert!(all.message().await.is_some());
        }
        assert!(sim.within(1_000, all.message()).await.is_none());
    });
}
