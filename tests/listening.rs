//! `subscriptions/listen` of 2026-07-28 (F-150 … F-157).

use std::time::Duration;

use portcullis::{Limits, Tokens};
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;
use crate::sim::wire::Conn;

fn subscription(message: &Value) -> &Value {
    let place = if message["result"].is_null() { &message["params"] } else { &message["result"] };
    &place["_meta"][SUBSCRIPTION]
}

/// The next message, if one comes soon.
async fn next(conn: &mut Conn) -> Option<Value> {
    let sim = conn.sim.clone();
    sim.within(1_000, conn.message()).await.flatten()
}

fn is_end(message: &Value, id: &Value) -> bool {
    let result = &message["result"];
    message["id"] == *id
        && subscription(message) == id
        && result["resultType"] == "complete"
        && !result["_meta"][SERVER].is_null()
}

#[test]
fn f150_f152_f153_it_is_acknowledged_first_and_every_message_has_its_id_in_the_type_that_came() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::new(&server);
        for id in [json!(7), json!("7"), json!(0), json!(""), json!(-1), json!(i64::MAX), json!("a\u{2028}\"b")] {
            let filter = json!({ "toolsListChanged": true, "resourceSubscriptions": ["fw://rules"] });
            let ask = client.ask("subscriptions/listen", json!({ "notifications": filter })).id(id.clone());
            // The change is in the same instant: it is told, and behind the acknowledgement.
            let mut conn = client.send(&ask).await;
            server.handle().tools_list_changed();
            conn.head().await.unwrap();
            let first = conn.message().await.unwrap();
            let meta = json!({ SUBSCRIPTION: id });
            let params = json!({ "notifications": filter, "_meta": meta });
            let method = "notifications/subscriptions/acknowledged";
            assert_eq!(first, json!({ "jsonrpc": "2.0", "method": method, "params": params }));
            while next(&mut conn).await.is_some() {}
            server.handle().resource_updated("fw://rules");
            let told = next(&mut conn).await.unwrap();
            assert_eq!(told["params"], json!({ "uri": "fw://rules", "_meta": { SUBSCRIPTION: id } }));
            server.handle().tools_list_changed();
            let told = next(&mut conn).await.unwrap();
            assert_eq!(told["method"], "notifications/tools/list_changed");
            assert_eq!(told["params"], json!({ "_meta": { SUBSCRIPTION: id } }));
        }
    });
}

#[test]
fn f150_f152_of_a_filter_that_is_honoured_which_is_offered_and_a_wrong_one_is_refused() {
    let limits = Limits { subscriptions_max: 3, ..Limits::default() };
    sim::run(|sim| async move {
        let full = sim.serve_with(|builder| features::add(builder.limits(limits)));
        let bare = sim.serve();
        let lists = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true });
        for (server, filter, honoured) in [
            (&full, lists.clone(), lists.clone()),
            (&bare, lists, json!({ "toolsListChanged": true })),
            (&full, json!({}), json!({})),
            (&full, json!({ "toolsListChanged": false }), json!({})),
            (&full, json!({ "nonesuch": true, "taskIds": ["x"] }), json!({})),
            (&full, json!({ "resourceSubscriptions": [] }), json!({})),
            (
                &full,
                json!({ "resourceSubscriptions": ["fw://rules", "fw://nowhere", "fw://chains/input"] }),
                json!({ "resourceSubscriptions": ["fw://rules", "fw://chains/input"] }),
            ),
            (&bare, json!({ "resourceSubscriptions": ["fw://rules"] }), json!({})),
        ] {
            let (_conn, first) = Stateless::new(server).listen(1, filter.clone()).await;
            assert_eq!(first["params"]["notifications"], honoured, "{filter}");
        }
        let client = Stateless::new(&full);
        for params in [
            json!({}),
            json!({ "notifications": null }),
            json!({ "notifications": "all" }),
            json!({ "notifications": [] }),
            json!({ "notifications": { "toolsListChanged": "yes" } }),
            json!({ "notifications": { "resourceSubscriptions": "fw://rules" } }),
            json!({ "notifications": { "resourceSubscriptions": [7] } }),
            json!({ "notifications": { "resourceSubscriptions": ["a:1", "a:2", "a:3", "a:4"] } }),
        ] {
            let answer = client.gets("subscriptions/listen", params.clone()).await;
            assert_eq!(fault(&answer), (200, -32602, &json!(1)), "{params}: {}", answer.last());
        }
        assert_eq!(full.gauge("listens").await, 0);
    });
}

#[test]
fn f153_f154_a_listener_hears_of_what_it_named_and_of_nothing_else() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::new(&server);
        let (mut tools, _) = client.listen("tools", json!({ "toolsListChanged": true })).await;
        let (mut prompts, _) = client.listen("prompts", json!({ "promptsListChanged": true })).await;
        let (mut rules, _) = client.listen("rules", json!({ "resourceSubscriptions": ["fw://rules"] })).await;
        let (mut nothing, _) = client.listen("nothing", json!({})).await;
        let (mut twin, _) = client.listen("rules", json!({ "resourceSubscriptions": ["fw://rules"] })).await;
        assert_eq!(server.gauge("listens").await, 5, "F-156");
        let handle = server.handle();
        handle.tools_list_changed();
        handle.prompts_list_changed();
        handle.resources_list_changed();
        for uri in ["fw://rules", "fw://logo", "fw://rules/7", "fw://rulesets", "fw://rules"] {
            handle.resource_updated(uri);
        }
        for (conn, id, expected) in [
            (&mut tools, "tools", vec!["notifications/tools/list_changed"]),
            (&mut prompts, "prompts", vec!["notifications/prompts/list_changed"]),
            (&mut rules, "rules", vec!["fw://rules", "fw://rules/7"]),
            (&mut twin, "rules", vec!["fw://rules", "fw://rules/7"]),
            (&mut nothing, "nothing", vec![]),
        ] {
            let mut seen = Vec::new();
            while let Some(message) = next(conn).await {
                assert_eq!(subscription(&message), id);
                let what = message["params"]["uri"].as_str().or(message["method"].as_str()).unwrap();
                seen.push(what.to_owned());
            }
            assert_eq!(seen, expected, "{id}");
        }
    });
}

#[test]
fn f151_w7_p75_it_is_a_stream_or_406_and_lives_for_hours_on_comments_alone() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::new(&server);
        let ask = client.ask("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } })).id(3);
        for accept in [JSON, "application/*", "text/event-stream;q=0, application/json"] {
            let answer = client.post(&ask.clone().header("Accept", accept)).await;
            assert_eq!(fault(&answer), (406, -32600, &json!(3)), "{accept}");
        }
        for accept in [SSE, BOTH, "*/*"] {
            let mut conn = client.send(&ask.clone().header("Accept", accept)).await;
            let head = conn.head().await.unwrap();
            assert_eq!((head.status, head.header("content-type")), (200, Some(SSE)), "{accept}");
            assert_eq!((head.header("x-accel-buffering"), head.header("mcp-session-id")), (Some("no"), None));
            let begin = sim.ms();
            let mut last = begin;
            while sim.ms() < begin + 3 * 3_600_000 {
                let event = conn.event().await.expect("it goes on");
                assert!(event.id.is_none() && event.retry.is_none());
                assert!(event.at - last <= 15_250, "P46: {} after {last}", event.at);
                last = event.at;
                assert!(event.is_comment() || event.at == begin, "{event:?}");
            }
        }
    });
}

#[test]
fn f153_no_progress_and_no_log_messages_go_to_a_listener_even_if_it_asks_for_them() {
    sim::run(|sim| async move {
        let client = Stateless::new(&features::serve(&sim));
        let ask = client.ask("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
        let mut conn = client.send(&ask.meta("progressToken", "t").meta(LOG_LEVEL, "debug")).await;
        conn.head().await.unwrap();
        assert_eq!(conn.message().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
        client.calls("talk", json!({ "count": 5 })).await;
        assert!(sim.within(120_000, conn.message()).await.is_none());
    });
}

#[test]
fn t19_f152_a_listener_that_is_refused_is_not_acknowledged() {
    sim::run(|sim| async move {
        let client = Stateless::new(&features::serve(&sim));
        for accept in [BOTH, SSE] {
            let ask = client.ask("subscriptions/listen", json!({ "notifications": {} })).meta(LOG_LEVEL, "loud");
            let refused = client.post(&ask.header("Accept", accept)).await;
            assert_eq!((refused.messages.len(), &refused.last()["error"]["code"]), (1, &json!(-32602)), "{refused:?}");
        }
        assert_eq!(client.server.gauge("listens").await, 0);
    });
}

#[test]
fn f155_a_client_that_goes_away_is_no_listener_any_more() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::new(&server);
        for how in ["fin", "reset", "drop"] {
            let (conn, _) = client.listen(1, json!({ "toolsListChanged": true })).await;
            let (other, _) = client.listen(2, json!({ "toolsListChanged": true })).await;
            assert_eq!(server.gauge("listens").await, 2);
            match how {
                "fin" => conn.end.fin(),
                "reset" => conn.end.reset(),
                _ => drop(conn),
            }
            sim.sleep(200).await;
            assert_eq!(server.gauge("listens").await, 1, "{how}");
            drop(other);
            sim.sleep(200).await;
            server.handle().tools_list_changed();
            sim.settle().await;
            let debug = server.debug().await;
            for gauge in ["listens", "calls_running", "buffered_bytes"] {
                assert_eq!(debug["gauges"][gauge], 0, "{how} {gauge}");
            }
            assert_eq!(debug["counters"]["responses_undeliverable"], 0, "there was no answer to lose");
        }
    });
}

#[test]
fn f156_one_listener_more_than_the_limit_is_refused_and_its_place_comes_back() {
    let limits = Limits { listens_max: 3, ..Limits::default() };
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| features::add(builder.limits(limits)));
        let client = Stateless::new(&server);
        let mut open = Vec::new();
        for n in 0..3 {
            open.push(client.listen(n, json!({ "toolsListChanged": true })).await.0);
        }
        let refused = client.gets("subscriptions/listen", json!({ "notifications": {} })).await;
        assert_eq!(fault(&refused), (200, -32603, &json!(1)));
        assert!(refused.last()["error"]["message"].as_str().unwrap().contains("listens_max"), "P80");
        open.pop();
        sim.sleep(200).await;
        open.push(client.listen(9, json!({ "toolsListChanged": true })).await.0);
        server.handle().tools_list_changed();
        for conn in &mut open {
            assert!(next(conn).await.is_some());
        }
    });
}

#[test]
fn f156_who_reads_too_slowly_is_ended_with_a_result_and_costs_the_others_nothing() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::new(&server);
        let filter = json!({ "resourceSubscriptions": ["fw://rules"] });
        let ask = client.ask("subscriptions/listen", json!({ "notifications": filter })).id("slow");
        let mut slow = server.connect_narrow(512);
        slow.send(ask.bytes()).await;
        let (mut quick, _) = client.listen("quick", filter).await;
        for n in 0..1_200 {
            server.handle().resource_updated(format!("fw://rules/{n}"));
            let told = next(&mut quick).await.unwrap();
            assert_eq!(told["params"]["uri"], format!("fw://rules/{n}"));
        }
        assert_eq!(server.gauge("listens").await, 1, "the slow one is none any more");
        slow.head().await.unwrap();
        let mut messages = Vec::new();
        while let Some(message) = slow.message().await {
            messages.push(message);
        }
        assert!(is_end(messages.last().unwrap(), &json!("slow")), "{messages:?}");
        let told = &messages[1..messages.len() - 1];
        for (n, message) in told.iter().enumerate() {
            assert_eq!(message["params"]["uri"], format!("fw://rules/{n}"), "what it was told has no gaps");
        }
        assert!(told.len() < 1_200);
        drop(quick);
        sim.sleep(200).await;
        assert_eq!(server.gauge("buffered_bytes").await, 0);
    });
}

#[test]
fn f155_x8_x38_p78_shutdown_ends_every_listener_with_a_result_and_waits_for_none() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let client = Stateless::new(&server);
        let mut open = Vec::new();
        for n in 0..20 {
            open.push(client.listen(n, json!({ "toolsListChanged": true })).await.0);
        }
        sim.sleep(1_000).await;
        server.handle().shutdown(Duration::from_secs(60));
        for (n, conn) in open.iter_mut().enumerate() {
            let last = conn.message().await.unwrap();
            assert!(is_end(&last, &json!(n)), "{last}");
            assert!(conn.message().await.is_none(), "and then it ends; no notifications/cancelled");
        }
        drop(open);
        assert!(server.end().await <= 1_700, "nobody is waited for");
    });
}

#[test]
fn f156_a_listener_whose_token_is_taken_away_is_ended_gracefully() {
    const ALICE: &str = "alice-has-this-token";
    const BOB: &str = "bob-has-another-token";
    sim::run(|sim| async move {
        let tokens = Tokens::parse(&format!("{ALICE}\n{BOB}\n")).unwrap();
        let server = sim.serve_with(|builder| features::add(builder.tokens(tokens)));
        let client = |token| Stateless { token: Some(token), ..Stateless::new(&server) };
        let (mut hers, _) = client(ALICE).listen("hers", json!({ "toolsListChanged": true })).await;
        let (mut his, _) = client(BOB).listen("his", json!({ "toolsListChanged": true })).await;
        server.handle().set_tokens(Tokens::parse(BOB).unwrap());
        sim.settle().await;
        server.handle().tools_list_changed();
        let last = next(&mut hers).await;
        assert!(last.as_ref().is_some_and(|last| is_end(last, &json!("hers"))), "{last:?}");
        assert!(next(&mut his).await.is_some_and(|told| told["method"] == "notifications/tools/list_changed"));
    });
}
