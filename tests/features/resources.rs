//! Resources: reading them, what is not there, and who hears of their changes.

use portcullis::{ReadRequest, RequestContext, ResourceTemplate};
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;
use crate::sim::way::Way;

#[test]
fn f40_f41_resources_and_templates_are_listed_as_described() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            let list = client.ask("resources/list", json!({})).await;
            let rules = json!({
                "uri": "fw://rules", "name": "rules", "title": "The rule set", "mimeType": "text/plain", "size": 7,
            });
            assert_eq!(list["result"]["resources"][0], rules, "{revision}");
            assert_eq!(list["result"]["resources"].as_array().unwrap().len(), 4);
            let list = client.ask("resources/templates/list", json!({})).await;
            let chain = json!({ "uriTemplate": "fw://chains/{name}", "name": "chain", "mimeType": "application/json" });
            assert_eq!(list["result"]["resourceTemplates"][0], chain, "{revision}");
            assert_eq!(list["result"]["resourceTemplates"].as_array().unwrap().len(), 2);
        }
    });
}

#[test]
fn f42_f44_x65_text_bytes_and_templates_are_read_in_every_revision() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            for (uri, contents) in [
                ("fw://rules", json!([{ "uri": "fw://rules", "mimeType": "text/plain", "text": "3 rules" }])),
                ("fw://logo", json!([{ "uri": "fw://logo", "mimeType": "image/png", "blob": "iVBORwD/" }])),
                (
                    "fw://chains/my%20chain",
                    json!([
                        { "uri": "fw://chains/my%20chain", "mimeType": "application/json", "text": "{\"chain\":\"my chain\"}" },
                        { "uri": "fw://counters", "mimeType": "text/plain", "text": "0 packets" },
                    ]),
                ),
                ("file:///etc/fw/a/b.conf", json!([{ "uri": "file:///etc/fw/a/b.conf", "text": "the file a/b.conf" }])),
            ] {
                let answer = client.ask("resources/read", json!({ "uri": uri })).await;
                assert_eq!(answer["result"]["contents"], contents, "{revision} {uri}: {answer}");
            }
        }
    });
}

#[test]
fn f43_what_is_not_there_is_an_error_with_its_uri_and_the_code_of_the_revision() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            let code = if revision == MODERN { -32602 } else { -32002 };
            for uri in ["fw://nowhere", "fw://lost", "fw://rules/", "fw://RULES", "fw://chains/a/b", "other://rules"] {
                let answer = client.ask("resources/read", json!({ "uri": uri })).await;
                let error = &answer["error"];
                assert_eq!(
                    (&error["code"], &error["data"]),
                    (&json!(code), &json!({ "uri": uri })),
                    "{revision} {uri}"
                );
            }
        }
    });
}

#[test]
fn f44_b14_no_address_leads_out_of_its_template() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            for uri in [
                "fw://chains/..",
                "fw://chains/.",
                "fw://chains/../rules",
                "fw://chains/%2e%2e",
                "fw://chains/%2E%2E",
                "fw://chains/a%2fb",
                "fw://chains/..%2f..%2fetc",
                "fw://chains/%00",
                "fw://chains/",
                "file:///etc/fw/../shadow",
                "file:///etc/fw/a/../../shadow",
                "file:///etc/fw/%2e%2e/shadow",
                "file:///etc/fw/%2e%2e%2fshadow",
                "file:///etc/fw/a%2f..%2f..%2fshadow",
                "file:///etc/fw//etc/shadow",
                "file:///etc/fw/..",
                "file:///etc/fw/a\\..\\..\\shadow",
                "file:///etc/fw/%5c..%5cshadow",
                "file:///etc/fw/%00",
                "not a uri",
                "",
                "rules",
                "/etc/passwd",
                "fw://a b",
                "fw://%zz",
            ] {
                let answer = client.ask("resources/read", json!({ "uri": uri })).await;
                let code = answer["error"]["code"].as_i64().unwrap_or(0);
                assert!([-32602, -32002].contains(&code), "{revision} {uri:?}: {answer}");
            }
        }
    });
}

#[test]
fn f41_f44_a_template_whose_value_is_a_whole_path_takes_one() {
    let template = ResourceTemplate::new("file://{+path}", "any file");
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| {
            builder.resource_template(template, async |_: RequestContext, request: ReadRequest| {
                Ok(request.get("path").unwrap_or_default().to_owned())
            })
        });
        let client = Stateless::new(&server);
        for (uri, path) in [
            ("file:///etc/hosts", Some("/etc/hosts")),
            ("file:///etc/../shadow", None),
            ("file:///etc/%2e%2e/shadow", None),
        ] {
            let answer = client.gets("resources/read", json!({ "uri": uri })).await;
            assert_eq!(answer.last()["result"]["contents"][0]["text"].as_str(), path, "{uri}: {}", answer.last());
        }
    });
}

/// The next notification about resources; other messages of the stream are none of ours.
async fn updated(client: &mut Way, stream: &mut Option<crate::sim::wire::Conn>) -> Option<String> {
    let conn = match (client, stream) {
        (Way::HttpSse(legacy), _) => &mut legacy.stream,
        (_, Some(stream)) => stream,
        _ => return None,
    };
    let sim = conn.sim.clone();
    let message = sim.within(1_000, conn.message()).await??;
    assert_eq!(message["method"], "notifications/resources/updated", "{message}");
    assert!(message["params"]["_meta"].is_null() && message["id"].is_null(), "{message}");
    Some(message["params"]["uri"].as_str().unwrap().to_owned())
}

#[test]
fn f45_a_session_hears_of_what_it_subscribed_to_and_of_what_is_below_and_of_nothing_else() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let mut bystander = Legacy::open(&server).await;
        for (revision, mut client) in Way::all(&server).await.into_iter().filter(|(revision, _)| *revision != MODERN) {
            let mut stream = match &client {
                Way::Streamable(session) => Some(session.listen().await),
                _ => None,
            };
            let handle = server.handle();
            handle.resource_updated("fw://rules");
            assert_eq!(updated(&mut client, &mut stream).await, None, "not asked for");
            for uri in ["fw://rules", "fw://rules", "fw://chains/input"] {
                let done = client.ask("resources/subscribe", json!({ "uri": uri })).await;
                assert_eq!(done["result"], json!({}), "{revision} {uri}");
            }
            for (uri, heard) in [
                ("fw://rules", true),
                ("fw://rules/7", true),
                ("fw://rulesets", false),
                ("fw://logo", false),
                ("fw://chains/input", true),
                ("fw://chains/output", false),
                ("fw://chains", false),
            ] {
                handle.resource_updated(uri);
                let expected = heard.then(|| uri.to_owned());
                assert_eq!(updated(&mut client, &mut stream).await, expected, "{revision} {uri}");
            }
            for uri in ["fw://rules", "fw://rules", "fw://never-subscribed", "fw://nowhere"] {
                let done = client.ask("resources/unsubscribe", json!({ "uri": uri })).await;
                assert_eq!(done["result"], json!({}), "{revision} {uri}");
            }
            handle.resource_updated("fw://rules");
            assert_eq!(updated(&mut client, &mut stream).await, None, "{revision}: no more");
            handle.resource_updated("fw://chains/input");
            assert!(updated(&mut client, &mut stream).await.is_some());
        }
        assert!(sim.within(1_000, bystander.stream.message()).await.is_none());
    });
}

#[test]
fn f45_what_cannot_be_read_cannot_be_subscribed_to() {
    sim::run(|sim| async move {
        for (revision, mut client) in Way::all(&features::serve(&sim)).await {
            for (params, code) in [
                (json!({ "uri": "fw://nowhere" }), -32002),
                (json!({ "uri": "fw://chains/a/b" }), -32002),
                (json!({ "uri": 7 }), -32602),
                (json!({}), -32602),
                (Value::Null, -32602),
            ] {
                if revision == MODERN {
                    continue; // there is no such method: T-17
                }
                let answer = client.ask("resources/subscribe", params.clone()).await;
                assert_eq!(answer["error"]["code"], code, "{revision} {params}: {answer}");
            }
        }
    });
}

#[test]
fn f45_subscriptions_are_bounded_and_end_with_their_session() {
    let limits = portcullis::Limits { subscriptions_max: 3, ..portcullis::Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| features::add(builder.limits(limits)));
        let session = Session::open(&server, LATEST).await;
        for n in 0..5 {
            let body = rpc(1, "resources/subscribe", json!({ "uri": format!("fw://chains/c{n}") }));
            let answer = session.post(&body).await;
            assert_eq!(answer.last()["error"]["code"], if n < 3 { Value::Null } else { json!(-32602) }, "{n}");
        }
        let again = rpc(1, "resources/subscribe", json!({ "uri": "fw://chains/c0" }));
        assert_eq!(session.post(&again).await.last()["result"], json!({}), "what is there already costs nothing");
        session.post(&rpc(1, "resources/unsubscribe", json!({ "uri": "fw://chains/c0" }))).await;
        let next = rpc(1, "resources/subscribe", json!({ "uri": "fw://chains/c9" }));
        assert_eq!(session.post(&next).await.last()["result"], json!({}));
        session.delete().await;
        server.handle().resource_updated("fw://chains/c9");
        sim.settle().await;
        assert_eq!(server.gauge("buffered_bytes").await, 0);
    });
}
