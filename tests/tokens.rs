//! Sessions of token holders: whose they are, and what outsiders learn.

use portcullis::Tokens;
use serde_json::json;

use crate::sim;
use crate::sim::client::*;
use crate::sim::logs;

const ALICE: &str = "alice-has-this-token";
const BOB: &str = "bob-has-another-token";

#[test]
fn p12_s24_s30_another_principals_session_is_answered_exactly_like_an_unknown_one() {
    sim::run(|sim| async move {
        let tokens = Tokens::parse(&format!("{ALICE}\n{BOB}\n")).unwrap();
        let server = sim.serve_with(|builder| builder.tokens(tokens));
        let alice = Session::open_as(&server, LATEST, Some(ALICE)).await;
        let bob = Session { token: Some(BOB), ..alice.clone() };
        let unknown = Session { id: "0123456789abcdef0123456789abcdef".into(), ..bob.clone() };
        for (method, body) in [("POST", ping(1)), ("GET", String::new()), ("DELETE", String::new())] {
            let headers = [("Accept", BOTH)];
            let foreign = server.connect().ask(bob.bytes(method, &headers, &body)).await;
            let never = server.connect().ask(unknown.bytes(method, &headers, &body)).await;
            assert_eq!((foreign.status, &foreign), (404, &never), "byte for byte: {method}");
            let resumed =
                server.connect().ask(bob.bytes("GET", &[("Accept", SSE), ("Last-Event-ID", "0.1")], "")).await;
            assert_eq!(
                resumed,
                server.connect().ask(unknown.bytes("GET", &[("Accept", SSE), ("Last-Event-ID", "0.1")], "")).await
            );
        }
        let nobody = Session { token: None, ..alice.clone() };
        let reply = nobody.send(&ping(1)).await.reply().await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")));
        alice.delete().await;
        let foreign = bob.send(&ping(1)).await.reply().await;
        assert_eq!(foreign, unknown.send(&ping(1)).await.reply().await, "nor does he learn that it is gone");
    });
}

#[test]
fn p12_h12_an_http_sse_session_belongs_to_the_token_that_opened_it() {
    sim::run(|sim| async move {
        let tokens = Tokens::parse(&format!("{ALICE}\n{BOB}\n")).unwrap();
        let server = sim.serve_with(|builder| builder.tokens(tokens));
        let bearer = |token: &str| format!("Bearer {token}");
        let stream = server.connect();
        let legacy = Legacy::connect_with(&server, stream, "/sse", &[("Authorization", &bearer(ALICE))]).await;
        let send = |token: &str, path: String| {
            let bytes = post(&path, &[("Authorization", &bearer(token))], &ping(1));
            let mut conn = server.connect();
            async move { conn.ask(bytes).await }
        };
        let unknown = "/messages/?session_id=0123456789abcdef0123456789abcdef".to_owned();
        let foreign = send(BOB, legacy.endpoint.clone()).await;
        assert_eq!((foreign.status, &foreign), (404, &send(BOB, unknown).await));
        assert_eq!(legacy.post(&ping(1)).await.status, 401);
        assert_eq!(send(ALICE, legacy.endpoint.clone()).await.status, 202);
    });
}

#[test]
fn p12_a_token_that_is_taken_away_ends_its_sessions_and_streams_and_drops_their_calls() {
    sim::run(|sim| async move {
        let tokens = Tokens::parse(&format!("{ALICE}\n{BOB}\n")).unwrap();
        let server = sim.serve_with(|builder| builder.tokens(tokens));
        let alice = Session::open_as(&server, LATEST, Some(ALICE)).await;
        let bob = Session::open_as(&server, LATEST, Some(BOB)).await;
        let (mut hers, mut his) = (alice.listen().await, bob.listen().await);
        let mut waiting = alice.send(&call(1, "slow", json!({ "ms": 60_000 }))).await;
        sim.sleep(1_000).await;
        assert_eq!(server.seen().alive.get(), 1);
        server.handle().set_tokens(Tokens::parse(BOB).unwrap());
        hers.events().await;
        assert!(waiting.answer().await.messages.is_empty());
        assert_eq!((sim.ms(), server.seen().alive.get()), (1_000, 0));
        assert_eq!((alice.status().await, bob.status().await), (401, 200));
        assert!(sim.within(5_000, his.message()).await.is_none(), "his goes on");
        assert_eq!(server.reasons().await, ["revoked"]);
    });
}

#[test]
fn p13_p69_no_log_line_and_no_view_shows_a_whole_session_id_a_token_or_a_query() {
    sim::run(|sim| async move {
        let server = sim.serve_with(|builder| builder.tokens(Tokens::parse(ALICE).unwrap()));
        let session = Session::open_as(&server, LATEST, Some(ALICE)).await;
        let bearer = format!("Bearer {ALICE}");
        let auth = [("Authorization", bearer.as_str())];
        let stream = server.connect();
        let legacy = Legacy::connect_with(&server, stream, "/sse?x=secret-query", &auth).await;
        let replies = [
            session.send(&call(1, "fail", json!({}))).await.reply().await,
            server.connect().ask(post(&legacy.endpoint, &auth, &initialize("2024-11-05"))).await,
            server
                .connect()
                .ask(post(&legacy.endpoint, &[("Authorization", "Bearer wrong-token-wrong")], &ping(1)))
                .await,
            server.connect().ask(post("/mcp", &[("Mcp-Session-Id", &session.id), auth[0]], "{bad")).await,
            server.connect().ask(get("/debug/sessions", &auth)).await,
            server.connect_as_operator().ask(get("/debug/sessions", &[])).await,
            server.connect_as_operator().ask(get("/healthz", &[])).await,
            session.delete().await,
        ];
        let id = legacy.session_id().to_owned();
        drop(legacy);
        sim.settle().await;
        let said: String =
            logs::lines("").join("\n") + &replies.map(|reply| String::from_utf8(reply.body).unwrap()).concat();
        for secret in
            [&session.id, &id, &session.id[..16], &id[..16], ALICE, "wrong-token", "secret-query", "session_id="]
        {
            assert!(!said.contains(secret), "{secret} in: {said}");
        }
        assert!(said.contains("session_opened") && said.contains("session_ended"));
    });
}
