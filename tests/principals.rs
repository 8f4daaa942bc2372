//! An embedder's own policy: who asks, what he may use, and what he learns of the rest: nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use portcullis::{Access, Credentials, Denied, Item, Limits, Principal};
use serde_json::{Value, json};

use crate::sim::client::*;
use crate::sim::features;
use crate::sim::server::Server;
use crate::sim::stateless::*;
use crate::sim::{self, Sim};

/// `ops` may use everything, others what is not hidden, and `banned` is known and not let in.
#[derive(Clone, Default)]
struct Roles {
    locked: Rc<Cell<bool>>,
    asked: Rc<RefCell<Vec<String>>>,
}

impl Access for Roles {
    fn principal(&self, request: &Credentials<'_>) -> Result<Principal, Denied> {
        self.asked.borrow_mut().push(format!("{:?} {:?}", request.authorization, request.address));
        match request.authorization.and_then(|value| value.strip_prefix("Bearer ")) {
            _ if self.locked.get() => Err(Denied::Unauthenticated),
            None => Ok(Principal::Anonymous),
            Some("banned") => Err(Denied::Forbidden),
            Some(name @ ("ops" | "guest" | "anonymous")) => Ok(Principal::Named(name.into())),
            Some(_) => Err(Denied::Unauthenticated),
        }
    }

    fn may_use(&self, principal: &Principal, item: Item<'_>) -> bool {
        // By name, as a list of what is allowed would be: a resource of a template has no name of its own.
        let hidden = matches!(
            item,
            Item::Tool("open_port" | "routed_model" | "commit")
                | Item::Resource("fw://logo")
                | Item::Template("fw://chains/{name}")
                | Item::Prompt("explain")
        );
        let known = match item {
            Item::Resource(uri) => ["fw://rules", "fw://logo", "fw://lost", "fw://guarded"].contains(&uri),
            _ => true,
        };
        known && (!hidden || *principal == Principal::Named("ops".into()))
    }
}

fn serve(sim: &Sim, roles: &Roles) -> Server {
    sim.serve_with(|builder| features::add(builder.access(roles.clone()).cache(Duration::from_secs(9), true)))
}

fn client(server: &Server, token: Option<&'static str>) -> Stateless {
    Stateless { token, ..Stateless::able(server) }
}

fn names(answer: &Value, list: &str, key: &str) -> Vec<String> {
    let entries = answer["result"][list].as_array().unwrap_or_else(|| panic!("{answer}"));
    entries.iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
}

const LISTS: [(&str, &str, &str, &str); 4] = [
    ("tools/list", "tools", "name", "open_port"),
    ("resources/list", "resources", "uri", "fw://logo"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate", "fw://chains/{name}"),
    ("prompts/list", "prompts", "name", "explain"),
];

#[test]
fn a20_t25_lists_show_to_each_what_he_may_use_in_sessions_and_without() {
    sim::run(|sim| async move {
        let server = serve(&sim, &Roles::default());
        for (token, sees) in [(Some("ops"), true), (Some("guest"), false), (None, false)] {
            let modern = client(&server, token);
            let session = Session::open_as(&server, LATEST, token).await;
            for (method, list, key, hidden) in LISTS {
                let answers = [
                    modern.gets(method, json!({})).await.last().clone(),
                    session.post(&rpc(1, method, json!({}))).await.last().clone(),
                ];
                for answer in answers {
                    let names = names(&answer, list, key);
                    assert_eq!(names.iter().any(|name| name == hidden), sees, "{token:?} {method}: {names:?}");
                    assert!(!names.is_empty());
                }
            }
        }
    });
}

#[test]
fn a20_f70_pages_of_a_filtered_list_are_full_and_do_not_tell_what_is_hidden() {
    let limits = Limits { page_items_max: 2, ..Limits::default() };
    sim::run(|sim| async move {
        let roles = Roles::default();
        let server = sim.serve_with(|builder| features::add(builder.access(roles.clone()).limits(limits)));
        for (token, total) in [("ops", 4), ("guest", 3)] {
            let (mut found, mut params) = (Vec::new(), json!({}));
            loop {
                let page = client(&server, Some(token)).gets("resources/list", params).await;
                let names = names(page.last(), "resources", "uri");
                let cursor = page.last()["result"]["nextCursor"].clone();
                assert!(names.len() == 2 || cursor.is_null(), "{token}: {names:?}");
                found.extend(names);
                if cursor.is_null() {
                    break;
                }
                params = json!({ "cursor": cursor });
            }
            assert_eq!(found.len(), total, "{token}: {found:?}");
        }
        let first = client(&server, Some("anonymous")).gets("tools/list", json!({})).await;
        let params = json!({ "cursor": first.last()["result"]["nextCursor"] });
        let named = client(&server, Some("anonymous")).gets("tools/list", params.clone()).await;
        assert!(named.last()["error"].is_null());
        for token in [None, Some("ops")] {
            let other = client(&server, token).gets("tools/list", params.clone()).await;
            assert_eq!(other.last()["error"]["code"], -32602, "A-14: whoever calls himself anonymous is not nobody");
        }
    });
}

/// A request for what is hidden, the same for what is not there, and the two names.
type Pair = ((&'static str, Value), (&'static str, Value), &'static str, &'static str);

fn pairs() -> Vec<Pair> {
    let call = |name: &str, arguments: Value| ("tools/call", json!({ "name": name, "arguments": arguments }));
    let uri = |method: &'static str, uri: &str| (method, json!({ "uri": uri }));
    let prompt = |name: &str| ("prompts/get", json!({ "name": name, "arguments": { "source": "x" } }));
    let complete = |of: Value, name: &str| {
        ("completion/complete", json!({ "ref": of, "argument": { "name": name, "value": "" } }))
    };
    let of_prompt = |name: &str| json!({ "type": "ref/prompt", "name": name });
    let of_template = |uri: &str| json!({ "type": "ref/resource", "uri": uri });
    vec![
        (call("open_port", json!({ "port": 22 })), call("open_gate", json!({ "port": 22 })), "open_port", "open_gate"),
        (
            call("open_port", json!({ "port": "x" })),
            call("open_gate", json!({ "port": "x" })),
            "open_port",
            "open_gate",
        ),
        (call("open_port", json!([])), call("open_gate", json!([])), "open_port", "open_gate"),
        (
            call("routed_model", json!({ "region": "x" })),
            call("routed_mogul", json!({ "region": "x" })),
            "routed_model",
            "routed_mogul",
        ),
        (uri("resources/read", "fw://logo"), uri("resources/read", "fw://lego"), "fw://logo", "fw://lego"),
        (uri("resources/read", "fw://chains/input"), uri("resources/read", "fw://chairs/input"), "chains", "chairs"),
        (uri("resources/subscribe", "fw://logo"), uri("resources/subscribe", "fw://lego"), "fw://logo", "fw://lego"),
        (
            uri("resources/unsubscribe", "fw://logo"),
            uri("resources/unsubscribe", "fw://lego"),
            "fw://logo",
            "fw://lego",
        ),
        (prompt("explain"), prompt("explode"), "explain", "explode"),
        (complete(of_prompt("explain"), "source"), complete(of_prompt("explode"), "source"), "explain", "explode"),
        (
            complete(of_template("fw://chains/{name}"), "name"),
            complete(of_template("fw://chairs/{name}"), "name"),
            "chains",
            "chairs",
        ),
    ]
}

#[test]
fn a20_b19_what_is_hidden_is_answered_byte_for_byte_like_what_is_not_there() {
    sim::run(|sim| async move {
        let server = serve(&sim, &Roles::default());
        for token in [Some("guest"), None] {
            let modern = client(&server, token);
            let session = Session::open_as(&server, LATEST, token).await;
            for ((method, hidden), (_, unknown), name, other) in pairs() {
                let ask = |params: &Value| modern.ask(method, params.clone());
                let (hidden_ask, unknown_ask) = (ask(&hidden), ask(&unknown));
                let seen = server.connect().ask(hidden_ask.bytes()).await;
                let never = server.connect().ask(unknown_ask.bytes()).await;
                assert_eq!(seen.head, never.head, "{method} {name}");
                assert_eq!(seen.text().replace(name, other), never.text(), "{method} {name}");
                let seen = session.send(&rpc(1, method, hidden)).await.reply().await;
                let never = session.send(&rpc(1, method, unknown)).await.reply().await;
                assert_eq!(
                    (&seen.head, seen.text().replace(name, other)),
                    (&never.head, never.text().to_owned()),
                    "{method} {name}"
                );
            }
        }
        assert_eq!(server.counter("calls_started").await, 0, "none of them has begun");
        let able = client(&server, Some("ops"));
        assert_eq!(
            able.calls("open_port", json!({ "port": 22 })).await.said(),
            "opened 22",
            "and there is one who may"
        );
    });
}

#[test]
fn f152_f154_changes_of_what_is_hidden_are_not_told_and_the_others_are() {
    sim::run(|sim| async move {
        let server = serve(&sim, &Roles::default());
        let wanted = ["fw://rules", "fw://logo", "fw://chains/input"];
        for (token, expected) in [("guest", vec!["fw://rules"]), ("ops", wanted.to_vec())] {
            let filter = json!({ "resourceSubscriptions": wanted });
            let (mut conn, first) = client(&server, Some(token)).listen(token, filter).await;
            assert_eq!(first["params"]["notifications"]["resourceSubscriptions"], json!(expected), "{token}");
            wanted.iter().for_each(|uri| server.handle().resource_updated(*uri));
            let mut told = Vec::new();
            while let Some(message) = sim.within(1_000, conn.message()).await.flatten() {
                told.push(message["params"]["uri"].as_str().unwrap().to_owned());
            }
            told.sort();
            let mut expected = expected;
            expected.sort_unstable();
            assert_eq!(told, expected, "{token}: what was acknowledged is told, and nothing else");
        }
    });
}

#[test]
fn a5_a8_a15_who_is_not_let_in_is_told_so_before_anything_else_on_every_path() {
    sim::run(|sim| async move {
        let server = serve(&sim, &Roles::default());
        let modern = client(&server, None).call("add", json!({ "a": 1, "b": 2 }));
        for (credential, status) in
            [("Bearer nonesuch", 401), ("Basic b3Bz", 200), ("Bearer banned", 403), ("Bearer ops", 200)]
        {
            let auth = ("Authorization", credential);
            for (method, path, body) in [
                ("POST", "/mcp", "{ this is no JSON"),
                ("POST", "/mcp", &initialize(LATEST)),
                ("GET", "/mcp", ""),
                ("DELETE", "/mcp", ""),
                ("GET", "/sse", ""),
                ("POST", "/messages/?session_id=0123456789abcdef0123456789abcdef", &ping(1)),
            ] {
                let mut conn = server.connect();
                conn.send(request(method, path, &[auth, ("Accept", BOTH)], body)).await;
                let head = conn.head().await.unwrap();
                if status == 200 {
                    assert!(![401, 403].contains(&head.status), "{credential} {method} {path}: {}", head.head);
                } else {
                    assert_eq!(head.status, status, "{credential} {method} {path}");
                    assert_eq!(
                        head.header("www-authenticate").is_some(),
                        status == 401,
                        "RFC 9110, 11.6.1: {}",
                        head.head
                    );
                }
            }
            let answer = client(&server, None).post(&modern.clone().more(auth.0, auth.1)).await;
            assert_eq!(answer.head.status, status, "T-30: {credential}");
        }
        assert_eq!(server.connect().ask(get("/healthz", &[])).await.status, 200);
        assert_eq!(
            server.connect().ask(get("/debug/sessions", &[("Authorization", "Bearer banned")])).await.status,
            403
        );
    });
}

#[test]
fn a5_b1_every_request_is_asked_about_and_a_session_is_no_credential() {
    sim::run(|sim| async move {
        let roles = Roles::default();
        let server = serve(&sim, &roles);
        let session = Session::open_as(&server, LATEST, Some("ops")).await;
        let before = roles.asked.borrow().len();
        for _ in 0..5 {
            assert_eq!(session.status().await, 200);
        }
        assert_eq!(roles.asked.borrow().len(), before + 5);
        assert!(roles.asked.borrow().last().unwrap().contains("127.0.0.1"), "and told from where it comes");
        let who = session.post(&call(1, "who", json!({}))).await;
        assert_eq!(who.last()["result"]["structuredContent"]["principal"], "ops");
        roles.locked.set(true);
        assert_eq!(session.status().await, 401);
        roles.locked.set(false);
        assert_eq!(session.status().await, 200);
    });
}

#[test]
fn a14_s30_sessions_and_streams_of_another_are_answered_like_unknown_ones() {
    sim::run(|sim| async move {
        let server = serve(&sim, &Roles::default());
        let ops = Session::open_as(&server, LATEST, Some("ops")).await;
        let mut stream = ops.listen().await;
        let primed = stream.event().await.unwrap().id.unwrap();
        for token in [Some("guest"), None] {
            let foreign = Session { token, ..ops.clone() };
            let unknown = Session { id: "0123456789abcdef0123456789abcdef".into(), ..foreign.clone() };
            for (method, headers, body) in [
                ("POST", vec![("Accept", BOTH)], ping(1)),
                ("POST", vec![("Accept", BOTH)], response(&json!(1), json!({}))),
                ("POST", vec![("Accept", BOTH)], cancelled(1)),
                ("GET", vec![("Accept", SSE)], String::new()),
                ("GET", vec![("Accept", SSE), ("Last-Event-ID", &*primed)], String::new()),
                ("DELETE", vec![], String::new()),
            ] {
                let seen = server.connect().ask(foreign.bytes(method, &headers, &body)).await;
                let never = server.connect().ask(unknown.bytes(method, &headers, &body)).await;
                assert_eq!((seen.status, &seen), (404, &never), "{token:?} {method}");
            }
        }
        assert_eq!(ops.status().await, 200);
        let auth = [("Authorization", "Bearer ops")];
        let legacy = Legacy::connect_with(&server, server.connect(), "/sse", &auth).await;
        let unknown = "/messages/?session_id=0123456789abcdef0123456789abcdef";
        for headers in [&[("Authorization", "Bearer guest")][..], &[]] {
            let seen = server.connect().ask(post(&legacy.endpoint, headers, &ping(1))).await;
            assert_eq!((seen.status, &seen), (404, &server.connect().ask(post(unknown, headers, &ping(1))).await));
        }
        assert_eq!(server.connect().ask(post(&legacy.endpoint, &auth, &ping(1))).await.status, 202);
    });
}

#[test]
fn b10_f145_a_request_state_of_another_is_answered_like_garbage() {
    sim::run(|sim| async move {
        let server = serve(&sim, &Roles::default());
        let ask = |token: Option<&'static str>| client(&server, token).call("ask_form", json!({}));
        let first = client(&server, Some("ops")).post(&ask(Some("ops"))).await;
        let state = &first.last()["result"]["requestState"];
        let answers = json!({ "form": { "action": "accept", "content": { "reason": "x" } } });
        for token in [Some("guest"), Some("anonymous"), None] {
            let foreign = server.connect().ask(ask(token).again(state, answers.clone()).bytes()).await;
            let garbage = server.connect().ask(ask(token).again(&json!("garbage"), answers.clone()).bytes()).await;
            assert_eq!(foreign, garbage, "B-19 {token:?}");
            assert_eq!(foreign.json()["error"]["code"], -32602);
        }
        let answer = client(&server, Some("ops")).post(&ask(Some("ops")).again(state, answers)).await;
        assert_eq!(answer.said(), "x");
    });
}

#[test]
fn b18_nothing_that_depends_on_who_asks_may_be_shared_by_caches() {
    sim::run(|sim| async move {
        let server = serve(&sim, &Roles::default());
        let open = sim.serve_with(|builder| features::add(builder.cache(Duration::from_secs(9), true)));
        for (server, scope) in [(&server, "private"), (&open, "public")] {
            let asking = client(server, None);
            for (method, params) in LISTS.map(|(method, ..)| (method, json!({}))) {
                let answer = asking.gets(method, params).await;
                let result = &answer.last()["result"];
                assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(9_000), &json!(scope)), "{method}");
            }
            let read = asking.gets("resources/read", json!({ "uri": "fw://rules" })).await;
            assert_eq!(read.last()["result"]["cacheScope"], scope, "what somebody else may not read is not shared");
        }
    });
}

/// A policy that fails.
struct Broken;

impl Access for Broken {
    fn principal(&self, request: &Credentials<'_>) -> Result<Principal, Denied> {
        assert!(request.authorization.is_some(), "nobody is nobody");
        Ok(Principal::Named("ops".into()))
    }

    fn may_use(&self, _: &Principal, item: Item<'_>) -> bool {
        assert!(item != Item::Tool("add"), "a policy that panics");
        true
    }
}

#[test]
fn p81_a_policy_that_panics_lets_nobody_in_and_the_server_lives() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| builder.access(Broken));
        let mut conn = server.connect();
        let reply = conn.ask(post("/mcp", &[], &initialize(LATEST))).await;
        assert_eq!(reply.status, 500, "{}", reply.text());
        let session = Session::open_as(&server, LATEST, Some("x")).await;
        let answer = session.post(&call(1, "add", json!({ "a": 1, "b": 2 }))).await;
        assert_eq!(answer.last()["error"]["code"], -32602, "{}", answer.last());
        assert_eq!(session.post(&call(2, "echo", json!({ "text": "still here" }))).await.said(), "still here");
    });
}
