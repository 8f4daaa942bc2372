//! Header lines: names, values, how many, how long, and those that say how the connection is used.

use super::{Case, Ends, GoesOn, HIDDEN, MayEnd, bad, body, case, get, good, line, post, prove, refused};

/// A GET with a header line that is bytes and not text.
fn raw(bytes: &[u8]) -> Vec<u8> {
    [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", bytes, b"\r\n\r\n"].concat()
}

pub(super) fn names_and_values() -> Vec<Case> {
    let mut cases = vec![
        good("an empty value", get("X-Empty: \r\n")),
        good("an empty value and no space", get("empty:\r\n")),
        good("a Host in other letters behind a tab", line("GET /healthz HTTP/1.1", "hoSt:\tlocalhost\t \r\n")),
        good("a value with spaces and tabs inside", get("X: a  b\tc\r\n")),
        good("a value with colons and commas", get("X: a:b, c:d;e=\"f\"\r\n")),
        good("a value in Latin-1", raw(b"X: caf\xe9")),
        good("a value in UTF-8", get("X: caf\u{e9} \u{1f600}\r\n")),
        good("a name with all letters that tokens have", get("!#$%&'*+-.^_`|~09azAZ: y\r\n")),
        good("one unknown header twice", get("X: y\r\nX: z\r\n")),
        bad(400, "a space before the colon", get("X : y\r\n")),
        bad(400, "a tab before the colon", get("X\t: y\r\n")),
        bad(400, "an empty name", get(": y\r\n")),
        bad(400, "a line without a colon", get("hello\r\n")),
        bad(400, "a name with a space inside", get("X Y: z\r\n")),
        bad(400, "a name with brackets", get("X-Invalid[]: y\r\n")),
        bad(400, "a name with parentheses", get("X(): y\r\n")),
        bad(400, "a name with a slash", get("X/Y: z\r\n")),
        bad(400, "a name with an at sign", get("X@Y: z\r\n")),
        bad(400, "a name with a comma", get("X,Y: z\r\n")),
        bad(400, "a name with a semicolon", get("X;Y: z\r\n")),
        bad(400, "a name in quotes", get("\"X\": y\r\n")),
        bad(400, "a name with an equals sign", get("X=Y: z\r\n")),
        bad(400, "a name with a NUL", get("X\0Y: z\r\n")),
        bad(400, "a name with a control byte", get("X\u{1}: y\r\n")),
        bad(400, "a name with DEL", get("X\u{7f}: y\r\n")),
        bad(400, "a name beyond ASCII", get("caf\u{e9}: y\r\n")),
        bad(400, "a value with a NUL", get("X: a\0b\r\n")),
        bad(400, "a value with a bell", get("X-Bad-Control-Char: test\u{7}\r\n")),
        bad(400, "a value with a backspace", get("X: a\u{8}b\r\n")),
        bad(400, "a value with a vertical tab", get("X: a\u{b}b\r\n")),
        bad(400, "a value with a form feed", get("X: a\u{c}b\r\n")),
        bad(400, "a value with an escape", get("X: \u{1b}[31m\r\n")),
        bad(400, "a value with DEL", get("X: a\u{7f}b\r\n")),
        bad(400, "a Host that is not UTF-8", b"GET /healthz HTTP/1.1\r\nHost: local\xe9\r\n\r\n".to_vec()),
        bad(400, "an Origin that is not UTF-8", raw(b"Origin: http://local\xe9")),
    ];
    cases.extend([
        bad(400, "two Mcp-Session-Id lines", post("Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n", "")),
        bad(400, "two MCP-Protocol-Version lines", get("MCP-Protocol-Version: a\r\nmcp-protocol-version: a\r\n")),
        bad(400, "two Mcp-Method lines", get("Mcp-Method: ping\r\nMcp-Method: ping\r\n")),
        bad(400, "two Mcp-Name lines", get("Mcp-Name: a\r\nMcp-Name: b\r\n")),
        bad(400, "two Authorization lines", get("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n")),
        bad(400, "two Origin lines", get("Origin: http://localhost\r\nOrigin: http://evil.example\r\n")),
        bad(400, "two Content-Type lines", post("Content-Type: text/plain\r\n", "")),
    ]);
    cases
}

pub(super) fn bounds() -> Vec<Case> {
    let long = |n: usize| "a".repeat(n);
    vec![
        good("a hundred header lines", get(&"X: y\r\n".repeat(99))),
        bad(431, "a hundred and one header lines", get(&"X: y\r\n".repeat(100))),
        bad(431, "a hundred and twenty-eight header lines", get(&"X: y\r\n".repeat(127))),
        bad(431, "a hundred and twenty-nine header lines", get(&"X: y\r\n".repeat(128))),
        bad(431, "two thousand header lines", get(&"X: y\r\n".repeat(2_000))),
        good("a value of 15 KiB", get(&format!("X: {}\r\n", long(15 * 1024)))),
        bad(431, "a value over 16 KiB", get(&format!("X: {}\r\n", long(17 * 1024)))),
        bad(431, "a name over 16 KiB", get(&format!("{}: y\r\n", long(17 * 1024)))),
        good("a query of 15 KiB", line(&format!("GET /healthz?{} HTTP/1.1", long(15 * 1024)), "Host: localhost\r\n")),
        refused(404, "a path of 15 KiB", line(&format!("GET /{} HTTP/1.1", long(15 * 1024)), "Host: localhost\r\n")),
        bad(431, "a path over 16 KiB", line(&format!("GET /{} HTTP/1.1", long(17 * 1024)), "Host: localhost\r\n")),
        bad(431, "a head over 16 KiB without an end", format!("GET /healthz HTTP/1.1\r\nX: {}", long(17 * 1024))),
        bad(501, "a method over 16 KiB", long(17 * 1024)),
        bad(400, "a thousand empty lines", "\r\n".repeat(1_000)),
    ]
}

pub(super) fn connections() -> Vec<Case> {
    let closes = |name, text: String| case(name, text, &[200], Ends);
    let old = |lines: &str| line("GET /healthz HTTP/1.0", lines);
    let length = format!("Content-Length: {}\r\n", body().len());
    vec![
        closes("close", get("Connection: close\r\n")),
        closes("close in capitals", get("Connection: CLOSE\r\n")),
        closes("close and a hidden request", get("Connection: close\r\n") + HIDDEN),
        closes("close on a POST", post(&format!("Connection: close\r\n{length}"), &body())),
        closes("keep-alive and close", get("Connection: keep-alive, close\r\n")),
        closes("close and keep-alive", get("Connection: close, keep-alive\r\n")),
        closes("close behind an empty one", get("Connection: ,\tclose\r\n")),
        closes("close in a second line", get("Connection: keep-alive\r\nConnection: close\r\n")),
        bad(
            404,
            "close on a path that is not there",
            line("GET /nowhere HTTP/1.1", "Host: localhost\r\nConnection: close\r\n"),
        ),
        good("keep-alive", get("Connection: keep-alive\r\n")),
        good("an empty Connection", get("Connection:\r\n")),
        good("a Connection that only looks like close", get("Connection: closed, x-close, not close\r\n")),
        good("Proxy-Connection is none", get("Proxy-Connection: close\r\n")),
        good("a Connection that calls Host hop by hop", get("Connection: Host\r\n")),
        good(
            "an offer of HTTP/2",
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"),
        ),
        good("an offer of WebSocket", get("Connection: Upgrade\r\nUpgrade: websocket\r\n")),
        good(
            "an offer of HTTP/2 with a body",
            post(&format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{length}"), &body()),
        ),
        closes("HTTP/1.0", old("Host: localhost\r\n")),
        closes("HTTP/1.0 without a Host", old("")),
        closes("HTTP/1.0 and a hidden request", old("") + HIDDEN),
        closes("HTTP/1.0 with close and keep-alive", old("Connection: close, keep-alive\r\n")),
        closes("HTTP/1.0 with an unknown option", old("Connection: x\r\n")),
        good("HTTP/1.0 with keep-alive", old("Connection: keep-alive\r\n")),
        good("HTTP/1.0 with keep-alive in capitals", old("Connection: KEEP-ALIVE\r\n")),
        closes("HTTP/1.0 with a body", old("Content-Length: 5\r\n") + "hello"),
        good("HTTP/1.0 with a body and keep-alive", old("Connection: keep-alive\r\nContent-Length: 5\r\n") + "hello"),
        bad(400, "HTTP/1.0 with two Host lines", old("Host: localhost\r\nHost: localhost\r\n")),
        bad(404, "HTTP/1.0 for a path that is not there", line("GET /nowhere HTTP/1.0", "")),
    ]
}

pub(super) fn expectations() -> Vec<Case> {
    let n = body().len();
    let expects = |what: &str| post(&format!("Expect:{what}\r\nContent-Length: {n}\r\n"), &body());
    let chunked = format!("{n:x}\r\n{}\r\n0\r\n\r\n", body());
    vec![
        good("an expectation of a GET", get("Expect: 100-continue\r\n")),
        good("an expectation of a POST", expects(" 100-continue")),
        good("an expectation in capitals", expects(" 100-CONTINUE")),
        good(
            "an expectation of a POST in chunks",
            post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", &chunked),
        ),
        refused(400, "an expectation of an empty POST", post("Expect: 100-continue\r\nContent-Length: 0\r\n", "")),
        case("an expectation in HTTP/1.0", expects(" 100-continue").replacen("HTTP/1.1", "HTTP/1.0", 1), &[200], Ends),
        case(
            "an expectation on a path that is not there",
            expects(" 100-continue").replacen("/mcp", "/nowhere", 1),
            &[404],
            MayEnd,
        ),
        case("a request behind an expectation", expects(" 100-continue") + &get(""), &[200, 200], GoesOn),
        bad(417, "an unknown expectation", expects(" 200-ok")),
        bad(417, "an empty expectation", expects("")),
        bad(417, "an expectation and an unknown one", expects(" 100-continue, more")),
        bad(417, "an expectation with a value", expects(" 100-continue=yes")),
        bad(413, "an expectation of too much", post("Expect: 100-continue\r\nContent-Length: 4194305\r\n", "")),
        bad(
            400,
            "an expectation with a length and a coding",
            post("Expect: 100-continue\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", &chunked),
        ),
    ]
}

#[test]
fn g6_g18_a_name_is_a_token_a_value_has_no_control_bytes_and_what_decides_stands_once() {
    prove(names_and_values());
}

#[test]
fn g19_p55_header_lines_have_a_number_and_a_length_and_more_is_431() {
    prove(bounds());
}

#[test]
fn p51_p53_the_connection_goes_on_unless_the_client_or_its_version_says_otherwise() {
    prove(connections());
}

#[test]
fn p50_the_only_expectation_is_100_continue() {
    prove(expectations());
}
