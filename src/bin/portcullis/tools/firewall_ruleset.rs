//! `firewall_ruleset`: the nftables rules, exactly as `nft -j -t list ruleset` tells them.
//!
//! Terse (`-t`) always: a set of 200,000 addresses costs 268 MB and 4 s to list, its name costs nothing. And the
//! whole ruleset (of a family) always: asked for one table, `nft` loads every set there is, terse or not.
//! `nft` joins its arguments and reads them as one text of its own language, where `;` begins the next
//! command: a table named `x; flush ruleset` would flush the rules. So names are checked letter by letter.

use super::shape::{self, Call, Command, How, Reading, Remedies, Shape, Told, failure, put, remedied};
use super::{checked, refusal};
use crate::process::Finished;
use serde_json::{Map, Value};

const FAMILIES: [&str; 6] = ["inet", "ip", "ip6", "arp", "bridge", "netdev"];

/// What `nft` allows in an identifier besides letters and digits, and the longest the kernel takes.
pub(super) const NAME_EXTRA: &str = "_-./";
pub(super) const NAME_BYTES_MAX: usize = 255;

const OUTPUT: &str = r#"{
    "type": "object", "required": ["nftables"],
    "properties": { "nftables": { "type": "array", "items": { "type": "object" } } }
}"#;

pub(super) static FIREWALL_RULESET: Shape = Shape {
    name: "firewall_ruleset",
    description: "nftables rules of this machine (tables, chains, rules, counters, sets without their elements), \
                  as `nft -j -t` prints them.",
    input: INPUT,
    output: OUTPUT,
    open_world: false,
    how: How::Command(list),
};

const INPUT: &str = r#""properties":{
    "family":{"type":"string","enum":["inet","ip","ip6","arp","bridge","netdev"],
        "description":"Only tables of this family."},
    "table":{"type":"string","description":"Only this table; needs `family`."}}"#;

/// What is read of the rules where not all is shown: some 10,000 of them. It is held twice for a moment.
const RULES_BYTES_MAX: usize = 4 << 20;

fn list(call: &Call) -> Result<Command, String> {
    let (family, table) = (call.args.text("family"), call.args.text("table"));
    let bytes_max = if table.is_some() { RULES_BYTES_MAX } else { call.answer_bytes_max };
    let tell = |_: &Call, rules: Vec<Value>| {
        let mut told = Map::new();
        put(&mut told, "nftables", Value::Array(rules));
        told
    };
    Ok(Command { stdout_bytes_max: bytes_max, ..ruleset(family, table, tell)? })
}

/// What is told of the rules as `nft` tells them, sets without their elements.
pub(super) fn ruleset(family: Option<&str>, table: Option<&str>, tell: Tell) -> Result<Command, String> {
    let (words, table) = (words(family, table)?, table.map(str::to_owned));
    let command = Command::new("nft", shape::words(&words), Box::new(Ruleset { table, tell }));
    Ok(Command { stdout_bytes_max: RULES_BYTES_MAX, with_remedy, ..command })
}

/// Makes an answer of rules.
type Tell = fn(&Call, Vec<Value>) -> Map<String, Value>;

struct Ruleset {
    /// The only one of which something is told.
    table: Option<String>,
    tell: Tell,
}

impl Reading for Ruleset {
    fn end(self: Box<Self>, call: &Call, finished: &Finished) -> Told {
        let mut rules = read(finished)?;
        if let Some(table) = &self.table {
            only(&mut rules, table)?;
        }
        Ok((self.tell)(call, rules))
    }
}

/// Leaves what belongs to a table.
fn only(rules: &mut Vec<Value>, table: &str) -> Result<(), String> {
    let is_of_it = |object: &Value| {
        object.as_object().and_then(|object| object.iter().next()).is_some_and(|(kind, fields)| match kind.as_str() {
            "metainfo" => true,
            "table" => fields["name"] == table,
            _ => fields["table"] == table,
        })
    };
    rules.retain(is_of_it);
    if !rules.iter().any(|object| object.get("table").is_some()) {
        return Err(format!("`table`: there is no table {table} of this family"));
    }
    Ok(())
}

/// The arguments of `nft`.
fn words<'a>(family: Option<&'a str>, table: Option<&str>) -> Result<Vec<&'a str>, String> {
    let family = match family {
        Some(family) if !FAMILIES.contains(&family) => {
            return Err(refusal("family", family, &format!("expected one of {}", FAMILIES.join(", "))));
        }
        family => family,
    };
    if let Some(table) = table {
        checked("table", table, NAME_BYTES_MAX, NAME_EXTRA)?;
        if family.is_none() {
            return Err(format!("`table` needs `family`, one of {}", FAMILIES.join(", ")));
        }
    }
    let mut words = vec!["-j", "-t", "list", "ruleset"];
    words.extend(family);
    Ok(words)
}

/// What `nft` told, or why it did not.
fn read(finished: &Finished) -> Result<Vec<Value>, String> {
    if !finished.status.success() {
        return Err(with_remedy(&failure("nft", finished)));
    }
    match serde_json::from_str::<Value>(&finished.stdout) {
        Ok(mut ruleset) => match ruleset.get_mut("nftables").map(Value::take) {
            Some(Value::Array(rules)) => Ok(rules),
            _ => Err("`nft -j` printed JSON without `nftables`".into()),
        },
        Err(error) => Err(with_remedy(&format!("`nft -j` printed no JSON: {error}"))),
    }
}

/// Adds what helps where the command, its JSON, or the right to ask the kernel is missing.
pub(super) fn with_remedy(fault: &str) -> String {
    const REMEDIES: &Remedies = &[
        (
            &["Operation not permitted", "must be root"],
            "Reading the rules needs the right CAP_NET_ADMIN: give it to the server's unit with \
             `AmbientCapabilities=CAP_NET_ADMIN`, or run the server as root.",
        ),
        (&["was not found"], "Install nftables; this machine may also have no firewall."),
        (
            &["printed more than"],
            "Ask for one table with `family` and `table`, or start the server with a larger `--result-bytes-max`.",
        ),
        (
            &["Memory allocation failure"],
            "`nft` loads every set of the machine for this, and half of the free memory was too little for it.",
        ),
        (
            &["printed no JSON", "JSON support not compiled-in"],
            "Install an nftables that was built with JSON (on OpenWrt: nftables-json).",
        ),
    ];
    remedied(fault, REMEDIES)
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn the_schema_knows_every_family() {
        let input: Value = serde_json::from_str(&format!("{{{INPUT}}}")).unwrap();
        assert_eq!(input["properties"]["family"]["enum"], serde_json::json!(FAMILIES));
    }

    #[test]
    fn nft_is_only_ever_asked_to_list() {
        let cases = [
            (None, None, "-j -t list ruleset"),
            (Some("ip6"), None, "-j -t list ruleset ip6"),
            (Some("inet"), Some("fw4"), "-j -t list ruleset inet"),
        ];
        for (family, table, expected) in cases {
            assert_eq!(words(family, table).unwrap().join(" "), expected);
        }
    }

    #[test]
    fn a_name_that_nft_would_read_as_a_command_is_refused() {
        let cases = [
            (Some("inet"), Some("x; flush ruleset"), "`table`: got \"x; flush ruleset\""),
            (Some("inet"), Some("x\nflush ruleset"), "`table`: got \"x\\nflush ruleset\""),
            (Some("inet"), Some("-f"), "`table`: got \"-f\""),
            (Some("inet"), Some("\"x\""), "`table`"),
            (Some("inet"), Some(""), "`table`"),
            (Some("inet; flush ruleset"), None, "`family`: got \"inet; flush ruleset\", expected one of inet, ip,"),
            (Some("-f"), None, "`family`"),
            (None, Some("filter"), "`table` needs `family`"),
        ];
        for (family, table, expected) in cases {
            let why = words(family, table).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn what_nft_prints_is_passed_on_as_it_is() {
        let printed = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"rule": {"handle": 8, "expr": [{"accept": null}]}}]}"#;
        let expected = serde_json::from_str::<Value>(printed).unwrap();
        assert_eq!(Value::Array(read(&finished(0, printed, "")).unwrap()), expected["nftables"]);
    }

    #[test]
    fn of_one_table_is_shown_what_belongs_to_it() {
        let rules = serde_json::json!([{"metainfo": {}}, {"table": {"name": "a"}}, {"table": {"name": "b"}},
            {"chain": {"table": "a"}}, {"rule": {"table": "b"}}]);
        let mut rules = rules.as_array().unwrap().clone();
        only(&mut rules, "a").unwrap();
        assert_eq!(
            Value::Array(rules.clone()),
            serde_json::json!([{"metainfo": {}}, {"table": {"name": "a"}}, {"chain": {"table": "a"}}])
        );
        assert!(only(&mut rules, "c").unwrap_err().contains("no table c"));
    }

    #[test]
    fn a_missing_right_or_command_names_its_remedy() {
        let cases = [
            (
                finished(
                    1,
                    "",
                    "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed",
                ),
                "AmbientCapabilities=CAP_NET_ADMIN",
            ),
            (
                finished(1, "", "Error: No such file or directory\nlist table inet nope\n"),
                "`nft` said: Error: No such file or directory",
            ),
            (finished(1, "", "Error: JSON support not compiled-in\n"), "nftables-json"),
            (finished(0, "table inet x {", ""), "nftables-json"),
            (finished(0, "[]", ""), "without `nftables`"),
        ];
        for (finished, expected) in cases {
            let why = read(&finished).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        assert!(with_remedy("`nft` was not found in /bin").contains("Install nftables"));
        assert!(with_remedy("`nft` printed more than 9 bytes").contains("`family` and `table`"));
    }
}
