//! `conntrack_summary`, `conntrack_list`: what the kernel's connection tracking holds, as `conntrack -L` prints it.
//!
//! A table may have a hundred thousand entries and each line is looked at once, as it comes: none is kept that is
//! not shown. Filters are applied here, not by `conntrack`, so that nothing of a client's reaches a command.
//! `/proc/net/nf_conntrack` is not read: CAP_NET_ADMIN is not enough for it, and many kernels have none.

use super::kernel;
use super::shape::{
    Arguments, Call, Command, How, Reading, Remedies, Rows, Shape, Told, failure, object, put, remedied, words,
};
use crate::bounds::digits;
use crate::process::Finished;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// The longest line; real ones have 300 bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// How many different addresses a summary counts, each some 150 bytes; and how many of them it shows.
const ADDRESSES_MAX: usize = 20_000;
const TOP: usize = 10;

const COUNT_MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

pub(super) static CONNTRACK_SUMMARY: Shape = Shape {
    name: "conntrack_summary",
    description: "Tracked connections: how many of how many possible, by protocol and state, top sources and destinations.",
    input: r#""properties":{}"#,
    output: "",
    open_world: false,
    how: How::Command(|_| Ok(command(Box::<Summary>::default()))),
};

pub(super) static CONNTRACK_LIST: Shape = Shape {
    name: "conntrack_list",
    description: "Tracked connections, original and reply direction (NAT shows in the reply).",
    input: r#""properties":{
        "protocol":{"type":"string","description":"Such as tcp."},
        "source":{"type":"string"},
        "destination":{"type":"string"},
        "port":{"type":"integer","minimum":0,"maximum":65535,"description":"Source's or destination's."},
        "state":{"type":"string","description":"Such as ESTABLISHED, UNREPLIED."},
        "limit":{"type":"integer","minimum":1,"maximum":1000,"default":100}}"#,
    output: "",
    open_world: false,
    how: How::Command(|call| Ok(command(Box::new(list(&call.args)?)))),
};

/// What is made of the entries that `conntrack -L` prints.
trait Entries {
    fn add(&mut self, entry: &Entry<'_>);
    fn answer(self: Box<Self>) -> Map<String, Value>;
}

fn command(entries: Box<dyn Entries>) -> Command {
    let words = words(&["-L", "-o", "extended,id"]);
    let command = Command::new("conntrack", words, Box::new(Table(entries)));
    Command { stdout_bytes_max: LINE_BYTES_MAX, streams: true, with_remedy, ..command }
}

struct Table(Box<dyn Entries>);

impl Reading for Table {
    fn line(&mut self, _: &Call, line: &str) {
        if let Some(entry) = Entry::read(line) {
            self.0.add(&entry);
        }
    }

    fn end(self: Box<Self>, _: &Call, finished: &Finished) -> Told {
        if !finished.status.success() {
            return Err(with_remedy(&failure("conntrack", finished)));
        }
        Ok(self.0.answer())
    }
}

/// A fault, with what helps where the command or the right to ask the kernel is missing.
fn with_remedy(fault: &str) -> String {
    const REMEDIES: &Remedies = &[
        (&["was not found"], "Install conntrack (Debian: conntrack; OpenWrt: conntrack)."),
        (
            &["CAP_NET_ADMIN", "not permitted"],
            "Give the right to the server's unit with `AmbientCapabilities=CAP_NET_ADMIN`, or run the server as root.",
        ),
    ];
    remedied(fault, REMEDIES)
}

/// One line, taken apart.
#[derive(Default)]
struct Entry<'a> {
    protocol: &'a str,
    seconds: &'a str,
    state: &'a str,
    /// `ASSURED`, `UNREPLIED`, `OFFLOAD`, as they stand in brackets.
    flags: Vec<&'a str>,
    /// Names and values of the original direction, of the reply, and of both.
    ways: [Vec<(&'a str, &'a str)>; 3],
}

impl<'a> Entry<'a> {
    /// `ipv4 2 tcp 6 299 ESTABLISHED src=… dst=… sport=… dport=… src=… dst=… … [ASSURED] mark=0 use=1 id=7`: the reply
    /// begins with the second `src`, and ends with the first name it already has or that no direction has.
    fn read(line: &'a str) -> Option<Entry<'a>> {
        let mut entry = Entry::default();
        let mut way = None;
        for (at, word) in line.split_ascii_whitespace().enumerate() {
            match word.split_once('=') {
                Some((name, value)) => {
                    let begins = name == "src";
                    let now = match way {
                        None => 0,
                        Some(0) if begins => 1,
                        Some(1) if entry.ways[1].iter().any(|(had, _)| *had == name) || !is_directed(name) => 2,
                        // What both directions share may stand between them, too.
                        Some(0) if !is_directed(name) => {
                            entry.ways[2].push((name, value));
                            continue;
                        }
                        Some(now) => now,
                    };
                    // An entry's own id follows one of ICMP.
                    way = Some(now);
                    entry.ways[now].push((name, value));
                }
                None if word.starts_with('[') => entry.flags.push(word.trim_matches(['[', ']'])),
                None => match at {
                    2 => entry.protocol = word,
                    4 => entry.seconds = word,
                    5 => entry.state = word,
                    _ => {}
                },
            }
        }
        way.map(|_| entry)
    }

    fn get(&self, name: &str) -> &'a str {
        self.ways[0].iter().find(|(had, _)| *had == name).map_or("", |(_, value)| value)
    }

    /// The state; of protocols that have none whether a reply was seen.
    fn state(&self) -> &'a str {
        match self.state {
            "" => self.flags.first().copied().unwrap_or("REPLIED"),
            state => state,
        }
    }

    fn row(&self) -> Value {
        let flags = self.flags.join(" ");
        let mut fields = vec![("protocol", self.protocol), ("state", self.state()), ("flags", &*flags)];
        fields.extend_from_slice(&self.ways[2]);
        let mut row = object(&fields);
        put(&mut row, "seconds_left", digits(self.seconds).unwrap_or_default().into());
        for (name, way) in [("original", 0), ("reply", 1)] {
            put(&mut row, name, Value::Object(object(&self.ways[way])));
        }
        Value::Object(row)
    }
}

fn is_directed(name: &str) -> bool {
    ["src", "dst", "sport", "dport", "type", "code", "id", "packets", "bytes", "srckey", "dstkey", "zone-orig"]
        .contains(&name)
}

/// Entries that a filter lets through, the first of them.
struct Listed {
    rows: Rows,
    protocol: Option<String>,
    state: Option<String>,
    addresses: [Option<IpAddr>; 2],
    port: Option<String>,
}

fn list(args: &Arguments) -> Result<Listed, String> {
    Ok(Listed {
        rows: args.rows(),
        protocol: args.text("protocol").map(str::to_ascii_lowercase),
        state: args.text("state").map(str::to_ascii_uppercase),
        addresses: [args.address("source")?, args.address("destination")?],
        port: args.number("port").map(|port| port.to_string()),
    })
}

impl Entries for Listed {
    fn add(&mut self, entry: &Entry<'_>) {
        let is = |name: &str, wanted: &Option<String>| wanted.as_deref().is_none_or(|port| entry.get(name) == port);
        let from = |name: &str, wanted: Option<IpAddr>| wanted.is_none_or(|to| entry.get(name).parse() == Ok(to));
        let in_state = |state: &String| entry.state() == state || entry.flags.contains(&state.as_str());
        if self.protocol.as_deref().is_none_or(|protocol| protocol == entry.protocol)
            && self.state.as_ref().is_none_or(in_state)
            && from("src", self.addresses[0])
            && from("dst", self.addresses[1])
            && (is("sport", &self.port) || is("dport", &self.port))
        {
            self.rows.push(&mut || entry.row());
        }
    }

    fn answer(self: Box<Self>) -> Map<String, Value> {
        self.rows.answer("connections")
    }
}

/// Counts by text, of which there may be so many.
#[derive(Default)]
struct Counts {
    counts: Map<String, Value>,
    beyond: u32,
}

impl Counts {
    fn add(&mut self, text: &str) {
        if let Some(count) = self.counts.get_mut(text) {
            *count = (count.as_u64().unwrap_or_default() + 1).into();
        } else if self.counts.len() < ADDRESSES_MAX {
            self.counts.insert(text.into(), 1.into());
        } else {
            self.beyond += 1;
        }
    }

    /// Those with the most, the most first.
    fn top(mut self) -> Value {
        let mut top = Vec::new();
        while top.len() < TOP {
            let most = self.counts.iter().max_by_key(|(_, count)| count.as_u64());
            let Some(text) = most.map(|(text, _)| text.clone()) else { break };
            let mut row = object(&[("address", &text)]);
            put(&mut row, "connections", self.counts.remove(&text).unwrap_or_default());
            top.push(Value::Object(row));
        }
        Value::Array(top)
    }
}

#[derive(Default)]
struct Summary {
    count: u32,
    protocols: Counts,
    sources: Counts,
    destinations: Counts,
}

impl Entries for Summary {
    fn add(&mut self, entry: &Entry<'_>) {
        self.count += 1;
        self.protocols.add(&[entry.protocol, " ", entry.state()].concat());
        self.sources.add(entry.get("src"));
        self.destinations.add(entry.get("dst"));
    }

    fn answer(self: Box<Self>) -> Map<String, Value> {
        let mut told = Map::new();
        put(&mut told, "count", self.count.into());
        let most = kernel(COUNT_MAX).and_then(|text| digits(text.trim_ascii()));
        put(&mut told, "max", most.map_or(Value::Null, Value::from));
        put(&mut told, "protocols", Value::Object(self.protocols.counts));
        let beyond = self.sources.beyond.max(self.destinations.beyond);
        if beyond > 0 {
            // Whoever comes first is counted; the top may lack one that came late.
            put(&mut told, "not_counted_by_address", beyond.into());
        }
        put(&mut told, "sources", self.sources.top());
        put(&mut told, "destinations", self.destinations.top());
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LINES: [&str; 4] = [
        "ipv4     2 tcp      6 431999 ESTABLISHED src=192.0.2.2 dst=198.51.100.2 sport=40000 dport=443 packets=5 bytes=300 src=198.51.100.2 dst=198.51.100.1 sport=443 dport=40000 packets=4 bytes=900 [ASSURED] mark=0 use=1 id=1",
        "ipv4     2 udp      17 29 src=192.0.2.2 dst=192.0.2.1 sport=36372 dport=53 [UNREPLIED] src=192.0.2.1 dst=192.0.2.2 sport=53 dport=36372 mark=0 use=1 id=2",
        "ipv6     10 icmpv6   58 29 src=2001:db8::2 dst=2001:db8::1 type=128 code=0 id=19770 src=2001:db8::1 dst=2001:db8::2 type=129 code=0 id=19770 mark=0 use=1 id=3",
        "conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.",
    ];

    fn told(mut entries: Box<dyn Entries>) -> Value {
        LINES.iter().filter_map(|line| Entry::read(line)).for_each(|entry| entries.add(&entry));
        Value::Object(entries.answer())
    }

    fn listed(args: Value) -> Value {
        told(Box::new(list(&Arguments(args)).unwrap()))
    }

    #[test]
    fn a_line_becomes_a_row_with_both_directions() {
        let rows = listed(json!({}));
        assert_eq!((&rows["total"], &rows["shown"]), (&json!(3), &json!(3)));
        let expected = json!({
            "protocol": "tcp", "state": "ESTABLISHED", "flags": "ASSURED", "seconds_left": 431_999,
            "original": {"src": "192.0.2.2", "dst": "198.51.100.2", "sport": "40000", "dport": "443", "packets": "5", "bytes": "300"},
            "reply": {"src": "198.51.100.2", "dst": "198.51.100.1", "sport": "443", "dport": "40000", "packets": "4", "bytes": "900"},
            "mark": "0", "use": "1", "id": "1",
        });
        assert_eq!(rows["connections"][0], expected);
        let icmp = &rows["connections"][2];
        assert_eq!(
            (&icmp["original"]["id"], &icmp["reply"]["id"], &icmp["id"]),
            (&json!("19770"), &json!("19770"), &json!("3"))
        );
    }

    #[test]
    fn a_filter_lets_through_what_it_names() {
        let cases = [
            (json!({"protocol": "UDP"}), "2"),
            (json!({"source": "2001:db8:0::2"}), "3"),
            (json!({"destination": "198.51.100.2"}), "1"),
            (json!({"port": 443}), "1"),
            (json!({"port": 36372}), "2"),
            (json!({"state": "unreplied"}), "2"),
            (json!({"state": "established"}), "1"),
        ];
        for (args, id) in cases {
            let rows = listed(args.clone());
            assert_eq!((&rows["total"], &rows["connections"][0]["id"]), (&json!(1), &json!(id)), "{args}");
        }
        assert_eq!(listed(json!({"port": 44}))["total"], 0);
        let why = list(&Arguments(json!({"source": "-f"}))).err().unwrap();
        assert!(why.contains("`source`: got \"-f\""), "{why}");
    }

    #[test]
    fn a_summary_counts_and_shows_the_most_first() {
        let summary = told(Box::<Summary>::default());
        assert_eq!(summary["count"], 3);
        assert_eq!(summary["protocols"], json!({"tcp ESTABLISHED": 1, "udp UNREPLIED": 1, "icmpv6 REPLIED": 1}));
        assert_eq!(summary["sources"][0], json!({"address": "192.0.2.2", "connections": 2}));
    }

    #[test]
    fn addresses_beyond_the_bound_are_counted_as_such() {
        let mut counts = Counts::default();
        for n in 0..ADDRESSES_MAX + 5 {
            counts.add(&n.to_string());
        }
        counts.add("7");
        assert_eq!((counts.beyond, counts.counts.len()), (5, ADDRESSES_MAX));
        let top = counts.top();
        assert_eq!((top.as_array().map(Vec::len), &top[0]), (Some(TOP), &json!({"address": "7", "connections": 2})));
    }
}
