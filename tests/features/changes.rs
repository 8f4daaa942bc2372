//! Changes of lists, and on which one stream of a client they are told (S-14 … S-17, F-38, F-46, F-53, X-20).

use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;
use crate::sim::wire::Conn;

async fn methods(conn: &mut Conn) -> Vec<String> {
    let sim = conn.sim.clone();
    let mut seen = Vec::new();
    while let Some(message) = sim.within(1_000, conn.message()).await.flatten() {
        assert!(message["id"].is_null(), "{message}");
        seen.push(message["method"].as_str().unwrap().to_owned());
    }
    seen
}

#[test]
fn s15_x20_f38_f46_f53_each_change_is_told_once_to_everybody_who_listens_in_whichever_revision() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let mut streams = Vec::new();
        for revision in STREAMABLE {
            streams.push(Session::open(&server, revision).await.listen().await);
        }
        for revision in ["2024-11-05", "2025-11-25"] {
            streams.push(Legacy::open_able(&server, revision, json!({})).await.stream);
        }
        let filter = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true });
        streams.push(Stateless::new(&server).listen("all", filter).await.0);
        let handle = server.handle();
        for (change, method) in [
            (Box::new(|| handle.tools_list_changed()) as Box<dyn Fn()>, "notifications/tools/list_changed"),
            (Box::new(|| handle.prompts_list_changed()), "notifications/prompts/list_changed"),
            (Box::new(|| handle.resources_list_changed()), "notifications/resources/list_changed"),
        ] {
            // F-157: what comes faster than it can be told is told once.
            (0..5).for_each(|_| change());
            for stream in &mut streams {
                assert_eq!(methods(stream).await, [method]);
            }
        }
    });
}

#[test]
fn s15_s17_a_change_goes_to_the_newest_get_stream_never_to_a_posts_and_holds_nobody_up() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open(&server, LATEST).await;
        let mut running = session.send(&call(1, "slow", json!({ "ms": 10_000, "text": "done" }))).await;
        sim.sleep(1_000).await;
        server.handle().tools_list_changed();
        sim.sleep(1_000).await;
        let (mut old, mut new) = (session.listen().await, session.listen().await);
        let begun = methods(&mut new).await;
        assert!(begun.len() <= 1, "what came before may be told late, and is told once: {begun:?}");
        server.handle().tools_list_changed();
        assert_eq!(methods(&mut new).await, ["notifications/tools/list_changed"]);
        assert_eq!(methods(&mut old).await, [""; 0], "P27");
        let answer = running.answer().await;
        assert_eq!((answer.said(), answer.messages.len()), ("done", 1), "its own stream has its own messages");
    });
}

#[test]
fn s42_nothing_is_told_to_a_session_that_is_not_initialized() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let mut early = Legacy::connect(&server).await;
        server.handle().tools_list_changed();
        assert_eq!(methods(&mut early.stream).await, [""; 0]);
        assert_eq!(early.post(&initialize("2024-11-05")).await.status, 202);
        assert_eq!(early.stream.message().await.unwrap()["id"], 0);
        early.post(&initialized()).await;
        server.handle().tools_list_changed();
        assert_eq!(methods(&mut early.stream).await, ["notifications/tools/list_changed"]);
    });
}

#[test]
fn w3_the_words_of_a_change_are_those_of_the_schema() {
    sim::run(|sim| async move {
        let server = features::serve(&sim);
        let session = Session::open(&server, LATEST).await;
        let mut stream = session.listen().await;
        session.post(&rpc(1, "resources/subscribe", json!({ "uri": "fw://rules" }))).await;
        server.handle().tools_list_changed();
        let told = stream.message().await.unwrap();
        assert_eq!(told, json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
        server.handle().resource_updated("fw://rules");
        let params = json!({ "uri": "fw://rules" });
        let expected: Value =
            json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params });
        assert_eq!(stream.message().await.unwrap(), expected);
    });
}
