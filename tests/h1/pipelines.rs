//! Several requests on one connection: all are answered in order, up to the one that ends it.

use super::{Case, Ends, GoesOn, HIDDEN, NEXT, Waits, answers, body, case, get, heard, line, post, prove, send};
use crate::sim;

pub(super) fn rows() -> Vec<Case> {
    let ok = get("");
    let lost = line("GET /nowhere HTTP/1.1", "Host: localhost\r\n");
    let with_length = post(&format!("Content-Length: {}\r\n", body().len()), &body());
    let chunked = post("Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n{}\r\n0\r\n\r\n", body().len(), body()));
    let closing = get("Connection: close\r\n");
    let twice = get("Content-Length: 0\r\nContent-Length: 41\r\n");
    let row = |name, requests: &[&str], answers: &[u16], after| case(name, requests.concat(), answers, after);
    vec![
        row("two requests", &[&ok, &ok], &[200, 200], GoesOn),
        row("a request, one for nothing and a request", &[&ok, &lost, &ok], &[200, 404, 200], GoesOn),
        row("a POST, a GET and a POST in chunks", &[&with_length, &ok, &chunked], &[200, 200, 200], GoesOn),
        row("a POST in chunks, a GET and a POST", &[&chunked, &lost, &with_length], &[200, 404, 200], GoesOn),
        row("an empty line between requests", &[&with_length, "\r\n", &ok], &[200, 200], GoesOn),
        row("empty lines between all requests", &[&chunked, "\r\n", &ok, "\r\n", &lost], &[200, 200, 404], GoesOn),
        row("two empty lines between requests", &[&ok, "\r\n\r\n", &ok], &[200, 400], Ends),
        row("a request behind close", &[&ok, &closing, HIDDEN], &[200, 200], Ends),
        row("a request behind HTTP/1.0", &[&ok, "GET /healthz HTTP/1.0\r\n\r\n", HIDDEN], &[200, 200], Ends),
        row("a request behind an ambiguous one", &[&ok, &twice, HIDDEN], &[200, 400], Ends),
        row("a request behind nonsense", &[&ok, "\0\0\0\0", HIDDEN], &[200, 400], Ends),
        row(
            "a request behind a body that is too large",
            &[&ok, &post("Content-Length: 4194305\r\n", ""), HIDDEN],
            &[200, 413],
            Ends,
        ),
        row("requests and a part of one", &[&ok, &lost, "GET /heal"], &[200, 404], Waits),
        row("requests and a part of a body", &[&ok, &with_length[..with_length.len() - 1]], &[200], Waits),
        case("more requests than are served in one turn", ok.repeat(40), &[200; 40], GoesOn),
        case(
            "more requests than are served in one turn, and then an end",
            ok.repeat(20) + &closing + HIDDEN,
            &[200; 21],
            Ends,
        ),
    ]
}

/// Requests of a page, and behind them one that nobody can read.
pub(super) fn pages() -> Vec<Case> {
    let page = |method: &str| {
        let request = line(&format!("{method} /healthz HTTP/1.1"), "Host: localhost\r\nOrigin: http://localhost\r\n");
        request + ":\r\n\r\n"
    };
    vec![
        case("nonsense behind a GET of a page", page("GET"), &[200, 400], Ends),
        case("nonsense behind a HEAD of a page", page("HEAD"), &[200, 400], Ends),
    ]
}

#[test]
fn p54_a_refusal_has_its_own_form_and_not_that_of_the_request_before_it() {
    prove(pages());
}

#[test]
fn p54_pipelined_requests_are_answered_in_order_up_to_the_one_that_ends_the_connection() {
    prove(rows());
}

#[test]
fn p54_a_thousand_pipelined_requests_are_all_answered_in_order_to_a_half_closed_client_too() {
    sim::run(|sim| async move {
        let server = sim.serve();
        let lost = line("GET /nowhere HTTP/1.1", "Host: localhost\r\n");
        let text = (get("") + &lost + NEXT).repeat(1_000);
        for half_closes in [false, true] {
            let mut conn = server.connect_from("127.0.0.1", 4 << 20);
            send(&mut conn, &[text.as_bytes()]).await;
            if half_closes {
                conn.end.fin();
            }
            let (heard, ended) = heard(&mut conn, false, "a thousand").await;
            assert_eq!((heard.statuses, ended), ([200, 404, 204].repeat(1_000), half_closes));
        }
    });
}

#[test]
fn p50_a_client_that_waits_for_100_continue_is_told_once_and_only_if_its_body_is_wanted() {
    let expecting = |lines: &str| post(&format!("Expect: 100-continue\r\n{lines}"), "");
    let n = body().len();
    for (name, head, interims) in [
        ("a length", expecting(&format!("Content-Length: {n}\r\n")), 1),
        ("chunks", expecting("Transfer-Encoding: chunked\r\n"), 1),
        ("no body", expecting(""), 0),
        ("no such path", expecting("Content-Length: 5\r\n").replace("/mcp", "/nowhere"), 0),
        ("a foreign host", expecting("Content-Length: 5\r\n").replace("localhost", "evil.example"), 0),
        ("too much", expecting("Content-Length: 4194305\r\n"), 0),
        ("HTTP/1.0", expecting(&format!("Content-Length: {n}\r\n")).replace("HTTP/1.1", "HTTP/1.0"), 0),
    ] {
        sim::run(|sim| async move {
            let mut conn = sim.serve().connect();
            let bytes: Vec<_> = head.as_bytes().chunks(1).collect();
            send(&mut conn, &bytes).await;
            let rest = sim.within(1, conn.rest()).await;
            let said = rest.unwrap_or_else(|| std::mem::take(&mut conn.bytes));
            let text = String::from_utf8(said.clone()).unwrap();
            assert_eq!(text.matches("100 Continue\r\n\r\n").count(), interims, "{name}: {text}");
            let finals = answers(&said, false, name).statuses;
            let waits = interims == 1 || name == "HTTP/1.0";
            assert_eq!(finals.is_empty(), waits, "{name}: {text}");
        });
    }
}
