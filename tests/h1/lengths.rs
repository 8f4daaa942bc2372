//! Where a body ends: by its length, by its coding, or, if both could be meant, nowhere.

use super::{Case, Ends, GoesOn, HIDDEN, MayEnd, bad, body, case, get, good, line, part, post, prove, refused};

/// A POST whose length is written so.
fn with_length(value: impl std::fmt::Display) -> String {
    post(&format!("Content-Length: {value}\r\n"), &body())
}

/// One whose body, if somebody reads it otherwise, is a request.
fn hides(lines: &str) -> String {
    post(lines, HIDDEN)
}

/// A body in one chunk.
fn chunked_body() -> String {
    format!("{:x}\r\n{}\r\n0\r\n\r\n", body().len(), body())
}

/// A POST in one chunk whose coding is written so.
fn with_coding(line: &str) -> String {
    post(&format!("{line}\r\n"), &chunked_body())
}

pub(super) fn lengths() -> Vec<Case> {
    let (body, n, hidden) = (body(), body().len(), HIDDEN.len());
    let long = |n: usize| format!("Content-Length: {n}\r\n");
    let wrapped = |bits: u32| (1_u128 << bits) + hidden as u128;
    vec![
        good("a length", with_length(n)),
        good("a length with zeros before it", with_length(format!("000{n}"))),
        good("a length with thirty zeros before it", with_length(format!("{n:030}"))),
        good("a length in white space", post(&format!("Content-Length:\t {n} \t\r\n"), &body)),
        good("a length without white space", post(&format!("Content-Length:{n}\r\n"), &body)),
        good("a length by another case of its name", post(&format!("cOnTeNt-LeNgTh: {n}\r\n"), &body)),
        good("a GET with a body", get("Content-Length: 5\r\n") + "hello"),
        good("a GET of length zero", get("Content-Length: 0\r\n")),
        good("a GET whose body is a request", get(&long(hidden)) + HIDDEN),
        refused(400, "a POST whose body is a request", hides(&long(hidden))),
        refused(400, "a POST of length zero", post("Content-Length: 0\r\n", "")),
        refused(400, "a POST without a length", post("", "")),
        case("what follows a POST without a length is a request", hides(""), &[400, 404], GoesOn),
        case("a length that is one too small", with_length(n - 1), &[400, 400], Ends),
        part("a length that is one too large", with_length(n + 1)),
        case("a length with an underscore", post("Content_Length: 5\r\n", &body), &[400, 400], Ends),
        case(
            "a refused path with a body",
            line("POST /nowhere HTTP/1.1", &format!("Host: localhost\r\n{}", long(hidden))) + HIDDEN,
            &[404],
            MayEnd,
        ),
        bad(400, "a length with a plus", hides(&format!("Content-Length: +{hidden}\r\n"))),
        bad(400, "a length with a minus", hides("Content-Length: -5\r\n")),
        bad(400, "a large length with a minus", hides("Content-Length: -123456789123456789123456789\r\n")),
        bad(400, "a length of minus zero", hides("Content-Length: -0\r\n")),
        bad(400, "a hexadecimal length", hides("Content-Length: 0x5\r\n")),
        bad(400, "a length in hexadecimal digits", hides("Content-Length: 5f\r\n")),
        bad(400, "a length with a fraction", hides("Content-Length: 5.0\r\n")),
        bad(400, "a length with an exponent", hides("Content-Length: 5e0\r\n")),
        bad(400, "a length in words", hides("Content-Length: five\r\n")),
        bad(400, "no length after the colon", hides("Content-Length:\r\n")),
        bad(400, "two lengths with a space between", hides("Content-Length: 5 5\r\n")),
        bad(400, "a list of equal lengths", hides("Content-Length: 5,5\r\n")),
        bad(400, "a list of different lengths", hides("Content-Length: 5, 6\r\n")),
        bad(400, "a list of a length and nothing", hides("Content-Length: 5,\r\n")),
        bad(400, "a length with a semicolon", hides("Content-Length: 5;5\r\n")),
        bad(400, "a length in quotes", hides("Content-Length: \"5\"\r\n")),
        bad(400, "a length in other digits", hides("Content-Length: \u{665}\r\n")),
        bad(400, "a length behind a vertical tab", hides("Content-Length: \u{b}5\r\n")),
        bad(400, "a length with a group mark", hides("Content-Length: 1_0\r\n")),
        bad(400, "two equal length lines", hides("Content-Length: 5\r\nContent-Length: 5\r\n")),
        bad(400, "two different length lines", hides("Content-Length: 0\r\nContent-Length: 41\r\n")),
        bad(400, "two length lines in two cases", hides("Content-Length: 5\r\ncontent-length: 6\r\n")),
        bad(400, "two length lines far apart", hides("Content-Length: 5\r\nX: y\r\nZ: z\r\nContent-Length: 5\r\n")),
        bad(400, "two length lines on a GET", get("Content-Length: 0\r\nContent-Length: 41\r\n") + HIDDEN),
        bad(413, "a length of one byte over the limit", hides("Content-Length: 4194305\r\n")),
        bad(413, "a length that wraps in 32 bits", hides(&format!("Content-Length: {}\r\n", wrapped(32)))),
        bad(413, "a length that wraps in 64 bits", hides(&format!("Content-Length: {}\r\n", wrapped(64)))),
        bad(413, "the largest length of 64 bits", hides("Content-Length: 18446744073709551615\r\n")),
        bad(413, "the first length over 64 bits", hides("Content-Length: 18446744073709551616\r\n")),
        bad(413, "a length of 400 digits", hides(&format!("Content-Length: {}\r\n", "9".repeat(400)))),
    ]
}

pub(super) fn codings() -> Vec<Case> {
    let te = |value: &str| with_coding(&format!("Transfer-Encoding:{value}"));
    vec![
        good("chunked", te(" chunked")),
        good("chunked in capitals", te(" CHUNKED")),
        good("chunked without white space", te("chunked")),
        good("chunked behind a tab", te("\tchunked")),
        good("chunked in white space", te(" \t chunked \t")),
        good("chunked by another case of its name", with_coding("tRANSFER-eNCODING: chunked")),
        good("a GET in chunks", get("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n"),
        good("TE is not Transfer-Encoding", get("TE: trailers, chunked\r\n")),
        bad(400, "xchunked", te(" xchunked")),
        bad(400, "chunkedx", te(" chunkedx")),
        bad(400, "a coding in two words", te(" chunk ed")),
        bad(400, "chunked and a word", te(" chunked also")),
        bad(400, "chunked in quotes", te(" \"chunked\"")),
        bad(400, "chunked with a parameter", te(" chunked;q=1")),
        bad(400, "chunked behind a vertical tab", te(" \u{b}chunked")),
        bad(400, "chunked before a vertical tab", te(" chunked\u{b}")),
        bad(400, "chunked behind a NUL", te(" \0chunked")),
        bad(400, "chunked in other letters", te(" \u{441}hunked")),
        bad(400, "no coding after the colon", te("")),
        bad(400, "identity", te(" identity")),
        bad(400, "gzip alone", te(" gzip")),
        bad(400, "chunked and then identity", te(" chunked, identity")),
        bad(400, "chunked and then gzip", te(" chunked, gzip")),
        bad(400, "chunked twice in a line", te(" chunked, chunked")),
        bad(400, "chunked and then nothing", te(" chunked,")),
        bad(400, "nothing and then chunked", te(" ,chunked")),
        bad(501, "gzip and then chunked", te(" gzip, chunked")),
        bad(501, "identity and then chunked", te(" identity, chunked")),
        bad(501, "gzip, deflate and then chunked", te(" gzip,deflate,chunked")),
        bad(400, "chunked in two lines", with_coding("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        bad(
            400,
            "chunked and a line of identity",
            with_coding("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        ),
        bad(
            400,
            "a line of identity and chunked",
            with_coding("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
        ),
        bad(400, "chunked and a line of nonsense", with_coding("Transfer-Encoding: chunked\r\nTransfer-encoding: cow")),
        bad(400, "a space before the colon of a coding", with_coding("Transfer-Encoding : chunked")),
        bad(400, "a tab before the colon of a coding", with_coding("Transfer-Encoding\t: chunked")),
        bad(400, "a coding behind a space", with_coding(" Transfer-Encoding: chunked")),
        bad(400, "a coding behind a tab", with_coding("\tTransfer-Encoding: chunked")),
        bad(400, "a coding in a folded line", with_coding("Transfer-Encoding:\r\n chunked")),
        bad(400, "a coding whose name is folded", with_coding("Transfer-Encoding\r\n : chunked")),
        bad(400, "a coding behind a bare CR", with_coding("X: y\rTransfer-Encoding: chunked")),
        bad(400, "a coding behind a bare LF", with_coding("X: y\nTransfer-Encoding: chunked")),
        bad(400, "a coding with a NUL in its name", with_coding("Transfer\0-Encoding: chunked")),
        case("a coding with an underscore", with_coding("Transfer_Encoding: chunked"), &[400, 400], Ends),
        bad(400, "chunked in HTTP/1.0", te(" chunked").replace("HTTP/1.1", "HTTP/1.0")),
        bad(
            404,
            "a refused path in chunks",
            line("POST /nowhere HTTP/1.1", "Host: localhost\r\nTransfer-Encoding: chunked\r\n") + &chunked_body(),
        ),
    ]
}

pub(super) fn both() -> Vec<Case> {
    let last = format!("0\r\n\r\n{HIDDEN}");
    let n = last.len();
    let chunk = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let te = "Transfer-Encoding: chunked\r\n";
    let length = |n: usize| format!("Content-Length: {n}\r\n");
    let trailing = |line: &str| post(te, &chunked_body().replace("0\r\n\r\n", &format!("0\r\n{line}\r\n\r\n")));
    vec![
        bad(400, "CL.TE: a length and chunked", post(&(length(n) + te), &last)),
        bad(400, "CL.TE: chunked and a length", post(&(te.to_owned() + &length(n)), &last)),
        bad(400, "TE.CL: a length that ends before the chunk", post(&(length(4) + te), &chunk)),
        bad(400, "TE.CL: chunked and a length that ends before the chunk", post(&(te.to_owned() + &length(4)), &chunk)),
        bad(400, "CL.0: a length of zero and chunked", post(&(length(0) + te), &chunk)),
        bad(400, "a right length and chunked", post(&(length(chunk.len()) + te), &chunk)),
        bad(
            400,
            "a length and chunked in other cases",
            post("content-LengtH: 5\r\nTransFer-Encoding: chunked\r\n", &last),
        ),
        bad(400, "a length and an unknown coding", post(&(length(n) + "Transfer-Encoding: xchunked\r\n"), &last)),
        bad(400, "a length and identity", post(&(length(n) + "Transfer-Encoding: identity\r\n"), &last)),
        bad(400, "a length and an empty coding", post(&(length(n) + "Transfer-Encoding:\r\n"), &last)),
        bad(
            400,
            "a length and a coding with a space before its colon",
            post(&(length(n) + "Transfer-Encoding : chunked\r\n"), &last),
        ),
        bad(
            400,
            "a length and a coding behind a vertical tab",
            post(&(length(n) + "Transfer-Encoding:\u{b}chunked\r\n"), &last),
        ),
        bad(
            400,
            "a length and a coding in a folded line",
            post(&(length(n) + "X: y\r\n Transfer-Encoding: chunked\r\n"), &last),
        ),
        bad(
            400,
            "a length and a coding behind a bare LF",
            post(&(length(n) + "X: y\nTransfer-Encoding: chunked\r\n"), &last),
        ),
        bad(
            400,
            "a length and chunked in HTTP/1.0",
            post(&(length(n) + te), &last).replacen("HTTP/1.1", "HTTP/1.0", 1),
        ),
        bad(400, "a length and chunked on a GET", get(&(length(n) + te)) + &last),
        bad(400, "a bad length and chunked", post("Content-Length: x\r\nTransfer-Encoding: chunked\r\n", &last)),
        good("a length in a trailer", trailing("Content-Length: 3")),
        good("a coding in a trailer", trailing("Transfer-Encoding: gzip")),
        good("a host in a trailer", trailing("Host: evil.example")),
        good(
            "a length that Connection calls hop by hop",
            post(&(length(body().len()) + "Connection: Content-Length\r\n"), &body()),
        ),
        good(
            "a coding that Connection calls hop by hop",
            post(&(te.to_owned() + "Connection: Transfer-Encoding\r\n"), &chunked_body()),
        ),
    ]
}

#[test]
fn p50_p55_g8_a_length_is_digits_and_stands_once_or_the_connection_ends() {
    prove(lengths());
}

#[test]
fn p50_p55_the_only_coding_is_chunked_alone_or_the_connection_ends() {
    prove(codings());
}

#[test]
fn p50_p55_a_length_and_a_coding_together_end_the_connection_and_what_they_hide_is_never_answered() {
    prove(both());
}
