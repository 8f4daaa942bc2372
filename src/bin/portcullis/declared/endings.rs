//! Declared tools with real children: how a command ends, what it may print and have, and who runs beside it.
//!
//! The commands are `sh` with a script of the test's, which no client could choose; waits are short, and none is
//! there to be waited out but where the time is the point.

use super::proofs::{call, call_all};
use serde_json::json;
use std::time::{Duration, Instant};

/// A tool that runs a script.
fn script(name: &str, script: &str, lines: &str) -> String {
    let script = script.replace('{', "{{").replace('}', "}}");
    format!("[[tool]]\nname = \"{name}\"\ndescription = \"d\"\nargv = [\"sh\", \"-c\", '''{script}''']\n{lines}\n")
}

#[test]
fn the_exit_codes_of_a_file_are_content_and_others_are_errors_in_the_commands_words() {
    for (commands, lines, expected, is_good) in [
        ("echo out; echo err >&2", "", "out\n", true),
        ("echo out; exit 1", "ok_exit = [0, 1]", "out\n", true),
        ("echo out; exit 1", "", "`sh` ended with status 1: out\n", false),
        ("echo out; echo why >&2; exit 3", "", "`sh` ended with status 3: why\n", false),
        ("exit 0", "ok_exit = [1]", "`sh` ended with status 0 and said nothing\n", false),
        ("exit 1", "", "`sh` ended with status 1 and said nothing\n", false),
        ("true", "", "`sh` printed nothing and ended with status 0\n", true),
        ("kill -9 $$", "", "`sh` was ended by a signal (signal: 9 (SIGKILL)) and said nothing\n", false),
        (r"printf '\377a'", "", "\u{fffd}a\n", true),
    ] {
        assert_eq!(call(&script("t", commands, lines), "t", json!({})), (expected.into(), is_good), "{commands}");
    }
    let gone = "[[tool]]\nname = \"t\"\ndescription = \"d\"\nargv = [\"/no/such/program\"]\n";
    let (text, is_good) = call(gone, "t", json!({}));
    assert!(!is_good && text.starts_with("`/no/such/program` is not there, or is no program: install it"), "{text}");
}

#[test]
fn json_is_structured_and_what_is_none_is_an_error() {
    for (commands, expected, is_good) in [
        (r#"echo '{"b": [1, 2], "a": null}'"#, "{\"a\":null,\"b\":[1,2]}\n", true),
        ("echo '[1]'", "[1]\n", true),
        ("echo nonsense", "`sh` printed no JSON: ", false),
        ("true", "`sh` printed no JSON: ", false),
    ] {
        let (text, was_good) = call(&script("t", commands, "output = \"json\""), "t", json!({}));
        assert!(text.starts_with(expected) && was_good == is_good, "{commands}: {text}");
    }
}

#[test]
fn output_over_the_limit_is_an_error_or_cut_and_said_so_with_the_counts() {
    let much = "i=0; while [ $i -lt 1000 ]; do echo 123456789; i=$((i+1)); done";
    let (text, is_good) = call(&script("t", much, "max_output = 256"), "t", json!({}));
    assert!(!is_good && text.contains("printed more than 256 bytes and was ended"), "{text}");
    let (text, is_good) = call(&script("t", much, "max_output = \"1K\"\noverflow = \"truncate\""), "t", json!({}));
    assert!(is_good && text.ends_with("123456789\n1234\n[cut: the first 1024 of 10000 bytes]\n"), "{text}");
    // In the middle of a character.
    let wide = "i=0; while [ $i -lt 200 ]; do printf é; i=$((i+1)); done; printf aéé";
    let (text, is_good) =
        call(&script("t", &format!("printf a; {wide}"), "max_output = 256\noverflow = \"truncate\""), "t", json!({}));
    assert!(is_good && text.ends_with("é\n[cut: the first 256 of 406 bytes]\n"), "{text}");
    let (text, is_good) = call(&script("t", much, "max_output = 10000\noverflow = \"truncate\""), "t", json!({}));
    assert!(is_good && text.len() == 10_000, "{}", text.len());
}

#[test]
fn a_command_that_takes_too_long_is_asked_to_end_and_then_made_to() {
    let start = Instant::now();
    let (text, is_good) = call(&script("t", "sleep 987654", "timeout = 0.2"), "t", json!({}));
    assert!(!is_good && text.contains("took longer than 0.2 s and was ended"), "{text}");
    // It obeyed TERM at once; the two seconds before KILL were not needed.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    let start = Instant::now();
    let stubborn = "trap '' TERM; sleep 987655 & sleep 987655";
    let (_, is_good) = call(&script("t", stubborn, "timeout = 0.2\nkill_after = 0.4"), "t", json!({}));
    assert!(!is_good && start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
    for mark in ["987654", "987655"] {
        assert!(crate::process::is_gone(mark), "{mark}");
    }
}

#[test]
fn a_command_has_the_environment_of_the_file_and_nothing_else() {
    let toml =
        script("t", "env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= -e ^OLDPWD= | sort", "env = { A = \"1\", B = \"$A\" }");
    assert_eq!(call(&toml, "t", json!({})), ("A=1\nB=$A\nLC_ALL=C\n".into(), true));
}

#[test]
fn memory_over_the_limit_is_not_given() {
    // Once it has its limit (the shell waits for that by asking itself), the shell cannot hold 64 MiB in a variable.
    let wait = "while [ $(ulimit -v) = unlimited ]; do :; done; ulimit -v";
    let toml = script("t", wait, "address_space = \"32M\"");
    assert_eq!(call(&toml, "t", json!({})), ("32768\n".into(), true));
    let hungry = format!("{wait}; x=xxxxxxxxxxxxxxxx; while [ ${{#x}} -lt 67108864 ]; do x=$x$x; done; echo had it");
    let (text, is_good) = call(&script("t", &hungry, "address_space = \"32M\""), "t", json!({}));
    assert!(!is_good && !text.contains("had it"), "{text}");
}

/// Fails if another like it runs: the folder is there already.
fn alone(folder: &std::path::Path) -> String {
    format!("mkdir {0} && sleep 0.05 && rmdir {0} && echo alone", folder.display())
}

#[test]
fn tools_of_one_group_never_run_at_once_nor_more_of_a_tool_than_its_concurrency() {
    let folder = std::env::temp_dir().join(format!("portcullis-group-{}", std::process::id()));
    let toml = script("a", &alone(&folder), "group = \"g\"") + &script("b", &alone(&folder), "group = \"g\"");
    let calls: Vec<_> = (0..6).map(|n| (["a", "b"][n % 2], json!({}))).collect();
    for answer in call_all(&toml, &calls) {
        assert_eq!(answer, ("alone\n".into(), true));
    }
    let toml = script("c", &alone(&folder), "concurrency = 1");
    for answer in call_all(&toml, &vec![("c", json!({})); 4]) {
        assert_eq!(answer, ("alone\n".into(), true));
    }
}

#[test]
fn a_full_queue_and_a_long_wait_are_errors_that_name_them() {
    let toml = script("t", "sleep 0.4; echo done", "concurrency = 1\nqueue = 1");
    let mut answers: Vec<_> = call_all(&toml, &vec![("t", json!({})); 4]).into_iter().collect();
    answers.sort();
    let busy = "tool `t` is busy: 1 run and 1 wait, and no more than 1 may (`queue`); try again later\n";
    assert_eq!(answers[..2], [("done\n".into(), true), ("done\n".into(), true)]);
    assert_eq!(answers[2..], [(busy.into(), false), (busy.into(), false)]);

    let slow = script("a", "sleep 0.5; echo done", "group = \"g\"");
    let toml = slow
        + &script("b", "echo done", "group = \"g\"\nqueue_wait = 0.1\n")
        + &script("c", "echo done", "group = \"g\"\nqueue = 0");
    let answers = call_all(&toml, &[("a", json!({})), ("b", json!({})), ("c", json!({}))]);
    assert_eq!(answers[0], ("done\n".into(), true));
    assert_eq!(
        answers[1],
        ("group `g` was busy for 0.1 s, and longer is not waited (`queue_wait`); try again later\n".into(), false)
    );
    assert_eq!(
        answers[2],
        ("group `g` is busy: 1 run and 0 wait, and no more than 0 may (`queue`); try again later\n".into(), false)
    );
}
