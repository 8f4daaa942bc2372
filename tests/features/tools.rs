//! Tools: their descriptions, the check of what goes in and of what comes out.

use portcullis::{CallResult, RequestContext, Server, Tool};
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;
use crate::sim::way::Way;

async fn listed(client: &mut Way, tool: &str) -> Value {
    let list = client.ask("tools/list", json!({})).await;
    let tools = list["result"]["tools"].as_array().unwrap_or_else(|| panic!("{list}"));
    tools.iter().find(|entry| entry["name"] == tool).unwrap_or_else(|| panic!("no {tool}")).clone()
}

#[test]
fn f30_f7_a_tool_is_listed_with_all_that_it_was_described_with() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            let entry = listed(&mut client, "open_port").await;
            let expected = json!({
                "name": "open_port",
                "title": "Open a port",
                "description": "Opens a TCP port.",
                "icons": [{ "src": "https://fw.example/port.png", "mimeType": "image/png", "sizes": ["48x48"] }],
                "_meta": { "example.com/team": "gate" },
                "inputSchema": {
                    "type": "object",
                    "properties": { "port": { "type": "integer", "minimum": 1, "maximum": 65535 } },
                    "required": ["port"],
                    "additionalProperties": false,
                },
                "annotations": { "destructiveHint": true, "idempotentHint": true, "openWorldHint": false },
            });
            assert_eq!(entry, expected, "{revision}");
            let plain = listed(&mut client, "odd").await;
            let schema = json!({ "type": "object", "additionalProperties": false });
            assert_eq!(plain, json!({ "name": "odd", "inputSchema": schema }), "X-66: no null for what is not there");
        }
    });
}

#[test]
fn x55_the_order_of_tools_is_that_of_their_registration_always() {
    sim::run(|sim| async move {
        let mut seen = Vec::new();
        for server in [features::serve(&sim), features::serve(&sim)] {
            for (_, mut client) in Way::all(&server).await {
                let list = client.ask("tools/list", json!({})).await;
                let names = list["result"]["tools"].as_array().unwrap().iter().map(|entry| entry["name"].clone());
                seen.push(names.collect::<Vec<_>>());
            }
        }
        assert_eq!((&seen[0][0], &seen[0][1]), (&json!("echo"), &json!("add")));
        assert!(seen.iter().all(|names| *names == seen[0]));
    });
}

#[test]
fn f35_f36_x48_x49_structured_results_and_their_schemas_are_wrapped_together_or_not_at_all() {
    let numbers = json!({ "type": "array", "items": { "type": "integer" } });
    let wrapped =
        |inner: &Value| json!({ "type": "object", "properties": { "result": inner }, "required": ["result"] });
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            let known = revision >= "2025-06-18";
            for (tool, schema, value) in
                [("numbers", numbers.clone(), json!([1, 2, 3])), ("nothing", json!({ "type": "null" }), Value::Null)]
            {
                let entry = listed(&mut client, tool).await;
                let result = client.call(tool, json!({})).await["result"].clone();
                let (schema, structured) = match revision {
                    MODERN => (schema, value.clone()),
                    _ => (wrapped(&schema), json!({ "result": value.clone() })),
                };
                assert_eq!(entry.get("outputSchema"), known.then_some(&schema), "{revision} {tool}");
                assert_eq!(result.get("structuredContent"), known.then_some(&structured), "X-50 {revision} {tool}");
                assert_eq!(result["content"][0]["text"], value.to_string(), "F-35: as text too");
            }
            let entry = listed(&mut client, "weather").await;
            assert_eq!(entry["outputSchema"]["required"], if known { json!(["degrees"]) } else { Value::Null });
            let result = client.call("weather", json!({})).await["result"].clone();
            assert_eq!(result.get("structuredContent"), known.then_some(&json!({ "degrees": 21.5 })), "{revision}");
        }
    });
}

#[test]
fn f34_f35_a_result_that_breaks_its_promise_is_our_fault_and_never_sent() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            let broken = client.call("broken_weather", json!({})).await;
            assert_eq!(broken["error"]["code"], -32603, "{revision}: {broken}");
            assert!(broken["error"]["message"].as_str().unwrap().contains("degrees"), "P80: {broken}");
            assert!(!broken.to_string().contains("structuredContent"));
            let none = client.call("no_weather", json!({})).await;
            assert_eq!(none["result"]["isError"], true, "F-35: an error needs no structure");
            assert_eq!(said(&none), "the station is silent");
        }
    });
}

#[test]
fn f34_f37_arguments_are_checked_and_the_model_is_told_in_a_sentence_what_to_mend() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            for (arguments, words) in [
                (json!({}), "`port`"),
                (json!({ "port": "ssh" }), "expected integer"),
                (json!({ "port": 0 }), "1"),
                (json!({ "port": 65536 }), "65535"),
                (json!({ "port": 22.5 }), "expected integer"),
                (json!({ "port": null }), "expected integer"),
                (json!({ "port": 22, "host": "x" }), "host"),
            ] {
                let answer = client.call("open_port", arguments.clone()).await;
                assert_eq!(answer["result"]["isError"], true, "X-47 {revision} {arguments}: {answer}");
                assert!(said(&answer).starts_with("invalid arguments") && said(&answer).contains(words), "{answer}");
            }
            assert_eq!(said(&client.call("open_port", json!({ "port": 22 })).await), "opened 22");
            let none = client.ask("tools/call", json!({ "name": "odd" })).await;
            assert_eq!(none["result"]["isError"], false, "F-31: no arguments are none");
            let none = client.ask("tools/call", json!({ "name": "odd", "arguments": null })).await;
            assert!(!none["result"].is_null() || none["error"]["code"] == -32602, "{none}");
        }
    });
}

#[test]
fn f34_an_unknown_tool_is_an_error_of_the_request_in_every_revision() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            for tool in ["nonesuch", "Echo", "echo ", ""] {
                let answer = client.call(tool, json!({})).await;
                assert_eq!(answer["error"]["code"], -32602, "{revision} {tool:?}: {answer}");
            }
        }
    });
}

#[test]
fn f37_v3_a_tool_that_no_client_could_use_is_refused_when_the_server_is_built() {
    let handler = async |_: RequestContext, _: Value| Ok(CallResult::default());
    let of = |schema: Value| Tool::new("t").input_schema(schema);
    let property = |schema: Value| of(json!({ "type": "object", "properties": { "a": schema } }));
    for (tool, good) in [
        (of(json!({ "type": "object" })), true),
        (of(json!({ "type": "array" })), false),
        (of(json!({})), false),
        (of(json!(true)), false),
        (property(json!({ "type": "nonesuch" })), false),
        (property(json!({ "$ref": "https://elsewhere.example/schema" })), false),
        (property(json!({ "$ref": "#/$defs/none" })), false),
        (of(json!({ "type": "object", "$schema": "http://json-schema.org/draft-04/schema#" })), false),
        (of(json!({ "type": "object", "$schema": "https://json-schema.org/draft/2020-12/schema" })), true),
        (property(json!({ "type": "number", "x-mcp-header": "A" })), false),
        (property(json!({ "type": ["string", "null"], "x-mcp-header": "A" })), false),
        (property(json!({ "type": "array", "items": { "type": "string", "x-mcp-header": "A" } })), false),
        (property(json!({ "type": "integer", "x-mcp-header": "A" })), true),
        (Tool::new(""), false),
        (Tool::new("a b"), false),
        (Tool::new("ö"), false),
        (Tool::new("a".repeat(128)), true),
        (Tool::new("a".repeat(129)), false),
        (Tool::new("t").output_schema(json!({ "type": "array" })), true),
        (Tool::new("t").output_schema(json!({ "type": 7 })), false),
    ] {
        let words = format!("{tool:?}");
        assert_eq!(Server::builder("x", "1").tool(tool, handler).build().is_ok(), good, "X-63 {words}");
    }
    let twice = Server::builder("x", "1").tool(Tool::new("t"), handler).tool(Tool::new("t"), handler).build();
    assert!(twice.is_err(), "a name stands for one");
}
