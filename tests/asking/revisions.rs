//! The same handler, five revisions.

use serde_json::{Value, json};

use super::*;
use crate::sim;
use crate::sim::features;

#[test]
fn s8_f120_f141_one_handler_asks_its_user_in_every_revision_that_can_and_is_an_error_for_the_model_elsewhere() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for way in WAYS {
            let mut client = Way::open(&server, way, everything()).await;
            let played = client.play("ask_form", json!({}), agreeable).await;
            if ["2024-11-05", "2025-03-26"].contains(&way.0) {
                assert_eq!((played.questions.len(), &played.last["result"]["isError"]), (0, &json!(true)), "{way:?}");
                assert!(played.said().contains("elicitation"), "P80: {}", played.said());
                continue;
            }
            assert_eq!((played.said(), played.methods()), ("it is late", vec!["elicitation/create"]), "{way:?}");
            let params = &played.questions[0].1;
            let schema = json!({
                "type": "object", "required": ["reason"],
                "properties": { "reason": { "type": "string", "title": "Why?" }, "hours": { "type": "integer" } },
            });
            assert_eq!((&params["message"], &params["requestedSchema"]), (&json!("Open port 22?"), &schema), "{way:?}");
            assert!(params["mode"].is_null() || way.0 != "2025-06-18", "F-120: never to one of 2025-06-18");
            assert_eq!(played.rounds, if way.0 == MODERN { 2 } else { 1 });
        }
    });
}

#[test]
fn f110_f130_the_model_and_the_folders_are_asked_for_in_all_five_revisions() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for way in WAYS {
            let mut client = Way::open(&server, way, everything()).await;
            let played = client.play("ask_model", json!({}), agreeable).await;
            assert_eq!((played.said(), played.methods()), ("A gate.", vec!["sampling/createMessage"]), "{way:?}");
            let content = json!({ "type": "text", "text": "What is a portcullis?" });
            let params = json!({
                "maxTokens": 50, "systemPrompt": "Be brief.", "messages": [{ "role": "user", "content": content }],
            });
            assert_eq!(played.questions[0].1, params, "F-113: no includeContext");
            let played = client.play("ask_roots", json!({}), agreeable).await;
            assert_eq!((played.said(), played.methods()), ("file:///srv/fw", vec!["roots/list"]), "{way:?}");
            let played = client.play("needs_model", json!({}), agreeable).await;
            assert_eq!(played.said(), "ran", "{way:?}");
            let played =
                client.play("ask_roots", json!({}), |_, _| json!({ "roots": [{ "uri": "https://elsewhere" }] })).await;
            let is_refused = played.last["error"]["code"] == -32602 || played.last["result"]["isError"] == true;
            assert!(is_refused, "X-69 {way:?}: {}", played.last);
        }
    });
}

#[test]
fn f142_t20_what_a_client_did_not_declare_is_not_asked_and_2026_07_28_says_what_is_missing() {
    let no_url = json!({ "elicitation": {}, "roots": {} });
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for (capabilities, tool, missing) in [
            (json!({}), "ask_form", json!({ "elicitation": { "form": {} } })),
            (json!({}), "ask_model", json!({ "sampling": {} })),
            (json!({}), "ask_roots", json!({ "roots": {} })),
            (json!({}), "needs_model", json!({ "sampling": {} })),
            (json!({ "elicitation": { "url": {} } }), "ask_form", json!({ "elicitation": { "form": {} } })),
            (no_url.clone(), "ask_url", json!({ "elicitation": { "url": {} } })),
            (no_url, "ask_form", Value::Null),
        ] {
            for way in WAYS {
                let mut client = Way::open(&server, way, capabilities.clone()).await;
                let played = client.play(tool, json!({}), agreeable).await;
                let can_at_all = tool != "ask_form" || !["2024-11-05", "2025-03-26"].contains(&way.0);
                if missing.is_null() && can_at_all {
                    assert_eq!(played.said(), "it is late", "X-14: an empty object means forms");
                    continue;
                }
                assert_eq!(played.questions.len(), 0, "{way:?} {tool}");
                if way.0 == MODERN {
                    let error = &played.last["error"];
                    assert_eq!((&error["code"], &error["data"]["requiredCapabilities"]), (&json!(-32021), &missing));
                } else {
                    assert_eq!(played.last["result"]["isError"], true, "{way:?} {tool}: {}", played.last);
                }
            }
        }
        let client = Stateless::new(&server);
        for tool in ["ask_form", "ask_model", "ask_roots", "ask_url", "ask_both", "needs_model"] {
            assert_eq!(fault(&client.calls(tool, json!({})).await), (400, -32021, &json!(1)), "{tool}");
        }
        let prompt = client.gets("prompts/get", json!({ "name": "survey" })).await;
        assert_eq!(fault(&prompt), (400, -32021, &json!(1)));
        let read = client.gets("resources/read", json!({ "uri": "fw://guarded" })).await;
        assert_eq!(fault(&read), (400, -32021, &json!(1)));
    });
}

#[test]
fn f123_a_page_is_opened_with_an_id_in_2025_11_25_without_one_in_2026_07_28_and_told_in_words_elsewhere() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for way in WAYS {
            let mut client = Way::open(&server, way, everything()).await;
            let played = client.play("ask_url", json!({}), agreeable).await;
            if !["2025-11-25", MODERN].contains(&way.0) {
                assert_eq!((played.questions.len(), &played.last["result"]["isError"]), (0, &json!(true)), "{way:?}");
                assert!(played.said().contains("https://pay.example/toll"), "appendix B: {}", played.said());
                continue;
            }
            let params = &played.questions[0].1;
            assert_eq!((&params["mode"], &params["url"]), (&json!("url"), &json!("https://pay.example/toll")));
            assert_eq!((params["elicitationId"].is_string(), played.said()), (way.0 != MODERN, "accepted"), "{way:?}");
        }
        let session = Session::open_able(&server, LATEST, None, everything()).await;
        let (mut conn, question) = asked(&session, "ask_url").await;
        session.post(&response(&question["id"], json!({ "action": "accept" }))).await;
        let done = conn.message().await.unwrap();
        assert_eq!(done["method"], "notifications/elicitation/complete");
        assert_eq!(done["params"]["elicitationId"], question["params"]["elicitationId"]);
        assert_eq!(said(&conn.message().await.unwrap()), "accepted");
    });
}

#[test]
fn f122_an_answer_may_decline_or_turn_away_and_what_does_not_fit_is_refused() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for way in WAYS.into_iter().filter(|(revision, _)| *revision >= "2025-06-18") {
            let mut client = Way::open(&server, way, everything()).await;
            for (answer, words) in [
                (json!({ "action": "decline" }), Some("declined")),
                (json!({ "action": "cancel" }), Some("cancelled")),
                (json!({ "action": "decline", "content": { "reason": 7 } }), Some("declined")),
                (json!({ "action": "accept", "content": { "reason": "r", "hours": 3.0 } }), Some("r")),
                (json!({ "action": "accept" }), None),
                (json!({ "action": "accept", "content": { "reason": 7 } }), None),
                (json!({ "action": "accept", "content": { "reason": "r", "hours": "x" } }), None),
                (json!({ "action": "perhaps" }), None),
                (json!({}), None),
            ] {
                let played = client.play("ask_form", json!({}), |_, _| answer.clone()).await;
                match words {
                    Some(words) => assert_eq!(played.said(), words, "{way:?} {answer}"),
                    None if way.0 == MODERN => {
                        assert_eq!(played.last["error"]["code"], -32602, "F-144 {answer}: {}", played.last);
                    }
                    None => assert_eq!(played.last["result"]["isError"], true, "{way:?} {answer}"),
                }
            }
        }
    });
}

#[test]
fn f140_joined_questions_are_one_round_and_sequential_ones_several() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for way in WAYS.into_iter().filter(|(revision, _)| *revision >= "2025-06-18") {
            let mut client = Way::open(&server, way, everything()).await;
            let played = client.play("ask_both", json!({}), agreeable).await;
            assert_eq!((played.said(), played.questions.len()), ("it is late and it is late", 2), "{way:?}");
            assert_eq!(played.rounds, if way.0 == MODERN { 2 } else { 1 });
            let played = client.play("ask_in_turn", json!({ "count": 3 }), agreeable).await;
            assert_eq!((played.said(), played.questions.len()), ("it is late, it is late, it is late", 3), "{way:?}");
            assert_eq!(played.rounds, if way.0 == MODERN { 4 } else { 1 });
        }
    });
}
