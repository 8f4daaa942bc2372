//! Tools that are replaced, and access that changes, while the server runs: in all revisions.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use portcullis::{Access, Credentials, Denied, Handle, Item, Limits, Principal, RequestContext, Tokens, Tool, Toolset};
use serde_json::{Value, json};

use crate::sim::client::*;
use crate::sim::features;
use crate::sim::stateless::*;
use crate::sim::way::Way;
use crate::sim::wire::Conn;
use crate::sim::{self, Sim};

/// A tool that says `text` after a while.
fn saying(tools: Toolset, name: &str, text: &'static str) -> Toolset {
    let tool = Tool::new(name).input_schema(json!({ "type": "object" }));
    tools.tool(tool, move |cx: RequestContext, args: Value| async move {
        cx.sleep(Duration::from_millis(args["ms"].as_u64().unwrap_or(0))).await;
        Ok(text)
    })
}

fn set(text: &'static str, names: &'static [&'static str]) -> impl FnOnce() -> Toolset + Send + 'static {
    move || names.iter().fold(Toolset::new(), |tools, name| saying(tools, name, text))
}

async fn replace(handle: &Handle, text: &'static str, names: &'static [&'static str]) {
    handle.replace_tools(set(text, names)).await.unwrap();
}

fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

fn calling(tool: &str) -> Value {
    json!({ "name": tool, "arguments": {} })
}

/// Asks in whichever revision; what else is told on the one stream of HTTP+SSE in the meantime is read over.
async fn ask(way: &mut Way, method: &str, params: Value) -> Value {
    let mut answer = way.ask(method, params).await;
    while let (Way::HttpSse(legacy), true) = (&mut *way, answer["id"].is_null()) {
        answer = legacy.stream.message().await.unwrap();
    }
    answer
}

/// The methods of the messages that come within a second.
async fn told(sim: &Sim, conn: &mut Conn) -> Vec<String> {
    let mut methods = Vec::new();
    while let Some(message) = sim.within(1_000, conn.message()).await.flatten() {
        methods.push(message["method"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned());
    }
    methods
}

#[test]
fn f38_replaced_tools_are_all_there_at_once_in_every_revision_and_who_listens_is_told_once() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut streams = vec![Legacy::open(&server).await.stream];
        for revision in STREAMABLE {
            streams.push(Session::open(&server, revision).await.listen().await);
        }
        let (conn, _) = Stateless::new(&server).listen("all", json!({ "toolsListChanged": true })).await;
        streams.push(conn);
        let mut ways = Way::all(&server).await;
        for (text, tools) in [("old", &["same", "gone"][..]), ("new", &["new", "same"]), ("none", &[])] {
            let (text, tools): (&'static str, &'static [&'static str]) = (text, tools);
            replace(server.handle(), text, tools).await;
            for (revision, way) in &mut ways {
                let listed = ask(way, "tools/list", json!({})).await;
                assert_eq!(names(&listed), tools, "{revision}");
                for name in ["same", "gone", "new", "add"] {
                    let answer = ask(way, "tools/call", calling(name)).await;
                    if tools.contains(&name) {
                        assert_eq!(said(&answer), text, "{revision} {name}");
                    } else {
                        assert_eq!(answer["error"]["code"], -32602, "{revision} {name}: {answer}");
                    }
                }
            }
            for stream in &mut streams {
                assert_eq!(told(&sim, stream).await, ["notifications/tools/list_changed"]);
            }
        }
        let begun = Session::open(&server, LATEST).await;
        assert_eq!(names(begun.post(&rpc(1, "tools/list", json!({}))).await.last()).len(), 0, "none, and yet a list");
    });
}

#[test]
fn a_call_that_runs_when_its_tool_is_replaced_finishes_with_the_handler_it_began_with() {
    sim::run(|sim| async move {
        let server = sim.serve();
        replace(server.handle(), "old", &["slow"]).await;
        let arguments = json!({ "ms": 10_000 });
        let mut running = Vec::new();
        for revision in STREAMABLE {
            running.push(Session::open(&server, revision).await.send(&call(1, "slow", arguments.clone())).await);
        }
        let modern = Stateless::new(&server);
        running.push(modern.send(&modern.call("slow", arguments.clone())).await);
        let mut legacy = Legacy::open(&server).await;
        legacy.post(&call(1, "slow", arguments)).await;
        sim.sleep(1_000).await;
        replace(server.handle(), "new", &["slow"]).await;
        replace(server.handle(), "newer", &[]).await;
        for conn in &mut running {
            assert_eq!(conn.answer().await.said(), "old");
        }
        let mut last = legacy.stream.message().await.unwrap();
        while last["id"].is_null() {
            last = legacy.stream.message().await.unwrap();
        }
        assert_eq!(said(&last), "old");
        assert_eq!(modern.calls("slow", json!({})).await.last()["error"]["code"], -32602);
    });
}

#[test]
fn a_set_with_a_fault_is_refused_in_words_and_nothing_changes_and_nobody_is_told() {
    type Make = Box<dyn FnOnce() -> Toolset + Send>;
    let with_schema = |schema: Value| -> Make {
        Box::new(move || {
            let tools = saying(Toolset::new(), "fine", "new");
            tools.tool(Tool::new("odd").input_schema(schema), async |_: RequestContext, _: Value| Ok("x"))
        })
    };
    sim::run(|sim| async move {
        let server = sim.serve();
        replace(server.handle(), "old", &["fine"]).await;
        let session = Session::open(&server, LATEST).await;
        let mut stream = session.listen().await;
        told(&sim, &mut stream).await;
        let cases: [(Make, &str); 5] = [
            (Box::new(set("new", &["fine", "other", "fine"])), "tool \"fine\" is there twice"),
            (Box::new(set("new", &["fine", "b c"])), "b c"),
            (with_schema(json!({ "type": "string" })), "odd"),
            (with_schema(json!({ "type": "object", "$ref": "https://elsewhere.example/" })), "odd"),
            (Box::new(|| panic!("a maker that panics")), "panicked"),
        ];
        for (make, words) in cases {
            let fault = server.handle().replace_tools(make).await.unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}");
            assert_eq!(names(session.post(&rpc(1, "tools/list", json!({}))).await.last()), ["fine"]);
            assert_eq!(session.post(&call(2, "fine", json!({}))).await.said(), "old");
        }
        assert_eq!(told(&sim, &mut stream).await, [""; 0]);
    });
}

#[test]
fn f70_a_cursor_of_the_list_before_goes_on_behind_its_tool_or_is_refused_if_that_is_gone() {
    sim::run(|sim| async move {
        let limits = Limits { page_items_max: 2, ..Limits::default() };
        let server = sim.serve_within(limits);
        for (revision, mut way) in Way::all(&server).await {
            replace(server.handle(), "x", &["a", "b", "c"]).await;
            let first = ask(&mut way, "tools/list", json!({})).await;
            let next = json!({ "cursor": first["result"]["nextCursor"] });
            assert_eq!(names(&first), ["a", "b"]);
            replace(server.handle(), "x", &["c", "b", "d", "e"]).await;
            assert_eq!(names(&ask(&mut way, "tools/list", next.clone()).await), ["d", "e"], "{revision}");
            replace(server.handle(), "x", &["c"]).await;
            let refused = ask(&mut way, "tools/list", next).await;
            assert_eq!(refused["error"]["code"], -32602, "{revision}: {refused}");
            let words = refused["error"]["message"].as_str().unwrap();
            assert!(words.contains("list again without it"), "{words}");
        }
    });
}

#[test]
fn f12_a_server_of_an_empty_set_offers_tools_from_the_start() {
    sim::run(|sim| async move {
        let handle = Handle::new();
        let (empty, bare) = (
            sim.serve_with(|_| portcullis::Server::builder("gate", "1").clock(sim.clock()).tools(Toolset::new())),
            sim.serve_with(|_| portcullis::Server::builder("gate", "1").clock(sim.clock()).handle(&handle)),
        );
        let offers = async |server| {
            let mut conn = Session::open(server, LATEST).await.send(&initialize(LATEST)).await;
            !conn.answer().await.last()["result"]["capabilities"]["tools"].is_null()
        };
        assert!(offers(&empty).await && !offers(&bare).await);
        replace(&handle, "x", &["late"]).await;
        assert!(offers(&bare).await, "who comes later learns of it");
    });
}

/// Everybody is who he says he is, until he is gone.
#[derive(Clone, Default)]
struct People {
    gone: Rc<RefCell<Vec<&'static str>>>,
}

impl Access for People {
    fn principal(&self, request: &Credentials<'_>) -> Result<Principal, Denied> {
        let name = request.authorization.and_then(|value| value.strip_prefix("Bearer "));
        let name = name.filter(|name| !self.gone.borrow().contains(name)).ok_or(Denied::Unauthenticated)?;
        Ok(Principal::Named(name.into()))
    }

    fn knows(&self, principal: &Principal) -> bool {
        !self.gone.borrow().iter().any(|name| *principal == Principal::Named((*name).into()))
    }

    fn may_use(&self, _: &Principal, item: Item<'_>) -> bool {
        self.gone.borrow().is_empty() || item != Item::Tool("add")
    }
}

#[test]
fn p12_when_access_changes_those_who_are_gone_lose_everything_and_the_others_hear_of_every_list() {
    sim::run(|sim| async move {
        let people = People::default();
        let server = sim.serve_with(|builder| features::add(builder.access(people.clone())));
        let mut lost = Vec::new();
        let mut kept = Vec::new();
        let wants = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true });
        for (token, streams) in [("eve", &mut lost), ("ops", &mut kept)] {
            for revision in STREAMABLE {
                streams.push(Session::open_as(&server, revision, Some(token)).await.listen().await);
            }
            let auth = format!("Bearer {token}");
            let auth = [("Authorization", auth.as_str())];
            let mut legacy = Legacy::connect_with(&server, server.connect(), "/sse", &auth).await;
            server.connect().ask(post(&legacy.endpoint, &auth, &initialize("2024-11-05"))).await;
            assert_eq!(legacy.stream.message().await.unwrap()["id"], 0);
            streams.push(legacy.stream);
            let modern = Stateless { token: Some(token), ..Stateless::new(&server) };
            streams.push(modern.listen("l", wants.clone()).await.0);
        }
        let session = Session::open_as(&server, LATEST, Some("eve")).await;
        let modern = Stateless { token: Some("eve"), ..Stateless::new(&server) };
        let slow = json!({ "ms": 60_000 });
        let mut running =
            [session.send(&call(1, "slow", slow.clone())).await, modern.send(&modern.call("slow", slow)).await];
        sim.sleep(1_000).await;
        assert_eq!(server.seen().alive.get(), 2);
        people.gone.borrow_mut().push("eve");
        server.handle().access_changed();
        sim.sleep(1).await;
        assert_eq!(server.seen().alive.get(), 0, "her calls are dropped");
        for conn in &mut running {
            assert!(conn.answer().await.messages.iter().all(|message| message["result"].is_null()));
        }
        for conn in &mut lost {
            let last: Vec<_> = sim.within(1_000, conn.events()).await.expect("the end of her streams");
            assert!(last.iter().filter(|event| event.is_message()).all(|event| event.json()["method"].is_null()));
        }
        for conn in &mut kept {
            let all = ["tools", "prompts", "resources"].map(|list| format!("notifications/{list}/list_changed"));
            assert_eq!(told(&sim, conn).await, all);
        }
        assert_eq!(server.reasons().await, ["revoked"; 5]);
        assert_eq!((session.status().await, modern.gets("tools/list", json!({})).await.head.status), (401, 401));
        let ops = Stateless { token: Some("ops"), ..modern };
        let sees = ops.gets("tools/list", json!({})).await;
        assert!(!names(sees.last()).contains(&"add"), "what a role may use is asked anew");
    });
}

#[test]
fn p12_who_is_revoked_between_his_head_and_his_body_begins_nothing() {
    sim::run(|sim| async move {
        let tokens = |text: &str| Tokens::parse(text).unwrap();
        let (eve, ops) = ("eve-has-this-token", "ops-has-another-token");
        let server = sim.serve_with(|builder| builder.tokens(tokens(&format!("{eve}\n{ops}\n"))));
        let modern = Stateless { token: Some(eve), ..Stateless::new(&server) };
        let session = Session { server: server.clone(), id: String::new(), revision: LATEST, token: Some(eve) };
        let honest = Session { token: Some(ops), ..session.clone() };
        let mut half = Vec::new();
        for (bytes, status) in [
            (session.bytes("POST", &[], &initialize(LATEST)), 401),
            (modern.ask("subscriptions/listen", json!({ "notifications": {} })).bytes(), 401),
            (modern.call("slow", json!({ "ms": 1 })).bytes(), 401),
            (honest.bytes("POST", &[], &initialize(LATEST)), 200),
        ] {
            let mut conn = server.connect();
            let (first, last) = bytes.split_at(bytes.len() - 1);
            conn.send(first.to_vec()).await;
            half.push((conn, last.to_vec(), status));
        }
        sim.sleep(10).await;
        server.handle().set_tokens(tokens(ops));
        sim.sleep(10).await;
        for (mut conn, last, status) in half {
            conn.send(last).await;
            assert_eq!(conn.answer().await.head.status, status);
        }
        assert_eq!((server.seen().begun.get(), server.gauge("sessions").await), (0, 1));
    });
}

#[test]
fn p12_a_revocation_is_not_lost_when_more_words_wait_for_the_server_than_it_takes() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| builder.tokens(Tokens::parse("eve-has-this-token").unwrap()));
        let eve = Session::open_as(&server, LATEST, Some("eve-has-this-token")).await;
        let mut questions: Vec<_> = (0..64).map(|_| Box::pin(server.handle().sessions())).collect();
        for question in &mut questions {
            assert!(smol::future::poll_once(question).await.is_none(), "the server has not had its turn");
        }
        server.handle().set_tokens(Tokens::parse("ops-has-another-token").unwrap());
        sim.sleep(10).await;
        assert_eq!(eve.status().await, 401);
        drop(questions);
        assert_eq!(server.reasons().await, ["revoked"]);
    });
}
