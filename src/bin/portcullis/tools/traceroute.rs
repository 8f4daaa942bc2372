//! `traceroute`: the way to a host, by the system's `traceroute`, each hop told as progress.
//!
//! Understands the words of Linux's own (Butskoy's) and BusyBox's; that of inetutils has other options, and is named. A
//! hop that does not answer is an answer. The usual one sends UDP and needs no right; BusyBox's opens a raw socket and does.

use super::shape::{
    self, Arguments, Call, Command, How, Remedies, Shape, Told, object, put, real, remedied, rising, said,
};
use super::{checked, ping_host};
use crate::bounds::digits;
use crate::process::Finished;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::time::Duration;

pub(super) static TRACEROUTE: Shape = Shape {
    name: "traceroute",
    description: "Hops from this machine to a host; null: a probe without an answer.",
    input: r#""required":["host"],"properties":{
        "host":{"type":"string"},
        "hops_max":{"type":"integer","minimum":1,"maximum":64,"default":20},
        "probes":{"type":"integer","minimum":1,"maximum":5,"default":1}}"#,
    output: "",
    open_world: true,
    how: How::Command(trace),
};

/// Seconds to wait for each answer, as an argument and a number.
const PROBE_WAIT: (&str, u32) = ("2", 2);

/// 64 hops of 5 probes, each with an address of its own, are some 20 KiB.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

fn trace(call: &Call) -> Result<Command, String> {
    let host = call.args.text("host").unwrap_or_default();
    checked("host", host, ping_host::HOST_BYTES_MAX, ping_host::HOST_EXTRA)?;
    let (hops, mut words) = words(&call.args);
    words.push(host.to_owned());
    // BusyBox sends one probe after the other; its worst case is that of all.
    let probes = call.args.number("probes").unwrap_or(1);
    Ok(Command {
        wait: Duration::from_secs((hops * probes * PROBE_WAIT.1).into()) + ping_host::LOOKUP_WAIT,
        stdout_bytes_max: OUTPUT_BYTES_MAX,
        with_remedy,
        ..Command::new("traceroute", words, rising(hops, |line| hop(line).map(|(n, _)| n), read))
    })
}

/// The farthest hop, and the arguments of `traceroute` before the host.
fn words(args: &Arguments) -> (u32, Vec<String>) {
    let (hops, probes) = (args.number("hops_max").unwrap_or(20), args.number("probes").unwrap_or(1));
    (hops, shape::words(&["-n", "-m", &hops.to_string(), "-q", &probes.to_string(), "-w", PROBE_WAIT.0]))
}

/// What `traceroute` found, or why it found nothing.
fn read(finished: &Finished) -> Told {
    let mut lines = finished.stdout.lines();
    let destination = lines.find_map(destination).unwrap_or_default();
    let (mut hops, mut reached) = (Vec::new(), false);
    // An error from the host itself, such as `!X`, is no arrival at what was asked for, but the way ends there.
    let arrived = |probe: &Value| probe["address"] == destination && probe.get("note").is_none();
    for (n, probes) in lines.filter_map(hop) {
        reached = probes.iter().any(arrived);
        let mut row = Map::new();
        put(&mut row, "hop", n.into());
        put(&mut row, "probes", Value::Array(probes));
        hops.push(Value::Object(row));
    }
    if hops.is_empty() || !finished.status.success() {
        return Err(with_remedy(&format!("`traceroute` said: {}", said(finished))));
    }
    let mut found = object(&[("destination", destination)]);
    put(&mut found, "reached", reached.into());
    put(&mut found, "hops", Value::Array(hops));
    Ok(found)
}

/// The heading: `traceroute to fw.example (192.0.2.1), 20 hops max, 60 byte packets`.
fn destination(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("traceroute to ")?.split_once('(')?;
    let address = rest.split_once(')')?.0;
    is_address(address).then_some(address)
}

/// An address, perhaps with the zone of a link (`fe80::1%lan0`).
fn is_address(word: &str) -> bool {
    word.split('%').next().is_some_and(|word| word.parse::<IpAddr>().is_ok())
}

/// A hop and its probes: ` 3  192.0.2.1  0.045 ms * 192.0.2.9  1.2 ms !X`.
///
/// An address is said again only if it is another one.
fn hop(line: &str) -> Option<(u32, Vec<Value>)> {
    let mut words = line.split_ascii_whitespace();
    let n = u32::try_from(digits(words.next()?)?).ok()?;
    let (mut probes, mut address): (Vec<Value>, _) = (Vec::new(), "");
    for word in words {
        if word == "*" {
            probes.push(Value::Null);
        } else if is_address(word) {
            address = word;
        } else if let Some(ms) = real(word) {
            let mut probe = object(&[("address", address)]);
            put(&mut probe, "rtt_ms", ms.into());
            probes.push(Value::Object(probe));
        } else if let Some(Value::Object(probe)) = probes.last_mut().filter(|_| word.starts_with('!')) {
            put(probe, "note", word.into());
        }
    }
    (!probes.is_empty()).then_some((n, probes))
}

/// Adds what helps where the command or the right to listen is missing.
fn with_remedy(fault: &str) -> String {
    const REMEDIES: &Remedies = &[
        (&["was not found"], "Install traceroute."),
        (&["invalid option"], "Install Debian's traceroute or BusyBox's: this one knows other options."),
        (
            &["not permitted", "permission denied", "superuser"],
            "This `traceroute` opens a raw socket: give the server's unit `AmbientCapabilities=CAP_NET_RAW`, or \
             install one that needs no right (Debian's package traceroute).",
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
    fn traceroutes_are_asked_in_words_they_share() {
        let joined = |args| words(&Arguments(args)).1.join(" ");
        assert_eq!(joined(json!({})), "-n -m 20 -q 1 -w 2");
        assert_eq!(joined(json!({ "hops_max": 3, "probes": 2 })), "-n -m 3 -q 2 -w 2");
    }

    #[test]
    fn a_line_is_a_hop_with_its_probes() {
        let cases = [
            (" 1  192.0.2.1  0.045 ms", json!([{ "address": "192.0.2.1", "rtt_ms": 0.045 }])),
            (" 1  fe80::1%lan0  1 ms", json!([{ "address": "fe80::1%lan0", "rtt_ms": 1.0 }])),
            (" 2  * * *", json!([null, null, null])),
            (" 3  *", json!([null])),
            (
                "12  192.0.2.1  0.5 ms * 2001:db8::9  1.25 ms !X",
                json!([
                    { "address": "192.0.2.1", "rtt_ms": 0.5 },
                    null,
                    { "address": "2001:db8::9", "rtt_ms": 1.25, "note": "!X" },
                ]),
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(json!(hop(line).unwrap().1), expected, "{line}");
        }
        for line in ["", "x", "1", " 1 ", "-1 *", "99999999999 *", "traceroute to a (192.0.2.1), 20 hops max", "1 !X"] {
            assert_eq!(hop(line), None, "{line}");
        }
    }

    #[test]
    fn the_end_of_the_way_is_told_and_a_silent_hop_is_an_answer() {
        let head = "traceroute to wan.example (198.51.100.2), 20 hops max, 60 byte packets\n";
        let ends = [
            ("1  198.51.100.2  0.1 ms\n", true),
            ("1  198.51.100.2  0.1 ms !X\n", false),
            ("1  192.0.2.1  0.1 ms\n 2  *\n", false),
        ];
        for (rows, reached) in ends {
            let found = read(&finished(0, &format!("{head}{rows}"), "")).unwrap();
            assert_eq!((&found["destination"], &found["reached"]), (&json!("198.51.100.2"), &json!(reached)), "{rows}");
            assert_eq!(found["hops"].as_array().unwrap().len(), rows.lines().count());
        }
    }

    #[test]
    fn faults_are_told_in_traceroutes_words_and_with_a_remedy() {
        let cases = [
            (finished(2, "", "nosuch.invalid: Name or service not known\n"), "Name or service not known"),
            (finished(1, "", "traceroute: socket: Operation not permitted\n"), "AmbientCapabilities=CAP_NET_RAW"),
            (finished(64, "", "traceroute: invalid option -- 'n'\n"), "Install Debian's traceroute or BusyBox's"),
            (finished(0, "", ""), "`traceroute` said: nothing"),
        ];
        for (finished, expected) in cases {
            let why = read(&finished).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        assert!(with_remedy("`traceroute` was not found in /bin").ends_with("Install traceroute."));
    }
}
