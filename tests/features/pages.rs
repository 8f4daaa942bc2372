//! Lists in pages (F-70), and the cursors between them.

use portcullis::{Limits, Tokens};
use serde_json::{Value, json};

use crate::sim;
use crate::sim::client::*;
use crate::sim::features;
use crate::sim::server::Server;
use crate::sim::stateless::*;
use crate::sim::way::Way;

const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
    ("prompts/list", "prompts"),
];

fn paged(items: usize) -> Limits {
    Limits { page_items_max: items, ..Limits::default() }
}

fn serve(sim: &sim::Sim, items: usize) -> Server {
    sim.serve_with(|builder| features::add(builder.limits(paged(items))))
}

#[test]
fn f70_pages_put_together_are_the_whole_list_in_its_order_whatever_their_size() {
    sim::run(|sim| async move {
        let whole = serve(&sim, 1_000);
        for items in [2, 1, 0] {
            let (server, items) = (serve(&sim, items), items.max(1));
            for ((revision, mut paging), (_, mut other)) in
                Way::all(&server).await.into_iter().zip(Way::all(&whole).await)
            {
                for (method, member) in LISTS {
                    let expected = other.ask(method, json!({})).await["result"].clone();
                    assert!(expected["nextCursor"].is_null(), "absent at the end");
                    let (mut found, mut params, mut pages) = (Vec::new(), json!({}), 0);
                    loop {
                        let page = paging.ask(method, params).await["result"].clone();
                        let entries = page[member].as_array().unwrap_or_else(|| panic!("{page}")).clone();
                        assert!(!entries.is_empty() && entries.len() <= items, "{page}");
                        found.extend(entries);
                        pages += 1;
                        assert_eq!(page["cacheScope"], expected["cacheScope"], "F-160: the same on all pages");
                        let Some(cursor) = page["nextCursor"].as_str() else { break };
                        assert!(pages < 100, "it ends");
                        params = json!({ "cursor": cursor });
                    }
                    assert_eq!(json!(found), expected[member], "{revision} {method}");
                }
            }
        }
    });
}

#[test]
fn f70_x56_a_cursor_is_opaque_and_good_only_for_its_list_and_its_owner() {
    sim::run(|sim| async move {
        let tokens = Tokens::parse("alice-has-this-token\nbob-has-another-token\n").unwrap();
        let server = sim.serve_with(|builder| features::add(builder.limits(paged(2)).tokens(tokens)));
        let alice = Stateless { token: Some("alice-has-this-token"), ..Stateless::new(&server) };
        let bob = Stateless { token: Some("bob-has-another-token"), ..alice.clone() };
        let first = alice.gets("tools/list", json!({})).await;
        let cursor = first.last()["result"]["nextCursor"].as_str().unwrap().to_owned();
        assert!(!cursor.contains("add") && cursor.len() < 512, "nothing to read or to count in it: {cursor}");
        let tampered = format!("{}{}", &cursor[..cursor.len() - 1], if cursor.ends_with('A') { 'B' } else { 'A' });
        for (client, method, cursor, good) in [
            (&alice, "tools/list", json!(cursor), true),
            (&alice, "tools/list", json!(cursor), true),
            (&bob, "tools/list", json!(cursor), false),
            (&alice, "resources/list", json!(cursor), false),
            (&alice, "resources/templates/list", json!(cursor), false),
            (&alice, "prompts/list", json!(cursor), false),
            (&alice, "tools/list", json!(""), false),
            (&alice, "tools/list", json!("1"), false),
            (&alice, "tools/list", json!("add"), false),
            (&alice, "tools/list", json!(tampered), false),
            (&alice, "tools/list", json!(format!("{cursor}x")), false),
            (&alice, "tools/list", json!(7), false),
            (&alice, "tools/list", json!({}), false),
        ] {
            let answer = client.gets(method, json!({ "cursor": cursor })).await;
            let code = &answer.last()["error"]["code"];
            assert_eq!(
                (answer.head.status, code),
                (200, &if good { Value::Null } else { json!(-32602) }),
                "{method} {cursor}"
            );
        }
        let session = Session::open_as(&server, LATEST, Some("alice-has-this-token")).await;
        let answer = session.post(&rpc(1, "tools/list", json!({ "cursor": cursor }))).await;
        assert!(answer.last()["error"].is_null(), "it is hers in every revision");
        let theirs = Session::open_as(&server, LATEST, Some("bob-has-another-token")).await;
        let answer = theirs.post(&rpc(1, "tools/list", json!({ "cursor": cursor }))).await;
        assert_eq!(answer.last()["error"]["code"], -32602);
    });
}

#[test]
fn f70_t26_a_cursor_is_good_on_every_instance_with_the_same_key_and_on_no_other() {
    sim::run(|sim| async move {
        let instance = |key: u8| sim.serve_with(|builder| features::add(builder.limits(paged(2)).state_key([key; 32])));
        let [one, two, three] = [7, 7, 8].map(|key| Stateless::new(&instance(key)));
        let first = one.gets("tools/list", json!({})).await;
        let params = json!({ "cursor": first.last()["result"]["nextCursor"] });
        let next = one.gets("tools/list", params.clone()).await.last()["result"]["tools"].clone();
        assert_eq!(two.gets("tools/list", params.clone()).await.last()["result"]["tools"], next);
        assert_eq!(three.gets("tools/list", params).await.last()["error"]["code"], -32602);
    });
}
