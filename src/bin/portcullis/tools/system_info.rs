//! `system_info`: which machine this is and how it is doing, from `uname` and a few small files.
//!
//! Each fact stands for itself: one that this machine hides (a unit with `ProcSubset=pid` has no
//! `/proc/meminfo`) is `null`, and the others are still told. The files are the kernel's own and small, so they
//! are read in place.

use super::kernel;
use super::shape::{How, Shape, object, put, real};
use crate::bounds::digits;
use serde_json::{Map, Value};

const OUTPUT: &str = r#"{
    "type": "object",
    "required": [
        "hostname", "system", "kernel", "machine", "uptime_seconds", "load", "memory_bytes", "cpus", "portcullis"
    ]
}"#;

pub(super) static SYSTEM_INFO: Shape = Shape {
    name: "system_info",
    description: "This machine: host name, kernel, uptime in seconds, load of 1, 5 and 15 minutes, memory, CPUs, \
                  server version.",
    input: r#""properties":{}"#,
    output: OUTPUT,
    open_world: false,
    how: How::Now(|_| Ok(info())),
};

fn info() -> Map<String, Value> {
    let name = rustix::system::uname();
    let mut info = object(&[
        ("hostname", &name.nodename().to_string_lossy()),
        ("system", &name.sysname().to_string_lossy()),
        ("kernel", &name.release().to_string_lossy()),
        ("machine", &name.machine().to_string_lossy()),
        ("portcullis", env!("CARGO_PKG_VERSION")),
    ]);
    for (fact, path, read) in FACTS {
        put(&mut info, fact, kernel(path).as_deref().and_then(read).unwrap_or_default());
    }
    info
}

/// A fact, the file that has it, and how it is read.
type Fact = (&'static str, &'static str, fn(&str) -> Option<Value>);

const FACTS: [Fact; 4] = [
    ("uptime_seconds", "/proc/uptime", uptime),
    ("load", "/proc/loadavg", load),
    ("memory_bytes", "/proc/meminfo", memory),
    ("cpus", "/sys/devices/system/cpu/online", cpus),
];

/// `12345.67 23456.78`: seconds since the start, and of idle CPUs.
fn uptime(text: &str) -> Option<Value> {
    let end = text.find(['.', ' '])?;
    Some(digits(&text[..end])?.into())
}

/// `0.00 0.01 0.05 1/123 4567`: means over 1, 5 and 15 minutes first.
fn load(text: &str) -> Option<Value> {
    let mut means = Vec::new();
    for mean in text.split_ascii_whitespace().take(3) {
        means.push(real(mean)?.into());
    }
    Some(Value::Array(means)).filter(|means| means.get(2).is_some())
}

/// `MemTotal:  8123456 kB` and so on; `MemAvailable` is what can be had without swapping.
fn memory(text: &str) -> Option<Value> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        digits(line.trim_ascii().strip_suffix(" kB")?)?.checked_mul(1024)
    };
    let mut memory = Map::new();
    put(&mut memory, "total", bytes("MemTotal:")?.into());
    put(&mut memory, "available", bytes("MemAvailable:").into());
    Some(Value::Object(memory))
}

/// `0-3,6`: ranges of CPUs that run.
fn cpus(text: &str) -> Option<Value> {
    let mut sum = 0u64;
    for range in text.trim_ascii().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        sum = sum.checked_add(digits(last)?.checked_sub(digits(first)?)?.checked_add(1)?)?;
    }
    Some(u32::try_from(sum).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_kernels_files_are_understood() {
        assert_eq!(uptime("12345.67 23456.78\n"), Some(json!(12_345)));
        assert_eq!(load("0.00 0.01 12.50 1/123 4567\n"), Some(json!([0.0, 0.01, 12.5])));
        let meminfo = "MemTotal:        2048 kB\nMemFree:          10 kB\nMemAvailable:     1024 kB\n";
        assert_eq!(memory(meminfo), Some(json!({ "total": 2_097_152, "available": 1_048_576 })));
        assert_eq!(memory("MemTotal: 1 kB\n"), Some(json!({ "total": 1024, "available": null })));
        for (text, count) in [("0\n", 1), ("0-3\n", 4), ("0-1,4-5,7\n", 5)] {
            assert_eq!(cpus(text), Some(json!(count)), "{text}");
        }
    }

    #[test]
    fn a_file_that_says_something_else_is_a_missing_fact() {
        for text in ["", "\n", "x", "-", "3-1", "0-", "0-4294967295,0", "1 2", "kB"] {
            assert_eq!(
                (uptime(text).filter(|_| text != "1 2"), load(text), memory(text), cpus(text)),
                (None, None, None, None),
                "{text}"
            );
        }
    }
}
