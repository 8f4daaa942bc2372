//! `interfaces`: the network interfaces with their addresses, exactly as `ip -j addr` tells them.
//!
//! Needs no right. What `ip` prints is passed on as it is: whoever knows `ip` knows the answer.

use super::process::{Finished, Run};
use super::{LOOK_WAIT, checked, schema};
use portcullis::{CallError, CallResult, Tool};
use serde::Deserialize;
use serde_json::{Value, json};

/// What may stand in an interface's name besides letters and digits (IFNAMSIZ leaves 15 bytes).
const NAME_EXTRA: &str = "._-:@+";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    name: Option<String>,
}

const INPUT: &str = r#"{
    "type": "object", "additionalProperties": false,
    "properties": { "name": { "type": "string", "description": "Only this interface, such as eth0." } }
}"#;

const OUTPUT: &str = r#"{
    "type": "object", "required": ["interfaces"],
    "properties": { "interfaces": { "type": "array", "items": { "type": "object" } } }
}"#;

pub(super) fn tool() -> Tool {
    Tool::new("interfaces")
        .title("Network interfaces")
        .description(
            "Network interfaces of this machine: state, MAC, MTU and IP addresses, as `ip -j addr` prints them.",
        )
        .input_schema(schema(INPUT))
        .output_schema(schema(OUTPUT))
        .read_only()
        .open_world(false)
}

pub(super) async fn call(args: Arguments, answer_bytes_max: usize) -> Result<CallResult, CallError> {
    let mut words = vec!["-j", "addr", "show"];
    if let Some(name) = &args.name {
        words.extend(["dev", checked("name", name, 15, NAME_EXTRA).map_err(CallError::new)?]);
    }
    let run = Run { program: "ip", args: &words, wait: LOOK_WAIT, stdout_bytes_max: answer_bytes_max };
    let finished = run.finish(|_| ()).await.map_err(|error| CallError::new(with_remedy(&error.to_string())))?;
    let rows = read(&finished).map_err(CallError::new)?;
    Ok(CallResult::structured(json!({ "interfaces": rows })))
}

/// What `ip` told, or why it did not.
fn read(finished: &Finished) -> Result<Value, String> {
    if !finished.status.success() {
        return Err(with_remedy(&format!("`ip` said: {}", finished.stderr.trim())));
    }
    match serde_json::from_str(&finished.stdout) {
        Ok(Value::Array(rows)) => Ok(Value::Array(rows)),
        Ok(_) => Err("`ip -j addr` printed JSON that is no array".into()),
        Err(error) => Err(with_remedy(&format!("`ip -j addr` printed no JSON: {error}"))),
    }
}

/// Adds what helps where the command is missing, or is BusyBox's, which speaks no JSON.
fn with_remedy(fault: &str) -> String {
    let other = ["was not found", "printed no JSON", "BusyBox", "unrecognized option", "invalid option"];
    match other.iter().any(|sign| fault.contains(sign)) {
        true => format!("{fault}\nInstall iproute2 (on OpenWrt: ip-full)."),
        false => fault.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn finished(code: i32, stdout: &str, stderr: &str) -> Finished {
        Finished { status: ExitStatus::from_raw(code << 8), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn what_ip_prints_is_passed_on_as_it_is() {
        let printed = r#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"],"addr_info":[{"local":"127.0.0.1","valid_life_time":4294967295}]}]"#;
        let rows = read(&finished(0, printed, "")).unwrap();
        assert_eq!(rows, serde_json::from_str::<Value>(printed).unwrap());
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
            (finished(0, "{}", ""), "no array"),
        ];
        for (finished, expected) in cases {
            let why = read(&finished).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        assert_eq!(
            with_remedy("`ip` was not found in /bin"),
            "`ip` was not found in /bin\nInstall iproute2 (on OpenWrt: ip-full)."
        );
    }
}
