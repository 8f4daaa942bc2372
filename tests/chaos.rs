//! A crowd of clients that do everything at once and break off at any moment, by seeded chance.
//!
//! Every client checks that its answers are its own; when the crowd has gone, nothing of it may be left. The
//! same seed gives the same run, so a failure can be looked at again: its seed is in the message.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use portcullis::Limits;
use serde_json::{Value, json};

use crate::sim::client::*;
use crate::sim::server::Server;
use crate::sim::wire::Conn;
use crate::sim::{self, Sim};

/// Numbers by chance, the same ones for the same seed (xorshift64*).
#[derive(Clone)]
struct Chance(Rc<Cell<u64>>);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(Rc::new(Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)))
    }

    fn below(&self, most: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        (x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % most.max(1)
    }
}

/// What a client may do to its connection in the middle of things.
async fn break_off(conn: Conn, chance: &Chance) {
    match chance.below(4) {
        0 => conn.end.reset(),
        1 => conn.end.fin(),
        2 => conn.sim.clone().sleep(chance.below(40_000)).await,
        _ => {}
    }
    drop(conn);
}

async fn streamable(server: Server, chance: Chance, n: u64) {
    let sim = server.sim().clone();
    let session = Session::open(&server, STREAMABLE[chance.below(3) as usize]).await;
    let mut listening = None;
    for turn in 0..6 {
        sim.sleep(chance.below(700)).await;
        let nonce = format!("{n}/{turn}");
        let (ms, accept) = (chance.below(2_500), [BOTH, JSON, SSE][chance.below(3) as usize]);
        let body = match chance.below(4) {
            0 => call_with_token(
                1,
                "steps",
                json!({ "count": chance.below(60), "gap_ms": chance.below(50), "text": nonce }),
                "t",
            ),
            1 => call(1, "talk", json!({ "count": chance.below(60), "gap_ms": chance.below(2), "text": nonce })),
            2 => call(1, "commit", json!({ "ms": ms, "text": nonce })),
            _ => call(1, "slow", json!({ "ms": ms, "text": nonce })),
        };
        match chance.below(10) {
            0 => {
                let conn = session.send_with(&[("Accept", accept)], &body).await;
                sim.sleep(chance.below(1_500)).await;
                break_off(conn, &chance).await;
            }
            1 => resume(&session, &body, &nonce, &chance).await,
            2 => {
                let mut conn = session.send_with(&[("Accept", accept)], &body).await;
                sim.sleep(chance.below(2_600)).await;
                session.post(&cancelled(1)).await;
                let last = conn.answer().await.last().clone();
                assert!(last["error"]["code"] == -32800 || said(&last) == nonce, "{last}");
            }
            3 => {
                let mut conn = server.connect_narrow(1 + chance.below(300) as usize);
                conn.send(session.bytes("POST", &[("Accept", accept)], &body)).await;
                sim.sleep(chance.below(20_000)).await;
                assert_eq!(conn.answer().await.said(), nonce, "a slow reader");
            }
            4 => listening = Some(session.listen().await),
            5 => {
                let whole = session.bytes("POST", &[], &body);
                let mut conn = server.connect();
                conn.send(&whole[..chance.below(whole.len() as u64) as usize]).await;
                sim.sleep(chance.below(15_000)).await;
                drop(conn);
            }
            _ => assert_eq!(session.post_with(&[("Accept", accept)], &body).await.said(), nonce),
        }
    }
    if let Some(conn) = listening {
        break_off(conn, &chance).await;
    }
    if chance.below(2) == 0 {
        assert_eq!(session.delete().await.status, 200);
    }
}

/// A call whose connection is cut, perhaps several times; its answer is fetched, unless no id ever came.
async fn resume(session: &Session, body: &str, nonce: &str, chance: &Chance) {
    let sim = session.server.sim().clone();
    let mut conn = session.send_with(&[("Accept", SSE)], body).await;
    conn.head().await.unwrap();
    let mut last: Option<String> = None;
    for _ in 0..3 {
        let patience = chance.below(1_000);
        while let Some(Some(event)) = sim.within(patience, conn.event()).await {
            if event.is_message() && event.json().get("id").is_some() {
                return assert_eq!(said(&event.json()), nonce);
            }
            last = event.id.or(last);
        }
        conn.end.reset();
        drop(conn);
        sim.sleep(chance.below(2_000)).await;
        let Some(id) = &last else { return };
        let head;
        (conn, head) = session.resume(id).await;
        assert_eq!(head.status, 200, "{}", head.text());
    }
    while let Some(message) = conn.message().await {
        if message.get("id").is_some() {
            return assert_eq!(said(&message), nonce);
        }
    }
    panic!("the answer to {nonce} never came");
}

async fn legacy(server: Server, chance: Chance, n: u64) {
    let sim = server.sim().clone();
    let mut legacy = Legacy::open(&server).await;
    for turn in 0..6 {
        sim.sleep(chance.below(700)).await;
        let nonce = format!("{n}/{turn}");
        let body = call(turn, "slow", json!({ "ms": chance.below(2_000), "text": nonce }));
        assert_eq!(legacy.post(&body).await.status, 202);
        if chance.below(12) == 0 {
            sim.sleep(chance.below(2_500)).await;
            return break_off(legacy.stream, &chance).await;
        }
        let answer = legacy.stream.message().await.unwrap();
        assert_eq!((&answer["id"], said(&answer)), (&json!(turn), &*nonce));
    }
}

/// The crowd of one seed; what was written to it.
fn crowd(seed: u64) -> String {
    let limits = Limits { session_idle: Duration::from_secs(120), sessions_max: 64, ..Limits::default() };
    sim::run(|sim: Sim| async move {
        sim.begin_record();
        let server = sim.serve_within(limits);
        sim.all(40, |n| {
            let (server, chance) = (server.clone(), Chance::new(seed * 1_000 + n as u64));
            async move {
                server.sim().sleep(chance.below(3_000)).await;
                match n % 4 {
                    0 => legacy(server, chance, n as u64).await,
                    _ => streamable(server, chance, n as u64).await,
                }
            }
        })
        .await;
        // Whoever was cut may be noticed by its silence only; then comes the idle time.
        sim.sleep(400_000).await;
        let debug = server.debug().await;
        for gauge in ["sessions", "connections", "calls_running", "buffered_bytes", "unblock_zombies"] {
            assert_eq!(debug["gauges"][gauge], Value::from(0), "seed {seed}: {gauge} in {}", debug["gauges"]);
        }
        let counters = &debug["counters"];
        assert_eq!(counters["sessions_opened"], counters["sessions_ended"], "seed {seed}");
        assert_eq!((server.seen().alive.get(), &counters["handler_panics"]), (0, &Value::from(0)), "seed {seed}");
        sim.record()
    })
}

#[test]
fn d22_d24_d30_a_crowd_that_breaks_off_at_any_moment_gets_its_own_answers_and_leaves_nothing() {
    for seed in 1..=20 {
        println!("seed {seed}");
        crowd(seed);
    }
}

#[test]
fn item3_two_runs_of_one_crowd_are_equal_to_the_byte_and_the_millisecond() {
    let (first, second) = (crowd(77), crowd(77));
    let differs = first.lines().zip(second.lines()).find(|(a, b)| a != b);
    assert!(first == second, "{differs:?}");
    assert!(first.lines().count() > 500 && first != crowd(78));
}
