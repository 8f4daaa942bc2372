//! Slow, silent and vanished peers: what they cost, whom they cost nothing, and when they are let go.

use std::time::Duration;

use portcullis::Limits;
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::logs;
use crate::sim::wire::{Conn, Event};

fn progress_of(event: &Event) -> Option<f64> {
    event.is_message().then(|| event.json())?["params"]["progress"].as_f64()
}

/// Every open stream kind, as an idle stream on which nothing happens.
async fn idle_streams(session: &Session) -> Vec<Conn> {
    let mut post = session.send(&call(1, "slow", json!({ "ms": 600_000 }))).await;
    post.head().await.unwrap();
    vec![session.listen().await, Legacy::open(&session.server).await.stream, post]
}

#[test]
fn p33_p46_h9_w4_an_idle_stream_carries_comments_only_and_never_fifteen_seconds_without_one() {
    for revision in STREAMABLE {
        sim::run(|sim| async move {
            let session = Session::open(&sim.serve(), revision).await;
            for (n, mut stream) in idle_streams(&session).await.into_iter().enumerate() {
                let (mut last, begin) = (sim.ms(), sim.ms());
                while sim.ms() - begin < 120_000 {
                    let event = stream.event().await.unwrap();
                    let priming = event.data.as_deref() == Some("") && event.id.is_some() && revision == LATEST;
                    assert!(event.is_comment() || (priming && sim.ms() - begin < 1_000), "P46 {event:?}");
                    assert!(event.at - last <= 15_250, "P33: {} ms on stream {n}", event.at - last);
                    last = event.at;
                }
            }
        });
    }
}

#[test]
fn d16_keep_alives_of_many_streams_are_spread_and_none_is_late() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut streams = Vec::new();
        for _ in 0..200 {
            streams.push(Legacy::open(&server).await.stream);
        }
        let mut at = Vec::new();
        for stream in &mut streams {
            at.push(stream.end.unread());
        }
        sim.sleep(15_251).await;
        let mut firsts = std::collections::BTreeMap::new();
        for stream in &mut streams {
            let event = sim.within(1, stream.event()).await.expect("one within the period").unwrap();
            assert!(event.is_comment());
            *firsts.entry(event.at).or_insert(0) += 1;
        }
        // When they were sent shows in the record, not in when we read them: count writes per moment instead.
        let lates = server.counter("timer_late_ms_max").await;
        assert!(lates <= 250, "a beat came {lates} ms late");
    });
}

#[test]
fn p57_p59_w1_every_stream_shows_its_head_and_a_first_byte_at_once_and_forbids_buffering() {
    for revision in STREAMABLE {
        sim::run(|sim| async move {
            let session = Session::open(&sim.serve(), revision).await;
            let encodings = [("Accept-Encoding", "gzip, br, zstd, deflate"), ("Accept", SSE)];
            let mut conns = [session.server.connect(), session.server.connect(), session.server.connect()];
            conns[0].send(session.bytes("GET", &encodings, "")).await;
            conns[1].send(session.bytes("POST", &encodings, &call(1, "slow", json!({ "ms": 60_000 })))).await;
            conns[2].send(get("/sse", &encodings)).await;
            for conn in &mut conns {
                let head = conn.head().await.unwrap();
                assert_eq!(head.header("cache-control"), Some("no-cache, no-transform"));
                assert_eq!(head.header("x-accel-buffering"), Some("no"));
                assert_eq!((head.header("content-encoding"), head.header("content-length")), (None, None));
                assert_eq!(head.header("content-type"), Some("text/event-stream"));
                assert!(conn.event().await.is_some());
            }
            assert_eq!(sim.ms(), 0);
        });
    }
}

#[test]
fn p39_d14_a_client_that_never_reads_costs_its_neighbours_nothing_and_is_cut_as_a_slow_consumer() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let stuck = server.connect_narrow(4_096);
        let stuck = Legacy::connect_with(&server, stuck, "/sse", &[]).await;
        stuck.post(&initialize("2025-03-26")).await;
        let mut neighbour = Legacy::open(&server).await;
        assert_eq!(stuck.post(&call(1, "talk", json!({ "count": 10_000, "gap_ms": 1 }))).await.status, 202);
        assert_eq!(neighbour.post(&call(2, "talk", json!({ "count": 10_000, "gap_ms": 1 }))).await.status, 202);
        for step in 1..=10_000 {
            let message = neighbour.stream.message().await.unwrap();
            assert_eq!(message["params"]["data"]["step"], step);
            assert_eq!(sim.ms(), step - 1, "not a millisecond late");
            if step % 1_000 == 0 {
                let held = server.gauge("buffered_bytes").await;
                assert!(held <= 2 * 512 * 1024 + 2 * 256 * 1024, "{held}");
            }
        }
        sim.until(40_000).await;
        assert_eq!((server.counter("slow_consumers").await, logs::lines("slow_consumer").len()), (1, 1));
        assert_eq!((server.gauge("sessions").await, server.gauge("buffered_bytes").await), (1, 0));
        assert_eq!(server.counter("responses_undeliverable").await, 1, "the answer of its call is counted");
        assert!(server.counter("messages_dropped").await > 9_000);
        assert_eq!(neighbour.post(&ping(1)).await.status, 202);
    });
}

#[test]
fn p39_d12_a_client_that_posts_and_never_reads_cannot_take_the_servers_buffers() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let stuck = server.connect_narrow(4_096);
        let stuck = Legacy::connect_with(&server, stuck, "/sse", &[]).await;
        stuck.post(&initialize("2025-03-26")).await;
        let text = "x".repeat(20_000);
        let mut refused = 0;
        for n in 0..2_000 {
            let reply = stuck.post(&call(n, "echo", json!({ "text": text }))).await;
            assert!(matches!(reply.status, 202 | 503), "{}", reply.text());
            refused += usize::from(reply.status == 503);
        }
        let held = server.gauge("buffered_bytes").await;
        assert!(refused > 1_900 && held <= 1 << 20, "{refused} refused, {held} bytes held");
        assert_eq!(session.post(&call(1, "echo", json!({ "text": "others" }))).await.said(), "others");
        sim.sleep(31_000).await;
        assert_eq!((server.gauge("buffered_bytes").await, server.gauge("sessions").await), (0, 1));
        assert!(server.counter("responses_undeliverable").await > 0, "no answer is lost in silence");
    });
}

#[test]
fn p40_to_a_slow_reader_progress_gives_way_and_the_answer_never() {
    for gap in [0, 1] {
        sim::run(|sim| async move {
            let server = sim.serve();
            let session = Session::open(&server, LATEST).await;
            let mut conn = server.connect_narrow(1_024);
            let steps = json!({ "count": 1_000, "gap_ms": gap, "text": "result" });
            conn.send(session.bytes("POST", &[("Accept", SSE)], &call_with_token(1, "steps", steps, "t"))).await;
            sim.sleep(2_000).await;
            assert!(server.gauge("buffered_bytes").await <= 64 * 1024, "coalesced, not queued");
            let answer = conn.answer().await;
            assert_eq!(answer.said(), "result");
            let progress: Vec<_> = answer.events.iter().filter_map(progress_of).collect();
            assert!(progress.is_sorted() && progress.len() < 200, "rising and few: {}", progress.len());
            assert_eq!(progress.last(), Some(&1_000.0), "the newest replaced the older ones");
            assert!(server.counter("messages_dropped").await >= 800);
        });
    }
}

#[test]
fn d25_a_peer_that_takes_no_byte_is_cut_after_write_wait_and_one_that_takes_a_few_is_not() {
    for reads in [false, true] {
        sim::run(|sim| async move {
            let server = sim.serve();
            let session = Session::open(&server, LATEST).await;
            let mut conn = server.connect_narrow(1_024);
            conn.send(session.bytes("POST", &[("Accept", JSON)], &call(1, "big", json!({ "bytes": 20_000 })))).await;
            if reads {
                // 1 KiB every 20 s: slow, but alive.
                let mut read = 0;
                while read < 20_000 {
                    sim.sleep(20_000).await;
                    use smol::io::AsyncReadExt;
                    let n = conn.end.read(&mut [0; 2_048]).await.unwrap();
                    assert!(n > 0, "cut after {read} bytes at {} ms", sim.ms());
                    read += n;
                }
                assert_eq!(server.counter("slow_consumers").await, 0);
            } else {
                sim.sleep(29_900).await;
                assert_eq!((server.gauge("connections").await, conn.end.peer_is_done()), (1, false));
                sim.sleep(400).await;
                assert_eq!((server.gauge("connections").await, server.counter("slow_consumers").await), (0, 1));
                assert_eq!(server.counter("responses_undeliverable").await, 1);
            }
        });
    }
}

#[test]
fn d8_p61_a_client_that_closes_its_sending_side_still_gets_its_answer() {
    for (accept, ms) in [(JSON, 0), (JSON, 5_000), (BOTH, 0), (BOTH, 5_000), (SSE, 5_000)] {
        sim::run(|sim| async move {
            let server = sim.serve();
            let session = Session::open(&server, LATEST).await;
            let mut conn =
                session.send_with(&[("Accept", accept)], &call(1, "slow", json!({ "ms": ms, "text": "late" }))).await;
            sim.sleep(ms.min(100)).await;
            conn.end.fin();
            let answer = conn.answer().await;
            assert_eq!((answer.said(), answer.at), ("late", ms), "{accept}");
            assert!(conn.rest().await.is_empty());
            sim.sleep(2_000).await;
            assert_eq!((server.gauge("connections").await, server.counter("responses_undeliverable").await), (0, 0));
        });
    }
}

#[test]
fn d8_requests_that_a_half_closed_client_has_pipelined_are_all_answered() {
    for ms in [0, 100, 1_000] {
        sim::run(|sim| async move {
            let session = Session::open(&sim.serve(), LATEST).await;
            let mut conn = session.server.connect();
            let bytes = |id: u32| {
                session.bytes("POST", &[("Accept", JSON)], &call(id, "slow", json!({ "ms": ms, "text": "late" })))
            };
            conn.send([bytes(1), bytes(2), bytes(3)].concat()).await;
            conn.end.fin();
            for id in 1..=3 {
                let reply = sim.within(10_000, conn.head()).await.unwrap();
                let mut reply = reply.unwrap_or_else(|| panic!("no answer to request {id} with calls of {ms} ms"));
                conn.rest_of(&mut reply).await;
                assert_eq!(reply.json()["id"], id);
            }
        });
    }
}

#[test]
fn p08_h8_a_post_to_an_http_sse_session_whose_stream_ended_is_404_or_counted() {
    for reset in [true, false] {
        for after in [0, 1, 5, 20, 100, 1_000] {
            sim::run(|sim| async move {
                let server = sim.serve();
                let legacy = Legacy::open(&server).await;
                let Legacy { stream, endpoint, .. } = legacy;
                if reset {
                    stream.end.reset();
                }
                drop(stream);
                sim.sleep(after).await;
                let reply = server.connect().ask(post(&endpoint, &[], &call(1, "echo", json!({ "text": "x" })))).await;
                sim.settle().await;
                let lost = server.counter("responses_undeliverable").await;
                assert!(
                    (reply.status, lost) == (404, 0) || (reply.status, lost) == (202, 1),
                    "{} {lost}",
                    reply.status
                );
                assert!(after == 0 || reply.status == 404, "H-8: at once");
            });
        }
    }
}

#[test]
fn p09_ten_resets_in_mid_call_are_nothing_to_the_other_ten_and_ten_lines_in_the_log() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut sessions = Vec::new();
        for n in 0..20 {
            let legacy = Legacy::open(&server).await;
            assert_eq!(legacy.post(&call(n, "slow", json!({ "ms": 1_500, "text": format!("{n}") }))).await.status, 202);
            sessions.push(legacy);
        }
        sim.sleep(700).await;
        let killed = sessions.split_off(10);
        killed.iter().for_each(|legacy| legacy.stream.end.reset());
        for (n, legacy) in sessions.iter_mut().enumerate() {
            let event = legacy.stream.event().await.unwrap();
            let event = if event.is_comment() { legacy.stream.event().await.unwrap() } else { event };
            assert_eq!((said(&event.json()), event.at), (&*n.to_string(), 1_500), "no event, no error, no delay");
        }
        sim.sleep(10).await;
        assert_eq!((server.gauge("sessions").await, server.counter("responses_undeliverable").await), (10, 10));
        assert_eq!(logs::lines("reason=stream_ended").len(), 10);
        assert_eq!(logs::lines("response_undeliverable").len(), 10);
        assert!(logs::lines("panick").is_empty() && logs::lines("ERROR").is_empty());
        assert_eq!((server.seen().finished.get(), server.gauge("calls_running").await), (20, 0), "P37");
    });
}

#[test]
fn p20_p70_a_head_or_a_body_that_does_not_come_is_408_in_its_time_also_byte_by_byte() {
    let whole = String::from_utf8(post("/mcp", &[], &initialize(LATEST))).unwrap();
    let body_at = whole.find("\r\n\r\n").unwrap() + 4;
    for (send, drip, due, what) in [
        ("POST /mc", false, 10_000, "head"),
        (&whole[..body_at - 2], false, 10_000, "head"),
        ("POST /mcp HTTP/1.1\r\nX: ", true, 10_000, "head"),
        (&whole[..body_at], false, 30_000, "body"),
        (&whole[..body_at + 9], true, 30_000, "body"),
        (
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
            30_000,
            "body",
        ),
    ] {
        let send = send.to_owned();
        sim::run(|sim| async move {
            let server = sim.serve();
            let mut conn = server.connect();
            conn.send(&send).await;
            while drip && sim.ms() < due - 1_000 {
                sim.sleep(1_000).await;
                conn.send(" ").await;
            }
            let reply = conn.reply().await;
            assert_eq!(reply.status, 408, "{}", reply.head);
            assert!((due..=due + 250).contains(&sim.ms()), "{what}: {} ms", sim.ms());
            assert!(reply.json()["error"]["message"].as_str().unwrap().contains(what), "P80: {}", reply.text());
            assert_eq!(reply.header("connection"), Some("close"));
            drop(conn);
            sim.sleep(2_000).await;
            assert_eq!((server.gauge("connections").await, server.gauge("sessions").await), (0, 0));
        });
    }
}

#[test]
fn p53_an_idle_connection_is_kept_for_over_two_minutes_and_then_ends_quietly() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let mut conn = session.send(&ping(1)).await;
        conn.reply().await;
        sim.sleep(125_000).await;
        assert_eq!(conn.ask(session.bytes("POST", &[], &ping(2))).await.status, 200);
        assert!(conn.rest().await.is_empty(), "no bytes, a proper end");
        assert!((255_000..=255_250).contains(&sim.ms()), "{}", sim.ms());
        let mut fresh = server.connect();
        assert!(fresh.rest().await.is_empty());
        assert_eq!(server.gauge("connections").await, 0);
    });
}

#[test]
fn p53_d3_at_the_limit_of_connections_only_those_idle_for_five_seconds_give_way() {
    let limits = Limits { connections_max: 10, ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_within(limits);
        let session = Session::open(&server, LATEST).await;
        let mut busy = session.send(&call(1, "slow", json!({ "ms": 30_000, "text": "ok" }))).await;
        let mut kept = Vec::new();
        for _ in 0..9 {
            let mut conn = session.send(&ping(1)).await;
            conn.reply().await;
            kept.push(conn);
        }
        let mut waits = session.send(&ping(2)).await;
        assert!(sim.within(4_500, waits.reply()).await.is_none(), "nobody is thrown out yet");
        let reply = sim.within(1_500, waits.reply()).await.expect("after five seconds one gives way");
        assert_eq!(reply.status, 200);
        let open = kept.iter().filter(|conn| !conn.end.peer_is_done()).count();
        assert!(open >= 7, "{open} still open");
        let mut operator = server.connect_as_operator();
        assert_eq!(operator.ask(get("/healthz", &[])).await.status, 200, "the operator always gets in");
        assert_eq!(busy.answer().await.said(), "ok");
    });
}

#[test]
fn p14_ten_thousand_sessions_of_one_call_each_leave_nothing() {
    sim::run(|sim| async move {
        let server = sim.serve_within(Limits { session_idle: Duration::from_secs(60), ..Limits::default() });
        for n in 0..10_000u32 {
            let session = Session::open(&server, LATEST).await;
            assert_eq!(session.post(&call(1, "add", json!({ "a": n, "b": 1 }))).await.said(), (n + 1).to_string());
            if n % 50 == 49 {
                sim.sleep(1_000).await;
            }
        }
        sim.sleep(60_250).await;
        let debug = server.debug().await;
        for gauge in ["sessions", "connections", "calls_running", "buffered_bytes"] {
            assert_eq!(debug["gauges"][gauge], Value::from(0), "{gauge}");
        }
        assert!(debug["gauges"]["timers"].as_u64().is_some_and(|timers| timers <= 2_048), "P19: {}", debug["gauges"]);
    });
}
