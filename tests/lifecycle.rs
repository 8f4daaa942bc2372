//! Beginning and end of a server: what dropping it frees, and how it shuts down.

use std::time::Duration;

use portcullis::{Handle, Limits, Server};
use serde_json::json;

use crate::sim::client::*;
use crate::sim::wire::Conn;
use crate::sim::{self, Sim, server};

/// A hundred streams of every kind and ten running calls of every kind.
async fn crowd(server: &server::Server) -> (Vec<Conn>, Vec<Session>) {
    let (mut conns, mut sessions) = (Vec::new(), Vec::new());
    for n in 0..50 {
        let session = Session::open(server, STREAMABLE[n % 3]).await;
        conns.push(session.listen().await);
        let legacy = Legacy::open(server).await;
        if n < 10 {
            let body = call_with_token(n, if n % 5 == 4 { "commit" } else { "slow" }, json!({ "ms": 60_000 }), n);
            match n % 3 {
                0 => conns.push(session.send(&body).await),
                1 => conns.push(session.send_with(&[("Accept", JSON)], &body).await),
                _ => assert_eq!(legacy.post(&body).await.status, 202),
            }
        }
        conns.push(legacy.stream);
        sessions.push(session);
    }
    (conns, sessions)
}

#[test]
fn item6_d21_d30_dropping_serve_runs_every_drop_guard_and_closes_every_connection_in_the_same_instant() {
    // Before any stream is decided, with streams and undecided replies, and long after.
    for wait in [0, 100, 20_000] {
        sim::run(|sim| async move {
            let server = sim.serve();
            let (conns, _) = crowd(&server).await;
            let half = server.connect();
            sim.sleep(wait).await;
            assert_eq!((server.seen().alive.get(), server.gauge("sessions").await), (10, 100));
            let held = std::rc::Rc::strong_count(server.seen());
            server.drop_now();
            assert_eq!((server.seen().alive.get(), server.seen().finished.get()), (0, 0), "every guard ran");
            assert!(conns.iter().chain([&half]).all(|conn| conn.end.peer_is_done()), "every connection is closed");
            // Handlers, tasks and the shell are gone: of all that held the tools' state, only the test is left.
            assert!(held > 2 && std::rc::Rc::strong_count(server.seen()) == 1, "{held}");
            assert_eq!(server.ended(), None);
        });
    }
}

#[test]
fn d21_a_hundred_servers_start_work_and_stop_in_one_process_and_leave_nothing() {
    sim::run(|sim| async move {
        for cycle in 0..100 {
            let server = sim.serve();
            let (_conns, sessions) = crowd(&server).await;
            assert_eq!(sessions[0].status().await, 200);
            let begin = sim.ms();
            if cycle % 2 == 0 {
                server.drop_now();
            } else {
                server.handle().shutdown(Duration::ZERO);
                assert!(server.end().await - begin <= 200);
            }
            sim.settle().await;
            assert_eq!((server.seen().alive.get(), std::rc::Rc::strong_count(server.seen())), (0, 1), "{cycle}");
        }
    });
}

#[test]
fn two_servers_in_one_process_share_nothing() {
    sim::run(|sim| async move {
        let (one, two) = (sim.serve(), sim.serve());
        let session = Session::open(&one, LATEST).await;
        let elsewhere = Session { server: two.clone(), ..session.clone() };
        assert_eq!((session.status().await, elsewhere.status().await), (200, 404));
        let other = Session::open(&two, LATEST).await;
        one.drop_now();
        assert_eq!((other.status().await, two.gauge("sessions").await), (200, 1));
    });
}

/// Shuts a crowded server down; returns when that was, in milliseconds.
fn stop(sim: &Sim, server: &server::Server, grace_ms: u64) -> u64 {
    server.handle().shutdown(Duration::from_millis(grace_ms));
    sim.ms()
}

#[test]
fn p78_with_a_hundred_streams_and_five_calls_a_server_drains_within_its_grace_and_two_tenths() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let (mut streams, mut calls, mut legacies) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..50 {
            streams.push(Session::open(&server, LATEST).await.listen().await);
            streams.push(Legacy::open(&server).await.stream);
        }
        let session = Session::open(&server, LATEST).await;
        for (accept, ms) in [(BOTH, 1_500), (JSON, 1_600), (BOTH, 9_000), (JSON, 9_000)] {
            let body = call(1, "slow", json!({ "ms": ms, "text": "finished" }));
            calls.push(session.send_with(&[("Accept", accept)], &body).await);
        }
        let mut legacy = Legacy::open(&server).await;
        legacy.post(&call(5, "slow", json!({ "ms": 1_700, "text": "finished" }))).await;
        legacies.push(legacy.endpoint.clone());
        let mut idle = session.send(&ping(1)).await;
        idle.reply().await;
        let mut partial = server.connect();
        let bytes = session.bytes("POST", &[], &ping(2));
        partial.send(&bytes[..30]).await;
        sim.sleep(500).await;
        let begin = stop(&sim, &server, 2_000);
        sim.sleep(1).await;
        assert!(idle.end.peer_is_done(), "an idle connection is let go at once");
        assert!(
            server.connect().end.peer_is_done() || server.connect().try_send(&bytes).await.is_err(),
            "the listener is closed"
        );
        partial.send(&bytes[30..]).await;
        let refused = partial.reply().await;
        assert_eq!((refused.status, refused.header("connection")), (503, Some("close")), "{}", refused.text());
        assert!(refused.text().contains("shutting down"), "P80");
        for (conn, at) in calls.iter_mut().zip([1_500, 1_600]) {
            let answer = conn.answer().await;
            assert_eq!((answer.said(), answer.at), ("finished", at), "what ends within the grace is delivered");
        }
        assert_eq!(said(&legacy.stream.message().await.unwrap()), "finished");
        let end = server.end().await;
        assert!((2_000..=2_200).contains(&(end - begin)), "{}", end - begin);
        for stream in &mut streams {
            let events = stream.events().await;
            let [.., comment, retry] = events.as_slice() else { panic!("{events:?}") };
            assert!(
                comment.is_comment() && retry.retry.is_some_and(|ms| (3_000..=6_000).contains(&ms)),
                "P43 {retry:?}"
            );
        }
        assert!(calls[2].answer().await.messages.is_empty(), "a proper end, without an answer");
        assert_eq!(calls[3].reply().await.status, 404, "no head was out yet");
        assert_eq!((server.seen().alive.get(), std::rc::Rc::strong_count(server.seen())), (0, 1));
    });
}

#[test]
fn p78_a_server_without_calls_stops_at_once_and_a_second_word_ends_the_grace() {
    sim::run(|sim| async move {
        let quiet = sim.serve();
        let (_streams, session) = (quiet.connect(), Session::open(&quiet, LATEST).await);
        let _listening = session.listen().await;
        let begin = stop(&sim, &quiet, 60_000);
        assert!(quiet.end().await - begin <= 200);

        let busy = sim.serve();
        let (_conns, _sessions) = crowd(&busy).await;
        // One that takes no byte must not hold the end up.
        let mut stuck = busy.connect_narrow(16);
        stuck.send(get("/sse", &[])).await;
        let begin = stop(&sim, &busy, 60_000);
        sim.sleep(1_000).await;
        assert_eq!((busy.ended(), busy.seen().alive.get()), (None, 10));
        stop(&sim, &busy, 60_000);
        assert!(busy.end().await - begin <= 1_200, "{:?}", busy.ended());
        assert_eq!((busy.seen().alive.get(), busy.seen().finished.get()), (0, 0));
    });
}

#[test]
fn a_handle_works_before_its_server_exists_and_after_it_is_gone() {
    sim::run(|sim| async move {
        let handle = Handle::new();
        handle.tools_list_changed();
        handle.shutdown(Duration::from_secs(1));
        let server = sim.serve_with(|builder| builder.handle(&handle));
        sim.sleep(300).await;
        assert!(server.ended().is_some(), "it was told to stop before it began");
        for _ in 0..1_000 {
            handle.tools_list_changed();
        }
        fn is_send_and_sync<T: Send + Sync + Clone>(_: &T) {}
        is_send_and_sync(&handle);
    });
}

#[test]
fn what_is_wrong_with_a_server_is_said_when_it_is_built() {
    use portcullis::{CallError, RequestContext, Tool};
    async fn nothing(_: RequestContext, _: serde_json::Value) -> Result<&'static str, CallError> {
        Ok("")
    }
    let builder = || Server::builder("a", "1");
    for (built, words) in [
        (builder().tool(Tool::new("a b"), nothing).build(), "a name is 1 to 128"),
        (builder().tool(Tool::new(""), nothing).build(), "a name is 1 to 128"),
        (builder().tool(Tool::new("a"), nothing).tool(Tool::new("a"), nothing).build(), "twice"),
        (builder().tool(Tool::new("a").input_schema(json!({})), nothing).build(), "input_schema"),
        (builder().tool(Tool::new("a").output_schema(json!([])), nothing).build(), "output_schema"),
        (builder().base_path("fw").build(), "/fw"),
        (builder().base_path("/fw?x").build(), "/fw"),
    ] {
        let error = built.err().expect(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn p29_d16_a_period_of_nothing_does_not_make_the_loop_spin() {
    let tiny = Duration::from_micros(500);
    for limits in [
        Limits { keep_alive_every: Duration::ZERO, ..Limits::default() },
        Limits { keep_alive_every: tiny, progress_every: tiny, ..Limits::default() },
        Limits {
            session_idle: Duration::ZERO,
            session_life: Duration::MAX,
            replay_wait: Duration::ZERO,
            ..Limits::default()
        },
        Limits {
            session_idle: Duration::MAX,
            keep_alive_every: Duration::MAX,
            idle_wait: Duration::MAX,
            call_wait: Duration::MAX,
            ..Limits::default()
        },
        Limits { progress_every: Duration::ZERO, ..Limits::default() },
    ] {
        if Server::builder("a", "1").limits(limits.clone()).build().is_err() {
            continue; // refused in words: as good
        }
        // On a thread: a loop that never yields would hold the test for ever.
        let shown = format!("{limits:?}");
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            sim::run(|sim| async move {
                let server = sim.serve_within(limits);
                let legacy = Legacy::open(&server).await;
                legacy.post(&call_with_token(1, "slow", json!({ "ms": 1_000 }), "t")).await;
                let begin = sim.ms();
                let unread = || legacy.stream.end.unread();
                sim.sleep(500).await;
                assert!(sim.ms() - begin >= 500 && unread() < 64 * 1024, "{} bytes of beats", unread());
            });
            let _ = done.send(());
        });
        assert!(wait.recv_timeout(Duration::from_secs(10)).is_ok(), "the loop spins, or it failed: {shown}");
    }
}

#[test]
fn item3_half_an_hour_of_expiry_a_replay_and_a_slow_call_take_no_time_and_two_runs_are_equal() {
    let story = || {
        let begin = std::time::Instant::now();
        let (record, ms) = sim::run(|sim| async move {
            sim.begin_record();
            let server = sim.serve();
            let (quiet, session) = (Session::open(&server, LATEST).await, Session::open(&server, LATEST).await);
            let mut cut = session.send(&call(1, "slow", json!({ "ms": 10_000, "text": "replayed" }))).await;
            cut.head().await.unwrap();
            let id = cut.event().await.unwrap().id.unwrap();
            sim.until(1_000).await;
            cut.end.reset();
            sim.until(20_000).await;
            let (mut resumed, _) = session.resume(&id).await;
            assert_eq!(said(&resumed.message().await.unwrap()), "replayed");
            assert_eq!(session.post(&call(2, "slow", json!({ "ms": 60_000, "text": "slow" }))).await.said(), "slow");
            sim.sleep(30 * 60_000 + 250).await;
            assert_eq!((quiet.status().await, session.status().await), (404, 404));
            assert_eq!(server.reasons().await, ["expired_idle", "expired_idle"]);
            (sim.record(), sim.ms())
        });
        assert!(ms >= 31 * 60_000);
        (record, begin.elapsed())
    };
    let (first, took) = story();
    let (second, again) = story();
    assert_eq!(first, second, "two runs, the same bytes at the same times");
    assert!(first.contains("replayed") && first.lines().count() > 10);
    // Said, not asserted: no outcome depends on the machine. Issue item 3 wants under 100 ms.
    println!("item 3: {took:?}, again {again:?}, for half an hour");
}
