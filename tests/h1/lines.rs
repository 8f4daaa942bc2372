//! Request lines, line endings, and requests that are not all there.

use super::{Case, Ends, GoesOn, HIDDEN, NEXT, Waits, bad, case, get, good, line, part, prove, refused};

const HOST: &str = "Host: localhost\r\n";

pub(super) fn endings() -> Vec<Case> {
    let whole = |text: &str| text.to_owned();
    vec![
        good("an empty line before the request", format!("\r\n{}", get(""))),
        case("an empty line behind the request", get("") + "\r\n", &[200], GoesOn),
        bad(400, "two empty lines before the request", format!("\r\n\r\n{}", get(""))),
        bad(400, "LF before the request", format!("\n{}", get(""))),
        bad(400, "CR before the request", format!("\r{}", get(""))),
        bad(400, "CR CR LF before the request", format!("\r\r\n{}", get(""))),
        bad(400, "a space before the request", format!(" {}", get(""))),
        bad(400, "LF everywhere", get("").replace("\r\n", "\n")),
        bad(400, "LF behind the request line", get("").replacen("\r\n", "\n", 1)),
        bad(400, "LF behind a header line", get("X: y\nZ: z\r\n")),
        bad(400, "LF behind the last header line", whole("GET /healthz HTTP/1.1\r\nHost: localhost\n\r\n")),
        bad(400, "LF for the empty line", whole("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n")),
        bad(400, "LF LF at the end", whole("GET /healthz HTTP/1.1\r\nHost: localhost\n\n")),
        bad(400, "LF LF and a hidden request", format!("GET /healthz HTTP/1.1\r\nHost: localhost\n\n{HIDDEN}")),
        bad(400, "CR everywhere but at the end", whole("GET /healthz HTTP/1.1\rHost: localhost\r\r\n\r\n")),
        bad(400, "CR behind the request line", get("").replacen("\r\n", "\r", 1)),
        bad(400, "CR behind a header line", get("X: y\rZ: z\r\n")),
        bad(400, "CR before a header's name", get("\rX: y\r\n")),
        bad(400, "CR for the empty line", format!("GET /healthz HTTP/1.1\r\n{HOST}\rX: y\r\n\r\n")),
        bad(400, "CR CR LF behind a header line", get("X: y\r\r\n")),
        bad(400, "LF CR behind a header line", get("X: y\n\r")),
        bad(400, "a line folded with a space", get("X: y\r\n z\r\n")),
        bad(400, "a line folded with a tab", get("X: y\r\n\tz\r\n")),
        bad(400, "a folded Host", line("GET /healthz HTTP/1.1", "Host:\r\n localhost\r\n")),
        bad(400, "a line of white space", get(" \r\n")),
        bad(400, "a first header line behind a space", line("GET /healthz HTTP/1.1", &format!(" X: y\r\n{HOST}"))),
        bad(400, "a folded request line", line("GET /healthz\r\n HTTP/1.1", HOST)),
        bad(400, "a form feed between lines", get("X: y\u{c}\r\n")),
    ]
}

pub(super) fn request_lines() -> Vec<Case> {
    let with = |request_line: &str| line(request_line, HOST);
    let version = |version: &str| with(&format!("GET /healthz {version}"));
    vec![
        bad(400, "no version", with("GET /healthz")),
        bad(400, "no version behind a space", with("GET /healthz ")),
        bad(400, "no version and no headers", "GET / \r\n\r\n"),
        bad(400, "a method alone", with("GET")),
        bad(400, "two spaces before the target", with("GET  /healthz HTTP/1.1")),
        bad(400, "two spaces before the version", with("GET /healthz  HTTP/1.1")),
        bad(400, "a space behind the version", with("GET /healthz HTTP/1.1 ")),
        bad(400, "a tab behind the method", with("GET\t/healthz HTTP/1.1")),
        bad(400, "a tab before the version", with("GET /healthz\tHTTP/1.1")),
        bad(400, "a vertical tab before the version", with("GET /healthz\u{b}HTTP/1.1")),
        bad(400, "a word too many", with("GET /healthz also HTTP/1.1")),
        bad(400, "a space in the target", with("GET /healthz?a b HTTP/1.1")),
        bad(400, "a request line backwards", with("HTTP/1.1 /healthz GET")),
        bad(400, "words before the method", with("Extra lineGET / HTTP/1.1")),
        bad(400, "an answer for a request", with("HTTP/1.1 200 OK")),
        bad(400, "a header for a request line", with("X: y")),
        bad(400, "a version in small letters", version("http/1.1")),
        bad(400, "a version with a second digit", version("HTTP/1.10")),
        bad(400, "a version with a zero before it", version("HTTP/01.1")),
        bad(400, "a version without its point", version("HTTP/11")),
        bad(400, "a version with a comma", version("HTTP/1,1")),
        bad(400, "a version without its minor number", version("HTTP/1.")),
        bad(400, "a version with a minus", version("HTTP/-1.1")),
        bad(400, "a version with a space", version("HTTP/ 1.1")),
        bad(400, "a version of something else", version("HTTPS/1.1")),
        bad(400, "a version of letters", version("HTTP/A.B")),
        bad(505, "HTTP/0.9", version("HTTP/0.9")),
        bad(505, "HTTP/2.0", version("HTTP/2.0")),
        bad(505, "HTTP/3.0", version("HTTP/3.0")),
        bad(505, "HTTP/9.9", version("HTTP/9.9")),
        // RFC 9110, 2.5 would have it read as HTTP/1.1 (SHOULD); nobody sends it, and `httparse` knows two versions.
        bad(505, "HTTP/1.2", version("HTTP/1.2")),
        bad(505, "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        bad(400, "the beginning of TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}"),
        bad(400, "the beginning of SSH", "SSH-2.0-OpenSSH_9.9\r\n"),
        bad(400, "JSON without HTTP", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
        bad(400, "a chunk for a request", "5\r\nhello\r\n"),
    ]
}

/// What h1spec calls fragments, and some more.
pub(super) fn parts() -> Vec<Case> {
    vec![
        part("nothing", ""),
        part("a part: CR of an empty line", "\r"),
        part("a part: an empty line", "\r\n"),
        part("a part: a letter", "G"),
        part("a part: the method", "GET"),
        part("a part: the method and its space", "GET "),
        part("a part: half a target", "GET /hello"),
        part("a part: a target and its space", "GET /hello "),
        part("a part: half a version", "GET /hello HTTP"),
        part("a part: the whole version", "GET /hello HTTP/1.1"),
        part("a part: CR of the request line", "GET /hello HTTP/1.1\r"),
        part("a part: the request line", "GET /hello HTTP/1.1\r\n"),
        part("a part: half a name", "GET /hello HTTP/1.1\r\nHos"),
        part("a part: a name", "GET /hello HTTP/1.1\r\nHost:"),
        part("a part: a name and a space", "GET /hello HTTP/1.1\r\nHost: "),
        part("a part: a value", "GET /hello HTTP/1.1\r\nHost: localhost"),
        part("a part: CR of a header line", "GET /hello HTTP/1.1\r\nHost: localhost\r"),
        part("a part: a header line", "GET /hello HTTP/1.1\r\nHost: localhost\r\n"),
        part("a part: CR of the last line", "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r"),
        part(
            "a part: a POST without its body",
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n",
        ),
        part(
            "a part: a POST and half its body",
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{",
        ),
        part(
            "a part: a POST without its chunks",
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        case("a request and a part: a letter", get("") + "G", &[200], Waits),
        case("a request and a part: half a head", get("") + "GET /healthz HTTP/1.1\r\nHost: loc", &[200], Waits),
        case(
            "a request, a part and nonsense",
            get("") + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n:\r\n\r\n" + NEXT,
            &[200, 400],
            Ends,
        ),
        refused(404, "a whole request for nothing", "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ]
}

#[test]
fn p55_a_line_ends_in_cr_lf_and_is_never_folded_or_the_connection_ends() {
    prove(endings());
}

#[test]
fn p55_a_request_line_is_three_words_and_a_version_that_is_spoken_or_the_connection_ends() {
    prove(request_lines());
}

#[test]
fn p61_p70_a_part_of_a_request_is_waited_for_and_never_answered() {
    prove(parts());
}
