//! The envelope of a request (T-12, T-16, T-22, T-23), and `server/discover`, which says what may stand in it.

use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;

#[test]
fn t12_t22_each_part_of_the_envelope_is_there_and_of_its_type_or_the_answer_is_400_and_names_it() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let client = Stateless::new(&server);
        let with = |key: &str, value: Value| client.ask("tools/list", json!({})).meta(key, value);
        let without = |key: &str| client.ask("tools/list", json!({})).without_meta(key);
        let replaced = |params: Value| {
            let mut ask = client.ask("tools/list", json!({}));
            ask.body["params"] = params;
            ask
        };
        for (ask, names) in [
            (without(VERSION), VERSION),
            (without(CAPABILITIES), CAPABILITIES),
            (without(VERSION).without_meta(CAPABILITIES), CAPABILITIES),
            (with(VERSION, json!(7)), VERSION),
            (with(VERSION, Value::Null), VERSION),
            (with(VERSION, json!([MODERN])), VERSION),
            (with(CAPABILITIES, Value::Null), CAPABILITIES),
            (with(CAPABILITIES, json!([])), CAPABILITIES),
            (with(CAPABILITIES, json!("all")), CAPABILITIES),
            (with(CLIENT, json!("me")), CLIENT),
            (with(CLIENT, json!({ "name": "me" })), CLIENT),
            (with(CLIENT, json!({ "name": 1, "version": 2 })), CLIENT),
            (replaced(json!({})), VERSION),
            (replaced(Value::Null), VERSION),
            (replaced(json!([])), VERSION),
            (replaced(json!({ "_meta": [] })), VERSION),
            (replaced(json!({ "_meta": "x" })), VERSION),
        ] {
            let answer = client.post(&ask).await;
            assert_eq!(fault(&answer), (400, -32602, &json!(1)), "{}", ask.body);
            let words = answer.last()["error"]["message"].as_str().unwrap();
            assert!(words.contains(names), "{words} does not name {names}");
        }
        for ask in [
            with("example.com/whatever", json!([1])),
            with(CLIENT, json!({ "name": "me", "version": "1", "title": "Me", "icons": [] })),
            with(CAPABILITIES, json!({ "nonesuch": 7, "experimental": {} })),
            with("traceparent", json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
        ] {
            assert_eq!(client.post(&ask).await.head.status, 200, "F-1, F-3: {}", ask.body);
        }
    });
}

#[test]
fn t22_who_asks_is_told_to_the_handler_and_may_stay_unsaid() {
    sim::run(|sim| async move {
        let client = Stateless::new(&sim.serve());
        let me = json!({ "name": "me", "version": "3" });
        for (ask, name, version) in
            [(client.call("who", json!({})), "", ""), (client.call("who", json!({})).meta(CLIENT, me), "me", "3")]
        {
            let answer = client.post(&ask).await;
            let who = &answer.last()["result"]["structuredContent"];
            assert_eq!(
                (&who["client"], &who["version"], &who["session"]),
                (&json!(name), &json!(version), &Value::Null)
            );
        }
    });
}

#[test]
fn t16_x7_a_version_that_is_not_implemented_is_32022_with_what_is_and_what_was_asked_for() {
    sim::run(|sim| async move {
        let client = Stateless::new(&sim.serve());
        let found = client.gets("server/discover", json!({})).await;
        let supported = &found.last()["result"]["supportedVersions"];
        assert_eq!(*supported, json!([MODERN]), "X-5");
        for version in
            ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2099-01-01", "v999.0.0", "2026-07-2", "DRAFT"]
        {
            for method in ["tools/list", "server/discover", "initialize"] {
                let answer = client.post(&client.ask(method, json!({})).version(version)).await;
                assert_eq!(fault(&answer), (400, -32022, &json!(1)), "{version}");
                let data = &answer.last()["error"]["data"];
                assert_eq!((&data["supported"], &data["requested"]), (supported, &json!(version)));
            }
            let differs = client.ask("tools/list", json!({})).meta(VERSION, version);
            assert_eq!(fault(&client.post(&differs).await), (400, -32020, &json!(1)), "T-13 {version}");
        }
    });
}

#[test]
fn f20_f21_discover_says_what_is_offered_and_nothing_that_is_not() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| {
            features::add(
                builder.title("The Gate").instructions("Ask first.").extension("example.com/x", json!({ "a": 1 })),
            )
        });
        let client = Stateless::new(&server);
        let answer = client.gets("server/discover", json!({})).await;
        let result = &answer.last()["result"];
        let capabilities = json!({
            "logging": {}, "completions": {}, "tools": { "listChanged": true }, "prompts": { "listChanged": true },
            "resources": { "subscribe": true, "listChanged": true }, "extensions": { "example.com/x": { "a": 1 } },
        });
        assert_eq!(result["capabilities"], capabilities);
        assert_eq!(result["_meta"], json!({ SERVER: { "name": "gate", "version": "1.0.0", "title": "The Gate" } }));
        let keys: Vec<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
        let expected =
            ["_meta", "cacheScope", "capabilities", "instructions", "resultType", "supportedVersions", "ttlMs"];
        assert_eq!(keys, expected, "no serverInfo beside _meta");
        assert_eq!((&result["instructions"], &result["resultType"]), (&json!("Ask first."), &json!("complete")));
    });
}

#[test]
fn g13_x39_every_kind_of_id_comes_back_as_it_was_and_what_is_none_is_400() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let client = Stateless::new(&server);
        for id in [json!(0), json!(""), json!(-1), json!("1"), json!(1), json!(i64::MAX), json!("a\u{2028}\"b")] {
            for method in ["tools/list", "ping"] {
                let answer = client.post(&client.ask(method, json!({})).id(id.clone())).await;
                assert_eq!(answer.last()["id"], id, "{method}");
            }
        }
        for id in [Value::Null, json!({}), json!([]), json!(1.5), json!(true)] {
            let reply = client.send(&client.ask("tools/list", json!({})).id(id.clone())).await.reply().await;
            let error = reply.json();
            assert_eq!((reply.status, &error["error"]["code"]), (400, &json!(-32600)), "{id}");
            assert_eq!(error["id"], Value::Null, "{id}: {error}");
        }
    });
}

#[test]
fn t07_g10_one_form_is_enough_where_the_method_permits_it() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        for (accept, form) in [(JSON, JSON), (SSE, SSE), (BOTH, JSON), ("*/*", JSON)] {
            let ask =
                client.call("add", json!({ "a": 1, "b": 2 })).header("Accept", accept).more("Last-Event-ID", "1.1");
            let answer = client.post(&ask).await;
            assert_eq!((answer.head.header("content-type"), answer.said()), (Some(form), "3"), "{accept}");
        }
        let ask = client.call("add", json!({ "a": 1, "b": 2 })).header("Accept", "text/html");
        assert_eq!(client.post(&ask).await.head.status, 406);
        let quiet = client.call("steps", json!({ "count": 3, "text": "done" })).meta("progressToken", 1);
        let answer = client.post(&quiet.header("Accept", JSON)).await;
        assert_eq!((answer.said(), answer.messages.len()), ("done", 1), "notifications have no place in JSON");
        let ask = client.call("ask_form", json!({})).header("Accept", JSON);
        assert_eq!(client.post(&ask).await.last()["result"]["resultType"], "input_required", "asking needs no stream");
    });
}
