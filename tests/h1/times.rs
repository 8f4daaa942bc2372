//! Time limits on the virtual clock: how long each part of a request may take, counted from its own beginning.

use super::{body, get, post};
use crate::sim;
use crate::sim::wire::Conn;

/// What is sent when, in milliseconds since the connection began, and when what comes of it comes.
struct Pace {
    name: &'static str,
    sends: Vec<(u64, String)>,
    /// When the connection ends.
    ends: u64,
    /// The statuses of all answers until then.
    answers: &'static [u16],
}

/// Sends `text` at once and then one byte of `drip` every second, for as long as somebody reads.
fn dripping(text: &str, drip: &str) -> Vec<(u64, String)> {
    let drops = drip.chars().cycle().take(60).enumerate();
    std::iter::once((0, text.to_owned())).chain(drops.map(|(n, c)| (1_000 * (n as u64 + 1), c.to_string()))).collect()
}

/// A deadline is met within this many milliseconds.
const LATE: u64 = 250;

async fn keeps(conn: &mut Conn, pace: &Pace) {
    let (sim, begin) = (conn.sim.clone(), conn.sim.ms());
    let mut heard = None;
    for (at, text) in &pace.sends {
        heard = sim.within(begin + at - sim.ms(), conn.rest()).await;
        if heard.is_some() || conn.try_send(text).await.is_err() {
            break;
        }
    }
    let heard = match heard {
        Some(bytes) => bytes,
        None => conn.rest().await,
    };
    let took = sim.ms() - begin;
    assert!((pace.ends..=pace.ends + LATE).contains(&took), "{}: {took} ms, not {}", pace.name, pace.ends);
    assert_eq!(super::answers(&heard, false, pace.name).statuses, pace.answers, "{}", pace.name);
}

fn prove(paces: Vec<Pace>) {
    for pace in paces {
        sim::run(|sim| async move {
            let server = sim.serve();
            let mut conn = server.connect();
            keeps(&mut conn, &pace).await;
            drop(conn);
            sim.sleep(2_000).await;
            assert_eq!(server.gauge("connections").await, 0, "{}", pace.name);
        });
    }
}

fn pace(name: &'static str, sends: Vec<(u64, String)>, ends: u64, answers: &'static [u16]) -> Pace {
    Pace { name, sends, ends, answers }
}

fn once(text: impl Into<String>) -> Vec<(u64, String)> {
    vec![(0, text.into())]
}

#[test]
fn p20_p70_a_head_has_ten_seconds_from_its_first_byte_however_it_drips() {
    let later = |ms, text: &str| vec![(ms, text.to_owned())];
    prove(vec![
        pace("a letter", once("G"), 10_000, &[408]),
        pace("a request line", once("GET /healthz HTTP/1.1\r\n"), 10_000, &[408]),
        pace("all but the last line", once("GET /healthz HTTP/1.1\r\nHost: localhost\r\n"), 10_000, &[408]),
        pace("all but the last byte", once(get("").trim_end_matches('\n')), 10_000, &[408]),
        pace("a dripping method", dripping("", "M"), 11_000, &[408]),
        pace("a dripping target", dripping("GET /", "a"), 10_000, &[408]),
        pace("a dripping value", dripping("GET / HTTP/1.1\r\nX: ", "a"), 10_000, &[408]),
        pace("an empty line and then a letter", [later(0, "\r\n"), later(60_000, "G")].concat(), 70_000, &[408]),
        pace("a letter after a long silence", later(100_000, "G"), 110_000, &[408]),
        pace("a part behind a request", once(get("") + "GET /heal"), 10_000, &[200, 408]),
        pace(
            "a part some time behind a request",
            [later(0, &get("")), later(60_000, "G")].concat(),
            70_000,
            &[200, 408],
        ),
        pace("a head in nine seconds", [later(0, "GET "), later(9_000, &get("")[4..])].concat(), 139_000, &[200]),
    ]);
}

#[test]
fn p20_p70_a_body_has_thirty_seconds_from_the_end_of_its_head_however_it_drips() {
    let head = |n: usize| post(&format!("Content-Length: {n}\r\n"), "");
    let chunks = post("Transfer-Encoding: chunked\r\n", "");
    let later = |ms, text: &str| vec![(ms, text.to_owned())];
    let (front, n) = (head(body().len()), body().len());
    prove(vec![
        pace("no body", once(&*front), 30_000, &[408]),
        pace("all but the last byte of a body", once(front.clone() + &body()[..n - 1]), 30_000, &[408]),
        pace("a dripping body", dripping(&front, " "), 30_000, &[408]),
        pace("no chunk", once(&*chunks), 30_000, &[408]),
        pace("a dripping size", dripping(&chunks, "0"), 30_000, &[408]),
        pace("a dripping extension", dripping(&format!("{chunks}5;"), "a"), 30_000, &[408]),
        pace("a dripping chunk", dripping(&format!("{chunks}fff\r\n"), " "), 30_000, &[408]),
        pace("dripping chunks", dripping(&chunks, "1\r\n \r\n"), 30_000, &[408]),
        pace("a dripping trailer", dripping(&format!("{chunks}0\r\nX: "), "y"), 30_000, &[408]),
        pace("dripping trailers", dripping(&format!("{chunks}0\r\n"), "X:\r\n"), 30_000, &[408]),
        pace(
            "a slow head and then no body",
            [later(0, &front[..9]), later(9_000, &front[9..])].concat(),
            39_000,
            &[408],
        ),
        pace("a body in 29 seconds", [later(0, &front), later(29_000, &body())].concat(), 159_000, &[200]),
        pace("no body behind a request", once(get("") + &front), 30_000, &[200, 408]),
    ]);
}

#[test]
fn p53_a_silent_connection_ends_without_a_word_after_its_idle_time_which_each_request_begins_anew() {
    let later = |ms, text: &str| vec![(ms, text.to_owned())];
    prove(vec![
        pace("silence", Vec::new(), 130_000, &[]),
        pace("an empty line and silence", once("\r\n"), 130_000, &[]),
        pace("half an empty line and silence", once("\r"), 130_000, &[]),
        pace("a request and silence", once(get("")), 130_000, &[200]),
        pace("a request, an empty line and silence", once(get("") + "\r\n"), 130_000, &[200]),
        pace(
            "a request after 129 seconds",
            [later(0, &get("")), later(129_000, &get(""))].concat(),
            259_000,
            &[200, 200],
        ),
    ]);
}

#[test]
fn p54_p70_the_time_of_a_request_does_not_begin_with_the_one_before_it() {
    let later = |ms, text: &str| vec![(ms, text.to_owned())];
    let front = post(&format!("Content-Length: {}\r\n", body().len()), "");
    let (whole, rest) = (front.clone() + &body(), get("")[4..].to_owned());
    prove(vec![
        pace("two heads", [later(0, "GET "), later(9_000, &(rest + "G"))].concat(), 19_000, &[200, 408]),
        pace("two bodies", [later(0, &front), later(29_000, &(body() + &front))].concat(), 59_000, &[200, 408]),
        pace(
            "a body behind a head",
            [later(0, &whole[..9]), later(9_000, &(whole[9..].to_owned() + &front))].concat(),
            39_000,
            &[200, 408],
        ),
    ]);
}
