//! Prompts, and proposals for their blanks and those of templates.

use serde_json::{Value, json};

use crate::sim;
use crate::sim::features;
use crate::sim::stateless::*;
use crate::sim::way::Way;

#[test]
fn f50_f51_a_prompt_is_listed_as_described_and_filled_in() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            let list = client.ask("prompts/list", json!({})).await;
            let explain = json!({
                "name": "explain", "title": "Explain a drop", "description": "Why was a packet dropped?",
                "arguments": [
                    { "name": "source", "title": "Source", "description": "its address", "required": true },
                    { "name": "style", "required": false },
                ],
            });
            assert_eq!(list["result"]["prompts"], json!([explain, { "name": "survey" }]), "{revision}");
            for (arguments, style) in [
                (json!({ "source": "10.0.0.1" }), "plain"),
                (json!({ "source": "10.0.0.1", "style": "few" }), "few"),
                (json!({ "source": "10.0.0.1", "nonesuch": "x" }), "plain"),
            ] {
                let got = client.ask("prompts/get", json!({ "name": "explain", "arguments": arguments })).await;
                let text = format!("Why was a packet from 10.0.0.1 dropped? Answer in {style} words.");
                let messages = json!([
                    { "role": "user", "content": { "type": "text", "text": text } },
                    { "role": "assistant", "content": { "type": "text", "text": "Let me look." } },
                ]);
                let result = &got["result"];
                assert_eq!(
                    (&result["messages"], &result["description"]),
                    (&messages, &json!("A question.")),
                    "{revision}"
                );
            }
        }
    });
}

#[test]
fn f52_missing_and_non_string_arguments_and_unknown_prompts_are_wrong_params() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            for (params, words) in [
                (json!({ "name": "explain" }), "source"),
                (json!({ "name": "explain", "arguments": {} }), "source"),
                (json!({ "name": "explain", "arguments": { "style": "x" } }), "source"),
                (json!({ "name": "explain", "arguments": { "source": 7 } }), "string"),
                (json!({ "name": "explain", "arguments": { "source": null } }), "string"),
                (json!({ "name": "explain", "arguments": { "source": ["x"] } }), "string"),
                (json!({ "name": "explain", "arguments": { "source": "x", "style": true } }), "string"),
                (json!({ "name": "explain", "arguments": [] }), ""),
                (json!({ "name": "explain", "arguments": "source" }), ""),
                (json!({ "name": "nonesuch" }), "nonesuch"),
                (json!({ "name": "Explain", "arguments": { "source": "x" } }), "Explain"),
                (json!({ "name": 7 }), ""),
                (json!({}), "name"),
            ] {
                let answer = client.ask("prompts/get", params.clone()).await;
                let error = &answer["error"];
                assert_eq!(error["code"], -32602, "{revision} {params}: {answer}");
                assert!(error["message"].as_str().unwrap().contains(words), "{words}: {answer}");
            }
        }
    });
}

fn blank(of: Value, name: &str, value: &str) -> Value {
    json!({ "ref": of, "argument": { "name": name, "value": value } })
}

#[test]
fn f60_f61_proposals_are_made_from_what_is_typed_and_filled_in_and_cut_at_a_hundred() {
    sim::run(|sim| async move {
        let (template, prompt) = (
            json!({ "type": "ref/resource", "uri": "fw://chains/{name}" }),
            json!({ "type": "ref/prompt", "name": "explain", "title": "whatever" }),
        );
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            for (typed, values) in
                [("", json!(["input", "forward", "output"])), ("in", json!(["input"])), ("x", json!([]))]
            {
                let answer = client.ask("completion/complete", blank(template.clone(), "name", typed)).await;
                let completion = &answer["result"]["completion"];
                assert_eq!(completion["values"], values, "{revision} {typed}: {answer}");
                assert_ne!(completion["hasMore"], true);
            }
            let answer = client.ask("completion/complete", blank(prompt.clone(), "style", "")).await;
            let completion = &answer["result"]["completion"];
            assert_eq!(completion["values"].as_array().unwrap().len(), 100, "{revision}");
            assert_eq!((&completion["total"], &completion["hasMore"]), (&json!(130), &json!(true)));
            assert_eq!(completion["values"][99], "style 99", "best first");
            let mut filled = blank(prompt.clone(), "source", "");
            filled["context"] = json!({ "arguments": { "style": "few" } });
            let answer = client.ask("completion/complete", filled).await;
            assert_eq!(answer["result"]["completion"]["values"], json!(["10.0.0.1 few"]), "{revision}");
            let other = json!({ "type": "ref/resource", "uri": "file:///etc/fw/{+path}" });
            let answer = client.ask("completion/complete", blank(other, "path", "")).await;
            assert_eq!(answer["result"]["completion"]["values"], json!([]), "nobody proposes anything for it");
        }
    });
}

#[test]
fn f62_what_is_no_blank_is_wrong_params() {
    sim::run(|sim| async move {
        let prompt = |name: &str| json!({ "type": "ref/prompt", "name": name });
        let template = |uri: &str| json!({ "type": "ref/resource", "uri": uri });
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            for params in [
                blank(prompt("nonesuch"), "style", ""),
                blank(prompt("explain"), "nonesuch", ""),
                blank(prompt("survey"), "style", ""),
                blank(template("fw://nowhere/{name}"), "name", ""),
                blank(template("fw://chains/{name}"), "nonesuch", ""),
                blank(json!({ "type": "ref/tool", "name": "echo" }), "text", ""),
                blank(json!({ "type": "ref/prompt" }), "style", ""),
                blank(json!({}), "style", ""),
                json!({ "ref": prompt("explain") }),
                json!({ "ref": prompt("explain"), "argument": { "name": "style", "value": 7 } }),
                json!({ "argument": { "name": "style", "value": "" } }),
            ] {
                let answer = client.ask("completion/complete", params.clone()).await;
                assert_eq!(answer["error"]["code"], -32602, "{revision} {params}: {answer}");
            }
        }
    });
}

#[test]
fn f12_f14_a_method_whose_capability_is_not_offered_does_not_exist_and_is_not_advertised() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&sim.serve()).await {
            for (method, params) in [
                ("resources/list", json!({})),
                ("resources/templates/list", json!({})),
                ("resources/read", json!({ "uri": "fw://rules" })),
                ("resources/subscribe", json!({ "uri": "fw://rules" })),
                ("resources/unsubscribe", json!({ "uri": "fw://rules" })),
                ("prompts/list", json!({})),
                ("prompts/get", json!({ "name": "explain" })),
                ("completion/complete", blank(json!({ "type": "ref/prompt", "name": "x" }), "a", "")),
                ("tasks/list", json!({})),
                ("tasks/get", json!({ "taskId": "x" })),
            ] {
                let answer = client.ask(method, params).await;
                assert_eq!(answer["error"]["code"], -32601, "{revision} {method}: {answer}");
            }
            let (method, params) = match revision {
                MODERN => ("server/discover", json!({})),
                _ => (
                    "initialize",
                    json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } }),
                ),
            };
            let capabilities = client.ask(method, params).await["result"]["capabilities"].clone();
            assert_eq!(capabilities, json!({ "logging": {}, "tools": { "listChanged": true } }), "{revision}");
        }
    });
}
