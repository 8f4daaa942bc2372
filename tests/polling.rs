//! Calls of minutes: the server sends the client away and lets it come back (S-20, S-25); and extensions (F-180).

use std::time::Duration;

use portcullis::{CallError, RequestContext, Tool};
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::stateless::*;

/// Lets go of its connection, works for two seconds, and answers.
async fn reload(cx: RequestContext, _: Value) -> Result<&'static str, CallError> {
    cx.sleep(Duration::from_millis(100)).await;
    cx.close_stream(Duration::from_millis(700));
    cx.sleep(Duration::from_secs(2)).await;
    Ok("reloaded")
}

#[test]
fn s20_s25_a_call_closes_its_stream_and_its_answer_is_fetched_in_2025_11_25_and_nowhere_else() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| builder.tool(Tool::new("reload"), reload));
        let call = call(1, "reload", json!({}));
        let session = Session::open(&server, LATEST).await;
        let mut conn = session.send(&call).await;
        let head = conn.head().await.unwrap();
        assert_eq!(head.header("content-type"), Some(SSE));
        let events = conn.events().await;
        assert_eq!(sim.ms(), 100, "it ended at once, long before the answer");
        let id = events.iter().find_map(|event| event.id.clone()).unwrap();
        assert!(events.iter().all(|event| !event.is_message()), "{events:?}");
        assert!(events.iter().any(|event| event.retry == Some(700)), "{events:?}");
        assert_eq!(session.status().await, 200, "the session lives, and the call runs");
        let (mut resumed, head) = session.resume(&id).await;
        assert_eq!(head.status, 200);
        assert_eq!(said(&resumed.message().await.unwrap()), "reloaded");
        assert!(resumed.message().await.is_none(), "X-24: complete, and closed");
        for revision in ["2025-03-26", "2025-06-18"] {
            let answer = Session::open(&server, revision).await.post(&call).await;
            assert_eq!(answer.said(), "reloaded", "{revision} cannot come back, and was not sent away");
        }
        let answer = Stateless::new(&server).calls("reload", json!({})).await;
        assert_eq!(answer.said(), "reloaded", "2026-07-28 neither");
    });
}

/// Says what the client has of an extension.
async fn has(cx: RequestContext, _: Value) -> Result<String, CallError> {
    Ok(cx.extension("io.example/zones").map_or_else(|| "nothing".into(), |settings| settings.to_string()))
}

#[test]
fn f180_extensions_are_offered_and_a_client_has_what_it_declares_for_its_session_or_its_request() {
    let declared = json!({ "extensions": { "io.example/zones": { "depth": 2 }, "io.example/other": {} } });
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| {
            builder.extension("io.example/zones", json!({ "max": 4 })).tool(Tool::new("has"), has)
        });
        let mut conn = server.connect();
        let reply = conn.ask(post("/mcp", &[], &initialize(LATEST))).await;
        assert_eq!(reply.json()["result"]["capabilities"]["extensions"], json!({ "io.example/zones": { "max": 4 } }));
        let session = Session::open_able(&server, LATEST, None, declared.clone()).await;
        assert_eq!(session.post(&call(1, "has", json!({}))).await.said(), r#"{"depth":2}"#);
        let session = Session::open(&server, LATEST).await;
        assert_eq!(session.post(&call(1, "has", json!({}))).await.said(), "nothing");
        let client = Stateless::new(&server);
        let found = client.gets("server/discover", json!({})).await;
        assert_eq!(found.last()["result"]["capabilities"]["extensions"], json!({ "io.example/zones": { "max": 4 } }));
        let ask = client.call("has", json!({})).meta(CAPABILITIES, declared);
        assert_eq!(client.post(&ask).await.said(), r#"{"depth":2}"#);
        assert_eq!(client.calls("has", json!({})).await.said(), "nothing", "T-24: the next request says for itself");
    });
}
