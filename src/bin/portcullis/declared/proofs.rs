//! Declared tools with real children: what reaches a command, what does not, and how a command ends.
//!
//! Each test writes a file of tools, builds the server that `call` builds, and asks it as `call` does. Commands are
//! those of every system (`printf`, `sh`, `sleep`), and what they do is only print or wait.

use crate::commands::client::{Line, run};
use crate::commands::server;
use crate::config::refusals::{PROGRAM, read};
use crate::options::Options;
use portcullis::Server;
use serde_json::{Value, json};
use smol::LocalExecutor;
use std::rc::Rc;

fn built(toml: &str) -> Server {
    let config = read(toml).unwrap();
    server(&PROGRAM, &Options::of(&PROGRAM), &config).unwrap()
}

/// Calls all at once, and gives back each answer's text and whether it is content.
pub(super) fn call_all(toml: &str, calls: &[(&str, Value)]) -> Vec<(String, bool)> {
    let answers = run(built(toml), async |line: &Line| {
        let line = Rc::new(line.clone());
        let executor = LocalExecutor::new();
        let tasks: Vec<_> = calls
            .iter()
            .map(|(tool, arguments)| {
                let (line, tool, arguments) = (line.clone(), (*tool).to_owned(), arguments.to_string());
                executor.spawn(async move { line.call(&tool, &arguments).await })
            })
            .collect();
        executor
            .run(async {
                let mut answers = Vec::new();
                for task in tasks {
                    answers.push(task.await?);
                }
                Ok(answers)
            })
            .await
    });
    answers.unwrap()
}

pub(super) fn call(toml: &str, tool: &str, arguments: Value) -> (String, bool) {
    call_all(toml, &[(tool, arguments)]).remove(0)
}

/// Prints each of its arguments in brackets, on lines of their own.
fn show(argv: &str, args: &str) -> String {
    format!("[[tool]]\nname = \"show\"\ndescription = \"d\"\nargv = [\"printf\", \"[%s]\\n\", {argv}]\n{args}")
}

const TEXT: &str = "[tool.args.x]\ntype = \"string\"\n";

#[test]
fn no_value_is_more_than_one_argument_or_anything_but_itself() {
    let harmless = [
        "$(reboot)",
        "`reboot`",
        "; reboot",
        "&& reboot",
        "| reboot",
        "> /tmp/x",
        "*",
        "?",
        "~",
        "a b",
        "a  b ",
        " ",
        "'",
        "\"",
        "'a' \"b\"",
        "\\",
        "\\n",
        "\\0",
        "%s",
        "%n",
        "{x}",
        "{{x}}",
        "}",
        "$HOME",
        "${IFS}",
        "!!",
        "#x",
        "é",
        "日本",
        "\u{202e}",
        "a-rf",
        "=",
        "--x".get(2..).unwrap(),
    ];
    let calls: Vec<_> = harmless.iter().map(|value| ("show", json!({ "x": value }))).collect();
    let toml = show("\"{x}\", \"--count={x}\", \"end\"", TEXT) + "queue = 100\n";
    let toml = toml.replace("queue = 100\n", "").replace("[tool.args.x]", "queue = 100\n[tool.args.x]");
    for (value, answer) in harmless.iter().zip(call_all(&toml, &calls)) {
        assert_eq!(answer, (format!("[{value}]\n[--count={value}]\n[end]\n"), true), "{value:?}");
    }
}

#[test]
fn what_no_argument_may_be_is_refused_by_its_name() {
    let mega = "x".repeat(1 << 20);
    for (value, expected) in [
        (json!("-rf"), "`x`: got \"-rf\", expected a value that does not begin with -"),
        (json!("--help"), "`x`: got \"--help\", expected a value that does not begin with -"),
        (json!("-"), "`x`: got \"-\", expected a value that does not begin with -"),
        (json!("a\0b"), "`x`: got \"a\\0b\", expected a value without a NUL in it"),
        (json!("a\nb"), "`x`: got \"a\\nb\", expected a value without a line end in it"),
        (json!("a\rb"), "`x`: got \"a\\rb\", expected a value without a line end in it"),
        (json!("a\tb"), "expected a value without a control character in it"),
        (json!("\u{1b}[2J"), "expected a value without a control character in it"),
        (json!("\u{85}"), "expected a value without a control character in it"),
        (json!(mega), "`x`: expected at most 4096 characters"),
        (json!(""), "`x`: expected at least 1 character"),
        (json!(5), "`x`: expected string, got 5"),
        (json!(null), "`x`: expected string, got null"),
        (json!(["-rf"]), "`x`: expected string"),
    ] {
        let (text, is_good) = call(&show("\"{x}\"", TEXT), "show", json!({ "x": value }));
        assert!(!is_good && text.contains(expected), "{text}");
        assert!(text.len() < 500 && !text.contains(['\0', '\u{1b}', '\r']), "{text:?}");
    }
    let (text, is_good) = call(&show("\"{x}\"", TEXT), "show", json!({ "x": "a", "y": "b" }));
    assert!(!is_good && text.contains('y'), "{text}");
    let (text, is_good) = call(&show("\"{x}\"", TEXT), "show", json!({}));
    assert!(!is_good && text.contains('x'), "{text}");
}

#[test]
fn what_a_file_allows_is_let_through() {
    let args = TEXT.to_owned() + "allow_dash = true\nallow_newline = true\nmax_length = 32000\nmin_length = 0\n";
    let long = "é".repeat(32_000);
    for value in ["-rf", "--", "a\nb\tc\r\n", "", long.as_str()] {
        let (text, is_good) = call(&show("\"{x}\"", &args), "show", json!({ "x": value }));
        assert_eq!((text, is_good), (format!("[{value}]\n"), true));
    }
    // Three of them are more than the kernel takes in one argument.
    let (text, is_good) = call(&show("\"{x}{x}{x}\"", &args), "show", json!({ "x": long }));
    assert!(
        !is_good && text.starts_with("`x`: got 192000 bytes, expected less than 128 KiB in one argument"),
        "{text}"
    );
}

#[test]
fn numbers_and_negative_ones_are_arguments_too() {
    let args = "[tool.args.n]\ntype = \"integer\"\n[tool.args.f]\ntype = \"number\"\nallow_dash = true\n";
    let toml = show("\"{n}\", \"{f}\"", args);
    assert_eq!(call(&toml, "show", json!({ "n": 5.0, "f": -2.5 })), ("[5]\n[-2.5]\n".into(), true));
    let (text, is_good) = call(&toml, "show", json!({ "n": -5, "f": 1 }));
    assert!(!is_good && text.contains("`n`: got \"-5\", expected a value that does not begin with -"), "{text}");
}

#[test]
fn an_inner_array_is_left_out_with_what_was_not_sent() {
    let args = "[tool.args]\na = { type = \"string\", required = false }\nb = { type = \"string\", required = false }\n\
                on = { type = \"boolean\", default = false }\nd = { type = \"integer\", default = 7 }\n";
    let toml = show(r#""{d}", ["-a", "{a}"], ["{a?}", "{b?}", "and"], ["-b={b}"], ["{on?}", "-v"], "{{{d}}}""#, args);
    for (sent, expected) in [
        (json!({}), "[7]\n[{7}]\n"),
        (json!({ "a": "1" }), "[7]\n[-a]\n[1]\n[{7}]\n"),
        (json!({ "b": "2" }), "[7]\n[-b=2]\n[{7}]\n"),
        (json!({ "a": "1", "b": "2", "on": true, "d": 8 }), "[8]\n[-a]\n[1]\n[and]\n[-b=2]\n[-v]\n[{8}]\n"),
        (json!({ "on": false }), "[7]\n[{7}]\n"),
    ] {
        assert_eq!(call(&toml, "show", sent.clone()), (expected.into(), true), "{sent}");
    }
}

#[test]
fn the_ten_tools_of_the_example_can_be_called_and_their_commands_are_these() {
    let example = include_str!("../../../../examples/appliance.toml");
    assert_eq!(read(example).unwrap().tools.len(), 10);
    // Each program becomes one that prints its arguments, the program's own name first.
    let harmless = example.replace("\nargv = [", "\nargv = [\"printf\", \"%s \", ");
    let calls = [
        (
            "block_address",
            json!({ "address": "203.0.113.7" }),
            "nft add element inet filter blocked { 203.0.113.7 timeout 3600s }",
        ),
        (
            "unblock_address",
            json!({ "address": "203.0.113.7" }),
            "nft delete element inet filter blocked { 203.0.113.7 }",
        ),
        ("service_restart", json!({ "service": "dnsmasq" }), "systemctl restart -- dnsmasq.service"),
        (
            "service_log",
            json!({ "unit": "dnsmasq" }),
            "journalctl --no-pager --output=short-iso --unit=dnsmasq --lines=50",
        ),
        (
            "service_log",
            json!({ "unit": "a@b.service", "grep": "NXDOMAIN; x", "today": true, "lines": 5 }),
            "journalctl --no-pager --output=short-iso --unit=a@b.service --lines=5 --grep=NXDOMAIN; x --since=today",
        ),
        ("file_log", json!({ "file": "syslog" }), "tail -n 50 -- /var/log/syslog"),
        ("kernel_setting", json!({ "name": "net.ipv4.ip_forward" }), "sysctl -- net.ipv4.ip_forward"),
        ("vpn_peers", json!({}), "wg show all"),
        (
            "packet_capture",
            json!({ "interface": "wan0", "host": "2001:db8::1", "port": 53 }),
            "timeout --preserve-status 30 tcpdump -n -l -i wan0 -c 20 host 2001:db8::1 and port 53",
        ),
        (
            "packet_capture",
            json!({ "interface": "wan0", "port": 53 }),
            "timeout --preserve-status 30 tcpdump -n -l -i wan0 -c 20 port 53",
        ),
        ("disk_usage", json!({}), "df -P -k -x tmpfs -x devtmpfs"),
        ("neighbours_flush", json!({ "interface": "lan0" }), "ip neigh flush dev lan0"),
    ];
    let sent: Vec<_> = calls.iter().map(|(tool, arguments, _)| (*tool, arguments.clone())).collect();
    for ((tool, _, expected), answer) in calls.iter().zip(call_all(&harmless, &sent)) {
        assert_eq!(answer, (format!("{expected} \n"), true), "{tool}");
    }
    for (tool, arguments) in [
        ("block_address", json!({ "address": "0.0.0.0/0" })),
        ("block_address", json!({ "address": "1.2.3.4 }; flush ruleset; add element inet filter blocked { 1.2.3.4" })),
        ("block_address", json!({ "address": "203.0.113.7", "seconds": 5 })),
        ("service_restart", json!({ "service": "sshd" })),
        ("file_log", json!({ "file": "../../etc/shadow" })),
        ("kernel_setting", json!({ "name": "kernel.core_pattern" })),
        ("kernel_setting", json!({ "name": "net.ipv4.ip_forward=1" })),
        ("packet_capture", json!({ "interface": "wan0", "host": "or host 10.0.0.1" })),
    ] {
        let (text, is_good) = call(&harmless, tool, arguments.clone());
        assert!(!is_good && text.starts_with("invalid arguments for "), "{tool} {arguments}: {text}");
    }
}
