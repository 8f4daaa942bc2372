//! Headers that repeat the body (T-11 … T-15, V-1 … V-9): what they must say, in which spelling, and who looks.

use portcullis::{RequestContext, Server, Tool};
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;

/// A mismatch is 400 −32020 with the request's id; everything else is served.
async fn check(client: &Stateless, ask: &Ask, good: bool, why: &str) {
    let answer = client.post(ask).await;
    if good {
        assert_eq!((answer.head.status, &answer.last()["error"]), (200, &Value::Null), "{why}: {:?}", answer.last());
    } else {
        assert_eq!(fault(&answer), (400, -32020, &json!(1)), "{why}: {}", answer.last());
        assert_eq!(answer.head.header("content-type"), Some(JSON), "{why}");
    }
}

#[test]
fn p73_t13_t14_t15_g6_the_mirrors_are_there_and_equal_whatever_the_case_of_their_names() {
    sim::run(|sim| async move {
        let client = Stateless::able(&features::serve(&sim));
        let ask = || client.call("echo", json!({ "text": "x" }));
        for (ask, good, why) in [
            (ask(), true, "as it should be"),
            (ask().without("MCP-Protocol-Version"), false, "T-23: a stripped version makes no session's request"),
            (ask().header("MCP-Protocol-Version", "2025-11-25"), false, "another version"),
            (ask().header("MCP-Protocol-Version", ""), false, "an empty version"),
            (ask().header("mcp-PROTOCOL-version", MODERN), true, "names have no case"),
            (ask().header("MCP-Protocol-Version", " \t2026-07-28 \t"), true, "blanks around it"),
            (ask().without("Mcp-Method"), false, "no method"),
            (ask().header("Mcp-Method", "TOOLS/CALL"), false, "values have a case"),
            (ask().header("Mcp-Method", "tools/list"), false, "another method"),
            (ask().header("Mcp-Method", "=?base64?dG9vbHMvY2FsbA==?="), false, "a method is not coded"),
            (ask().header("MCP-METHOD", "  tools/call  "), true, "blanks around it"),
            (ask().without("Mcp-Name"), false, "no name"),
            (ask().header("Mcp-Name", "add"), false, "another name"),
            (ask().header("Mcp-Name", "Echo"), false, "values have a case"),
            (ask().header("Mcp-Name", ""), false, "an empty name"),
            (ask().header("mcp-name", "\techo "), true, "blanks around it"),
            (ask().param("name", 7), true, "T-15: what is no name is not compared"),
        ] {
            if ask.body["params"]["name"] == 7 {
                let answer = client.post(&ask).await;
                assert_eq!((answer.head.status, &answer.last()["error"]["code"]), (200, &json!(-32602)), "{why}");
                continue;
            }
            check(&client, &ask, good, why).await;
        }
        for (method, params, name, good) in [
            ("prompts/get", json!({ "name": "explain", "arguments": { "source": "x" } }), "explain", true),
            ("prompts/get", json!({ "name": "explain", "arguments": { "source": "x" } }), "survey", false),
            ("resources/read", json!({ "uri": "fw://rules" }), "fw://rules", true),
            ("resources/read", json!({ "uri": "fw://rules" }), "fw://logo", false),
            ("tools/list", json!({}), "whatever", true),
            ("tools/list", json!({ "name": "x" }), "whatever", true),
        ] {
            check(&client, &client.ask(method, params).header("Mcp-Name", name), good, &format!("{method} {name}"))
                .await;
        }
    });
}

#[test]
fn t11_v6_two_lines_of_one_mirror_are_refused_even_if_they_say_the_same() {
    sim::run(|sim| async move {
        let client = Stateless::new(&features::serve(&sim));
        let ask = client.call("routed", json!({ "region": "x" })).more("Mcp-Param-Region", "x");
        check(&client, &ask, true, "one of each").await;
        for (name, value) in [
            ("MCP-Protocol-Version", MODERN),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "routed"),
            ("mcp-param-REGION", "x"),
        ] {
            let answer = client.post(&ask.clone().more(name, value)).await;
            let (status, code, _) = fault(&answer);
            assert_eq!((status, code), (400, -32020), "{name}: {}", answer.last());
        }
        check(&client, &ask.clone().more("Mcp-Param-Other", "1").more("Mcp-Param-Other", "2"), true, "V-6").await;
    });
}

#[test]
fn v1_v2_a_name_may_be_coded_in_base64_and_is_compared_by_what_it_means() {
    let handler = async |_: RequestContext, _: Value| Ok("ran");
    sim::run(|sim| async move {
        let client = Stateless::new(&sim.serve_with(features::add));
        let uri = "fw://chains/%C3%A9";
        let ask = |name: &str| client.ask("resources/read", json!({ "uri": uri })).header("Mcp-Name", name);
        for (name, good) in [
            (uri, true),
            ("=?base64?Znc6Ly9jaGFpbnMvJUMzJUE5?=", true),
            ("=?BASE64?Znc6Ly9jaGFpbnMvJUMzJUE5?=", false),
            ("=?base64?Znc6Ly9jaGFpbnMvJUMzJUE5", false),
            ("Znc6Ly9jaGFpbnMvJUMzJUE5?=", false),
            ("=?base64?Znc6Ly9jaGFpbnMvJUMzJUE4?=", false),
            ("=?base64?Znc6Ly9ja!FpbnMvJUMzJUE5?=", false),
            ("=?base64?Znc6Ly9jaGFpbnMvJUMzJUE?=", false),
            ("=?base64?/w==?=", false),
            ("=?base64?=", false),
            ("=?base64??=", false),
        ] {
            check(&client, &ask(name), good, name).await;
        }
        let odd = client.ask("resources/read", json!({ "uri": "fw://chains/a b" }));
        assert!(String::from_utf8_lossy(&odd.bytes()).contains("Mcp-Name: =?base64?"), "X-62");
        assert_ne!(client.post(&odd).await.head.status, 400);
        for raw in [&b"fw://ch\xc3\xa9"[..], b"fw://\x01", b"fw://\x7f"] {
            let bytes = ask("MARK").bytes();
            let at = bytes.windows(4).position(|window| window == b"MARK").unwrap();
            let bytes = [&bytes[..at], raw, &bytes[at + 4..]].concat();
            let reply = client.server.connect().ask(bytes).await;
            assert_eq!(reply.status, 400, "{raw:?}");
        }
        let reply = {
            let bytes = ask("MARK").bytes();
            let at = bytes.windows(4).position(|window| window == b"MARK").unwrap();
            client.server.connect().ask([&bytes[..at], "é".as_bytes(), &bytes[at + 4..]].concat()).await
        };
        assert_eq!(reply.json()["error"]["code"], -32020, "V-2: {}", reply.text());
    });
    let twice = |a: &str, b: &str| json!({ "type": "object", "properties": { "a": { "type": "string", "x-mcp-header": a }, "b": { "type": "string", "x-mcp-header": b } } });
    for (schema, good) in [
        (twice("One", "Two"), true),
        (twice("One", "ONE"), false),
        (twice("", "Two"), false),
        (twice("a b", "Two"), false),
    ] {
        let tool = Tool::new("t").input_schema(schema.clone());
        assert_eq!(Server::builder("x", "1").tool(tool, handler).build().is_ok(), good, "V-3: {schema}");
    }
}

/// Arguments, headers, and whether they say the same.
type Row<'a> = (Value, &'a [(&'a str, &'a str)], bool);

#[test]
fn v3_v4_v5_arguments_that_are_mirrored_say_in_their_header_what_they_say_in_the_body() {
    let rows: &[Row<'_>] = &[
        (json!({}), &[], true),
        (json!({ "free": "x" }), &[], true),
        (json!({ "region": "south" }), &[("Region", "south")], true),
        (json!({ "region": "south" }), &[("rEgIoN", " south ")], true),
        (json!({ "region": "south" }), &[], false),
        (json!({ "region": "south" }), &[("Region", "South")], false),
        (json!({ "region": "south" }), &[("Region", "=?base64?c291dGg=?=")], true),
        (json!({ "region": "south" }), &[("Region", "=?base64?bm9ydGg=?=")], false),
        (json!({ "region": "south" }), &[("Region", "=?base64?c291dGg?=")], false),
        (json!({ "region": "=?base64?c291dGg=?=" }), &[("Region", "=?base64?c291dGg=?=")], false),
        (json!({ "region": "=?base64?c291dGg=?=" }), &[("Region", "=?base64?PT9iYXNlNjQ/YzI5MWRHZz0/PQ==?=")], true),
        (json!({ "region": "süd" }), &[("Region", "=?base64?c8O8ZA==?=")], true),
        (json!({ "region": " a " }), &[("Region", "=?base64?IGEg?=")], true),
        (json!({ "region": "" }), &[("Region", "")], true),
        (json!({ "region": "" }), &[], false),
        (json!({ "region": null }), &[("Region", "x")], false),
        (json!({}), &[("Region", "x")], false),
        (json!({}), &[("Region", "")], false),
        (json!({ "count": 42 }), &[("Count", "42")], true),
        (json!({ "count": 42 }), &[("Count", "42.0")], true),
        (json!({ "count": 42.0 }), &[("Count", "42")], true),
        (json!({ "count": 42 }), &[("Count", "43")], false),
        (json!({ "count": 42 }), &[("Count", "4.2e1")], false),
        (json!({ "count": 42 }), &[("Count", "042")], false),
        (json!({ "count": -7 }), &[("Count", "-7")], true),
        (json!({ "count": 9007199254740991_i64 }), &[("Count", "9007199254740991")], true),
        (json!({ "count": 9007199254740991_i64 }), &[("Count", "9007199254740990")], false),
        (json!({ "dry": true }), &[("Dry-Run", "true")], true),
        (json!({ "dry": true }), &[("Dry-Run", "True")], false),
        (json!({ "dry": false }), &[("Dry-Run", "true")], false),
        (json!({ "dry": false }), &[], false),
        (json!({ "at": { "zone": "w" } }), &[("Zone", "w")], true),
        (json!({ "at": { "zone": "w" } }), &[], false),
        (json!({ "at": {} }), &[("Zone", "w")], false),
        (json!({ "zone": "w" }), &[], true),
        (
            json!({ "region": "a", "count": 1, "dry": true, "at": { "zone": "z" } }),
            &[("Zone", "z"), ("Dry-Run", "true"), ("Count", "1"), ("Region", "a")],
            true,
        ),
        (json!({ "region": "a" }), &[("Region", "a"), ("Nonesuch", "x")], true),
    ];
    sim::run(|sim| async move {
        let client = Stateless::new(&features::serve(&sim));
        for (arguments, headers, good) in rows {
            let ask = client.call("routed", arguments.clone());
            let ask = headers.iter().fold(ask, |ask, (name, value)| ask.more(&format!("Mcp-Param-{name}"), value));
            check(&client, &ask, *good, &format!("{arguments} {headers:?}")).await;
            if *good {
                let answer = client.post(&ask).await;
                // X-68: a whole number is one to its handler, however it is written.
                let arguments = arguments.to_string().replace("42.0", "42");
                assert_eq!(answer.said(), arguments, "V-7: the handler reads the body");
            }
        }
    });
}

#[test]
fn v4_v5_v6_where_there_is_nothing_to_compare_the_arguments_are_judged_as_usual() {
    sim::run(|sim| async move {
        let client = Stateless::new(&features::serve(&sim));
        for arguments in [json!({ "region": {} }), json!({ "region": [1] })] {
            let answer = client.post(&client.call("routed", arguments.clone())).await;
            assert_eq!((answer.head.status, &answer.last()["result"]["isError"]), (200, &json!(true)), "{arguments}");
        }
        for (arguments, header) in [
            (json!({ "count": 9007199254740992_u64 }), "9007199254740992"),
            (json!({ "count": -9007199254740993_i64 }), "-9007199254740993"),
        ] {
            let ask = client.call("routed", arguments.clone()).more("Mcp-Param-Count", header);
            let answer = client.post(&ask).await;
            let last = answer.last();
            assert_eq!((answer.head.status, &last["error"]["code"]), (200, &json!(-32602)), "V-5 {arguments}: {last}");
        }
        let unknown = client.call("nonesuch", json!({})).more("Mcp-Param-Region", "x");
        let answer = client.post(&unknown).await;
        assert_eq!((answer.head.status, &answer.last()["error"]["code"]), (200, &json!(-32602)), "V-6");
        let plain = client.call("echo", json!({ "text": "x" })).more("Mcp-Param-Text", "y");
        check(&client, &plain, true, "V-6: no such annotation").await;
    });
}

#[test]
fn v8_in_sessions_nobody_looks_at_mirrors() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        for revision in STREAMABLE {
            let session = Session::open(&server, revision).await;
            let headers = [("Mcp-Method", "tools/list"), ("Mcp-Name", "other"), ("Mcp-Param-Region", "north")];
            let answer = session.post_with(&headers, &call(1, "routed", json!({ "region": "south" }))).await;
            assert_eq!((answer.head.status, answer.said()), (200, r#"{"region":"south"}"#), "{revision}");
            let answer = session.post(&call(1, "routed", json!({ "region": "south" }))).await;
            assert_eq!(answer.head.status, 200);
            let listed = session.post(&rpc(1, "tools/list", json!({}))).await;
            assert!(listed.last().to_string().contains("x-mcp-header"), "appendix B: a harmless keyword");
        }
    });
}
