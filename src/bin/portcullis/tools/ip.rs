//! `interfaces`, `routes`, `route_get`, `neighbours`: what `ip -j` tells, as it tells it.
//!
//! None needs a right. Rows are passed on as they are: whoever knows `ip` knows the answer. Routes and neighbours
//! can be many, so the first are shown and all are counted. What comes from a client is checked here: an address is
//! one for the standard library too, a name has no letter that `ip` could read as something else, and both stand
//! behind a keyword.

use super::checked;
use super::shape::{Arguments, Call, Command, How, Reading, Remedies, Shape, Told, failure, put, remedied, words};
use crate::process::Finished;
use Shown::{All, First, One};
use serde_json::Map;
use serde_json::value::RawValue;

/// What may stand in an interface's name besides letters and digits (IFNAMSIZ leaves 15 bytes).
const NAME_EXTRA: &str = "._-:@+";
const NAME_BYTES_MAX: usize = 15;

/// What is read of a list of which the first rows are shown: some 30,000 routes. It is held twice for a moment.
const LIST_BYTES_MAX: usize = 4 << 20;

pub(super) static INTERFACES: Shape = Shape {
    name: "interfaces",
    description: "Network interfaces: state, MAC, MTU and addresses, as `ip -j addr` prints them.",
    input: r#""properties":{"name":{"type":"string","description":"Only this one, such as eth0."}}"#,
    output: "",
    open_world: false,
    how: How::Command(|call| ask(call, All("interfaces"), interfaces)),
};

pub(super) static ROUTES: Shape = Shape {
    name: "routes",
    description: "A routing table, as `ip -j route` prints it.",
    input: r#""properties":{
        "family":{"type":"string","enum":["inet","inet6"],"default":"inet"},
        "table":{"type":"string","default":"main","description":"Name, number or `all`."},
        "limit":{"type":"integer","minimum":1,"maximum":1000,"default":100}}"#,
    output: "",
    open_world: false,
    how: How::Command(|call| ask(call, First("routes"), routes)),
};

pub(super) static ROUTE_GET: Shape = Shape {
    name: "route_get",
    description: "The route the kernel takes for one packet, as `ip -j route get` prints it.",
    input: r#""required":["address"],"properties":{
        "address":{"type":"string"},
        "source":{"type":"string","description":"Its source address."},
        "iif":{"type":"string","description":"Interface it comes in on."},
        "oif":{"type":"string"},
        "mark":{"type":"integer","minimum":0,"maximum":4294967295}}"#,
    output: "",
    open_world: false,
    how: How::Command(|call| ask(call, One("route"), route_get)),
};

pub(super) static NEIGHBOURS: Shape = Shape {
    name: "neighbours",
    description: "The ARP and NDP tables, as `ip -j neigh` prints them.",
    input: r#""properties":{
        "interface":{"type":"string"},
        "family":{"type":"string","enum":["inet","inet6"]},
        "limit":{"type":"integer","minimum":1,"maximum":1000,"default":100}}"#,
    output: "",
    open_world: false,
    how: How::Command(|call| ask(call, First("neighbours"), neighbours)),
};

/// The arguments of `ip`, from those of a call.
type Words = fn(&Arguments) -> Result<Vec<String>, String>;

fn interfaces(args: &Arguments) -> Result<Vec<String>, String> {
    let mut words = begin("", &["addr", "show"]);
    interface(args, "name", "dev", &mut words)?;
    Ok(words)
}

fn routes(args: &Arguments) -> Result<Vec<String>, String> {
    let mut words = begin(args.text("family").unwrap_or("inet"), &["route", "show", "table"]);
    words.push(checked("table", args.text("table").unwrap_or("main"), 64, "_-.")?.to_owned());
    Ok(words)
}

fn route_get(args: &Arguments) -> Result<Vec<String>, String> {
    let mut words = begin("", &["route", "get"]);
    for (argument, keyword) in [("address", "to"), ("source", "from")] {
        if let Some(address) = args.address(argument)? {
            add(&mut words, keyword, &address.to_string());
        }
    }
    interface(args, "iif", "iif", &mut words)?;
    interface(args, "oif", "oif", &mut words)?;
    if let Some(mark) = args.number("mark") {
        add(&mut words, "mark", &mark.to_string());
    }
    Ok(words)
}

fn neighbours(args: &Arguments) -> Result<Vec<String>, String> {
    let mut words = begin(args.text("family").unwrap_or_default(), &["neigh", "show"]);
    interface(args, "interface", "dev", &mut words)?;
    Ok(words)
}

/// JSON, the family if there is one, and the question.
fn begin(family: &str, question: &[&str]) -> Vec<String> {
    let mut all = vec!["-j"];
    match family {
        "inet" => all.push("-4"),
        "inet6" => all.push("-6"),
        _ => {}
    }
    all.extend_from_slice(question);
    words(&all)
}

fn add(words: &mut Vec<String>, keyword: &str, word: &str) {
    words.push(keyword.to_owned());
    words.push(word.to_owned());
}

/// Adds the interface that an argument names.
fn interface(args: &Arguments, argument: &str, keyword: &str, words: &mut Vec<String>) -> Result<(), String> {
    if let Some(name) = args.text(argument) {
        let name = checked(argument, name, NAME_BYTES_MAX, NAME_EXTRA)?;
        add(words, keyword, name);
    }
    Ok(())
}

/// What of the rows that `ip` prints is told, and under which name.
#[derive(Clone, Copy)]
enum Shown {
    All(&'static str),
    First(&'static str),
    One(&'static str),
}

fn ask(call: &Call, shown: Shown, words: Words) -> Result<Command, String> {
    let stdout_bytes_max = if matches!(shown, First(_)) { LIST_BYTES_MAX } else { call.answer_bytes_max };
    Ok(Command { stdout_bytes_max, with_remedy, ..Command::new("ip", words(&call.args)?, Box::new(shown)) })
}

impl Reading for Shown {
    fn end(self: Box<Self>, call: &Call, finished: &Finished) -> Told {
        answer(&call.args, *self, finished)
    }
}

/// What `ip` told, or why it did not.
fn answer(args: &Arguments, shown: Shown, finished: &Finished) -> Told {
    if !finished.status.success() {
        return Err(with_remedy(&failure("ip", finished)));
    }
    // Only what is shown is made into a tree.
    let rows: Vec<&RawValue> = serde_json::from_str(&finished.stdout)
        .map_err(|error| with_remedy(&format!("`ip -j` printed no JSON: {error}")))?;
    let tree = |row: &RawValue| serde_json::from_str(row.get()).unwrap_or_default();
    let (name, value) = match shown {
        First(name) => {
            let mut shown = args.rows();
            rows.iter().for_each(|row| shown.push(&mut || tree(row)));
            return Ok(shown.answer(name));
        }
        All(name) => (name, rows.into_iter().map(tree).collect()),
        One(name) => (name, rows.first().copied().map(tree).unwrap_or_default()),
    };
    let mut answer = Map::new();
    put(&mut answer, name, value);
    Ok(answer)
}

/// Adds what helps where the command is missing, is BusyBox's, which speaks no JSON, or says too much.
fn with_remedy(fault: &str) -> String {
    const REMEDIES: &Remedies = &[
        (
            &["was not found", "printed no JSON", "BusyBox", "unrecognized option", "invalid option"],
            "Install iproute2 (on OpenWrt: ip-full).",
        ),
        (
            &["printed more than"],
            "Ask for less: one `table`, one interface, or the route of one address with route_get.",
        ),
    ];
    remedied(fault, REMEDIES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
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

    fn read(shown: Shown, args: Value, finished: &Finished) -> Result<Value, String> {
        answer(&Arguments(args), shown, finished).map(Value::Object)
    }

    #[test]
    fn ip_is_only_ever_asked_to_show() {
        let cases: [(Words, Value, &str); 10] = [
            (interfaces, json!({}), "-j addr show"),
            (interfaces, json!({ "name": "eth0" }), "-j addr show dev eth0"),
            (routes, json!({}), "-j -4 route show table main"),
            (routes, json!({ "family": "inet6", "table": "all" }), "-j -6 route show table all"),
            (neighbours, json!({}), "-j neigh show"),
            (neighbours, json!({ "family": "inet", "interface": "lan0" }), "-j -4 neigh show dev lan0"),
            (route_get, json!({ "address": "192.0.2.9" }), "-j route get to 192.0.2.9"),
            (route_get, json!({ "address": "2001:DB8:0::1", "oif": "wan0" }), "-j route get to 2001:db8::1 oif wan0"),
            (
                route_get,
                json!({ "address": "192.0.2.9", "source": "198.51.100.2", "iif": "wan0" }),
                "-j route get to 192.0.2.9 from 198.51.100.2 iif wan0",
            ),
            (
                route_get,
                json!({ "address": "192.0.2.9", "mark": 4_294_967_295_u32 }),
                "-j route get to 192.0.2.9 mark 4294967295",
            ),
        ];
        for (words, args, expected) in cases {
            assert_eq!(words(&Arguments(args)).unwrap().join(" "), expected);
        }
    }

    #[test]
    fn what_ip_could_misread_is_refused_by_its_argument() {
        let cases: [(Words, Value, &str); 9] = [
            (interfaces, json!({ "name": "-4" }), "`name`: got \"-4\""),
            (interfaces, json!({ "name": "sixteen-letters-" }), "`name`"),
            (routes, json!({ "table": "-h" }), "`table`: got \"-h\""),
            (routes, json!({ "table": "main dev eth0" }), "`table`"),
            (neighbours, json!({ "interface": "eth0\0" }), "`interface`"),
            (route_get, json!({ "address": "fw.example" }), "`address`: got \"fw.example\", expected an IP address"),
            (route_get, json!({ "address": "192.0.2.0/24" }), "`address`"),
            (route_get, json!({ "address": "::1", "source": "any" }), "`source`"),
            (route_get, json!({ "address": "::1", "iif": "" }), "`iif`"),
        ];
        for (words, args, expected) in cases {
            let why = words(&Arguments(args)).unwrap_err();
            assert!(why.starts_with(expected), "{why}");
        }
    }

    #[test]
    fn what_ip_prints_is_passed_on_as_it_is() {
        let printed = r#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"]},{"ifindex":2}]"#;
        let rows: Value = serde_json::from_str(printed).unwrap();
        let done = finished(0, printed, "");
        assert_eq!(read(All("interfaces"), json!({}), &done).unwrap(), json!({ "interfaces": rows }));
        let all = json!({ "routes": rows, "shown": 2, "total": 2 });
        assert_eq!(read(First("routes"), json!({}), &done).unwrap(), all);
        let cut = json!({ "routes": [rows[0]], "shown": 1, "total": 2 });
        assert_eq!(read(First("routes"), json!({ "limit": 1 }), &done).unwrap(), cut);
        assert_eq!(read(One("route"), json!({}), &done).unwrap(), json!({ "route": rows[0] }));
        let none = json!({ "neighbours": [], "shown": 0, "total": 0 });
        assert_eq!(read(First("neighbours"), json!({}), &finished(0, "[ ]\n", "")).unwrap(), none);
    }

    #[test]
    fn faults_are_told_in_ips_words_and_with_a_remedy_where_there_is_one() {
        let cases = [
            (finished(1, "", "Device \"nope0\" does not exist.\n"), "`ip` said: Device \"nope0\" does not exist."),
            (
                finished(1, "", "ip: unrecognized option: j\nBusyBox v1.36"),
                "BusyBox v1.36\nInstall iproute2 (on OpenWrt: ip-full).",
            ),
            (finished(0, "1: lo: <UP>", ""), "Install iproute2"),
            (finished(0, "{}", ""), "Install iproute2"),
        ];
        for (finished, expected) in cases {
            let why = read(First("routes"), json!({}), &finished).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        assert!(with_remedy("`ip` was not found in /bin").ends_with("(on OpenWrt: ip-full)."));
        assert!(with_remedy("`ip` printed more than 9 bytes").contains("route_get"));
    }
}
