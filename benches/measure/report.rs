//! Medians, tables for people, and everything for machines.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Outcome;
use crate::options::{Kind, Options, Target};

/// One measurement of calls.
pub(crate) struct Calls {
    count: usize,
    per_second: f64,
    cpu_us: f64,
    /// Microseconds at 50, 90, 99 and 99.9 percent.
    latency_us: [f64; 4],
}

impl Calls {
    pub(crate) fn new(mut times: Vec<u32>, took: Duration, cpu: u64) -> Calls {
        times.sort_unstable();
        let count = times.len().max(1);
        let at = |part: f64| times.get(((count - 1) as f64 * part) as usize).map_or(0.0, |ns| f64::from(*ns) / 1e3);
        Calls {
            count,
            per_second: count as f64 / took.as_secs_f64(),
            cpu_us: cpu as f64 / 1e3 / count as f64,
            latency_us: [0.5, 0.9, 0.99, 0.999].map(at),
        }
    }
}

/// Sessions that waited.
pub(crate) struct Idle {
    pub(crate) kind: Kind,
    pub(crate) sessions: usize,
    pub(crate) bytes_each: f64,
    pub(crate) core_percent: f64,
}

struct Row {
    server: String,
    kind: Kind,
    connections: usize,
    rounds: Vec<Calls>,
}

struct Start {
    server: String,
    ms: Vec<f64>,
    resident: Vec<f64>,
}

/// All that was measured.
pub(crate) struct Report {
    own: usize,
    connections: usize,
    rows: Vec<Row>,
    starts: Vec<Start>,
    idle: Vec<Idle>,
    program_bytes: Option<u64>,
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

impl Row {
    fn cpu(&self) -> f64 {
        median(self.rounds.iter().map(|calls| calls.cpu_us))
    }

    fn latency(&self, which: usize) -> f64 {
        median(self.rounds.iter().map(|calls| calls.latency_us[which]))
    }
}

impl Report {
    pub(crate) fn new(options: &Options) -> Report {
        let own =
            options.targets.iter().take_while(|target| target.command.iter().any(|word| word.starts_with("--serve-")));
        Report {
            own: own.count(),
            connections: options.connections,
            rows: Vec::new(),
            starts: Vec::new(),
            idle: Vec::new(),
            program_bytes: None,
        }
    }

    /// How many of the targets are not peers, which may be missing.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    pub(crate) fn calls(&mut self, target: &Target, connections: usize, calls: Calls) {
        let is_row =
            |row: &&mut Row| row.server == target.server && row.kind == target.kind && row.connections == connections;
        match self.rows.iter_mut().find(is_row) {
            Some(row) => row.rounds.push(calls),
            None => {
                let (server, kind) = (target.server.clone(), target.kind);
                self.rows.push(Row { server, kind, connections, rounds: vec![calls] });
            }
        }
    }

    pub(crate) fn start(&mut self, server: &str, took: Duration, resident: u64) {
        let at = self.starts.iter().position(|start| start.server == server).unwrap_or_else(|| {
            self.starts.push(Start { server: server.to_owned(), ms: Vec::new(), resident: Vec::new() });
            self.starts.len() - 1
        });
        self.starts[at].ms.push(took.as_secs_f64() * 1e3);
        self.starts[at].resident.push(resident as f64);
    }

    pub(crate) fn idle(&mut self, idle: Idle) {
        self.idle.push(idle);
    }

    pub(crate) fn program_bytes(&mut self, bytes: u64) {
        self.program_bytes = Some(bytes);
    }

    fn servers(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !servers.contains(&&*row.server) {
                servers.push(&row.server);
            }
        }
        servers
    }

    fn row(&self, server: &str, kind: Kind, connections: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.server == server && row.kind == kind && row.connections == connections)
    }

    fn markdown(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let many = self.connections;
        writeln!(text, "CPU of the server per call, in µs, kernel included, {many} connections:\n")?;
        writeln!(text, "| server | sessions | HTTP+SSE | 2026-07-28 |\n|---|---|---|---|")?;
        for server in self.servers() {
            write!(text, "| {server} |")?;
            for kind in Kind::ALL {
                match self.row(server, kind, many) {
                    Some(row) => write!(text, " {:.1} |", row.cpu())?,
                    None => write!(text, " – |")?,
                }
            }
            writeln!(text)?;
        }
        writeln!(text, "\nTime of a call, in µs:\n")?;
        writeln!(text, "| server | calls | 1 connection: 50 % | 99 % | {many} connections: 50 % | 99 % | 99.9 % |")?;
        writeln!(text, "|---|---|---|---|---|---|---|")?;
        for row in self.rows.iter().filter(|row| row.connections == many) {
            let Some(one) = self.row(&row.server, row.kind, 1) else { continue };
            writeln!(
                text,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
                row.server,
                row.kind.title(),
                one.latency(0),
                one.latency(2),
                row.latency(0),
                row.latency(2),
                row.latency(3)
            )?;
        }
        writeln!(text, "\n| server | from start to first answer, ms | memory then, KiB |\n|---|---|---|")?;
        for start in &self.starts {
            let (ms, resident) = (median(start.ms.iter().copied()), median(start.resident.iter().copied()));
            writeln!(text, "| {} | {ms:.1} | {:.0} |", start.server, resident / 1024.0)?;
        }
        writeln!(text, "\n| idle sessions with a stream | bytes each | % of a core for all |\n|---|---|---|")?;
        for idle in &self.idle {
            let (each, percent) = (idle.bytes_each, idle.core_percent);
            writeln!(text, "| {}, {} | {each:.0} | {percent:.2} |", idle.sessions, idle.kind.title())?;
        }
        if let Some(bytes) = self.program_bytes {
            writeln!(text, "\nThe program has {bytes} bytes.")?;
        }
        Ok(text)
    }

    fn json(&self) -> Value {
        let calls = |row: &Row| {
            let rounds = row.rounds.iter().map(|calls| {
                json!({ "calls": calls.count, "per_second": calls.per_second, "cpu_us": calls.cpu_us, "latency_us": calls.latency_us })
            });
            json!({ "server": row.server, "kind": row.kind.title(), "connections": row.connections,
                "cpu_us": row.cpu(), "rounds": rounds.collect::<Vec<_>>() })
        };
        let start = |start: &Start| json!({ "server": start.server, "ms": start.ms, "resident_bytes": start.resident });
        let idle = |idle: &Idle| json!({ "kind": idle.kind.title(), "sessions": idle.sessions, "bytes_each": idle.bytes_each, "core_percent": idle.core_percent });
        json!({
            "latency_percentiles": [50, 90, 99, 99.9],
            "calls": self.rows.iter().map(calls).collect::<Vec<_>>(),
            "starts": self.starts.iter().map(start).collect::<Vec<_>>(),
            "idle": self.idle.iter().map(idle).collect::<Vec<_>>(),
            "program_bytes": self.program_bytes,
        })
    }

    /// Prints the tables, and writes what was asked for.
    pub(crate) fn write(&self, options: &Options) -> Outcome<()> {
        let mut text = self.markdown()?;
        if options.quick {
            text.push_str("\nMeasured with --quick: these figures mean nothing.\n");
        }
        println!("{text}");
        if let Some(path) = &options.markdown {
            std::fs::write(path, &text)?;
        }
        if let Some(path) = &options.json {
            std::fs::write(path, format!("{:#}\n", self.json()))?;
        }
        Ok(())
    }
}
