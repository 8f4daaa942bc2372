//! What may not outlive its reason: deadlines of a wait that is over, calls and streams whose connection broke in the
//! middle of a write, wheel entries, and bytes that a client only announced.

use std::time::Duration;

use portcullis::{Level, Limits, RequestContext, Tool};
use serde_json::json;

use crate::sim;
use crate::sim::client::*;

#[test]
fn p53_a_request_that_came_in_two_pieces_leaves_no_deadline_behind() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let legacy = Legacy::open(&server).await;
        let bytes = post(&legacy.endpoint, &[], &ping(7));
        for cut in [20, bytes.len() - 5] {
            let mut conn = server.connect();
            conn.send(&bytes[..cut]).await;
            sim.sleep(1).await;
            conn.send(&bytes[cut..]).await;
            assert_eq!(conn.reply().await.status, 202);
            assert!(sim.within(125_000, conn.head()).await.is_none(), "cut at {cut}: nothing comes unasked");
        }
    });
}

#[test]
fn p22_p24_a_stream_whose_head_could_not_be_written_does_not_keep_its_session() {
    sim::run(|sim| async move {
        let server = sim.serve_within(sim::server::idle(2_000));
        let session = Session::open(&server, LATEST).await;
        let mut both = session.bytes("POST", &[], &ping(1));
        both.extend(session.bytes("GET", &[("Accept", SSE)], ""));
        let mut conn = server.connect();
        conn.send(&both).await;
        drop(conn);
        sim.sleep(5_000).await;
        assert_eq!(server.gauge("sessions").await, 0);
    });
}

#[test]
fn p08_calls_whose_post_could_not_be_answered_still_end() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let legacy = Legacy::open(&server).await;
        for n in 0..70 {
            let mut conn = server.connect();
            conn.send(post(&legacy.endpoint, &[], &ping(n))).await;
            drop(conn);
            sim.sleep(1).await;
        }
        assert_eq!(legacy.post(&ping(99)).await.status, 202, "no place among the calls was lost");
    });
}

#[test]
fn p08_an_answer_behind_a_failed_write_is_counted() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, LATEST).await;
        let mut both = session.bytes("POST", &[], &ping(1));
        both.extend(session.bytes("POST", &[], &call(2, "slow", json!({ "ms": 1000, "text": "x" }))));
        let mut conn = server.connect();
        conn.send(&both).await;
        drop(conn);
        sim.sleep(5_000).await;
        assert_eq!(server.counter("responses_undeliverable").await, 2, "the ping's and the slow one's");
    });
}

#[test]
fn p80_an_error_quotes_what_came_in_but_not_all_of_it() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let key = "\u{1}".repeat(1_000_000);
        let twins = format!("{{\"{key}\":1,\"{key}\":2}}");
        let mut conn = server.connect();
        conn.send(post("/mcp", &[], &twins)).await;
        let reply = conn.reply().await;
        assert!(reply.status == 400 && reply.body.len() < 4096, "{} bytes", reply.body.len());
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": "X" });
        let body = rpc(0, "initialize", params).replace('X', &"x".repeat(1_000_000));
        let mut conn = server.connect();
        conn.send(post("/mcp", &[], &body)).await;
        let reply = conn.reply().await;
        assert!(reply.status == 400 && reply.body.len() < 4096, "{} bytes", reply.body.len());
    });
}

#[test]
fn p19_one_session_with_many_idle_times_has_a_bounded_number_of_deadlines() {
    sim::run(|sim| async move {
        let server = sim.serve_within(sim::server::idle(1_000));
        let session = Session::open(&server, LATEST).await;
        for n in 0..400 {
            session.post_with(&[("Accept", JSON)], &call(n, "slow", json!({ "ms": 1500, "text": "x" }))).await;
            sim.sleep(200).await;
        }
        let timers = server.gauge("timers").await;
        assert!(timers < 300, "{timers} deadlines for one session");
    });
}

#[test]
fn a_call_that_may_run_for_ever_is_not_ended_at_once() {
    sim::run(|sim| async move {
        let server = sim.serve_within(Limits { call_wait: Duration::MAX, ..Limits::default() });
        let session = Session::open(&server, LATEST).await;
        let answer = session.post(&call(1, "slow", json!({ "ms": 1000, "text": "x" }))).await;
        assert!(answer.last()["result"].is_object(), "{}", answer.last());
    });
}

#[test]
fn p55_bytes_that_are_announced_and_not_sent_hold_no_room() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let mut held = Vec::new();
        for _ in 0..16 {
            let mut conn = server.connect();
            conn.send(format!("{head}Content-Length: 4194304\r\n\r\n")).await;
            held.push(conn);
        }
        sim.sleep(10).await;
        assert_eq!(server.gauge("buffered_bytes").await, 0);
        let mut conn = server.connect();
        conn.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
        let chunk = format!("1;{}\r\n \r\n", "x".repeat(1000));
        let mut sent = 0;
        while sent < 1000 && conn.try_send(&chunk).await.is_ok() {
            sent += 1;
        }
        sim.settle().await;
        assert!(server.gauge("buffered_bytes").await < 1 << 20, "extensions are no way to fill the server");
    });
}

#[test]
fn s18_s23_a_dropped_message_leaves_no_gap_that_a_client_cannot_resume_over() {
    sim::run(|sim| async move {
        let chatty = async |cx: RequestContext, _: serde_json::Value| {
            cx.sleep(Duration::from_millis(500)).await;
            cx.log(Level::Info, "", &json!("x".repeat(300_000))); // more than a queue may hold
            cx.sleep(Duration::from_millis(2000)).await;
            Ok("applied")
        };
        let server = sim.serve_with(|builder| builder.tool(Tool::new("chatty"), chatty));
        let session = Session::open(&server, LATEST).await;
        let mut conn = session.send(&call(1, "chatty", json!({}))).await;
        conn.head().await.unwrap();
        let primed = conn.event().await.unwrap().id.unwrap();
        sim.sleep(1000).await;
        drop(conn);
        sim.sleep(3000).await;
        let (mut conn, head) = session.resume(&primed).await;
        assert_eq!(head.status, 200);
        assert_eq!(conn.message().await.unwrap()["result"]["content"][0]["text"], "applied");
    });
}

#[test]
fn p32_beats_rise_however_large_the_handlers_own_unit_is() {
    sim::run(|sim| async move {
        let large = async |cx: RequestContext, _: serde_json::Value| {
            cx.progress(5e10, None, None);
            cx.sleep(Duration::from_secs(50)).await;
            Ok("ok")
        };
        let server = sim.serve_with(|builder| builder.tool(Tool::new("large"), large));
        let session = Session::open(&server, LATEST).await;
        let answer = session.post(&call_with_token(1, "large", json!({}), "t")).await;
        let values: Vec<_> =
            answer.messages.iter().filter_map(|message| message["params"]["progress"].as_f64()).collect();
        assert!(values.len() == 4 && values.is_sorted_by(|a, b| a < b), "{values:?}");
    });
}
