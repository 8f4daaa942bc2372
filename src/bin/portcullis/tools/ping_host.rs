//! `ping_host`: asks a host for echoes with the system's `ping`, and tells each reply as progress.
//!
//! The one tool that sends something, a few packets. A host that does not answer is an answer (0 received),
//! a name that does not exist is a fault. Understands the words of iputils and of BusyBox.
//! A `ping` with file capabilities loses them under `NoNewPrivileges`, which every hardened unit sets: the
//! fault then names what to give instead.

use super::checked;
use super::shape::{Call, Command, How, Remedies, Shape, Told, object, put, real, remedied, rising, said, words};
use crate::bounds::{digits, shown_seconds};
use crate::process::Finished;
use serde_json::{Map, Value};
use std::time::Duration;

/// What may stand in a host besides letters and digits: names, IPv4, IPv6 with a zone.
pub(super) const HOST_EXTRA: &str = ".:-_%";
/// RFC 1035: 253 for a name. A zone of an address is far below.
pub(super) const HOST_BYTES_MAX: usize = 253;

/// Time beyond the echoes for the name to be looked up: three servers of 5 s each.
pub(super) const LOOKUP_WAIT: Duration = Duration::from_secs(15);

/// 20 replies and a summary are 2 KiB; what is longer is no `ping`.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

pub(super) static PING_HOST: Shape = Shape {
    name: "ping_host",
    description: "Pings a host from this machine: packets sent and received, loss, round-trip times. \
                  Takes about count x interval seconds and reports each reply as progress.",
    // `ping` itself wants root for shorter intervals, BusyBox whole seconds to wait for the last reply. More echoes
    // are monitoring, which is somebody else's job.
    input: r#""required":["host"],"properties":{
        "host":{"type":"string","description":"Name or IP address."},
        "count":{"type":"integer","minimum":1,"maximum":20,"default":3},
        "interval":{"type":"number","minimum":0.2,"maximum":10,"default":1,"description":"Seconds between echoes."},
        "timeout":{"type":"integer","minimum":1,"maximum":30,"default":2,
            "description":"Seconds to wait for the last reply."}}"#,
    output: OUTPUT,
    open_world: true,
    how: How::Command(ping),
};

const OUTPUT: &str = r#"{
    "type": "object", "required": ["sent", "received", "loss_percent", "rtt_ms"],
    "properties": {
        "sent": { "type": "integer" },
        "received": { "type": "integer" },
        "loss_percent": { "type": "number" },
        "rtt_ms": {
            "type": ["object", "null"],
            "properties": { "min": { "type": "number" }, "avg": { "type": "number" }, "max": { "type": "number" } }
        },
        "errors": { "type": "string" }
    }
}"#;

fn ping(call: &Call) -> Result<Command, String> {
    let host = checked("host", call.args.text("host").unwrap_or_default(), HOST_BYTES_MAX, HOST_EXTRA)?;
    let count = call.args.number("count").unwrap_or(3);
    let interval = Duration::from_millis((call.args.real("interval").unwrap_or(1.0) * 1000.0).round() as u64);
    let timeout = call.args.number("timeout").unwrap_or(2);

    let (c, i, w) = (count.to_string(), shown_seconds(interval), timeout.to_string());
    let words = words(&["-n", "-c", &c, "-i", &i, "-W", &w, "--", host]);
    Ok(Command {
        wait: interval * count + Duration::from_secs(timeout.into()) + LOOKUP_WAIT,
        stdout_bytes_max: OUTPUT_BYTES_MAX,
        with_remedy,
        ..Command::new("ping", words, rising(count, reply, read))
    })
}

/// Which echo a line is about, counted from 1; iputils counts so, BusyBox from 0.
fn reply(line: &str) -> Option<u32> {
    let (number, first) = match line.split_once("icmp_seq=") {
        Some((_, rest)) => (rest, 1),
        None => (line.split_once(" seq=")?.1, 0),
    };
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    u32::try_from(digits(&number[..end])?.checked_add(1 - first)?).ok()
}

/// What `ping` found, or why it found nothing.
fn read(finished: &Finished) -> Told {
    let Some((sent, received)) = finished.stdout.lines().find_map(counts) else {
        return Err(with_remedy(&format!("`ping` said: {}", said(finished))));
    };
    let lost = f64::from(sent.saturating_sub(received)) * 100.0 / f64::from(sent.max(1));
    let mut found = object(&[("errors", finished.stderr.trim_ascii())]);
    put(&mut found, "sent", sent.into());
    put(&mut found, "received", received.into());
    put(&mut found, "loss_percent", ((lost * 10.0).round() / 10.0).into());
    put(&mut found, "rtt_ms", finished.stdout.lines().find_map(times).unwrap_or_default());
    Ok(found)
}

/// The summary: `3 packets transmitted, 2 received, +1 errors, 33% packet loss, time 2037ms`.
fn counts(line: &str) -> Option<(u32, u32)> {
    let mut parts = line.split(", ").map(str::trim_ascii);
    let number = |part: &str| u32::try_from(digits(part.split(' ').next()?)?).ok();
    let sent = parts.next().filter(|part| part.ends_with("packets transmitted")).and_then(number)?;
    let received = parts.find(|part| part.ends_with("received")).and_then(number)?;
    Some((sent, received))
}

/// The times: `rtt min/avg/max/mdev = 0.043/0.046/0.051/0.003 ms`, `round-trip min/avg/max = 0.1/0.2/0.3 ms`.
fn times(line: &str) -> Option<Value> {
    let (what, values) = line.split_once(" = ")?;
    if !what.contains("min/avg/max") {
        return None;
    }
    let mut times = Map::new();
    let mut values = values.trim_end_matches(" ms").split('/');
    for name in ["min", "avg", "max"] {
        put(&mut times, name, real(values.next()?)?.into());
    }
    Some(Value::Object(times))
}

/// Adds what helps where the command or the right to send is missing.
fn with_remedy(fault: &str) -> String {
    const REMEDIES: &Remedies = &[
        (&["was not found"], "Install iputils-ping."),
        (
            &["Operation not permitted", "cap_net_raw", "permission denied", "are you root"],
            "`ping` may not open a raw socket here. Under `NoNewPrivileges` its own capability does not count: give \
             the server's unit `AmbientCapabilities=CAP_NET_RAW`, or allow everyone with \
             `sysctl net.ipv4.ping_group_range=\"0 65534\"`.",
        ),
    ];
    remedied(fault, REMEDIES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn finished(code: i32, stdout: &str, stderr: &str) -> Finished {
        Finished {
            status: ExitStatus::from_raw(code << 8),
            stdout: stdout.into(),
            stdout_bytes: 0,
            stderr: stderr.into(),
        }
    }

    #[test]
    fn a_reply_says_which_echo_it_answers() {
        let cases = [
            ("64 bytes from 198.51.100.2: icmp_seq=1 ttl=64 time=0.051 ms", Some(1)),
            ("64 bytes from 198.51.100.2: icmp_seq=20 ttl=64 time=0.051 ms (DUP!)", Some(20)),
            ("From 192.0.2.1 icmp_seq=2 Destination Host Unreachable", Some(2)),
            ("64 bytes from 127.0.0.1: seq=0 ttl=64 time=0.050 ms", Some(1)),
            ("PING 198.51.100.2 (198.51.100.2) 56(84) bytes of data.", None),
            ("icmp_seq=", None),
            ("icmp_seq=99999999999", None),
            ("x seq=4294967295", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(reply(line), expected, "{line}");
        }
    }

    #[test]
    fn summaries_of_iputils_and_busybox_are_understood() {
        let cases = [
            (
                "3 packets transmitted, 3 received, 0% packet loss, time 2037ms\nrtt min/avg/max/mdev = 0.043/0.046/0.051/0.003 ms\n",
                json!({ "sent": 3, "received": 3, "loss_percent": 0.0, "rtt_ms": { "min": 0.043, "avg": 0.046, "max": 0.051 } }),
            ),
            (
                "3 packets transmitted, 2 packets received, 33% packet loss\nround-trip min/avg/max = 0.1/0.2/0.3 ms\n",
                json!({ "sent": 3, "received": 2, "loss_percent": 33.3, "rtt_ms": { "min": 0.1, "avg": 0.2, "max": 0.3 } }),
            ),
            (
                "2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1017ms\npipe 2\n",
                json!({ "sent": 2, "received": 0, "loss_percent": 100.0, "rtt_ms": null }),
            ),
            (
                "2 packets transmitted, 2 received, +1 duplicates, 0% packet loss, time 1001ms\nrtt min/avg/max/mdev = 1/2/3/0 ms, pipe 2\n",
                json!({ "sent": 2, "received": 2, "loss_percent": 0.0, "rtt_ms": { "min": 1.0, "avg": 2.0, "max": 3.0 } }),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(Value::Object(read(&finished(0, text, "")).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn no_reply_is_an_answer_and_no_such_host_is_a_fault_in_pings_words() {
        let dropped = finished(
            1,
            "1 packets transmitted, 0 received, 100% packet loss, time 0ms",
            "ping: sendmsg: Operation not permitted\n",
        );
        assert_eq!(read(&dropped).unwrap()["errors"], "ping: sendmsg: Operation not permitted");
        let cases = [
            (
                finished(2, "", "ping: nosuch.invalid: Name or service not known\n"),
                "`ping` said: ping: nosuch.invalid: Name or service not known",
            ),
            (finished(2, "", "ping: connect: Network is unreachable\n"), "Network is unreachable"),
            (
                finished(
                    2,
                    "",
                    "ping: socktype: SOCK_RAW\nping: socket: Operation not permitted\nping: => missing cap_net_raw+p capability or setuid?",
                ),
                "AmbientCapabilities=CAP_NET_RAW",
            ),
            (finished(126, "", ""), "`ping` said: nothing"),
        ];
        for (finished, expected) in cases {
            let why = read(&finished).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
