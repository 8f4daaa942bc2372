//! What an operator sees, in a terminal: `portcullis sessions` asks a running program and prints a table; SIGUSR1 makes
//! a program write the same table to its own log.
//!
//! Decided here: how wide each column may be, and that nothing a client says of itself reaches a terminal as
//! anything but visible text.

use crate::options::Program;
use crate::serve::{contents, fail, say};
use log::{info, warn};
use portcullis::Handle;
use rustix::net::sockopt::{self, Timeout};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
usage: portcullis sessions [FINGERPRINT] [--from PLACE] [--json]

Shows the sessions of the program that runs here, their calls, and why the last ones ended; with a session's
fingerprint, what happened in that session.

  --from PLACE   where it shows its sessions: ADDR:PORT, http://ADDR:PORT or unix:/path [127.0.0.1:8002]
  --json         print what it says as it is
";

/// How long the program may take to accept, and to say something.
const WAIT: Duration = Duration::from_secs(5);
/// Bytes of an answer: ten thousand sessions are nine million.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Runs the command. 0: printed. 1: nobody answered. 2: the command line makes no sense.
pub(crate) fn main(program: &Program, args: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = args.map(|word| word.to_string_lossy().into_owned()).collect();
    match run(&words) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err((why, code)) => fail(program, &why, code),
    }
}

fn run(words: &[String]) -> Result<String, (String, u8)> {
    let (mut from, mut path, mut json) = ("127.0.0.1:8002", String::from("/debug/sessions"), false);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--help" | "-h" => return Ok(HELP.to_owned()),
            "--json" => json = true,
            "--from" => from = words.next().unwrap_or_default(),
            _ if word.starts_with("--from=") => from = &word["--from=".len()..],
            _ if word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                path = format!("/debug/sessions/{word}");
            }
            _ => return Err((format!("unexpected {word:?}\n{HELP}"), 2)),
        }
    }
    let text = ask(from, &path).map_err(|why| (why, 1))?;
    if json { Ok(text) } else { table(&text, terminal_width()).map_err(|why| (why, 1)) }
}

/// Asks the running program for its JSON.
fn ask(from: &str, path: &str) -> Result<String, String> {
    let opened = match from.strip_prefix("unix:") {
        Some(socket) => UnixStream::connect(socket).map(OwnedFd::from),
        None => {
            let address = from.strip_prefix("http://").unwrap_or(from).trim_end_matches('/');
            let address: SocketAddr = address.parse().map_err(|_| {
                format!(
                    "{from:?}: expected ADDR:PORT, http://ADDR:PORT or unix:/path, such as unix:/run/portcullis.sock"
                )
            })?;
            TcpStream::connect_timeout(&address, WAIT).map(OwnedFd::from)
        }
    };
    let answer = opened.and_then(|stream| get(stream, path)).map_err(|error| {
        format!("{from}: {error}; is the program running, and does `--from` say what its `--debug-listen` says?")
    })?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        Some((_, body)) => {
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            Err(format!("{from}: {}", word(&body["error"]["message"])))
        }
        None => Err(format!("{from}: that is no HTTP server")),
    }
}

/// One request of HTTP/1.0, whose answer ends with the connection.
fn get(stream: OwnedFd, path: &str) -> io::Result<String> {
    // Without it a program that hangs would be waited for; the table is as good.
    let _ = sockopt::set_socket_timeout(&stream, Timeout::Recv, Some(WAIT));
    let mut stream = File::from(stream);
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\naccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    Ok(String::from_utf8_lossy(&contents(stream, ANSWER_BYTES_MAX)?).into_owned())
}

/// Writes the table to the log: the busiest sessions, so that ten thousand do not fill it.
pub(crate) async fn log(handle: &Handle) {
    let snapshot = handle.snapshot().await.map_err(|error| error.to_string());
    match snapshot.and_then(|snapshot| table(&snapshot, None)) {
        Ok(text) => text.lines().filter(|line| !line.is_empty()).for_each(|line| info!("sessions: {line}")),
        Err(why) => warn!("sessions: {why}"),
    }
}

/// Columns of the terminal; none if stdout is something else, which takes lines of any length.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The first line: where each number stands, its limit, and what it is called.
const TOTALS: [(&str, &str, &str); 6] = [
    ("/gauges/sessions", "/gauges/sessions_max", "sessions"),
    ("/gauges/connections", "/gauges/connections_max", "connections"),
    ("/gauges/calls_running", "", "calls running"),
    ("/counters/calls_started", "", "calls begun"),
    ("/counters/calls_failed", "", "failed"),
    ("/gauges/buffered_bytes", "/gauges/buffered_bytes_max", "bytes held"),
];

/// A column: its title, how a value is written, where it stands, and where another one that belongs to it.
struct Column(&'static str, fn(&Value) -> String, &'static str, Option<(char, &'static str)>);

#[rustfmt::skip] // a table: one column, one line
const LIVING: &[Column] = &[
    Column("SESSION", word, "/session", None),
    Column("CLIENT", word, "/client/name", Some((' ', "/client/version"))),
    Column("FROM", word, "/address", None),
    Column("REVISION", word, "/revision", None),
    Column("AGE", time, "/age_s", None),
    Column("IDLE", time, "/idle_s", None),
    Column("CALLS", whole, "/calls_in_flight", Some(('/', "/calls_max"))),
    Column("QUEUE", whole, "/queue/messages", Some(('/', "/queue/messages_max"))),
    Column("RUNNING", running, "/calls", None),
];
#[rustfmt::skip] // a table: one column, one line
const ENDED: &[Column] = &[
    Column("ENDED", word, "/session", None),
    Column("CLIENT", word, "/client", None),
    Column("LIVED", time, "/lived_s", None),
    Column("AGO", time, "/ended_s_ago", None),
    Column("REASON", word, "/reason", None),
];
#[rustfmt::skip] // a table: one column, one line
const STATELESS: &[Column] = &[
    Column("METHOD", word, "/method", None),
    Column("TOOL", word, "/tool", None),
    Column("CLIENT", word, "/client", None),
    Column("RUNNING", millis, "/running_ms", None),
];
#[rustfmt::skip] // a table: one column, one line
const EVENTS: &[Column] = &[
    Column("AGO", time, "/s_ago", None),
    Column("EVENT", word, "/event", None),
    Column("OF", word, "/method", Some((' ', "/tool"))),
    Column("WHAT", word, "/what", None),
    Column("TOOK", millis, "/ms", None),
    Column("TIMES", whole, "/times", None),
];

/// The table of what a program said: of `/debug/sessions`, of a snapshot, or of one session.
///
/// # Errors
/// If it is none of these.
pub(crate) fn table(json: &str, width: Option<usize>) -> Result<String, String> {
    const NOT_OURS: &str = "that is no JSON of this program";
    let said: Value = serde_json::from_str(json).map_err(|_| NOT_OURS)?;
    let at = |pointer| said.pointer(pointer).unwrap_or(&Value::Null);
    let mut out = String::new();
    if at("/sessions").is_array() {
        out = ["up ", &time(at("/server/up_s"))].concat();
        for (pointer, limit, words) in TOTALS {
            let of = if limit.is_empty() { String::new() } else { [" of ", &whole(at(limit))].concat() };
            out.push_str(&[", ", &whole(at(pointer)), &of, " ", words].concat());
        }
        out.push('\n');
    } else if !at("/events").is_array() {
        return Err(NOT_OURS.into());
    }
    let tables = [
        ("/live", LIVING),
        ("/sessions", LIVING),
        ("/stateless_calls", STATELESS),
        ("/ended", ENDED),
        ("/events", EVENTS),
    ];
    for (pointer, columns) in tables {
        let items = match at(pointer) {
            Value::Array(items) => items,
            Value::Null => continue,
            one => std::slice::from_ref(one),
        };
        write_table(&mut out, width, columns, items);
        let more = whole(at("/sessions_not_shown"));
        if pointer == "/sessions" && more != "0" {
            out.push_str(&["and ", &more, " more\n"].concat());
        }
    }
    Ok(out)
}

/// Appends a table: each column as wide as its widest cell. In a terminal that is too narrow the widest columns give
/// way first, but never the first one, by which one asks for more; what is cut ends in `…`.
fn write_table(out: &mut String, width: Option<usize>, columns: &[Column], items: &[Value]) {
    if items.is_empty() {
        return;
    }
    let mut rows = vec![columns.iter().map(|column| column.0.to_owned()).collect::<Vec<String>>()];
    rows.extend(items.iter().map(|item| columns.iter().map(|column| cell_of(item, column)).collect()));
    let mut widths: Vec<usize> = vec![0; columns.len()];
    for row in &rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = (*most).max(cells(cell));
        }
    }
    let gaps = 2 * (columns.len() - 1);
    while let Some(width) = width
        && widths.iter().sum::<usize>() + gaps > width
        && let Some(widest) = widths.iter_mut().skip(1).max().filter(|widest| **widest > COLUMN_MIN)
    {
        *widest -= 1;
    }
    out.push('\n');
    for row in &rows {
        let begin = out.len();
        for (cell, width) in row.iter().zip(&widths) {
            let cell = cut(cell, *width);
            out.push_str(&cell);
            out.extend(std::iter::repeat_n(' ', width - cells(&cell) + 2));
        }
        out.truncate(begin + out[begin..].trim_ascii_end().len());
        out.push('\n');
    }
}

fn cell_of(item: &Value, column: &Column) -> String {
    let Column(_, write, pointer, another) = column;
    let write = |pointer| item.pointer(pointer).map(write).unwrap_or_default();
    let mut text = write(pointer);
    if let Some((between, pointer)) = another {
        let more = write(pointer);
        if !more.is_empty() {
            text.push(*between);
            text.push_str(&more);
        }
    }
    text
}

/// Narrower than this no column is made, however narrow the terminal.
const COLUMN_MIN: usize = 5;

fn cut(text: &str, width: usize) -> String {
    if cells(text) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for letter in text.chars() {
        if cells(&short) + cell(letter) + 1 > width {
            break;
        }
        short.push(letter);
    }
    short.push('…');
    short
}

fn cells(text: &str) -> usize {
    text.chars().map(cell).sum()
}

/// Cells a terminal gives a letter: two for what East Asia writes and for pictures, none for what sits on another. The
/// large blocks only; a rare letter may stand askew.
fn cell(letter: char) -> usize {
    match u32::from(letter) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 => 2,
        0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A client's words without what a terminal would obey: controls, escapes, and marks that turn lines around.
fn visible(text: &str) -> String {
    let harmless = |letter: char| {
        let turns = matches!(u32::from(letter), 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff);
        if letter.is_control() || turns { '?' } else { letter }
    };
    text.chars().map(harmless).collect()
}

fn word(value: &Value) -> String {
    value.as_str().map(visible).unwrap_or_default()
}

fn whole(value: &Value) -> String {
    value.as_u64().unwrap_or(0).to_string()
}

fn running(calls: &Value) -> String {
    const CALL: Column = Column("", word, "/tool", None);
    const TIME: Column = Column("", millis, "/running_ms", None);
    let mut text = String::new();
    for call in calls.as_array().map_or(&[][..], Vec::as_slice) {
        let between = if text.is_empty() { "" } else { " " };
        text.push_str(&[between, &cell_of(call, &CALL), " ", &cell_of(call, &TIME)].concat());
    }
    text
}

fn millis(value: &Value) -> String {
    match value.as_u64().unwrap_or(0) {
        ms if ms < 1000 => [&ms.to_string(), "ms"].concat(),
        ms => short_time(ms),
    }
}

fn time(value: &Value) -> String {
    short_time((value.as_f64().unwrap_or(0.0) * 1000.0) as u64)
}

/// Two units at most: a table has little room.
fn short_time(ms: u64) -> String {
    let s = ms / 1000;
    let (large, unit, small, below) = match s {
        0..10 => return format!("{s}.{}s", ms / 100 % 10),
        10..60 => return format!("{s}s"),
        60..3600 => (s / 60, 'm', s % 60, 's'),
        3600..86_400 => (s / 3600, 'h', s / 60 % 60, 'm'),
        _ => (s / 86_400, 'd', s / 3600 % 24, 'h'),
    };
    format!("{large}{unit}{small:02}{below}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(client: &str) -> String {
        let session = json!({
            "session": "0f3a9c11d2", "client": { "name": client, "version": "1.0" }, "address": "192.0.2.7",
            "revision": "2025-11-25", "age_s": 61.5, "idle_s": 0.04, "expires_in_s": 604_800.0,
            "calls": [{ "tool": "slow", "id": "1", "running_ms": 1_500 }], "calls_in_flight": 1, "calls_max": 64,
            "queue": { "messages": 3, "messages_max": 16 },
        });
        let tomb =
            json!({ "session": "aaaaaaaaaa", "client": "c", "lived_s": 3_700, "ended_s_ago": 1, "reason": "revoked" });
        json!({
            "server": { "up_s": 90_061.0 }, "gauges": { "sessions": 1, "sessions_max": 10 }, "counters": {},
            "sessions": [session], "ended": [tomb],
        })
        .to_string()
    }

    #[test]
    fn the_table_is_aligned_and_says_what_the_json_says() {
        let text = table(&said("日本 client"), None).unwrap();
        let expected = "\
up 1d01h, 1 of 10 sessions, 0 of 0 connections, 0 calls running, 0 calls begun, 0 failed, 0 of 0 bytes held

SESSION     CLIENT           FROM       REVISION    AGE    IDLE  CALLS  QUEUE  RUNNING
0f3a9c11d2  日本 client 1.0  192.0.2.7  2025-11-25  1m01s  0.0s  1/64   3/16   slow 1.5s

ENDED       CLIENT  LIVED  AGO   REASON
aaaaaaaaaa  c       1h01m  1.0s  revoked
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest_columns_and_no_line_is_longer() {
        for width in [90, 80, 72] {
            let text = table(&said(&"x".repeat(64)), Some(width)).unwrap();
            let longest = text.lines().skip(1).map(cells).max();
            assert!(longest <= Some(width) && text.contains('…'), "{width}: {longest:?}\n{text}");
        }
        assert!(table(&said("x"), Some(1)).is_ok(), "narrower than can be");
    }

    #[test]
    fn nothing_that_a_client_says_is_obeyed_by_a_terminal() {
        let text = table(&said("\u{1b}[2J\u{7}\r\n\u{202e}\u{9b}31mx"), None).unwrap();
        assert!(text.lines().any(|line| line.contains("?[2J?????31mx 1.0")), "{text}");
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()));
    }

    #[test]
    fn the_events_of_a_session_are_a_table_too() {
        let events = json!([
            { "s_ago": 12.0, "event": "opened", "what": "streamable" },
            { "s_ago": 1.0, "event": "call_ended", "method": "tools/call", "tool": "slow", "ms": 3, "what": "ok", "times": 7 },
        ]);
        let text = table(&json!({ "session": "0f3a9c11d2", "events": events }).to_string(), None).unwrap();
        let expected = "
AGO   EVENT       OF               WHAT        TOOK  TIMES
12s   opened                       streamable
1.0s  call_ended  tools/call slow  ok          3ms   7
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_command_line_that_makes_no_sense_is_refused_and_nobody_there_is_said_with_a_remedy() {
        for (line, code, expected) in [
            (&["--form"][..], 2, "unexpected \"--form\""),
            (&["0123"], 2, "usage: portcullis sessions"),
            (&["--from"], 1, "expected ADDR:PORT"),
            (&["--from", "fw.example:8002"], 1, "expected ADDR:PORT"),
            (&["--from=unix:/nowhere/at/all"], 1, "is the program running"),
        ] {
            let words: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
            let (why, said) = run(&words).unwrap_err();
            assert!(said == code && why.contains(expected), "{line:?}: {said} {why}");
        }
        assert!(table("{}", None).is_err() && table("x", None).is_err());
    }
}
