//! What an operator sees, in a terminal: `portcullis sessions` asks a running program and prints a table; SIGUSR1 makes
//! a program write the same table to its own log.
//!
//! Decided here: how wide each column may be, and that nothing a client says of itself reaches a terminal as
//! anything but visible text.

use crate::options::Program;
use lexopt::{Arg, Parser};
use log::{info, warn};
use portcullis::Handle;
use serde_json::Value;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
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

struct Wish {
    from: String,
    fingerprint: Option<String>,
    json: bool,
}

/// Runs the command. 0: printed. 1: nobody answered. 2: the command line makes no sense.
pub(crate) fn main(program: &Program, args: impl Iterator<Item = OsString>) -> ExitCode {
    let wish = match parse(args) {
        Ok(Some(wish)) => wish,
        Ok(None) => return print(HELP),
        Err(why) => {
            return crate::serve::fail(program, &format!("{why}: `portcullis sessions --help` shows what there is"), 2);
        }
    };
    match ask(&wish).and_then(|text| if wish.json { Ok(text) } else { table(&text, terminal_width()) }) {
        Ok(text) => print(&text),
        Err(why) => crate::serve::fail(program, &why, 1),
    }
}

fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    // Whoever closed it wants to see nothing more.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    ExitCode::SUCCESS
}

/// None if help is wanted.
fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Wish>, String> {
    let mut parser = Parser::from_args(args);
    let (mut from, mut fingerprint, mut json) = (None, None, false);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("json") if !json => json = true,
            Arg::Long("from") if from.is_none() => {
                from = Some(parser.value().map_err(|error| error.to_string())?.to_string_lossy().into_owned());
            }
            Arg::Value(value) if fingerprint.is_none() => {
                let text = value.to_string_lossy().into_owned();
                if text.len() != 10 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(format!("{text:?}: expected a fingerprint, ten hexadecimal digits such as 0f3a9c11d2"));
                }
                fingerprint = Some(text);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(Some(Wish { from: from.unwrap_or_else(|| "127.0.0.1:8002".into()), fingerprint, json }))
}

/// Asks the running program for its JSON.
fn ask(wish: &Wish) -> Result<String, String> {
    let place = &wish.from;
    let fault = |error: io::Error| {
        format!("{place}: {error}; is the program running, and does `--from` say what its `--debug-listen` says?")
    };
    let path = wish.fingerprint.as_ref().map_or("/debug/sessions".into(), |print| format!("/debug/sessions/{print}"));
    let answer = match place.strip_prefix("unix:") {
        Some(socket) => UnixStream::connect(socket).and_then(|stream| {
            stream.set_read_timeout(Some(WAIT))?;
            get(&stream, "localhost", &path)
        }),
        None => {
            let (host, base) = host_and_base(place)?;
            connect(host).and_then(|stream| {
                stream.set_read_timeout(Some(WAIT))?;
                get(&stream, host, &format!("{base}{path}"))
            })
        }
    };
    let answer = answer.map_err(fault)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{place}: that is no HTTP server"))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(format!("{place}: {}: {}", head.lines().next().unwrap_or_default(), cause(body))),
    }
}

/// The words of an error answer.
fn cause(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    visible(body["error"]["message"].as_str().unwrap_or("no reason given"))
}

fn host_and_base(place: &str) -> Result<(&str, &str), String> {
    if place.starts_with("https://") {
        return Err(format!("{place}: expected http; the operator's listener speaks no TLS"));
    }
    let rest = place.strip_prefix("http://").unwrap_or(place);
    let (host, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let good = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
    good.then_some((host, base.trim_end_matches('/')))
        .ok_or_else(|| format!("{place:?}: expected ADDR:PORT, http://ADDR:PORT or unix:/path"))
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other("no such address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, WAIT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One request of HTTP/1.0, whose answer ends with the connection.
fn get(mut stream: impl Read + Write, host: &str, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\naccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
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

/// The table of what a program said: of `/debug/sessions`, of a snapshot, or of one session.
///
/// # Errors
/// If it is none of these.
pub(crate) fn table(json: &str, width: Option<usize>) -> Result<String, String> {
    let said: Value =
        serde_json::from_str(json).map_err(|error| format!("that is no JSON of this program: {error}"))?;
    let mut out = String::new();
    if said["events"].is_array() {
        story(&mut out, &said, width);
        return Ok(out);
    }
    let Some(sessions) = said["sessions"].as_array() else { return Err("that is no JSON of this program".into()) };
    let gauge = |name: &str| whole(&said["gauges"][name]);
    let counter = |name: &str| whole(&said["counters"][name]);
    // Writing into a String cannot fail.
    let _ = writeln!(
        out,
        "up {}{}: {} of {} sessions, {} of {} connections, {} calls running, {} calls begun, {} failed, {} bytes held",
        time(&said["server"]["up_s"]),
        if said["server"]["stopping"] == true { ", stopping" } else { "" },
        gauge("sessions"),
        gauge("sessions_max"),
        gauge("connections"),
        gauge("connections_max"),
        gauge("calls_running"),
        counter("calls_started"),
        counter("calls_failed"),
        gauge("buffered_bytes"),
    );
    let header = ["SESSION", "CLIENT", "FROM", "REVISION", "AGE", "IDLE", "ENDS IN", "CALLS", "QUEUE", "RUNNING"];
    columns(&mut out, width, &header, sessions.iter().map(living).collect());
    match whole(&said["sessions_not_shown"]) {
        0 => {}
        more => drop(writeln!(out, "and {more} more")),
    }
    let alone = said["stateless_calls"].as_array().filter(|calls| !calls.is_empty());
    if let Some(calls) = alone {
        let header = ["CALL", "TOOL", "CLIENT", "RUNNING"];
        columns(&mut out, width, &header, calls.iter().map(stateless).collect());
    }
    let ended = said["ended"].as_array().filter(|ended| !ended.is_empty());
    if let Some(ended) = ended {
        columns(&mut out, width, &["ENDED", "CLIENT", "LIVED", "AGO", "REASON"], ended.iter().map(past).collect());
    }
    Ok(out)
}

fn living(session: &Value) -> Vec<String> {
    let (client, queue) = (&session["client"], &session["queue"]);
    let calls = session["calls"].as_array().map_or(&[][..], Vec::as_slice);
    let running: Vec<_> =
        calls.iter().map(|call| format!("{} {}", word(&call["tool"]), millis(&call["running_ms"]))).collect();
    vec![
        word(&session["session"]),
        format!("{} {}", word(&client["name"]), word(&client["version"])),
        word(&session["address"]),
        word(&session["revision"]),
        time(&session["age_s"]),
        time(&session["idle_s"]),
        time(&session["expires_in_s"]),
        format!("{}/{}", whole(&session["calls_in_flight"]), whole(&session["calls_max"])),
        format!("{}/{}", whole(&queue["messages"]), whole(&queue["messages_max"])),
        running.join(", "),
    ]
}

fn stateless(call: &Value) -> Vec<String> {
    vec![word(&call["method"]), word(&call["tool"]), word(&call["client"]), millis(&call["running_ms"])]
}

fn past(tomb: &Value) -> Vec<String> {
    let times = [time(&tomb["lived_s"]), time(&tomb["ended_s_ago"])];
    let [lived, ago] = times;
    vec![word(&tomb["session"]), word(&tomb["client"]), lived, ago, word(&tomb["reason"])]
}

fn story(out: &mut String, said: &Value, width: Option<usize>) {
    if said["live"].is_object() {
        let header = ["SESSION", "CLIENT", "FROM", "REVISION", "AGE", "IDLE", "ENDS IN", "CALLS", "QUEUE", "RUNNING"];
        columns(out, width, &header, vec![living(&said["live"])]);
    } else if said["ended"].is_object() {
        columns(out, width, &["ENDED", "CLIENT", "LIVED", "AGO", "REASON"], vec![past(&said["ended"])]);
    }
    let events = said["events"].as_array().map_or(&[][..], Vec::as_slice);
    let row = |event: &Value| {
        let times = whole(&event["times"]);
        let took = if event["ms"].is_u64() { millis(&event["ms"]) } else { String::new() };
        let name = if event["tool"].is_string() { word(&event["tool"]) } else { word(&event["method"]) };
        let times = if times > 1 { format!("×{times}") } else { String::new() };
        vec![time(&event["s_ago"]), word(&event["event"]), name, word(&event["what"]), took, times]
    };
    columns(out, width, &["AGO", "EVENT", "OF", "WHAT", "TOOK", "TIMES"], events.iter().map(row).collect());
}

/// Appends a table: each column as wide as its widest cell. In a terminal that is too narrow the widest columns give
/// way first, and what is cut ends in `…`.
fn columns(out: &mut String, width: Option<usize>, header: &[&str], rows: Vec<Vec<String>>) {
    let mut widths: Vec<usize> = header.iter().map(|title| title.len()).collect();
    for row in &rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = (*most).max(cells(cell));
        }
    }
    let gaps = 2 * (header.len() - 1);
    while let Some(width) = width
        && widths.iter().sum::<usize>() + gaps > width
        && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > COLUMN_MIN)
    {
        *widest -= 1;
    }
    let header: Vec<String> = header.iter().map(|&title| title.to_owned()).collect();
    out.push('\n');
    for row in std::iter::once(&header).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let cell = cut(cell, *width);
            let _ = write!(line, "{cell}{:1$}", "", width - cells(&cell) + 2);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
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

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn millis(value: &Value) -> String {
    match whole(value) {
        ms if ms < 1000 => format!("{ms}ms"),
        ms => short_time(ms as f64 / 1000.0),
    }
}

fn time(value: &Value) -> String {
    short_time(value.as_f64().unwrap_or(0.0))
}

/// Two units at most: a table has little room.
fn short_time(seconds: f64) -> String {
    match seconds as u64 {
        s if s < 10 => format!("{seconds:.1}s"),
        s if s < 60 => format!("{s}s"),
        s if s < 3600 => format!("{}m{:02}s", s / 60, s % 60),
        s if s < 86_400 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        s => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
    }
}
