//! Who is asked for what: hosts, targets in their four forms, and methods.

use super::{Case, Ends, GoesOn, HIDDEN, bad, case, good, line, prove, refused};

const HOST: &str = "Host: localhost\r\n";

/// A GET with this Host and no other.
fn host(value: &str) -> String {
    line("GET /healthz HTTP/1.1", &format!("Host: {value}\r\n"))
}

/// A GET of this target.
fn target(target: &str) -> String {
    line(&format!("GET {target} HTTP/1.1"), HOST)
}

pub(super) fn hosts() -> Vec<Case> {
    let absolute = |target: &str, lines: &str| line(&format!("GET {target} HTTP/1.1"), lines);
    vec![
        good("a Host with a port", host("localhost:8080")),
        good("a Host with a colon and no port", host("localhost:")),
        good("a Host in capitals", host("LOCALHOST")),
        good("a Host with a last dot", host("localhost.")),
        good("an address as Host", host("127.0.0.1:1")),
        good("an IPv6 address as Host", host("[::1]")),
        good("an IPv6 address with a port as Host", host("[::1]:8080")),
        bad(400, "no Host", line("GET /healthz HTTP/1.1", "X: y\r\n")),
        bad(400, "no Host but a length", line("GET /healthz HTTP/1.1", "Content-Length: 5\r\n")),
        bad(400, "two Host lines", line("GET /healthz HTTP/1.1", "Host: localhost\r\nHost: evil.example\r\n")),
        bad(400, "two equal Host lines", line("GET /healthz HTTP/1.1", "Host: localhost\r\nhost: localhost\r\n")),
        refused(400, "an empty Host", host("")),
        refused(400, "a port for a Host", host(":80")),
        refused(400, "a Host with a space", host("local host")),
        refused(400, "a Host with a user", host("localhost@evil.example")),
        refused(400, "a user and a Host", host("user:password@localhost")),
        refused(400, "a list of Hosts", host("localhost, localhost")),
        refused(400, "a Host with two ports", host("localhost:80:80")),
        refused(400, "a Host with a port in words", host("localhost:http")),
        refused(400, "a Host with a port over 65535", host("localhost:65536")),
        refused(400, "a Host with a negative port", host("localhost:-1")),
        refused(400, "a Host with a signed port", host("localhost:+80")),
        refused(400, "an IPv6 address without brackets as Host", host("::1")),
        refused(400, "an IPv6 address with half its brackets as Host", host("[::1")),
        refused(400, "a name in brackets as Host", host("[localhost]")),
        refused(400, "letters behind an IPv6 address as Host", host("[::1]x")),
        refused(400, "a Host with a path", host("localhost/healthz")),
        refused(400, "a Host with a backslash", host("localhost\\evil.example")),
        refused(400, "a Host with a fragment", host("localhost#evil.example")),
        refused(400, "a Host with percent codes", host("%6cocalhost")),
        refused(400, "a URL for a Host", host("http://localhost")),
        refused(403, "a foreign Host", host("evil.example")),
        refused(403, "a Host that begins as ours", host("localhost.evil.example")),
        refused(403, "a Host that ends as ours", host("evillocalhost")),
        refused(403, "a foreign address as Host", host("192.0.2.1")),
        refused(403, "an address in another form as Host", host("0x7f.0.0.1")),
        refused(403, "a foreign IPv6 address as Host", host("[2001:db8::1]")),
        good("a whole URL", absolute("http://localhost/healthz", HOST)),
        good("a whole URL with a port", absolute("http://localhost:80/healthz?x", HOST)),
        good("a whole URL with its scheme in capitals", absolute("HTTP://localhost/healthz", HOST)),
        good("a whole URL with an IPv6 address", absolute("http://[::1]:80/healthz", HOST)),
        refused(403, "a whole URL of a foreign host", absolute("http://evil.example/healthz", HOST)),
        // RFC 9112, 3.2.2 would have the Host ignored; G-3 has it checked, and no client sends two different ones.
        refused(403, "a whole URL and a foreign Host", absolute("http://localhost/healthz", "Host: evil.example\r\n")),
        refused(400, "a whole URL with a bad port", absolute("http://localhost:x/healthz", HOST)),
        bad(400, "a whole URL with a user", absolute("http://user@localhost/healthz", HOST)),
        bad(400, "a whole URL without a host", absolute("http:///healthz", HOST)),
        bad(400, "a whole URL and no Host", absolute("http://localhost/healthz", "")),
        case("a whole URL in HTTP/1.0", line("GET http://localhost/healthz HTTP/1.0", ""), &[200], Ends),
        bad(403, "a foreign Host in HTTP/1.0", line("GET /healthz HTTP/1.0", "Host: evil.example\r\n")),
    ]
}

pub(super) fn targets() -> Vec<Case> {
    vec![
        good("an empty query", target("/healthz?")),
        good("a query with percent codes and a path", target("/healthz?a=%20%00&b=/../c?d//e")),
        refused(404, "the root", target("/")),
        refused(404, "a slash too many before", target("//healthz")),
        refused(404, "a host behind two slashes", target("//localhost/healthz")),
        refused(404, "a path with dots before", target("/../healthz")),
        refused(404, "a path with dots between", target("/mcp/../healthz")),
        refused(404, "a path with one dot", target("/./healthz")),
        refused(404, "a path with dots behind", target("/healthz/..")),
        refused(404, "a path with a coded letter", target("/%68ealthz")),
        refused(404, "a path with a coded slash", target("/mcp%2f")),
        refused(404, "a path with a coded question mark", target("/healthz%3fx")),
        refused(404, "a path with a coded fragment", target("/healthz%23x")),
        refused(404, "a path with a coded NUL", target("/healthz%00")),
        refused(404, "a path with a coded line end and a request", target("/%0d%0aGET%20/hidden")),
        refused(404, "a path with half a code", target("/healthz%")),
        refused(404, "a path with a code of no digits", target("/healthz%zz")),
        refused(404, "a path with a parameter", target("/healthz;x=y")),
        refused(404, "a path with a backslash", target("/\\healthz")),
        refused(404, "a path in capitals", target("/HEALTHZ")),
        bad(400, "a fragment", target("/healthz#x")),
        bad(400, "a fragment behind a query", target("/healthz?x#y")),
        bad(400, "a fragment of a whole URL", target("http://localhost#/healthz")),
        bad(400, "a path without a slash", target("healthz")),
        bad(400, "a query alone", target("?x")),
        bad(400, "an authority", target("localhost:80")),
        bad(400, "an asterisk", target("*")),
        bad(400, "a path beyond ASCII", target("/h\u{e9}althz")),
        bad(400, "a query beyond ASCII", target("/healthz?\u{e9}")),
        bad(400, "a path that is not UTF-8", b"GET /h\xe9althz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        bad(400, "a path with a NUL", target("/healthz\0")),
        bad(400, "a path with DEL", target("/healthz\u{7f}")),
        bad(400, "a path with an escape", target("/healthz\u{1b}")),
        bad(400, "a path with CR", target("/healthz\r")),
        bad(400, "a URL without slashes", target("http:localhost/healthz")),
        bad(400, "a URL of another scheme", target("ftp://localhost/healthz")),
        // Whoever ends TLS in front of us says it with a path.
        bad(400, "a URL of https", target("https://localhost/healthz")),
        bad(400, "a URL without a host and a path", target("mailto:root@localhost")),
        refused(404, "a whole URL without a path", target("http://localhost")),
        refused(404, "a whole URL with a query and no path", target("http://localhost?/healthz")),
    ]
}

pub(super) fn methods() -> Vec<Case> {
    let with = |request_line: &str| line(request_line, HOST);
    let served = |name, text: &str| case(name, with(text), &[204], GoesOn);
    let m = |n: usize| format!("{} /healthz HTTP/1.1", "M".repeat(n));
    vec![
        good("HEAD", with("HEAD /healthz HTTP/1.1")),
        refused(404, "HEAD of nothing", with("HEAD /nowhere HTTP/1.1")),
        refused(405, "HEAD of a stream", with("HEAD /mcp HTTP/1.1")),
        case("HEAD in HTTP/1.0", line("HEAD /healthz HTTP/1.0", ""), &[200], Ends),
        good("HEAD with a body", line("HEAD /healthz HTTP/1.1", "Host: localhost\r\nContent-Length: 41\r\n") + HIDDEN),
        served("OPTIONS of a path", "OPTIONS /mcp HTTP/1.1"),
        served("OPTIONS of all", "OPTIONS * HTTP/1.1"),
        served("OPTIONS of all by a whole URL", "OPTIONS http://localhost HTTP/1.1"),
        refused(404, "OPTIONS of nothing", with("OPTIONS /nowhere HTTP/1.1")),
        refused(405, "PUT", with("PUT /healthz HTTP/1.1")),
        refused(405, "DELETE of what cannot be deleted", with("DELETE /healthz HTTP/1.1")),
        refused(405, "TRACE", with("TRACE /healthz HTTP/1.1")),
        // RFC 9110, 9.1 would have 501 for a name nobody knows; G-7 has one answer for all, and it says what is served.
        refused(405, "a method in small letters", with("get /healthz HTTP/1.1")),
        refused(405, "an unknown method", with("BREW /healthz HTTP/1.1")),
        refused(405, "a method with a hyphen", with("M-SEARCH /healthz HTTP/1.1")),
        refused(405, "a method of signs and digits", with("!#$%&'*+-.^_`|~09 /healthz HTTP/1.1")),
        refused(405, "a method of 32 letters", with(&m(32))),
        bad(501, "a method of 33 letters", with(&m(33))),
        bad(400, "a method with a NUL", with("GE\0T /healthz HTTP/1.1")),
        bad(400, "a method with a colon", with("GET: /healthz HTTP/1.1")),
        bad(400, "a method with a slash", with("GET/ /healthz HTTP/1.1")),
        bad(400, "a method in quotes", with("\"GET\" /healthz HTTP/1.1")),
        bad(400, "a method beyond ASCII", with("G\u{c9}T /healthz HTTP/1.1")),
        bad(400, "CONNECT", line("CONNECT localhost:80 HTTP/1.1", HOST)),
        bad(400, "POST of all", with("POST * HTTP/1.1")),
        refused(415, "a POST without a type", line("POST /mcp HTTP/1.1", HOST)),
        refused(
            406,
            "a GET of a stream that takes none",
            line("GET /mcp HTTP/1.1", "Host: localhost\r\nAccept: text/html\r\n"),
        ),
    ]
}

#[test]
fn g3_a_request_names_one_host_and_it_is_ours() {
    prove(hosts());
}

#[test]
fn g7_g17_a_path_is_compared_as_it_is_written_and_nothing_is_resolved_or_redirected() {
    prove(targets());
}

#[test]
fn g7_a_method_is_a_token_and_one_that_is_not_served_does_not_cost_the_connection() {
    prove(methods());
}
