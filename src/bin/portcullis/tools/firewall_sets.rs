//! `firewall_counters`, `firewall_set_lookup`: what the firewall counts, and whether a set has an address.
//!
//! Both begin with the terse rules. A set is never listed; but `nft` (1.0.6 to the day of writing) loads the sets of the
//! whole machine before it asks for one element: 133 MB for 200,000 addresses. So it gets half of the memory that is
//! free, and where that is too little it ends, and says why. `get element` prints text even where JSON is asked for.

use super::firewall_ruleset::{NAME_BYTES_MAX, NAME_EXTRA, ruleset, with_remedy};
use super::shape::{Call, Command, How, Reading, Shape, Told, failure, put, run, words};
use super::{checked, kernel};
use crate::bounds::digits;
use crate::process::Finished;
use serde_json::{Map, Value};

pub(super) static FIREWALL_COUNTERS: Shape = Shape {
    name: "firewall_counters",
    description: "Packets and bytes of nftables counters: named ones and those in rules.",
    input: r#""properties":{
        "family":{"type":"string","enum":["inet","ip","ip6","arp","bridge","netdev"]},
        "table":{"type":"string","description":"Needs `family`."},
        "limit":{"type":"integer","minimum":1,"maximum":1000,"default":100}}"#,
    output: "",
    open_world: false,
    how: How::Command(|call| ruleset(call.args.text("family"), call.args.text("table"), counters)),
};

pub(super) static FIREWALL_SET_LOOKUP: Shape = Shape {
    name: "firewall_set_lookup",
    description: "Whether an nftables set or map has an address, and the element (such as an interval) that has it.",
    input: r#""required":["family","table","set","address"],"properties":{
        "family":{"type":"string","enum":["inet","ip","ip6","arp","bridge","netdev"]},
        "table":{"type":"string"},
        "set":{"type":"string"},
        "address":{"type":"string","description":"Or what else the set has; `A . B` of a concatenation."}}"#,
    output: "",
    open_world: false,
    how: How::Steps(|call| Box::pin(lookup(call))),
};

/// The named counters, and the rules that count.
#[expect(clippy::needless_pass_by_value, reason = "others show them")]
fn counters(call: &Call, rules: Vec<Value>) -> Map<String, Value> {
    let mut rows = call.args.rows();
    for (object, counts) in rules.iter().filter_map(counted) {
        rows.push(&mut || row(object, counts));
    }
    rows.answer("counters")
}

/// What counts, and what it has counted.
fn counted(object: &Value) -> Option<(&Value, &Value)> {
    if let Some(counter) = object.get("counter") {
        return Some((counter, counter));
    }
    let rule = object.get("rule")?;
    // One that only names a counter has a text here, and is told with that counter.
    let counts = rule["expr"].as_array()?.iter().map(|step| &step["counter"]).find(|counter| counter.is_object())?;
    Some((rule, counts))
}

fn row(object: &Value, counts: &Value) -> Value {
    let mut row = Map::new();
    copy(&mut row, object, &["family", "table", "name", "chain", "handle", "comment"]);
    copy(&mut row, counts, &["packets", "bytes"]);
    Value::Object(row)
}

/// Adds those of these fields that there are.
fn copy(row: &mut Map<String, Value>, from: &Value, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(name) {
            put(row, name, value.clone());
        }
    }
}

async fn lookup(call: &Call) -> Told {
    let [family, table, set, address] =
        ["family", "table", "set", "address"].map(|name| call.args.text(name).unwrap_or_default());
    checked("table", table, NAME_BYTES_MAX, NAME_EXTRA)?;
    checked("set", set, NAME_BYTES_MAX, NAME_EXTRA)?;
    for part in address.split(" . ") {
        checked("address", part, 64, ".:/_-")?;
    }
    let known = run(call, ruleset(Some(family), Some(table), description)?).await?;
    if known.is_empty() {
        return Err(format!("`set`: table {family} {table} has no set or map {set}"));
    }
    let words = words(&["get", "element", family, table, set, "{", address, "}"]);
    let command = Command::new("nft", words, Box::new(Found { known }));
    run(call, Command { address_space: Some(memory()), with_remedy, ..command }).await
}

/// The set that is asked for, as the rules describe it; nothing, if there is none.
#[expect(clippy::needless_pass_by_value, reason = "others show them")]
fn description(call: &Call, rules: Vec<Value>) -> Map<String, Value> {
    let name = call.args.text("set").unwrap_or_default();
    let mut sets = rules.iter().filter_map(|object| object.get("set").or(object.get("map")));
    let mut known = Map::new();
    if let Some(set) = sets.find(|set| set.get("elem").is_none() && set["name"] == name) {
        copy(&mut known, set, &["name", "type", "map", "flags"]);
    }
    known
}

struct Found {
    known: Map<String, Value>,
}

impl Reading for Found {
    fn end(mut self: Box<Self>, _: &Call, finished: &Finished) -> Told {
        let is_absent = finished.stderr.contains("No such file or directory");
        if !finished.status.success() && !is_absent {
            return Err(with_remedy(&failure("nft", finished)));
        }
        let element = element(&finished.stdout);
        self.known.remove("name");
        put(&mut self.known, "found", Value::from(!element.is_empty()));
        if !element.is_empty() {
            put(&mut self.known, "element", element.into());
        }
        Ok(self.known)
    }
}

/// What stands in `elements = { … }`.
fn element(printed: &str) -> &str {
    let after = printed.split_once("elements = {").map_or("", |(_, after)| after);
    after.rsplit_once("}\n\t}").map_or("", |(element, _)| element.trim_ascii())
}

/// Address space for an `nft` that loads every set: half of what is free, at least the usual, at most 1 GiB.
pub(super) fn memory() -> u64 {
    let told = kernel("/proc/meminfo").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    let free = line.trim_ascii().split(' ').next().and_then(digits).unwrap_or(0);
    free.saturating_mul(512).clamp(128 << 20, 1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn named_counters_and_rules_that_count_are_told() {
        let cases = [
            (
                json!({"counter": {"family": "inet", "name": "c", "table": "t", "handle": 1, "packets": 2, "bytes": 3}}),
                Some(json!({"family": "inet", "name": "c", "table": "t", "handle": 1, "packets": 2, "bytes": 3})),
            ),
            (
                json!({"rule": {"family": "ip", "table": "t", "chain": "i", "handle": 9, "comment": "x",
                    "expr": [{"match": {}}, {"counter": {"packets": 4, "bytes": 5}}, {"drop": null}]}}),
                Some(
                    json!({"family": "ip", "table": "t", "chain": "i", "handle": 9, "comment": "x", "packets": 4, "bytes": 5}),
                ),
            ),
            (json!({"rule": {"table": "t", "expr": [{"counter": "c"}]}}), None),
            (json!({"rule": {"table": "t", "expr": [{"accept": null}]}}), None),
            (json!({"set": {"table": "t", "name": "s"}}), None),
            (json!({"metainfo": {}}), None),
        ];
        for (object, expected) in cases {
            assert_eq!(counted(&object).map(|(object, counts)| row(object, counts)), expected, "{object}");
        }
    }

    #[test]
    fn the_element_is_what_stands_in_the_braces() {
        let printed = |element: &str| format!("table inet s {{\n\tset iv {{\n\t\ttype ipv4_addr\n{element}\t}}\n}}\n");
        let cases = [
            ("\t\telements = { 10.0.0.1-10.0.0.9 }\n", "10.0.0.1-10.0.0.9"),
            ("\t\telements = { 192.0.2.0/24 timeout 1h expires 59m }\n", "192.0.2.0/24 timeout 1h expires 59m"),
            ("\t\telements = { 1.1.1.1 . 22 : drop }\n", "1.1.1.1 . 22 : drop"),
            ("\t\telements = { 1.1.1.1 comment \"a } b\" }\n", "1.1.1.1 comment \"a } b\""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(element(&printed(text)), expected);
        }
    }

    #[test]
    fn a_lookup_gets_no_less_memory_than_others() {
        assert!((128 << 20..=1 << 30).contains(&memory()));
    }
}
