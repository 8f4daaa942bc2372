//! Clients that do not answer, or cannot be asked (P41, X-18, F-91, F-94).

use std::time::Duration;

use portcullis::Limits;
use serde_json::{Value, json};

use super::*;
use crate::sim;
use crate::sim::features;

fn impatient() -> Limits {
    Limits { ask_wait: Duration::from_secs(30), ..Limits::default() }
}

fn withdrawn(message: &Value) -> Option<&Value> {
    (message["method"] == "notifications/cancelled").then(|| &message["params"]["requestId"])
}

#[test]
fn p41_f91_f94_a_client_that_never_answers_costs_its_own_call_and_is_told_that_nobody_waits_any_more() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| features::add(builder.limits(impatient())));
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut conn, question) = asked(&session, "ask_form").await;
        let meanwhile = sim.within(29_000, async {
            assert_eq!(session.post(&call(2, "add", json!({ "a": 1, "b": 2 }))).await.said(), "3");
            conn.message().await
        });
        assert!(meanwhile.await.is_none(), "its own deadline, and no earlier one");
        let message = conn.message().await.unwrap();
        assert_eq!(withdrawn(&message), Some(&question["id"]), "F-91, X-35: before the answer: {message}");
        let answer = conn.message().await.unwrap();
        assert_eq!(answer["result"]["isError"], true);
        assert!(said(&answer).contains("30 s") && said(&answer).contains("ask_wait"), "P80: {answer}");
        assert!((30_000..=30_250).contains(&sim.ms()), "{}", sim.ms());
        assert_eq!(session.post(&response(&question["id"], because("late"))).await.head.status, 202);
        assert_eq!((session.status().await, server.gauge("calls_running").await), (200, 0));
        let mut legacy = Legacy::open_able(&server, "2025-11-25", everything()).await;
        let question = legacy.ask(&call(1, "ask_form", json!({}))).await;
        assert_eq!(withdrawn(&legacy.stream.message().await.unwrap()), Some(&question["id"]));
        assert_eq!(legacy.stream.message().await.unwrap()["result"]["isError"], true);
    });
}

#[test]
fn f91_a_handler_that_goes_on_without_an_answer_withdraws_its_question_first() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| features::add(builder.limits(impatient())));
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut conn, question) = asked(&session, "ask_gently").await;
        assert_eq!(withdrawn(&conn.message().await.unwrap()), Some(&question["id"]));
        assert!(said(&conn.message().await.unwrap()).contains("ask_wait"), "and has the reason in words");
    });
}

#[test]
fn f91_a_cancelled_call_withdraws_its_question_on_the_same_stream() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut conn, question) = asked(&session, "ask_form").await;
        session.post(&cancelled("call")).await;
        let message = conn.message().await.unwrap();
        assert_eq!(withdrawn(&message), Some(&question["id"]), "{message}");
        assert_eq!(conn.message().await.unwrap()["error"]["code"], -32800, "F-90");
        assert_eq!(session.post(&response(&question["id"], because("late"))).await.head.status, 202);
        assert_eq!((session.status().await, server.gauge("calls_running").await), (200, 0));
    });
}

#[test]
fn f91_a_cancelled_call_withdraws_its_question_over_http_sse_and_says_nothing_else() {
    sim::run(|sim| async move {
        let mut legacy = Legacy::open_able(&features::serve(&sim), "2025-06-18", everything()).await;
        let question = legacy.ask(&call("call", "ask_form", json!({}))).await;
        legacy.post(&cancelled("call")).await;
        assert_eq!(withdrawn(&legacy.stream.message().await.unwrap()), Some(&question["id"]));
        assert!(sim.within(5_000, legacy.stream.message()).await.is_none(), "F-90: nothing else here");
    });
}

#[test]
fn f91_p42_a_call_whose_time_is_over_withdraws_its_question() {
    let limits = Limits { call_wait: Duration::from_secs(60), ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| features::add(builder.limits(limits)));
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut conn, question) = asked(&session, "ask_form").await;
        let message = conn.message().await.unwrap();
        assert_eq!(withdrawn(&message), Some(&question["id"]), "{message}");
        assert_eq!(conn.message().await.unwrap()["error"]["code"], -32603);
    });
}

#[test]
fn x18_who_cannot_be_reached_is_not_waited_for() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for revision in ["2025-06-18", LATEST] {
            let session = Session::open_able(&server, revision, None, everything()).await;
            for tool in ["ask_form", "ask_model", "ask_roots", "ask_in_turn", "ask_both"] {
                let begin = sim.ms();
                let answer = session.post_with(&[("Accept", JSON)], &call(1, tool, json!({}))).await;
                assert_eq!((answer.head.status, &answer.last()["result"]["isError"]), (200, &json!(true)), "{tool}");
                assert_eq!(sim.ms(), begin, "S-9: at once");
            }
            let answer = session.post_with(&[("Accept", JSON)], &call(1, "ask_gently", json!({}))).await;
            assert!(answer.said().contains("cannot be asked"), "its handler sees why: {}", answer.said());
            let conn = session.send(&call(1, "ask_late", json!({ "ms": 1_000 }))).await;
            sim.sleep(100).await;
            conn.end.reset();
            sim.sleep(1_500).await;
            assert_eq!(server.gauge("calls_running").await, 0, "its connection broke before it had a stream");
        }
        let legacy = Legacy::open_able(&server, "2025-06-18", everything()).await;
        legacy.post(&call(1, "ask_form", json!({}))).await;
        sim.sleep(100).await;
        assert_eq!(server.gauge("calls_running").await, 1);
        legacy.stream.end.reset();
        sim.sleep(100).await;
        assert_eq!(server.gauge("calls_running").await, 0, "its session ended with its stream");
    });
}

#[test]
fn p41_a_session_that_ends_ends_its_questions() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut conn, question) = asked(&session, "ask_form").await;
        assert_eq!(session.delete().await.status, 200);
        assert!(conn.message().await.is_none_or(|message| withdrawn(&message) == Some(&question["id"])));
        sim.settle().await;
        let debug = server.debug().await;
        for gauge in ["sessions", "calls_running", "buffered_bytes"] {
            assert_eq!(debug["gauges"][gauge], 0, "{gauge}");
        }
    });
}

#[test]
fn p17_a_session_that_waits_for_its_user_does_not_expire() {
    let limits = Limits { session_idle: Duration::from_secs(60), ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| features::add(builder.limits(limits)));
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut conn, question) = asked(&session, "ask_form").await;
        assert!(sim.within(540_000, conn.message()).await.is_none(), "the user has gone for coffee");
        session.post(&response(&question["id"], because("back again"))).await;
        assert_eq!(said(&conn.message().await.unwrap()), "back again");
    });
}
