//! Answers of sessions: whose count, and what becomes of the others.

use portcullis::Tokens;
use serde_json::json;

use super::*;
use crate::sim;
use crate::sim::features;

#[test]
fn x44_an_answer_counts_only_in_the_session_and_of_the_principal_that_was_asked() {
    sim::run(|sim| async move {
        let tokens = Tokens::parse("alice-has-this-token\nbob-has-another-token\n").unwrap();
        let server = sim.serve_with(|builder| features::add(builder.tokens(tokens)));
        let alice = Session::open_able(&server, LATEST, Some("alice-has-this-token"), everything()).await;
        let other = Session::open_able(&server, LATEST, Some("alice-has-this-token"), everything()).await;
        let bob = Session { token: Some("bob-has-another-token"), ..alice.clone() };
        let (mut conn, question) = asked(&alice, "ask_form").await;
        let id = question["id"].clone();
        for (session, id, status) in [
            (&other, id.clone(), 202),
            (&bob, id.clone(), 404),
            (&alice, json!(id.to_string()), 202),
            (&alice, json!(1), 202),
            (&alice, json!("call"), 202),
        ] {
            let answer = session.post(&response(&id, because("a stranger says so"))).await;
            assert_eq!(answer.head.status, status, "X-43: {id}");
        }
        assert!(sim.within(5_000, conn.message()).await.is_none(), "none of them counts");
        alice.post(&response(&id, because("she says so"))).await;
        assert_eq!(said(&conn.message().await.unwrap()), "she says so");
    });
}

#[test]
fn x43_an_answer_to_a_question_that_is_over_is_202_and_dropped_and_of_two_the_first_counts() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut conn, question) = asked(&session, "ask_form").await;
        for words in ["the first", "the second", "the third"] {
            assert_eq!(session.post(&response(&question["id"], because(words))).await.head.status, 202);
        }
        assert_eq!(said(&conn.message().await.unwrap()), "the first");
        assert!(conn.message().await.is_none());
        assert_eq!(session.post(&response(&question["id"], because("too late"))).await.head.status, 202);
        let mut legacy = Legacy::open_able(&server, "2025-06-18", everything()).await;
        let question = legacy.ask(&call(1, "ask_form", json!({}))).await;
        for _ in 0..3 {
            assert_eq!(legacy.post(&response(&question["id"], because("x"))).await.status, 202);
        }
        assert_eq!(said(&legacy.stream.message().await.unwrap()), "x");
        assert!(sim.within(5_000, legacy.stream.message()).await.is_none());
        assert_eq!((session.status().await, server.gauge("calls_running").await), (200, 0));
    });
}

#[test]
fn x43_a_clients_refusal_wakes_the_handler_with_its_words() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        for tool in ["ask_form", "ask_model", "ask_roots"] {
            let (mut conn, question) = asked(&session, tool).await;
            let error =
                json!({ "jsonrpc": "2.0", "id": question["id"], "error": { "code": -1, "message": "user rejected" } });
            assert_eq!(session.post(&error.to_string()).await.head.status, 202);
            let answer = conn.message().await.unwrap();
            assert_eq!(answer["result"]["isError"], true, "F-112");
            assert!(said(&answer).contains("user rejected"), "{answer}");
        }
    });
}

#[test]
fn x44_many_calls_ask_at_once_and_each_gets_its_own_answer_in_any_order() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut calls, mut ids) = (Vec::new(), std::collections::BTreeSet::new());
        for _ in 0..20 {
            let (conn, question) = asked(&session, "ask_form").await;
            assert!(ids.insert(question["id"].to_string()), "ids are all different");
            assert!(question["id"].as_u64().is_some_and(|id| id < 1 << 53), "any client can hold it");
            calls.push((conn, question));
        }
        for (n, (_, question)) in calls.iter().enumerate().rev() {
            session.post(&response(&question["id"], because(&format!("answer {n}")))).await;
        }
        for (n, (conn, _)) in calls.iter_mut().enumerate() {
            assert_eq!(said(&conn.message().await.unwrap()), format!("answer {n}"));
        }
    });
}

#[test]
fn s8_x19_a_question_goes_out_at_once_on_its_own_calls_stream_and_never_on_another() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for revision in ["2025-06-18", LATEST] {
            let session = Session::open_able(&server, revision, None, everything()).await;
            let mut listening = session.listen().await;
            let begin = sim.ms();
            let (mut conn, question) = asked(&session, "ask_form").await;
            assert_eq!(sim.ms(), begin, "it does not wait for the form of the answer to be decided");
            assert!(sim.within(60_000, listening.message()).await.is_none(), "not on the GET stream");
            session.post(&response(&question["id"], because("x"))).await;
            assert_eq!(said(&conn.message().await.unwrap()), "x");
            assert!(sim.within(5_000, listening.message()).await.is_none());
        }
    });
}

#[test]
fn x19_a_question_whose_stream_broke_is_kept_and_asked_on_the_one_that_resumes_it() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let mut conn = session.send(&call("call", "ask_late", json!({ "ms": 2_000 }))).await;
        conn.head().await.unwrap();
        let primed = conn.event().await.unwrap();
        conn.end.reset();
        sim.sleep(5_000).await;
        let (mut conn, head) = session.resume(primed.id.as_deref().unwrap()).await;
        assert_eq!(head.status, 200);
        let question = conn.message().await.unwrap();
        assert_eq!(question["method"], "elicitation/create");
        session.post(&response(&question["id"], because("I am back"))).await;
        assert_eq!(said(&conn.message().await.unwrap()), "I am back");
        assert!(conn.message().await.is_none(), "X-24");
    });
}

#[test]
fn x37_while_a_question_is_open_everything_else_of_the_session_is_answered() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for revision in ["2025-06-18", LATEST] {
            let session = Session::open_able(&server, revision, None, everything()).await;
            let (mut conn, question) = asked(&session, "ask_form").await;
            for n in 0..50 {
                let begin = sim.ms();
                assert_eq!(session.status().await, 200);
                assert_eq!(session.post(&call(n, "add", json!({ "a": n, "b": 1 }))).await.said(), (n + 1).to_string());
                assert_eq!(sim.ms(), begin, "F-15: at once");
                sim.sleep(1_000).await;
            }
            session.post(&response(&question["id"], because("x"))).await;
            assert_eq!(said(&conn.message().await.unwrap()), "x");
        }
    });
}

#[test]
fn s3_in_a_batch_each_question_and_each_answer_finds_its_call() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open_able(&server, "2025-03-26", None, everything()).await;
        let batch = format!("[{},{}]", call(1, "ask_roots", json!({})), call(2, "ask_model", json!({})));
        let mut conn = session.send(&batch).await;
        conn.head().await.unwrap();
        let questions = [conn.message().await.unwrap(), conn.message().await.unwrap()];
        let answers = questions.map(|question| {
            response(&question["id"], agreeable(question["method"].as_str().unwrap(), &question["params"]))
        });
        let reply = session.post(&format!("[{}]", answers.join(","))).await;
        assert_eq!((reply.head.status, reply.head.body.len()), (202, 0));
        let mut texts = Vec::new();
        while let Some(answer) = conn.message().await {
            texts.push((answer["id"].as_i64().unwrap(), said(&answer).to_owned()));
        }
        texts.sort();
        assert_eq!(texts, [(1, "file:///srv/fw".to_owned()), (2, "A gate.".to_owned())]);
    });
}
