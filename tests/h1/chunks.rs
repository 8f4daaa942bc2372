//! Bodies in chunks: sizes, line endings, extensions and trailers.

use super::{Case, Ends, HIDDEN, bad, body, case, good, part, post, prove, refused};

fn chunks(text: impl AsRef<str>) -> String {
    post("Transfer-Encoding: chunked\r\n", text.as_ref())
}

/// One chunk, whose size line is this.
fn sized(line: impl std::fmt::Display) -> String {
    chunks(format!("{line}\r\n{}\r\n0\r\n\r\n", body()))
}

/// One whole chunk, and then this.
fn then(text: &str) -> String {
    chunks(format!("{:x}\r\n{}\r\n{text}", body().len(), body()))
}

pub(super) fn sizes() -> Vec<Case> {
    let (n, body) = (body().len(), body());
    let (a, b) = body.split_at(20);
    let ones: String = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    vec![
        good("one chunk", sized(format!("{n:x}"))),
        good("two chunks", chunks(format!("14\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", b.len()))),
        good("chunks of one byte", chunks(ones + "0\r\n\r\n")),
        good("a size in capitals", sized(format!("{n:X}"))),
        good("a size with a zero before it", sized(format!("0{n:x}"))),
        good("a size with 500 zeros before it", sized(format!("{n:0500x}"))),
        good("a last chunk of many zeros", then("00000\r\n\r\n")),
        // Not in the grammar; sent by servers and clients of old that wrote the size before they knew it.
        good("a size with white space behind it", sized(format!("{n:x} \t "))),
        bad(400, "an empty size", sized("")),
        bad(400, "a size that is no number", sized("xyz")),
        bad(400, "a size with 0x", sized(format!("0x{n:x}"))),
        bad(400, "a size with a plus", sized(format!("+{n:x}"))),
        bad(400, "a size with a minus", sized(format!("-{n:x}"))),
        bad(400, "a size behind a space", sized(format!(" {n:x}"))),
        bad(400, "a size behind a tab", sized(format!("\t{n:x}"))),
        bad(400, "a size in quotes", sized(format!("\"{n:x}\""))),
        bad(400, "two sizes", sized(format!("{n:x} {n:x}"))),
        bad(400, "two sizes with a comma", sized(format!("{n:x},{n:x}"))),
        bad(400, "a size with a group mark", sized("8_b")),
        bad(400, "a size with a fraction", sized(format!("{n:x}.0"))),
        bad(400, "a size in other digits", sized("\u{ff18}b")),
        bad(400, "a size and a NUL", sized(format!("{n:x}\0"))),
        bad(400, "a size and a vertical tab", sized(format!("{n:x}\u{b}"))),
        bad(400, "a size line over 1 KiB", sized(format!("{n:01100x}"))),
        bad(400, "a size that is one too small", sized(format!("{:x}", n - 1))),
        bad(400, "a size that is one too large", sized(format!("{:x}", n + 1))),
        bad(413, "a size over the limit of bodies", sized("400001")),
        bad(413, "a second chunk over the limit of bodies", then("400000\r\n")),
        bad(413, "a size of 32 bits", sized("80000000")),
        bad(413, "a size that wraps in 32 bits", sized(format!("1{n:08x}"))),
        bad(413, "a size that wraps in 64 bits", sized(format!("1{n:016x}"))),
        bad(413, "the largest size of 64 bits", sized("ffffffffffffffff")),
        bad(413, "a size of a thousand digits", sized("f".repeat(1_000))),
    ]
}

pub(super) fn ends() -> Vec<Case> {
    let (n, body) = (body().len(), body());
    let data = |end: &str| chunks(format!("{n:x}\r\n{body}{end}0\r\n\r\n"));
    let line = |end: &str| chunks(format!("{n:x}{end}{body}\r\n0\r\n\r\n"));
    let inner = format!("\r\n0\r\n\r\n{HIDDEN}");
    vec![
        bad(400, "no line end behind the data", data("")),
        bad(400, "LF behind the data", data("\n")),
        bad(400, "CR behind the data", data("\r")),
        bad(400, "CR CR LF behind the data", data("\r\r\n")),
        bad(400, "LF CR behind the data", data("\n\r")),
        bad(400, "two line ends behind the data", data("\r\n\r\n")),
        bad(400, "a byte too many behind the data", data(" \r\n")),
        bad(400, "LF behind the size", line("\n")),
        bad(400, "CR behind the size", line("\r")),
        bad(400, "CR CR LF behind the size", line("\r\r\n")),
        bad(400, "LF behind the last size", then("0\n\r\n")),
        bad(400, "LF at the very end", then("0\r\n\n")),
        bad(400, "CR and a letter at the very end", then("0\r\n\rX\r\n")),
        bad(400, "LF LF at the very end", then("0\n\n")),
        part("no last chunk", then("")),
        part("no empty line behind the last chunk", then("0\r\n")),
        part("half an empty line behind the last chunk", then("0\r\n\r")),
        part("a trailer without an end", then("0\r\nX: y\r\n")),
        part("half a size", then("4")),
        part("half a chunk", chunks("ff\r\n{}")),
        refused(400, "a last chunk alone", chunks("0\r\n\r\n")),
        refused(
            400,
            "data that looks like an end and a request",
            chunks(format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len())),
        ),
        case("a chunk behind the last chunk", chunks("0\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), &[400, 400], Ends),
    ]
}

pub(super) fn extras() -> Vec<Case> {
    let n = body().len();
    let extended = |extension: &str| sized(format!("{n:x}{extension}"));
    let trailed = |trailer: &str| then(&format!("0\r\n{trailer}\r\n\r\n"));
    let padded: String = body().chars().map(|c| format!("1;x={}\r\n{c}\r\n", "x".repeat(200))).collect();
    vec![
        good("an extension", extended(";a=b")),
        good("an extension without a value", extended(";a")),
        good("an extension in quotes", extended(";a=\"b;c\"")),
        good("an extension in white space", extended(" ; a = b")),
        good("two extensions", extended(";a=b;c=d")),
        good("an extension that looks like a size", extended(";ffff")),
        good("an extension of the last chunk", then("0;a=b\r\n\r\n")),
        bad(400, "an extension without a semicolon", extended(" a=b")),
        bad(400, "an extension with LF", extended(";a\nb")),
        bad(400, "an extension with CR", extended(";a\rb")),
        bad(400, "an extension with a line end in quotes", extended(";a=\"\r\n\"")),
        bad(400, "an extension with a NUL", extended(";a=\0")),
        bad(400, "an extension with a control byte", extended(";a=\u{1}")),
        bad(400, "an extension with DEL", extended(";a=\u{7f}")),
        bad(400, "an extension over 1 KiB", extended(&format!(";a={}", "b".repeat(1_100)))),
        bad(400, "extensions that outweigh their body by far", chunks(padded + "0\r\n\r\n")),
        good("a trailer", trailed("X: y")),
        good("several trailers", trailed("A: b\r\nC: d\r\nE:")),
        good("a trailer with a tab and bytes beyond ASCII", trailed("A:\tb\u{e9}")),
        bad(400, "a request line among the trailers", then(&format!("0\r\n{HIDDEN}"))),
        bad(400, "a trailer without a colon", trailed("hello")),
        bad(400, "a trailer without a name", trailed(": y")),
        bad(400, "a trailer with a space before its colon", trailed("X : y")),
        bad(400, "a folded trailer", trailed("X: y\r\n z")),
        bad(400, "a trailer with a NUL", trailed("X: \0")),
        bad(400, "a trailer with a control byte", trailed("X: \u{1b}")),
        bad(400, "a trailer with CR", trailed("X: y\rZ: z")),
        bad(400, "a trailer that ends in LF", trailed("X: y\nZ: z")),
        bad(400, "more than 1 KiB of trailers", trailed(&format!("X: {0}\r\nY: {0}", "y".repeat(600)))),
    ]
}

#[test]
fn p50_p55_a_chunk_has_a_size_in_hexadecimal_digits_or_the_connection_ends() {
    prove(sizes());
}

#[test]
fn p50_p55_a_chunk_ends_where_its_size_says_or_the_connection_ends() {
    prove(ends());
}

#[test]
fn p50_p55_extensions_and_trailers_are_dropped_and_malformed_ones_end_the_connection() {
    prove(extras());
}
