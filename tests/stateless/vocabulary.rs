//! What each era says and never says (P76, T-27, T-28, F-160): no word of one reaches a client of the other.

use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;

/// One request for every method that both eras have.
fn methods() -> Vec<(&'static str, Value)> {
    let blank =
        json!({ "ref": { "type": "ref/prompt", "name": "explain" }, "argument": { "name": "style", "value": "" } });
    vec![
        ("tools/list", json!({})),
        ("tools/call", json!({ "name": "add", "arguments": { "a": 1, "b": 2 } })),
        ("tools/call", json!({ "name": "weather" })),
        ("tools/call", json!({ "name": "numbers" })),
        ("tools/call", json!({ "name": "fail" })),
        ("tools/call", json!({ "name": "media" })),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({ "uri": "fw://rules" })),
        ("resources/read", json!({ "uri": "fw://chains/input" })),
        ("prompts/list", json!({})),
        ("prompts/get", json!({ "name": "explain", "arguments": { "source": "10.0.0.1" } })),
        ("completion/complete", blank),
    ]
}

/// Requests that fail, each in its own way.
fn failures() -> Vec<(&'static str, Value)> {
    vec![
        ("tools/call", json!({ "name": "nonesuch" })),
        ("tools/call", json!({ "name": "needs_model" })),
        ("tools/call", json!({ "name": "ask_form" })),
        ("tools/call", json!({ "name": "ask_url" })),
        ("tools/call", json!({ "name": "broken_weather" })),
        ("tools/call", json!({ "name": "panics", "arguments": { "when": "poll" } })),
        ("tools/list", json!({ "cursor": "x" })),
        ("resources/read", json!({ "uri": "fw://nowhere" })),
        ("resources/read", json!({ "uri": "fw://lost" })),
        ("prompts/get", json!({ "name": "survey" })),
        ("nonesuch", json!({})),
    ]
}

const MODERN_WORDS: [&str; 11] = [
    "resultType",
    "ttlMs",
    "cacheScope",
    "io.modelcontextprotocol/",
    "inputRequests",
    "requestState",
    "input_required",
    "-32020",
    "-32021",
    "-32022",
    "requiredCapabilities",
];

#[test]
fn p76_x51_a_session_of_any_revision_and_transport_hears_no_word_of_2026_07_28() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let check = |revision: &str, text: &str| {
            for word in MODERN_WORDS {
                assert!(!text.contains(word), "{revision}: {word} in {text}");
            }
        };
        for able in [json!({}), everything()] {
            for revision in STREAMABLE {
                sim.begin_record();
                let session = Session::open_able(&server, revision, None, able.clone()).await;
                let _stream = session.listen().await;
                for (method, params) in methods().into_iter().chain(failures()) {
                    let body = rpc(1, method, params.clone());
                    // A question that nobody answers is not waited for.
                    let _ = sim.within(1_000, session.post(&body)).await;
                }
                let _ = sim.within(1_000, session.post(&rpc(1, "server/discover", json!({})))).await;
                server.handle().tools_list_changed();
                server.handle().resource_updated("fw://rules");
                sim.sleep(1_000).await;
                check(revision, &sim.record());
            }
            for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
                sim.begin_record();
                let legacy = Legacy::open_able(&server, revision, able.clone()).await;
                for (method, params) in methods().into_iter().chain(failures()) {
                    assert_eq!(legacy.post(&rpc(1, method, params)).await.status, 202);
                }
                let mut stream = legacy.stream;
                let mut count = 0;
                while sim.within(1_000, stream.message()).await.is_some() {
                    count += 1;
                }
                assert!(count >= methods().len(), "{revision}: {count}");
                check(revision, &sim.record());
            }
        }
    });
}

#[test]
fn p76_h11_over_http_sse_the_envelope_and_its_headers_mean_nothing() {
    sim::run(|sim| async move {
        let mut legacy = Legacy::open(&features::serve(&sim)).await;
        let mut params = json!({ "_meta": { VERSION: MODERN, CAPABILITIES: {} } });
        let answer = legacy.ask(&rpc(1, "tools/list", params.clone())).await;
        assert!(answer["result"]["tools"].is_array() && answer["result"]["resultType"].is_null());
        let answer = legacy.ask(&rpc(2, "server/discover", params.clone())).await;
        assert_eq!(answer["error"]["code"], -32601);
        let answer = legacy.ask(&rpc(3, "subscriptions/listen", json!({ "notifications": {} }))).await;
        assert_eq!(answer["error"]["code"], -32601);
        params["uri"] = "fw://nowhere".into();
        assert_eq!(legacy.ask(&rpc(4, "resources/read", params)).await["error"]["code"], -32002, "T-28, the other way");
    });
}

#[test]
fn p76_t27_f160_every_result_of_2026_07_28_says_what_it_is_who_made_it_and_how_long_it_keeps() {
    sim::run(|sim| async move {
        let client = Stateless::new(&features::serve(&sim));
        for (method, params) in methods().into_iter().chain([("server/discover", json!({}))]) {
            let answer = client.gets(method, params.clone()).await;
            let result = &answer.last()["result"];
            assert_eq!((answer.head.status, &result["resultType"]), (200, &json!("complete")), "{method} {params}");
            assert_eq!(result["_meta"][SERVER], json!({ "name": "gate", "version": "1.0.0" }), "F-5: {method}");
            let is_kept = method.ends_with("/list") || ["resources/read", "server/discover"].contains(&method);
            let is_rules = params["uri"] == "fw://rules";
            let expected = match (is_kept, is_rules) {
                (false, _) => (Value::Null, Value::Null),
                (true, true) => (json!(5_000), json!("public")),
                (true, false) => (json!(0), json!("private")),
            };
            assert_eq!((result["ttlMs"].clone(), result["cacheScope"].clone()), expected, "{method} {params}");
        }
        let media = client.calls("media", json!({})).await;
        let kinds: Vec<_> =
            media.last()["result"]["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
        assert_eq!(kinds, ["text", "audio", "resource_link"]);
    });
}

#[test]
fn t28_no_error_of_2026_07_28_has_a_code_that_it_does_not_know() {
    const KNOWN: [i64; 8] = [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022];
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for client in [Stateless::new(&server), Stateless::able(&server)] {
            for (method, params) in failures() {
                let ask = client.ask(method, params.clone());
                for ask in [ask.clone(), ask.clone().without("Mcp-Method"), ask.without_meta(CAPABILITIES)] {
                    let answer = client.post(&ask).await;
                    let last = answer.last();
                    let code = last["error"]["code"].as_i64();
                    assert!(code.is_none_or(|code| KNOWN.contains(&code)), "{method} {params}: {last}");
                    assert!(last["result"].is_null() || last["error"].is_null(), "G-21");
                }
            }
        }
        let lost = Stateless::new(&server).gets("resources/read", json!({ "uri": "fw://lost" })).await;
        assert_eq!(lost.last()["error"]["data"], json!({ "uri": "fw://lost" }), "F-43");
    });
}

#[test]
fn p76_on_the_modern_wire_nothing_is_asked_numbered_primed_or_bound_to_a_session() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::able(&server);
        sim.begin_record();
        for tool in ["ask_form", "ask_in_turn", "ask_both", "ask_url", "ask_model", "ask_roots", "ask_late"] {
            for accept in [BOTH, SSE] {
                let ask = client.call(tool, json!({})).meta("progressToken", 1).meta(LOG_LEVEL, "debug");
                let answer = sim.within(10_000, client.post(&ask.header("Accept", accept))).await;
                let answer = answer.unwrap_or_else(|| panic!("{tool} hangs"));
                assert_eq!(answer.last()["result"]["resultType"], "input_required", "{tool}: {}", answer.last());
                let requests =
                    answer.messages.iter().filter(|message| !message["method"].is_null() && !message["id"].is_null());
                assert_eq!(requests.count(), 0, "T-5: no requests, ever");
                let text = answer.last()["result"]["inputRequests"].to_string();
                assert!(!text.contains("jsonrpc") && !text.contains("\"id\""), "X-61: {text}");
                assert!(!text.contains("elicitationId"), "1.2: {text}");
            }
        }
        let record = sim.record();
        for word in [
            "mcp-session-id",
            "\\nid:",
            "retry:",
            "\"method\":\"elicitation/create\",\"id\"",
            "sampling/createMessage\",\"id",
        ] {
            assert!(!record.to_lowercase().contains(word), "{word}");
        }
        assert_eq!(server.counter("questions_asked").await, 0);
    });
}
