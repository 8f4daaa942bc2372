//! `GET /metrics`: every counter and gauge, the calls by tool and outcome, and how long they took, in Prometheus' text
//! format 0.0.4. Labels are bounded: see `events/tally.rs`.

use super::json::write_seconds;
use super::sessions::gauges;
use crate::events::BUCKETS;
use crate::jsonrpc::write_integer;
use crate::net::shell::Shell;
use std::time::Duration;

/// The text.
pub(super) fn metrics(shell: &Shell) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * 1024);
    begin(&mut out, "build_info", "", "gauge", "The version of the library, as a label.");
    sample(&mut out, "build_info", "", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    begin(&mut out, "uptime_seconds", "", "gauge", "Seconds since the server began to serve.");
    name(&mut out, "uptime_seconds", " ");
    write_seconds(&mut out, shell.now().since(shell.started));
    out.push(b'\n');
    begin(&mut out, "stopping", "", "gauge", "1 while the server shuts down.");
    sample(&mut out, "stopping", "", &[], shell.stopping.get().into());
    for (gauge, meaning, value) in gauges(shell) {
        begin(&mut out, gauge, "", "gauge", meaning);
        sample(&mut out, gauge, "", &[], value as u64);
    }
    for (counter, meaning, value) in shell.counters().each() {
        // Peaks are kept in milliseconds and are no counters; Prometheus wants seconds.
        if let Some(peak) = counter.strip_suffix("_ms_max") {
            let meaning = meaning.trim_end_matches("milliseconds.");
            begin(&mut out, peak, "_max_seconds", "gauge", &format!("{meaning}seconds."));
            name(&mut out, peak, "_max_seconds ");
            write_seconds(&mut out, Duration::from_millis(value));
            out.push(b'\n');
        } else {
            begin(&mut out, counter, "_total", "counter", meaning);
            sample(&mut out, counter, "_total", &[], value);
        }
    }
    calls(&mut out, shell);
    out
}

fn calls(out: &mut Vec<u8>, shell: &Shell) {
    let tally = shell.services.common.events.tally();
    begin(out, "tool_calls", "_total", "counter", "Calls of tools that ended, by tool and outcome.");
    for (tool, outcome, count) in tally.each() {
        sample(out, "tool_calls", "_total", &[("tool", tool), ("outcome", outcome)], count);
    }
    begin(out, "tool_call_duration_seconds", "", "histogram", "How long calls of tools took.");
    let counts = tally.cumulative();
    let bounds = BUCKETS.iter().map(|(_, seconds)| *seconds).chain(["+Inf"]);
    for (bound, count) in bounds.zip(counts) {
        sample(out, "tool_call_duration_seconds", "_bucket", &[("le", bound)], count);
    }
    name(out, "tool_call_duration_seconds", "_sum ");
    let sum = tally.sum_us();
    write_integer(out, (sum / 1_000_000) as i64);
    out.extend_from_slice(format!(".{:06}\n", sum % 1_000_000).as_bytes());
    sample(out, "tool_call_duration_seconds", "_count", &[], counts[BUCKETS.len()]);
}

fn name(out: &mut Vec<u8>, name: &str, suffix: &str) {
    for part in ["portcullis_", name, suffix] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends the lines that stand before the samples of a metric.
fn begin(out: &mut Vec<u8>, metric: &str, suffix: &str, kind: &str, meaning: &str) {
    out.extend_from_slice(b"# HELP ");
    name(out, metric, suffix);
    out.push(b' ');
    // Our own words: neither a backslash nor a line end is in them.
    out.extend_from_slice(meaning.as_bytes());
    out.extend_from_slice(b"\n# TYPE ");
    name(out, metric, suffix);
    out.push(b' ');
    out.extend_from_slice(kind.as_bytes());
    out.push(b'\n');
}

fn sample(out: &mut Vec<u8>, metric: &str, suffix: &str, labels: &[(&str, &str)], value: u64) {
    name(out, metric, suffix);
    for (at, (label, text)) in labels.iter().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(b"=\"");
        for byte in text.bytes() {
            match byte {
                b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                byte => out.push(byte),
            }
        }
        out.push(b'"');
    }
    if !labels.is_empty() {
        out.push(b'}');
    }
    out.push(b' ');
    write_integer(out, value.try_into().unwrap_or(i64::MAX));
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_as_the_format_says() {
        let mut out = Vec::new();
        sample(&mut out, "x", "_total", &[("a", "\\ \"\n{é}"), ("b", "")], 7);
        assert_eq!(String::from_utf8_lossy(&out), "portcullis_x_total{a=\"\\\\ \\\"\\n{é}\",b=\"\"} 7\n");
    }
}
