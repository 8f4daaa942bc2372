//! The first thing to look at when everything fails: one call over each transport.

use serde_json::json;

use crate::sim;
use crate::sim::client::{Legacy, STREAMABLE, Session, call, rpc, said};

#[test]
fn a_tool_is_called_over_streamable_http_in_each_revision() {
    for revision in STREAMABLE {
        sim::run(|sim| async move {
            let session = Session::open(&sim.serve(), revision).await;
            let list = session.post(&rpc(1, "tools/list", json!({}))).await;
            assert_eq!(list.last()["result"]["tools"][0]["name"], "echo");
            let answer = session.post(&call(2, "echo", json!({ "text": "hi" }))).await;
            assert_eq!((answer.said(), answer.is_stream()), ("hi", false));
            let answer = session.post(&call("x", "slow", json!({ "ms": 1000, "text": "late" }))).await;
            assert_eq!((answer.said(), answer.is_stream(), answer.at), ("late", true, 1000));
            assert_eq!(answer.last()["id"], "x");
            assert_eq!(session.delete().await.status, 200);
            assert_eq!(session.status().await, 404);
        });
    }
}

#[test]
fn a_tool_is_called_over_http_sse() {
    sim::run(|sim| async move {
        let mut legacy = Legacy::open(&sim.serve()).await;
        assert_eq!(said(&legacy.ask(&call(1, "echo", json!({ "text": "hi" }))).await), "hi");
        assert_eq!(said(&legacy.ask(&call(2, "slow", json!({ "ms": 1000, "text": "late" }))).await), "late");
        assert_eq!(sim.ms(), 1000);
    });
}
