//! HTTP+SSE of 2024-11-05: one stream is the session, and POSTs name it.

use portcullis::Builder;
use serde_json::json;

use crate::sim;
use crate::sim::client::*;
use crate::sim::server::Server;

/// The `endpoint` event that a GET gets.
async fn endpoint(server: &Server, path: &str, from: &str, headers: &[(&str, &str)]) -> String {
    let stream = server.connect_from(from, 1 << 16);
    let legacy = Legacy::connect_with(server, stream, path, headers).await;
    let id = legacy.session_id().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "H-3: {id}");
    legacy.endpoint.replace(&id, "{id}")
}

#[test]
fn h2_h3_p16_the_endpoint_is_a_path_of_ours_or_relative_where_a_proxy_may_have_changed_the_path() {
    const PREFIX: (&str, &str) = ("X-Forwarded-Prefix", "/fw1");
    type Change = fn(Builder) -> Builder;
    let plain: Change = |builder| builder;
    let based: Change = |builder| builder.base_path("/fw/");
    let relative: Change = |builder| builder.relative_endpoint(true);
    let trusting: Change = |builder| builder.trust_proxy("192.0.2.0/24".parse().unwrap());
    let both: Change = |builder| builder.base_path("/fw").trust_proxy("192.0.2.7".parse().unwrap());
    for (change, path, headers, expected) in [
        (plain, "/sse", vec![], "/messages/?session_id={id}"),
        (plain, "/sse/", vec![], "/messages/?session_id={id}"),
        (plain, "http://localhost/sse?x=1", vec![], "/messages/?session_id={id}"),
        (based, "/fw/sse", vec![], "/fw/messages/?session_id={id}"),
        (based, "/sse", vec![], "/fw/messages/?session_id={id}"),
        (relative, "/sse", vec![], "?session_id={id}"),
        (relative, "/sse", vec![PREFIX], "?session_id={id}"),
        (plain, "/sse", vec![("Via", "1.1 x")], "?session_id={id}"),
        (plain, "/sse", vec![("Forwarded", "for=a")], "?session_id={id}"),
        (plain, "/sse", vec![("X-Forwarded-For", "198.51.100.1")], "?session_id={id}"),
        (plain, "/sse", vec![("X-Forwarded-Proto", "https")], "?session_id={id}"),
        (plain, "/sse", vec![PREFIX], "?session_id={id}"),
        (trusting, "/sse", vec![PREFIX], "/fw1/messages/?session_id={id}"),
        (trusting, "/sse", vec![("X-Forwarded-Prefix", "/fw1/")], "/fw1/messages/?session_id={id}"),
        (trusting, "/sse", vec![("X-Forwarded-Prefix", "//evil.example")], "?session_id={id}"),
        (trusting, "/sse", vec![("X-Forwarded-Prefix", "https://evil.example")], "?session_id={id}"),
        (trusting, "/sse", vec![("X-Forwarded-Prefix", "/a b")], "?session_id={id}"),
        (trusting, "/sse", vec![("X-Forwarded-For", "198.51.100.1")], "?session_id={id}"),
        (both, "/fw/sse", vec![PREFIX], "/fw1/fw/messages/?session_id={id}"),
    ] {
        sim::run(|sim| async move {
            let server = sim.serve_with(change);
            assert_eq!(endpoint(&server, path, "192.0.2.7", &headers).await, expected, "{path} {headers:?}");
        });
    }
    sim::run(|sim| async move {
        let server = sim.serve_with(trusting);
        assert_eq!(
            endpoint(&server, "/sse", "203.0.113.9", &[PREFIX]).await,
            "?session_id={id}",
            "not from a trusted proxy"
        );
    });
}

#[test]
fn h5_h6_a_session_id_is_found_in_every_form_that_clients_send_it_in() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut legacy = Legacy::open(&server).await;
        let id = legacy.session_id().to_owned();
        let dashed = format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
        let coded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for path in ["/messages", "/messages/", "/sse", "/sse/"] {
            for form in [&id, &dashed, &coded, &id.to_uppercase(), &dashed.replace('-', "%2D")] {
                for query in [format!("session_id={form}"), format!("a=b&session_id={form}&c")] {
                    let reply = server.connect().ask(post(&format!("{path}?{query}"), &[], &ping(1))).await;
                    assert_eq!((reply.status, reply.text()), (202, "Accepted"), "{path}?{query}");
                    assert_eq!(legacy.stream.message().await.unwrap()["id"], 1);
                }
            }
        }
    });
}

#[test]
fn h6_h7_p10_wrong_posts_are_refused_with_the_status_that_clients_look_at() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut legacy = Legacy::open(&server).await;
        let streamable = Session::open(&server, LATEST).await;
        let (right, id) = (legacy.endpoint.clone(), legacy.session_id().to_owned());
        for (method, path, body, status, words) in [
            ("POST", "/messages/".to_owned(), ping(1), 400, "session_id"),
            ("POST", "/messages/?session_id=".to_owned(), ping(1), 400, "session_id"),
            ("POST", "/messages/?session_id=xyz".to_owned(), ping(1), 400, "session_id"),
            ("POST", format!("/messages/?session_id={id}&session_id={id}"), ping(1), 400, "session_id"),
            (
                "POST",
                "/messages/?session_id=0123456789abcdef0123456789abcdef".to_owned(),
                ping(1),
                404,
                "open /sse again",
            ),
            ("POST", format!("/messages/?session_id={}", streamable.id), ping(1), 404, "open /sse again"),
            ("POST", right.clone(), "{bad".into(), 400, "not JSON"),
            ("POST", right.clone(), format!("[{}]", ping(1)), 400, "2025-03-26"),
            ("POST", "/sse".to_owned(), initialize(LATEST), 405, "GET"),
            ("GET", right.clone(), String::new(), 405, "POST"),
            ("DELETE", right.clone(), String::new(), 405, "POST"),
            ("PUT", format!("/sse?session_id={id}"), String::new(), 405, "GET"),
        ] {
            let reply = server.connect().ask(request(method, &path, &[], &body)).await;
            assert_eq!((reply.status, reply.header("content-type")), (status, Some(JSON)), "{method} {path}");
            assert!(reply.text().contains(words), "P80 {method} {path}: {}", reply.text());
            assert_eq!(reply.header("allow").is_some(), status == 405);
        }
        let foreign = Session { id, ..streamable.clone() };
        assert_eq!(foreign.status().await, 404, "nor does its id open anything on /mcp");
        assert!(sim.within(5_000, legacy.stream.message()).await.is_none(), "nothing of all that reached the stream");
        assert_eq!(server.gauge("sessions").await, 2);
    });
}

#[test]
fn p07_a_post_in_the_same_instant_as_its_endpoint_event_always_finds_its_session() {
    sim::run(|sim| async move {
        let server = sim.serve();
        for n in 0..10_000 {
            let legacy = Legacy::connect(&server).await;
            let reply = legacy.post(&initialize("2024-11-05")).await;
            assert_eq!(reply.status, 202, "{n}: {}", reply.text());
        }
        assert_eq!(sim.ms(), 0);
        sim.settle().await;
        assert_eq!((server.gauge("sessions").await, server.gauge("connections").await), (0, 0));
    });
}

#[test]
fn h4_h8_p76_an_old_session_sees_only_old_vocabulary_and_ends_with_its_stream() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut legacy = Legacy::open(&server).await;
        legacy.post(&rpc(1, "tools/list", json!({}))).await;
        let first = legacy.stream.event().await.unwrap();
        assert_eq!((first.name.as_deref(), first.id), (Some("message"), None), "H-4, no ids");
        let list = first.data.unwrap();
        let media = legacy.ask(&call(2, "media", json!({}))).await.to_string();
        let steps = call_with_token(3, "steps", json!({ "count": 1, "gap_ms": 1, "text": "x" }), "t");
        let progress = legacy.ask(&steps).await.to_string();
        for (word, text) in [
            ("outputSchema", &list),
            ("structuredContent", &media),
            ("resource_link", &media),
            ("audio\"", &media),
            ("message", &progress.replace("notifications/", "")),
        ] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        for word in ["resultType", "ttlMs", "\"_meta\""] {
            assert!(![&list, &media, &progress].iter().any(|text| text.contains(word)), "{word}");
        }
        assert_eq!(legacy.stream.message().await.unwrap()["id"], 3);
        let before = legacy.endpoint.clone();
        drop(legacy);
        sim.settle().await;
        assert_eq!(server.connect().ask(post(&before, &[], &ping(1))).await.status, 404, "H-8");
        assert_ne!(Legacy::open(&server).await.endpoint, before, "a new GET makes a new session");
    });
}

#[test]
fn p76_a_streamable_session_sees_only_what_its_revision_knows() {
    for (revision, structured) in [("2025-03-26", false), ("2025-06-18", true), (LATEST, true)] {
        sim::run(|sim| async move {
            let session = Session::open(&sim.serve(), revision).await;
            let list = session.post(&rpc(1, "tools/list", json!({}))).await.last().to_string();
            let media = session.post(&call(2, "media", json!({}))).await.last().to_string();
            assert_eq!(list.contains("outputSchema"), structured, "{revision}");
            assert_eq!(
                (media.contains("structuredContent"), media.contains("resource_link")),
                (structured, structured)
            );
            assert!(media.contains("\"audio\""), "since 2025-03-26");
        });
    }
}

#[test]
fn h10_h11_newer_semantics_over_the_old_transport_follow_the_negotiated_revision() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut legacy = Legacy::connect(&server).await;
        assert_eq!(legacy.ask(&initialize("2025-03-26")).await["result"]["protocolVersion"], "2025-03-26");
        let batch = format!("[{},{},{}]", ping(1), initialized(), call(2, "echo", json!({ "text": "x" })));
        assert_eq!(legacy.post(&batch).await.status, 202);
        assert_eq!(legacy.stream.message().await.unwrap()["id"], 1);
        assert_eq!(legacy.stream.message().await.unwrap()["id"], 2);
        assert_eq!(legacy.ask(&rpc(3, "server/discover", json!({}))).await["error"]["code"], -32601, "H-11");
        assert_eq!(
            legacy.ask(&initialize(LATEST)).await["result"]["protocolVersion"],
            LATEST,
            "once more, by a confused client"
        );
        assert_eq!(legacy.post(&batch).await.status, 400, "S-4");
        let answer = legacy.ask(&call(4, "media", json!({}))).await;
        assert_eq!(answer["result"]["structuredContent"]["rules"], 3);
    });
}

#[test]
fn s2_s3_s4_batches_are_for_sessions_of_2025_03_26_and_every_request_in_one_is_answered_once() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let session = Session::open(&server, "2025-03-26").await;
        let mixed = format!(
            "[{},{},{}]",
            call(1, "echo", json!({ "text": "a" })),
            initialized(),
            call(2, "slow", json!({ "ms": 100, "text": "b" }))
        );
        let json = session.post_with(&[("Accept", JSON)], &mixed).await;
        let mut ids: Vec<_> =
            json.last().as_array().unwrap().iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
        ids.sort();
        assert_eq!((json.head.status, ids), (200, vec![1, 2]));
        let late = mixed.replace("100", "1000");
        let stream = session.post(&late).await;
        assert_eq!((stream.is_stream(), stream.messages.len(), stream.at), (true, 2, 1_100), "closed after the last");
        let one = session.post(&format!("[{}]", ping(7))).await;
        assert!(one.last().is_array(), "X-45: an array gets an array");
        for (body, status, words) in [
            (format!("[{},{}]", initialized(), cancelled(1)), 202, ""),
            (r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#.to_owned(), 202, ""),
            (format!(r#"[{{"jsonrpc":"2.0","id":1,"result":{{}}}},{}]"#, ping(1)), 400, "either responses or requests"),
            (format!("[{}]", initialize("2025-03-26")), 400, "initialize must not"),
            ("[]".to_owned(), 400, "empty array"),
            (format!("[{}]", vec![ping(1); 65].join(",")), 400, "at most 64"),
        ] {
            let reply = session.send(&body).await.reply().await;
            assert_eq!(reply.status, status, "{body}");
            assert!(status == 202 || reply.json()["error"]["code"] == -32600, "S-3");
            assert!(reply.text().contains(words), "P80 {}", reply.text());
        }
        for revision in ["2025-06-18", LATEST] {
            let reply = Session::open(&server, revision).await.send(&format!("[{}]", ping(1))).await.reply().await;
            assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (400, Some(-32600)), "S-4");
        }
    });
}

#[test]
fn s36_s37_s38_s39_the_version_header_is_read_kindly_but_an_unknown_one_is_400() {
    sim::run(|sim| async move {
        let session = Session::open(&sim.serve(), "2025-06-18").await;
        for (version, status) in [
            ("2025-06-18", 200),
            ("2025-11-25", 200),
            ("2024-11-05", 200),
            ("2025-13-99", 400),
            ("", 400),
            ("2026-07-28", 400),
        ] {
            let answer = session.post_with(&[("MCP-Protocol-Version", version)], &call(1, "media", json!({}))).await;
            assert_eq!(answer.head.status, status, "{version:?}");
            if status == 400 {
                // What claims to be of 2026-07-28 wants its envelope (SPEC 3.3, 6c).
                let code = if version == "2026-07-28" { -32602 } else { -32600 };
                assert_eq!((&answer.last()["error"]["code"], &answer.last()["id"]), (&json!(code), &json!(1)));
                assert!(answer.last()["error"].get("data").is_none(), "dual-era clients fall back on this");
            }
        }
        let bytes = String::from_utf8(session.bytes("POST", &[], &ping(1)))
            .unwrap()
            .replace("MCP-Protocol-Version: 2025-06-18\r\n", "");
        assert_eq!(session.server.connect().ask(bytes).await.status, 200, "S-37: absent");
        for version in ["2024-11-05", "2025-11-25"] {
            let reply = session
                .server
                .connect()
                .ask(post("/mcp", &[("MCP-Protocol-Version", version)], &initialize("2025-06-18")))
                .await;
            assert_eq!(reply.status, 200, "S-39 {version}");
        }
    });
}

#[test]
fn p47_g12_no_raw_line_separator_reaches_a_stream_and_the_text_comes_through() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut legacy = Legacy::open(&server).await;
        let session = Session::open(&server, LATEST).await;
        legacy.post(&call(1, "odd", json!({}))).await;
        let event = legacy.stream.event().await.unwrap();
        let answer = session.post_with(&[("Accept", SSE)], &call("i\u{2028}d", "odd", json!({}))).await;
        for (text, answer) in
            [(&event.text, event.json()), (&answer.events.last().unwrap().text, answer.last().clone())]
        {
            assert!(!text.contains(['\u{2028}', '\u{2029}', '\u{85}', '\u{b}', '\u{c}', '\u{1c}']), "{text:?}");
            assert_eq!(said(&answer), "a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\u{1c}g");
        }
    });
}

#[test]
fn p52_h5_a_call_begins_only_when_its_202_is_on_the_wire() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let mut legacy = Legacy::open(&server).await;
        let mut conn = server.connect_narrow(16);
        conn.send(post(&legacy.endpoint, &[], &call(1, "note", json!({ "text": "begun" })))).await;
        sim.sleep(1_000).await;
        assert!(server.seen().notes.borrow().is_empty(), "16 bytes of the 202 are out, and nobody reads them");
        assert_eq!(conn.reply().await.status, 202);
        assert_eq!(said(&legacy.stream.message().await.unwrap()), "noted");
        assert_eq!(*server.seen().notes.borrow(), ["begun"]);
    });
}
