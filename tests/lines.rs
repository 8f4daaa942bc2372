//! Messages as lines, the stdio binding: one peer, one stream in each direction, every revision.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use portcullis::{Access, Builder, Credentials, Denied, Handle, Limits, Principal, RequestContext, Tool, Toolset};
use serde_json::{Value, json};
use smol::io::{AsyncReadExt, AsyncWriteExt};

use crate::sim::client::*;
use crate::sim::pipe::{self, End};
use crate::sim::stateless::*;
use crate::sim::tools::Seen;
use crate::sim::{self, Sim, features, tools};

const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LATEST];
const GRACE: Duration = Duration::from_secs(10);

/// A server that serves lines, and the client at the other end.
struct Client {
    sim: Sim,
    handle: Handle,
    seen: Rc<Seen>,
    stdin: Option<End>,
    stdout: End,
    held: Vec<u8>,
    ended: Rc<Cell<Option<u64>>>,
}

impl Client {
    fn start(sim: &Sim) -> Client {
        Client::start_with(sim, 1 << 16, |builder| builder)
    }

    /// Starts a server that `change` has had a say in; a pipe holds so many bytes that nobody has read.
    fn start_with(sim: &Sim, bytes: usize, change: impl FnOnce(Builder) -> Builder) -> Client {
        let (seen, handle, ended) = (Rc::<Seen>::default(), Handle::new(), Rc::<Cell<_>>::default());
        let builder = portcullis::Server::builder("gate", "1.0.0").clock(sim.clock()).handle(&handle);
        let builder = tools::add(builder.ids(sim::server::counted()), &seen);
        let server = change(features::add(builder)).build().unwrap();
        let ((stdin, reader), (writer, stdout)) = (pipe::pair(bytes), pipe::pair(bytes));
        let (world, end) = (sim.clone(), ended.clone());
        sim.spawn(async move {
            server.serve_lines(reader, writer, GRACE).await.unwrap();
            end.set(Some(world.ms()));
        })
        .detach();
        Client { sim: sim.clone(), handle, seen, stdin: Some(stdin), stdout, held: Vec::new(), ended }
    }

    async fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next message; none at the end.
    async fn read(&mut self) -> Option<Value> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line is a message"));
            }
            let n = self.stdout.read(&mut buffer).await.unwrap();
            if n == 0 {
                assert!(self.held.is_empty(), "no half message at the end");
                return None;
            }
            self.held.extend_from_slice(&buffer[..n]);
        }
    }

    /// The next message with this id.
    async fn answer(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        loop {
            let message = self.read().await.expect("an answer");
            if message["id"] == id && message["method"].is_null() {
                return message;
            }
        }
    }

    async fn ask(&mut self, line: &str) -> Value {
        self.send(line).await;
        let id = serde_json::from_str::<Value>(line).unwrap()["id"].clone();
        self.answer(id).await
    }

    async fn open(&mut self, revision: &str, capabilities: Value) {
        let answer = self.ask(&initialize_with(revision, capabilities)).await;
        assert_eq!(answer["result"]["protocolVersion"], revision);
        self.send(&initialized()).await;
    }

    /// What comes within a second.
    async fn quiet(&mut self) -> Vec<Value> {
        let (mut messages, sim) = (Vec::new(), self.sim.clone());
        while let Some(message) = sim.within(1_000, self.read()).await.flatten() {
            messages.push(message);
        }
        messages
    }

    async fn end(&self) -> u64 {
        while self.ended.get().is_none() {
            self.sim.sleep(1).await;
        }
        self.ended.get().unwrap()
    }

    async fn debug(&self) -> Value {
        serde_json::from_str(&self.handle.sessions().await.unwrap()).unwrap()
    }
}

/// A request of 2026-07-28.
fn modern(id: impl Into<Value>, method: &str, params: Value) -> String {
    let mut params = params;
    let meta = &mut params["_meta"];
    meta[VERSION] = MODERN.into();
    meta[CAPABILITIES] = everything();
    rpc(id, method, params)
}

fn modern_call(id: impl Into<Value>, tool: &str, arguments: Value) -> String {
    modern(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

#[test]
fn every_revision_is_served_over_lines_and_two_eras_share_one_pair_of_streams() {
    sim::run(|sim| async move {
        for revision in REVISIONS {
            let mut client = Client::start(&sim);
            client.open(revision, json!({})).await;
            assert_eq!(said(&client.ask(&call("a", "echo", json!({ "text": revision }))).await), revision);
            let listed = client.ask(&rpc(2, "tools/list", json!({}))).await;
            assert!(listed["result"]["tools"].as_array().unwrap().len() > 5);
            let alone = client.ask(&modern_call(3, "echo", json!({ "text": "alone" }))).await;
            assert_eq!((said(&alone), &alone["result"]["resultType"]), ("alone", &json!("complete")));
            let unknown = client.ask(&rpc(4, "no/such", json!({}))).await;
            assert_eq!(unknown["error"]["code"], -32601);
            let sessions = client.debug().await["sessions"].clone();
            assert_eq!(sessions[0]["transport"], "stdio", "{sessions}");
        }
    });
}

#[test]
fn t13_a_request_that_stands_alone_needs_no_session_and_no_headers_and_its_envelope_is_checked() {
    sim::run(|sim| async move {
        let mut client = Client::start(&sim);
        let discovered = client.ask(&modern(1, "server/discover", json!({}))).await;
        assert_eq!(discovered["result"]["supportedVersions"], json!([MODERN]));
        let routed = client.ask(&modern_call(2, "routed", json!({ "region": "eu", "count": 3 }))).await;
        assert!(said(&routed).contains("eu"), "nothing is mirrored where there are no headers: {routed}");
        let other = modern(3, "tools/list", json!({})).replace(MODERN, "2099-01-01");
        let refused = client.ask(&other).await;
        assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(-32022), &json!(3)), "{refused}");
        let meta = json!({ "_meta": { VERSION: MODERN } });
        assert_eq!(client.ask(&rpc(4, "tools/list", meta)).await["error"]["code"], -32602);
        let early = client.ask(&rpc(5, "tools/list", json!({}))).await;
        assert!(early["error"]["message"].as_str().unwrap().contains("initialize"), "{early}");
        assert_eq!(client.ask(&modern(6, "no/such", json!({}))).await["error"]["code"], -32601);
        client.send(&notification("notifications/initialized", json!({ "_meta": { VERSION: MODERN } }))).await;
        assert_eq!(client.quiet().await, Vec::<Value>::new());
    });
}

#[test]
fn what_is_no_message_is_answered_and_the_next_line_is_served() {
    let limits = Limits { body_bytes_max: 4096, ..Limits::default() };
    sim::run(|sim| async move {
        let mut client = Client::start_with(&sim, 1 << 16, |builder| builder.limits(limits));
        let (long, deep) = ("x".repeat(10_000), "[".repeat(100));
        let exact = format!("{}{}", ping(7), " ".repeat(4096 - ping(7).len()));
        for (line, code) in [
            ("{", -32700),
            ("nonsense", -32700),
            (deep.as_str(), -32700),
            ("[]", -32600),
            ("{}", -32600),
            ("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", -32600),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", -32600),
            (long.as_str(), -32600),
            ("\"a\"", -32600),
        ] {
            client.send(line).await;
            let refused = client.read().await.unwrap();
            assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(code), &Value::Null), "{line:.40}");
            assert!(refused["error"]["message"].as_str().unwrap().len() > 5);
        }
        client.send("").await;
        client.send("   \r").await;
        assert_eq!(client.ask(&exact).await["id"], 7, "as long as it may be, with blanks at its end");
        client.send(&format!("{long}{long}{long}")).await;
        let refused = client.read().await.unwrap();
        assert!(refused["error"]["message"].as_str().unwrap().contains("limit body_bytes_max"), "{refused}");
        assert_eq!(client.ask(&format!("{}\r", ping(8))).await["id"], 8);
        assert_eq!(client.quiet().await, Vec::<Value>::new());
    });
}

#[test]
fn lines_mean_the_same_however_they_are_cut_into_reads() {
    sim::run(|sim| async move {
        let text = [ping(1), modern(2, "server/discover", json!({})), String::new(), ping(3)].join("\n");
        for piece in [1, 2, 7, 100, 10_000] {
            let mut client = Client::start(&sim);
            for part in text.as_bytes().chunks(piece) {
                client.stdin.as_mut().unwrap().write_all(part).await.unwrap();
                sim.sleep(1).await;
            }
            client.stdin = None;
            for id in [1, 2, 3] {
                assert_eq!(client.read().await.unwrap()["id"], id, "the last line lacks its end: {piece}");
            }
            assert_eq!(client.read().await, None);
        }
    });
}

#[test]
fn s4_an_array_is_for_a_session_of_2025_03_26_and_each_of_its_requests_is_answered() {
    sim::run(|sim| async move {
        let batch = format!("[{},{},{}]", ping(1), initialized(), call(2, "echo", json!({ "text": "x" })));
        for revision in REVISIONS {
            let mut client = Client::start(&sim);
            client.open(revision, json!({})).await;
            client.send(&batch).await;
            if revision == "2025-03-26" {
                assert_eq!(client.answer(1).await["result"], json!({}));
                assert_eq!(said(&client.answer(2).await), "x");
            } else {
                let refused = client.read().await.unwrap();
                assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(-32600), &Value::Null), "{revision}");
            }
        }
    });
}

#[test]
fn f90_a_cancelled_call_is_dropped_and_nothing_more_is_said_of_it_in_both_eras() {
    sim::run(|sim| async move {
        let mut client = Client::start(&sim);
        client.open(LATEST, json!({})).await;
        let slow = json!({ "ms": 60_000 });
        for line in [call("old", "slow", slow.clone()), modern_call("new", "slow", slow.clone())] {
            client.send(&line).await;
        }
        let filter = json!({ "notifications": { "toolsListChanged": true } });
        client.send(&modern("listen", "subscriptions/listen", filter)).await;
        assert_eq!(client.read().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
        sim.sleep(100).await;
        assert_eq!(client.seen.alive.get(), 2);
        for id in ["old", "new", "listen", "never"] {
            client.send(&cancelled(id)).await;
        }
        assert_eq!(client.quiet().await, Vec::<Value>::new());
        assert_eq!(client.seen.alive.get(), 0);
        client.handle.tools_list_changed();
        assert_eq!(client.quiet().await.len(), 1, "the session hears of it, and nobody else");
        // P01: two that could be meant, and so none is.
        client.send(&call(1, "slow", json!({ "ms": 5_000 }))).await;
        client.send(&call(1, "slow", json!({ "ms": 6_000 }))).await;
        client.send(&cancelled(1)).await;
        sim.sleep(10_000).await;
        assert_eq!(client.quiet().await.len(), 2);
    });
}

#[test]
fn s8_progress_logs_and_questions_share_the_one_stream_in_every_revision() {
    sim::run(|sim| async move {
        for revision in REVISIONS {
            let mut client = Client::start(&sim);
            client.open(revision, everything()).await;
            client.send(&call_with_token(1, "steps", json!({ "count": 3, "text": "done" }), "t")).await;
            for _ in 0..3 {
                assert_eq!(client.read().await.unwrap()["params"]["progressToken"], "t");
            }
            assert_eq!(said(&client.answer(1).await), "done");
            client.send(&call(2, "ask_model", json!({}))).await;
            let question = client.read().await.unwrap();
            assert_eq!(question["method"], "sampling/createMessage", "{revision}");
            let content = json!({ "type": "text", "text": "a gate" });
            let result = json!({ "role": "assistant", "content": content, "model": "m" });
            client.send(&response(&question["id"], result)).await;
            assert_eq!(said(&client.answer(2).await), "a gate");
        }
        let mut client = Client::start(&sim);
        client.open(LATEST, everything()).await;
        client.send(&call(1, "ask_form", json!({}))).await;
        let question = client.read().await.unwrap();
        let accepted = json!({ "action": "accept", "content": { "reason": "because" } });
        client.send(&response(&question["id"], accepted.clone())).await;
        assert_eq!(said(&client.answer(1).await), "because");
        // F-140: no request of ours goes out where every request stands alone.
        let required = client.ask(&modern_call(2, "ask_form", json!({}))).await;
        assert_eq!(required["result"]["resultType"], "input_required");
        let again = json!({
            "name": "ask_form", "arguments": {}, "requestState": required["result"]["requestState"],
            "inputResponses": { "form": accepted },
        });
        assert_eq!(said(&client.ask(&modern(3, "tools/call", again)).await), "because");
    });
}

#[test]
fn f38_changes_reach_the_session_and_every_listener_of_the_one_stream() {
    sim::run(|sim| async move {
        let mut client = Client::start_with(&sim, 1 << 16, |builder| builder.tools(Toolset::new()));
        client.open(LATEST, json!({})).await;
        for id in ["a", "b"] {
            let filter = json!({ "notifications": { "toolsListChanged": true } });
            client.send(&modern(id, "subscriptions/listen", filter)).await;
            assert_eq!(client.read().await.unwrap()["params"]["_meta"][SUBSCRIPTION], id);
        }
        let make = || {
            let tool = Tool::new("fresh").input_schema(json!({ "type": "object" }));
            Toolset::new().tool(tool, async |_: RequestContext, _: Value| Ok("new"))
        };
        client.handle.replace_tools(make).await.unwrap();
        let told = client.quiet().await;
        let ids: Vec<_> = told.iter().map(|message| &message["params"]["_meta"][SUBSCRIPTION]).collect();
        assert_eq!(ids, [&Value::Null, &json!("a"), &json!("b")]);
        assert_eq!(said(&client.ask(&call(1, "fresh", json!({}))).await), "new");
        // F-155: who is listening when the server ends is told with a result.
        client.handle.shutdown(Duration::ZERO);
        let mut last = Vec::new();
        while let Some(message) = client.read().await {
            last.push(message["id"].clone());
        }
        assert_eq!(last, ["a", "b"]);
    });
}

#[test]
fn the_end_of_the_input_lets_calls_finish_within_the_grace_and_ends_the_server() {
    sim::run(|sim| async move {
        for (ms, finishes) in [(0, true), (9_000, true), (60_000, false)] {
            let mut client = Client::start(&sim);
            let begin = sim.ms();
            client.open(LATEST, json!({})).await;
            client.send(&call(1, "slow", json!({ "ms": ms, "text": "done" }))).await;
            client.send(&modern_call(2, "slow", json!({ "ms": ms, "text": "done" }))).await;
            client.stdin = None;
            let mut answers = Vec::new();
            while let Some(message) = client.read().await {
                answers.push(said(&message).to_owned());
            }
            assert_eq!(answers.len(), if finishes { 2 } else { 0 });
            let took = client.end().await - begin;
            assert!(took <= ms.min(10_000) + 200, "{ms}: {took}");
            assert_eq!(client.seen.alive.get(), 0);
        }
    });
}

#[test]
fn p08_a_client_that_is_gone_altogether_does_not_kill_a_call_before_the_grace_is_over() {
    sim::run(|sim| async move {
        let client = Client::start(&sim);
        let Client { mut stdin, stdout, ended, seen, .. } = client;
        let line = call(1, "slow", json!({ "ms": 5_000 }));
        for line in [initialize(LATEST), line] {
            stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
        sim.sleep(10).await;
        drop((stdin, stdout));
        sim.sleep(20_000).await;
        assert_eq!((seen.finished.get(), seen.alive.get()), (1, 0));
        assert!(ended.get().is_some_and(|at| (5_000..6_000).contains(&at)), "{ended:?}");
    });
}

#[test]
fn told_to_stop_it_begins_nothing_more_and_lets_calls_finish_and_be_cancelled() {
    sim::run(|sim| async move {
        let mut client = Client::start(&sim);
        client.open(LATEST, everything()).await;
        client.send(&call("short", "slow", json!({ "ms": 3_000, "text": "done" }))).await;
        client.send(&call("long", "slow", json!({ "ms": 60_000 }))).await;
        client.send(&call("asks", "ask_late", json!({ "ms": 1_000 }))).await;
        sim.sleep(10).await;
        client.handle.shutdown(GRACE);
        sim.sleep(10).await;
        let refused = client.ask(&call("late", "echo", json!({ "text": "x" }))).await;
        assert!(refused["error"]["message"].as_str().unwrap().contains("shutting down"), "{refused}");
        client.send(&cancelled("long")).await;
        let question = client.read().await.unwrap();
        client.send(&response(&question["id"], json!({ "action": "decline" }))).await;
        assert_eq!(said(&client.answer("asks").await), "declined");
        assert_eq!(said(&client.answer("short").await), "done");
        assert_eq!(client.read().await, None);
        assert!(client.end().await < 3_500, "nothing is left to wait for");
    });
}

#[test]
fn p39_a_client_that_does_not_read_is_not_read_from_and_loses_no_answer() {
    let limits = Limits { queue_bytes_max: 64 << 10, ..Limits::default() };
    sim::run(|sim| async move {
        let mut client = Client::start_with(&sim, 4096, |builder| builder.limits(limits));
        client.open("2025-11-25", json!({})).await;
        let (count, bytes) = (500, 10_000);
        let mut stdin = client.stdin.take().unwrap();
        let sent = Rc::new(RefCell::new(0));
        let counter = sent.clone();
        let writing = sim.spawn(async move {
            for id in 0..count {
                let line = call(id, "big", json!({ "bytes": bytes }));
                stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
                *counter.borrow_mut() += 1;
            }
            stdin
        });
        sim.sleep(3_600_000).await;
        assert!(*sent.borrow() < 100, "after an hour {} requests were taken", sent.borrow());
        let buffered = client.debug().await["gauges"]["buffered_bytes"].as_u64().unwrap();
        assert!(buffered < 256 << 10, "{buffered} bytes wait");
        for id in 0..count {
            let answer = client.answer(id).await;
            assert_eq!(said(&answer).len(), bytes);
        }
        drop(writing.await);
        assert_eq!(client.read().await, None);
    });
}

#[test]
fn a_large_answer_is_written_whole_to_a_slow_reader_before_the_end() {
    sim::run(|sim| async move {
        let mut client = Client::start_with(&sim, 1024, |builder| builder);
        client.send(&modern_call(1, "big", json!({ "bytes": 300_000 }))).await;
        client.stdin = None;
        let mut buffer = [0; 512];
        while client.held.last() != Some(&b'\n') {
            sim.sleep(10).await;
            let n = client.stdout.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the end came after {} bytes", client.held.len());
            client.held.extend_from_slice(&buffer[..n]);
        }
        assert_eq!(said(&client.read().await.unwrap()).len(), 300_000);
        assert_eq!(client.read().await, None);
    });
}

#[test]
fn a_session_over_lines_outlives_every_limit_of_time_but_its_own_end() {
    let hour = Duration::from_secs(3_600);
    let limits = Limits { session_idle: hour, session_life: hour * 2, initialize_wait: hour / 60, ..Limits::default() };
    sim::run(|sim| async move {
        let mut client = Client::start_with(&sim, 1 << 16, |builder| builder.limits(limits));
        assert_eq!(client.ask(&ping(1)).await["result"], json!({}));
        sim.sleep(3_600_000 * 24).await;
        client.open(LATEST, json!({})).await;
        sim.sleep(3_600_000 * 24).await;
        assert_eq!(said(&client.ask(&call(2, "echo", json!({ "text": "here" }))).await), "here");
    });
}

/// Lets the one at the door in by a name, or not.
struct Porter {
    good: Rc<Cell<bool>>,
}

impl Access for Porter {
    fn principal(&self, request: &Credentials<'_>) -> Result<Principal, Denied> {
        assert!(request.authorization.is_none() && request.address.is_none());
        if self.good.get() { Ok(Principal::Named("console".into())) } else { Err(Denied::Forbidden) }
    }

    fn knows(&self, _: &Principal) -> bool {
        self.good.get()
    }
}

#[test]
fn a20_an_embedders_policy_says_who_is_at_the_other_end_and_when_he_has_to_go() {
    sim::run(|sim| async move {
        let good = Rc::new(Cell::new(true));
        let mut client = Client::start_with(&sim, 1 << 16, |builder| builder.access(Porter { good: good.clone() }));
        let who = client.ask(&modern_call(1, "who", json!({}))).await;
        assert_eq!(who["result"]["structuredContent"]["principal"], "console");
        good.set(false);
        client.handle.access_changed();
        assert_eq!(client.read().await, None, "revoked");
        client.end().await;
        let server = portcullis::Server::builder("gate", "1").access(Porter { good }).build().unwrap();
        let ((_stdin, reader), (writer, _stdout)) = (pipe::pair(64), pipe::pair(64));
        let refused = server.serve_lines(reader, writer, GRACE).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    });
}
