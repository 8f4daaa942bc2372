//! Questions of 2026-07-28 (F-140 … F-148): rounds, and the state that travels between them.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use portcullis::{Limits, Tokens};
use serde_json::{Value, json};

use super::*;
use crate::sim;
use crate::sim::features;

const ALICE: &str = "alice-has-this-token";
const BOB: &str = "bob-has-another-token";

fn result(answer: &Answer) -> &Value {
    let result = &answer.last()["result"];
    assert!(result.is_object(), "{}", answer.last());
    result
}

fn state(answer: &Answer) -> Value {
    assert_eq!(result(answer)["resultType"], "input_required", "{}", answer.last());
    answer.last()["result"]["requestState"].clone()
}

#[test]
fn f141_f147_input_required_has_its_questions_its_state_and_no_word_of_caching() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        for (method, params, done) in [
            ("tools/call", json!({ "name": "ask_form" }), "because we can"),
            ("resources/read", json!({ "uri": "fw://guarded" }), "read because because we can"),
            ("prompts/get", json!({ "name": "survey" }), "The reason is because we can."),
        ] {
            let ask = client.ask(method, params);
            let first = client.post(&ask).await;
            let result = result(&first);
            let keys: Vec<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, ["_meta", "inputRequests", "requestState", "resultType"], "{method}");
            assert_eq!((first.head.status, result["inputRequests"].as_object().unwrap().len()), (200, 1));
            let question: Vec<_> = result["inputRequests"]["form"].as_object().unwrap().keys().collect();
            assert_eq!(question, ["method", "params"], "X-61");
            let again = ask.again(&result["requestState"], json!({ "form": because("because we can") }));
            let last = client.post(&again).await;
            let text = last.last().to_string();
            assert!(text.contains(done), "{text}");
            if method == "resources/read" {
                let result = &last.last()["result"];
                assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(0), &json!("private")), "F-147");
            }
        }
        assert_eq!(client.server.counter("calls_input_required").await, 3);
        assert_eq!(client.server.gauge("calls_running").await, 0);
    });
}

#[test]
fn f145_b10_a_state_opens_only_what_it_was_given_for_and_only_whole() {
    sim::run(|sim| async move {
        let tokens = Tokens::parse(&format!("{ALICE}\n{BOB}\n")).unwrap();
        let server = sim.serve_with(|builder| features::add(builder.tokens(tokens)));
        let alice = Stateless { token: Some(ALICE), ..Stateless::able(&server) };
        let bob = Stateless { token: Some(BOB), ..alice.clone() };
        let arguments = json!({ "a": 1, "b": [{ "c": 2 }] });
        let first = alice.calls("ask_form", arguments.clone()).await;
        let good = state(&first);
        let text = good.as_str().unwrap();
        let sealed = Base64UrlUnpadded::decode_vec(text).unwrap();
        let flipped = |at: usize, bit: u8| {
            let mut bytes = sealed.clone();
            bytes[at] ^= 1 << bit;
            json!(Base64UrlUnpadded::encode_string(&bytes))
        };
        let answers = json!({ "form": because("x") });
        let mut cases = vec![
            ("another tool", alice.call("ask_form_too", arguments.clone()), good.clone()),
            ("other arguments", alice.call("ask_form", json!({ "a": 2, "b": [{ "c": 2 }] })), good.clone()),
            ("more arguments", alice.call("ask_form", json!({ "a": 1, "b": [{ "c": 2 }], "d": null })), good.clone()),
            ("no arguments", alice.call("ask_form", json!({})), good.clone()),
            ("another principal", bob.call("ask_form", arguments.clone()), good.clone()),
            ("another method", alice.ask("resources/read", json!({ "uri": "fw://guarded" })), good.clone()),
            ("a prompt", alice.ask("prompts/get", json!({ "name": "survey" })), good.clone()),
            ("a tail", alice.call("ask_form", arguments.clone()), json!(format!("{text}-TAMPERED"))),
            ("a cut", alice.call("ask_form", arguments.clone()), json!(&text[..text.len() - 4])),
            ("nothing", alice.call("ask_form", arguments.clone()), json!("")),
            ("words", alice.call("ask_form", arguments.clone()), json!("please")),
        ];
        for at in (0..sealed.len()).step_by(7).chain([sealed.len() - 1]) {
            cases.push(("a flipped bit", alice.call("ask_form", arguments.clone()), flipped(at, (at % 8) as u8)));
        }
        for (why, ask, state) in cases {
            let begun = server.counter("calls_input_required").await;
            let answer = server.connect().ask(ask.again(&state, answers.clone()).bytes()).await;
            let error = &answer.json()["error"];
            assert_eq!((answer.status, &error["code"]), (200, &json!(-32602)), "{why}: {}", answer.text());
            assert_eq!(error["data"], json!({ "reason": "invalid_request_state" }), "{why}");
            assert!(error["message"].as_str().unwrap().starts_with("Invalid or expired requestState"), "{why}");
            assert_eq!(server.counter("calls_input_required").await, begun, "{why}: its handler is not begun");
        }
        let again = alice.call("ask_form", arguments).again(&good, answers);
        let reordered = String::from_utf8(again.bytes()).unwrap();
        let reordered = reordered.replace(r#"{"a":1,"b":[{"c":2}]}"#, r#"{"b":[{"c":2}],"a":1}"#);
        let answer = server.connect().ask(&reordered).await.json();
        assert_eq!(said(&answer), "x", "the same arguments in another order are the same");
    });
}

#[test]
fn f145_a_state_is_opaque_and_each_round_has_another() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        let ask = client.call("ask_in_turn", json!({ "count": 4 }));
        let mut states = std::collections::BTreeSet::new();
        let mut answer = client.post(&ask).await;
        for n in 0..4 {
            let state = state(&answer);
            let sealed = Base64UrlUnpadded::decode_vec(state.as_str().unwrap()).unwrap();
            assert!(!String::from_utf8_lossy(&sealed).contains("secret"), "X-59");
            assert!(states.insert(state.to_string()));
            let keys: Vec<_> = result(&answer)["inputRequests"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(keys, [format!("q{n}")], "what was answered is not asked again");
            answer = client.post(&ask.clone().again(&state, json!({ format!("q{n}"): because("secret") }))).await;
        }
        assert_eq!(answer.said(), "secret, secret, secret, secret");
    });
}

#[test]
fn f145_a_state_holds_for_its_time_and_no_longer() {
    let limits = Limits { state_wait: Duration::from_secs(100), ..Limits::default() };
    sim::run(|sim| async move {
        let client = Stateless::able(&sim.serve_with(|builder| features::add(builder.limits(limits))));
        let ask = client.call("ask_form", json!({}));
        let first = state(&client.post(&ask).await);
        for (at, good) in [(0, true), (98_000, true), (101_000, false), (3_600_000, false)] {
            sim.until(at).await;
            let answer = client.post(&ask.clone().again(&first, json!({ "form": because("x") }))).await;
            assert_eq!(answer.last()["error"].is_null(), good, "{at}: {}", answer.last());
            assert!(good || answer.last()["error"]["data"]["reason"] == "invalid_request_state");
        }
    });
}

#[test]
fn f145_a_request_is_answered_with_questions_eight_times_and_then_no_more() {
    sim::run(|sim| async move {
        let mut client = Way::open(&features::serve(&sim), (MODERN, "stateless"), everything()).await;
        let played = client.play("ask_in_turn", json!({ "count": 7 }), agreeable).await;
        assert!(played.said().starts_with("it is late"), "seven are fine");
        let played = client.play("ask_in_turn", json!({ "count": 20 }), agreeable).await;
        assert_eq!((played.questions.len(), &played.last["error"]["code"]), (8, &json!(-32602)), "{}", played.last);
        assert!(played.last["error"]["message"].as_str().unwrap().contains("rounds_max"), "P80");
        let played = client.play("ask_in_turn", json!({ "count": 8 }), agreeable).await;
        assert!(played.last["error"].is_null(), "eight rounds are eight questions and their answers: {}", played.last);
    });
}

#[test]
fn f144_what_is_missing_is_asked_again_and_what_was_not_asked_is_ignored() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        let ask = client.call("ask_both", json!({}));
        let first = state(&client.post(&ask).await);
        for (answers, missing) in [
            (json!({}), vec!["left", "right"]),
            (json!({ "nonesuch": because("x") }), vec!["left", "right"]),
            (json!({ "left": because("l") }), vec!["right"]),
            (json!({ "right": because("r"), "nonesuch": 7 }), vec!["left"]),
        ] {
            let answer = client.post(&ask.clone().again(&first, answers.clone())).await;
            let second = state(&answer);
            let asked: Vec<_> = result(&answer)["inputRequests"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(asked, missing, "{answers}");
            let rest: serde_json::Map<_, _> = asked.iter().map(|key| (key.clone(), because(key))).collect();
            let answer = client.post(&ask.clone().again(&second, rest.into())).await;
            assert!(answer.said().contains(" and "), "what was answered before counts: {}", answer.last());
        }
        let bare = json!({ "left": because("l"), "right": because("r"), "extra": [] });
        let answer = client.post(&ask.again(&Value::Null, bare)).await;
        assert_eq!(answer.said(), "l and r", "F-145: answers alone are legal");
    });
}

#[test]
fn f144_malformed_answers_are_wrong_params() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        let ask = client.call("ask_form", json!({}));
        let first = state(&client.post(&ask).await);
        for answers in [
            json!([]),
            json!("x"),
            json!(7),
            json!({ "form": 12345 }),
            json!({ "form": null }),
            json!({ "form": { "action": "perhaps" } }),
            json!({ "form": { "action": "accept", "content": { "reason": 7 } } }),
            json!({ "form": { "jsonrpc": "2.0", "id": 1, "result": because("x") } }),
        ] {
            let answer = client.post(&ask.clone().again(&first, answers.clone())).await;
            assert_eq!(fault(&answer), (200, -32602, &json!("again")), "{answers}");
        }
        for state in [json!(7), json!({}), json!([first.clone()])] {
            let answer = client.post(&ask.clone().again(&state, json!({ "form": because("x") }))).await;
            assert_eq!(fault(&answer), (200, -32602, &json!("again")), "{state}");
        }
        let model = client.call("ask_model", json!({}));
        let first = state(&client.post(&model).await);
        for answer in [json!({ "role": "assistant" }), json!({ "content": 7, "model": "m" }), json!([])] {
            let answer = client.post(&model.clone().again(&first, json!({ "model": answer }))).await;
            assert_eq!(fault(&answer), (200, -32602, &json!("again")));
        }
    });
}

#[test]
fn f143_t24_a_retry_is_a_fresh_request_whose_own_envelope_counts() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        let ask = client.call("ask_in_turn", json!({}));
        let first = state(&client.post(&ask).await);
        let again = ask.again(&first, json!({ "q0": because("x") }));
        let unable = again.clone().meta(CAPABILITIES, json!({}));
        assert_eq!(fault(&client.post(&unable).await), (400, -32021, &json!("again")), "X-12");
        assert_eq!(fault(&client.post(&again.clone().without_meta(VERSION)).await).0, 400);
        assert_eq!(fault(&client.post(&again.clone().without("Mcp-Name")).await), (400, -32020, &json!("again")));
        assert_eq!(result(&client.post(&again).await)["resultType"], "input_required");
    });
}
