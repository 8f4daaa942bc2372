//! `firewall_trace`: which rule, or which policy, decided over packets that pass now.
//!
//! For as long as the call lasts a table of its own stands before all others and marks packets of a filter
//! (`meta nftrace set 1`, no more than 50 a second); the kernel then tells each step of theirs, which `nft monitor`
//! prints. The table must not outlive the call, nor us. An `nft -i` makes it, with the flag `owner`: the kernel removes it
//! when that `nft` ends, however it does, and it ends when its stdin does, which we hold. The last words of its stdin
//! delete the table, and lack a line end: they are read at that end, and what the deletion prints ends a `nft monitor`
//! that nobody reads any more. Where `nft` has no `-i` (OpenWrt) an `nft -f -` that holds nothing but these words
//! waits for the end of its stdin; then the kernel does not help where somebody kills that process.
//! All events are monitored, not only the trace, for the sake of that deletion.

use super::firewall_ruleset::with_remedy;
use super::firewall_sets::memory;
use super::shape::{Arguments, Call, How, Shape, Told, object, put};
use super::{LOOK_WAIT, checked, refusal};
use crate::bounds::digits;
use crate::process::{Finished, Run};
use async_io::Timer;
use serde_json::{Map, Value};
use smol::future;
use std::fmt::Write as _;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

const SECONDS: u32 = 10;
const PACKETS: u32 = 5;

/// How long the last packet may take to its end after its first step.
const GRACE: Duration = Duration::from_millis(300);

/// Steps that are kept of one packet, and the longest line of `nft monitor`.
const STEPS_MAX: usize = 64;
const LINE_BYTES_MAX: usize = 64 << 10;

/// Tables of this tool: of this call, and of others, which are no part of the firewall either.
const TABLE: &str = "portcullis_trace_";

pub(super) static FIREWALL_TRACE: Shape = Shape {
    name: "firewall_trace",
    description: "Why packets are dropped or accepted: watches those that pass now and match, tells each one's path \
                  through the nftables rules and what decided. Adds a table for the time of the call.",
    input: r#""properties":{
        "source":{"type":"string","description":"Address or prefix."},
        "destination":{"type":"string"},
        "protocol":{"type":"string","enum":["tcp","udp","icmp","icmpv6","sctp"]},
        "port":{"type":"integer","minimum":1,"maximum":65535,"description":"Destination's."},
        "interface":{"type":"string","description":"They come in on; of own packets: go out on."},
        "seconds":{"type":"integer","minimum":1,"maximum":60,"default":10},
        "packets":{"type":"integer","minimum":1,"maximum":20,"default":5}}"#,
    output: "",
    open_world: false,
    how: How::Steps(|call| Box::pin(trace(call))),
};

async fn trace(call: &Call) -> Told {
    let texts = Texts::new(&call.args)?;
    // Asked first, because `nft -i` goes on after a fault.
    nft(&["-c", &texts.owned], "", LOOK_WAIT).await?;

    let seconds = call.args.number("seconds").unwrap_or(SECONDS);
    let mut traced = Traced {
        table: &texts.table,
        packets: Vec::new(),
        packets_max: call.args.number("packets").unwrap_or(PACKETS) as usize,
    };
    watch(&mut traced, &texts, seconds).await?;

    let rules = nft(&["-a", "-s", "-t", "list", "ruleset"], "", LOOK_WAIT).await;
    Ok(traced.told(&rules.unwrap_or_default(), seconds))
}

/// What `nft` is told of the table.
struct Texts {
    table: String,
    /// Makes it for as long as its owner lives.
    owned: String,
    /// Makes it without an owner.
    plain: String,
    /// Takes it away.
    last: String,
}

impl Texts {
    fn new(args: &Arguments) -> Result<Texts, String> {
        let [incoming, own] = filters(args)?;
        let table = format!("{TABLE}{:x}", uuid::Uuid::new_v4().as_u64_pair().0);
        // Before `raw`, where connections may be exempted from tracking; nothing of it changes a packet's way.
        let made = |flags: &str| {
            format!(
                "add table inet {table} {{ {flags} chain p {{ type filter hook prerouting priority -400; \
                 {incoming} limit rate 50/second meta nftrace set 1; }}; chain o {{ type filter hook output priority \
                 -400; {own} limit rate 50/second meta nftrace set 1; }}; }}"
            )
        };
        Ok(Texts { owned: made("flags owner;"), plain: made(""), last: format!("delete table inet {table}"), table })
    }
}

/// Watches until there are packets enough or the time is over; when it ends, or is dropped, so does the table.
async fn watch(traced: &mut Traced<'_>, texts: &Texts, seconds: u32) -> Result<String, String> {
    let wait = Duration::from_secs(u64::from(seconds));
    let (enough, is_enough) = async_channel::bounded::<()>(1);
    let mut line = |line: &str| {
        if traced.take(line) {
            // Full: it was said already.
            let _ = enough.try_send(());
        }
    };
    let monitor = Run {
        program: "nft",
        args: &["monitor"],
        // This ends first only where the clock below fails.
        wait: wait * 2,
        stdout_bytes_max: LINE_BYTES_MAX,
        streams: true,
        address_space: Some(memory()),
        ..Run::default()
    };
    let monitor = async {
        Err(match monitor.finish(&mut line).await {
            Ok(ended) => with_remedy(&format!("`nft monitor` ended: {}", ended.stderr.trim_ascii())),
            Err(error) => with_remedy(&error.to_string()),
        })
    };
    let over = async {
        let seen = async { is_enough.recv().await.is_ok() };
        let late = async {
            Timer::after(wait).await;
            false
        };
        if future::or(seen, late).await {
            Timer::after(GRACE).await;
        }
        Ok(String::new())
    };
    let held = first(Box::pin(over), Box::pin(hold(texts, wait * 2)));
    first(held, Box::pin(monitor)).await
}

/// Makes the table and holds it; comes back only where that fails.
async fn hold(texts: &Texts, wait: Duration) -> Result<String, String> {
    let ended = nft(&["-i"], &[&*texts.owned, "\n", &texts.last].concat(), wait).await;
    log::debug!("`nft -i` ended, so the trace's table has no owner: {ended:?}");
    let (plain, last) = ([&*texts.plain], [&*texts.last, "\n"].concat());
    let guard = nft(&["-f", "-"], &last, wait);
    let made = async {
        nft(&plain, "", LOOK_WAIT).await?;
        future::pending().await
    };
    match first(guard, Box::pin(made)).await {
        Ok(said) => Err(with_remedy(&format!("`nft -f` ended: {said}"))),
        fault => fault,
    }
}

/// A command under way: what it will have printed, or why it failed.
type Ran<'a> = Pin<Box<dyn Future<Output = Result<String, String>> + 'a>>;

fn nft<'a>(args: &'a [&'a str], input: &'a str, wait: Duration) -> Ran<'a> {
    Box::pin(async move {
        let run = Run { program: "nft", args, input, wait, stdout_bytes_max: 4 << 20, ..Run::default() };
        match run.finish(&mut |_| ()).await {
            Ok(done) => printed(done),
            Err(error) => Err(with_remedy(&error.to_string())),
        }
    })
}

/// Both at once, until one of them ends.
fn first<'a>(one: Ran<'a>, other: Ran<'a>) -> Ran<'a> {
    Box::pin(future::or(one, other))
}

fn printed(done: Finished) -> Result<String, String> {
    if done.status.success() {
        return Ok(done.stdout);
    }
    let said = done.stderr.trim_ascii();
    let old = said.contains("owner") && said.contains("rror: ") && !said.contains("not permitted");
    let remedy = if old { "\nA trace needs Linux 5.12 and nftables 0.9.9, for a table that has an owner." } else { "" };
    Err(with_remedy(&format!("`nft` said: {said}{remedy}")))
}

/// What packets that come in must match, and those that this machine sends, in `nft`'s language.
fn filters(args: &Arguments) -> Result<[String; 2], String> {
    // Writing into a String cannot fail.
    let mut filter = String::new();
    for (argument, field) in [("source", "saddr"), ("destination", "daddr")] {
        if let Some(text) = args.text(argument) {
            let (address, length) = prefix(text)
                .ok_or_else(|| refusal(argument, text, "expected an IP address or a prefix such as 192.0.2.0/24"))?;
            let family = if address.is_ipv4() { "ip" } else { "ip6" };
            let _ = write!(filter, "{family} {field} {address}/{length} ");
        }
    }
    // One of the schema's words.
    match (args.text("protocol"), args.number("port")) {
        (Some(protocol), port) => {
            let _ = write!(filter, "meta l4proto {protocol} ");
            if let Some(port) = port {
                if protocol.starts_with("icmp") {
                    return Err(format!("`port`: {protocol} has none; leave out `port` or `protocol`"));
                }
                let _ = write!(filter, "th dport {port} ");
            }
        }
        (None, Some(port)) => {
            let _ = write!(filter, "meta l4proto {{ tcp, udp, sctp }} th dport {port} ");
        }
        (None, None) => {}
    }
    match args.text("interface") {
        Some(name) => {
            let name = checked("interface", name, 15, "._-:@+")?;
            Ok(["iifname", "oifname"].map(|way| format!("{way} \"{name}\" {filter}")))
        }
        None => Ok([filter.clone(), filter]),
    }
}

/// An address and how many of its bits count.
fn prefix(text: &str) -> Option<(IpAddr, u64)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(most), digits)?;
    (length <= most).then_some((address, length))
}

/// The packets of a trace.
struct Traced<'a> {
    table: &'a str,
    packets: Vec<Packet>,
    packets_max: usize,
}

/// One packet, and its steps in the order in which they were told.
#[derive(Default)]
struct Packet {
    id: String,
    /// Whether our own rule marked it, and not that of somebody else who traces.
    is_ours: bool,
    header: String,
    steps: Vec<Step>,
}

#[derive(Default)]
struct Step {
    /// Family, table, chain.
    place: String,
    /// `rule`, `policy`, or nothing for the end of a chain that was jumped to.
    kind: &'static str,
    rule: String,
    handle: String,
    verdict: String,
}

impl Traced<'_> {
    /// The answer.
    fn told(&self, rules: &str, seconds: u32) -> Map<String, Value> {
        let (mut told, mut packets) = (Map::new(), Vec::new());
        for packet in self.packets.iter().filter(|packet| packet.is_ours) {
            packets.push(packet.told(rules));
        }
        if packets.is_empty() {
            put(&mut told, "note", format!("No packet that matches came within {seconds} s.").into());
        }
        put(&mut told, "packets", Value::Array(packets));
        told
    }

    /// Takes a line; true when it is of the last packet that is wanted.
    fn take(&mut self, line: &str) -> bool {
        let Some((id, rest)) = line.strip_prefix("trace id ").and_then(|rest| rest.split_once(' ')) else {
            return false;
        };
        let mut words = rest.splitn(4, ' ');
        let (Some(family), Some(table), Some(chain), Some(told)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return false;
        };
        let at = self.packets.iter().position(|packet| packet.id == id);
        // Those of others who trace take no place from ours, but no more than as many are looked at.
        let ours = self.packets.iter().filter(|packet| packet.is_ours).count();
        let at = match at {
            Some(at) => at,
            None if ours < self.packets_max && self.packets.len() < 1024 => {
                self.packets.push(Packet { id: id.into(), ..Packet::default() });
                self.packets.len() - 1
            }
            None => return false,
        };
        let packet = &mut self.packets[at];
        if let Some(header) = told.strip_prefix("packet: ") {
            if packet.header.is_empty() {
                packet.header = header.trim_ascii().into();
            }
        } else if table == self.table {
            packet.is_ours |= told.contains("rule ");
        } else if !table.starts_with(TABLE) && packet.steps.len() < STEPS_MAX {
            packet.steps.push(Step::read([family, table, chain].join(" "), told.trim_ascii()));
        }
        self.packets.iter().filter(|packet| packet.is_ours).count() >= self.packets_max
    }
}

impl Step {
    fn read(place: String, told: &str) -> Step {
        let mut step = Step { place, ..Step::default() };
        if let Some(policy) = told.strip_prefix("policy ") {
            (step.kind, step.verdict) = ("policy", policy.into());
            return step;
        }
        let (text, verdict) = match told.rsplit_once("(verdict ") {
            Some((text, verdict)) => (text.trim_ascii(), verdict.trim_end_matches(')')),
            None => ("", told.strip_prefix("verdict ").unwrap_or(told)),
        };
        step.verdict = verdict.into();
        if let Some(handle) = text.strip_prefix("unknown rule handle ") {
            (step.kind, step.handle) = ("rule", handle.into());
        } else if let Some(rule) = text.strip_prefix("rule ") {
            (step.kind, step.rule) = ("rule", stateless(rule));
        }
        step
    }

    /// Adds what the rules know more: the handle of a text, if it is the only such one of its chain; or its text.
    fn complete(&self, rules: &str) -> Value {
        let (mut rule, mut handle) = (self.rule.as_str(), self.handle.as_str());
        let mut same = 0;
        for (text, of) in chain(rules, &self.place) {
            if !rule.is_empty() && text == rule {
                same += 1;
                handle = of;
            } else if rule.is_empty() && of == handle {
                rule = text;
            }
        }
        if same > 1 {
            handle = "";
        }
        let fields = [
            ("at", self.place.as_str()),
            ("kind", self.kind),
            ("rule", rule),
            ("handle", handle),
            ("verdict", &self.verdict),
        ];
        Value::Object(object(&fields))
    }
}

impl Packet {
    fn told(&self, rules: &str) -> Value {
        let mut told = object(&[("packet", &self.header)]);
        let path: Vec<Value> = self.steps.iter().map(|step| step.complete(rules)).collect();
        let goes_on = ["continue", "return", "jump", "goto"];
        let decides = |step: &&Step| !goes_on.iter().any(|word| step.verdict.starts_with(word));
        // A chain that accepts hands on to the next hook; the last one has decided.
        let last = self.steps.iter().rfind(decides);
        if let Some(step) = last {
            put(&mut told, "verdict", step.verdict.as_str().into());
            put(&mut told, "decided_by", step.complete(rules));
        }
        put(&mut told, "path", Value::Array(path));
        Value::Object(told)
    }
}

/// A rule without what it has counted.
fn stateless(rule: &str) -> String {
    let mut kept = Vec::new();
    let mut words = rule.split(' ').peekable();
    while let Some(word) = words.next() {
        kept.push(word);
        if word == "counter" && words.peek() == Some(&"packets") {
            words.nth(3);
        }
    }
    kept.join(" ")
}

/// The rules of one chain, with their handles, of what `nft -a list ruleset` prints.
fn chain<'a>(rules: &'a str, place: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let (table, chain) = place.rsplit_once(' ').unwrap_or((place, ""));
    let (table, chain) = (format!("table {table} {{"), format!("\tchain {chain} {{"));
    let (mut in_table, mut in_chain) = (false, false);
    rules.lines().filter_map(move |line| {
        if line.starts_with("table ") {
            in_table = line.starts_with(&table);
        } else if line.starts_with("\tchain ") {
            in_chain = in_table && line.starts_with(&chain);
        } else if line == "\t}" {
            in_chain = false;
        } else if in_chain {
            return line.trim_ascii().rsplit_once(" # handle ");
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_filter_is_told_in_the_words_of_nft_and_nothing_else_reaches_it() {
        let cases = [
            (json!({}), "", ""),
            (json!({"source": "192.0.2.0/24"}), "ip saddr 192.0.2.0/24 ", "ip saddr 192.0.2.0/24 "),
            (json!({"destination": "2001:DB8::1"}), "ip6 daddr 2001:db8::1/128 ", "ip6 daddr 2001:db8::1/128 "),
            (json!({"protocol": "tcp", "port": 22}), "meta l4proto tcp th dport 22 ", "meta l4proto tcp th dport 22 "),
            (json!({"interface": "lan0"}), "iifname \"lan0\" ", "oifname \"lan0\" "),
        ];
        for (args, incoming, own) in cases {
            assert_eq!(filters(&Arguments(args)), Ok([incoming.to_owned(), own.to_owned()]));
        }
        let cases = [
            (json!({"source": "1.2.3.4; flush ruleset"}), "`source`: got \"1.2.3.4; flush ruleset\""),
            (json!({"source": "1.2.3.4/33"}), "`source`"),
            (json!({"destination": "fe80::1/x"}), "`destination`"),
            (json!({"interface": "x\"; flush ruleset"}), "`interface`"),
            (json!({"protocol": "icmp", "port": 1}), "`port`: icmp has none"),
        ];
        for (args, expected) in cases {
            let why = filters(&Arguments(args)).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }

    const TOLD: &str = r#"add table inet portcullis_trace_1
# new generation 4 by process 9770 (nft)
trace id a1 inet portcullis_trace_1 p packet: iif "lan0" ip saddr 192.0.2.2 ip daddr 198.51.100.2
trace id a1 inet portcullis_trace_1 p unknown rule handle 3 (verdict continue)
trace id a1 inet portcullis_trace_1 p policy accept
trace id b2 inet portcullis_trace_2 p packet: iif "lan0" ip saddr 192.0.2.3
trace id b2 inet portcullis_trace_2 p unknown rule handle 3 (verdict continue)
trace id b2 inet portcullis_trace_1 p policy accept
trace id a1 inet f i packet: iif "lan0" oif "wan0" ip saddr 192.0.2.2
trace id a1 inet f i unknown rule handle 5 (verdict continue)
trace id a1 inet f i rule ip saddr 192.0.2.0/24 jump j (verdict jump j)
trace id a1 inet f j rule ip saddr @blocked counter packets 7 bytes 9 drop comment "x y" (verdict drop)
trace id"#;

    const RULES: &str = "table inet f { # handle 1\n\tset i { # handle 3\n\t}\n\n\tchain i { # handle 1\n\t\ttype filter hook \
        input priority filter; policy accept;\n\t\ticmp type echo-request counter # handle 5\n\t\tip saddr 192.0.2.0/24 jump j # \
        handle 6\n\t\tip saddr 192.0.2.0/24 jump j # handle 7\n\t}\n\n\tchain j { # handle 2\n\t\tip saddr @blocked counter drop \
        comment \"x y\" # handle 8\n\t}\n}\n";

    #[test]
    fn the_rule_that_decided_is_named_with_its_handle() {
        let mut traced = Traced { table: "portcullis_trace_1", packets: Vec::new(), packets_max: 1 };
        let enough: Vec<bool> = TOLD.lines().map(|line| traced.take(line)).collect();
        assert_eq!(enough.iter().position(|is| *is), Some(3), "our own rule makes a packet ours");
        let packet = traced.packets[0].told(RULES);
        assert_eq!(packet["packet"], "iif \"lan0\" ip saddr 192.0.2.2 ip daddr 198.51.100.2");
        let rule = "ip saddr @blocked counter drop comment \"x y\"";
        let expected = json!({"at": "inet f j", "kind": "rule", "rule": rule, "handle": "8", "verdict": "drop"});
        assert_eq!((&packet["verdict"], &packet["decided_by"]), (&json!("drop"), &expected));
        let path = json!([
            {"at": "inet f i", "kind": "rule", "rule": "icmp type echo-request counter", "handle": "5", "verdict": "continue"},
            {"at": "inet f i", "kind": "rule", "rule": "ip saddr 192.0.2.0/24 jump j", "verdict": "jump j"},
            expected
        ]);
        assert_eq!(packet["path"], path, "of two equal rules no handle is told");
        assert!(!traced.packets.iter().any(|packet| packet.id == "b2" && packet.is_ours));
    }

    #[test]
    fn a_policy_that_decided_is_named() {
        let mut traced = Traced { table: "portcullis_trace_1", packets: Vec::new(), packets_max: 2 };
        for told in
            ["portcullis_trace_1 p unknown rule handle 3 (verdict continue)", "f i verdict continue", "f i policy drop"]
        {
            assert!(!traced.take(&format!("trace id c3 inet {told} ")));
        }
        let expected = json!({"at": "inet f i", "kind": "policy", "verdict": "drop"});
        assert_eq!(traced.packets[0].told("")["decided_by"], expected);
    }
}
