//! What is to be measured.

use std::path::PathBuf;

/// What the process is for: the bench starts itself again as the servers that it measures.
pub(crate) enum Wish {
    Measure(Options),
    ServeOurs(u16),
    ServeLimit(u16),
}

pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// Seconds of one measurement of calls.
    pub(crate) seconds: f64,
    /// Connections at once; latency is measured with one connection too.
    pub(crate) connections: usize,
    /// Idle sessions.
    pub(crate) sessions: usize,
    /// Seconds for which they idle.
    pub(crate) idle_seconds: f64,
    pub(crate) starts: usize,
    pub(crate) json: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) targets: Vec<Target>,
}

/// How calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Streamable HTTP with a session (2025-11-25).
    Session,
    /// HTTP+SSE (2024-11-05).
    Sse,
    /// 2026-07-28.
    Stateless,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Session, Kind::Sse, Kind::Stateless];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Kind::Session => "sessions",
            Kind::Sse => "HTTP+SSE",
            Kind::Stateless => "2026-07-28",
        }
    }
}

/// A server and a way to call it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) server: String,
    pub(crate) kind: Kind,
    /// The program and its arguments; `{port}` in them is where it is to listen.
    pub(crate) command: Vec<String>,
}

const USAGE: &str = "expected: [--quick] [--rounds N] [--seconds N] [--connections N] [--sessions N] [--idle-seconds N] \
                     [--starts N] [--json FILE] [--markdown FILE] [--peer 'NAME|json, sse or 2026|COMMAND {port}']...";

pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Wish, String> {
    let args: Vec<String> = args.collect();
    let quick = args.iter().any(|arg| arg == "--quick");
    let mut options = Options {
        quick,
        rounds: if quick { 1 } else { 5 },
        seconds: if quick { 0.2 } else { 2.0 },
        connections: 32,
        sessions: if quick { 100 } else { 10_000 },
        idle_seconds: if quick { 0.2 } else { 20.0 },
        starts: if quick { 2 } else { 20 },
        json: None,
        markdown: None,
        targets: own()?,
    };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value; {USAGE}"));
        match arg.as_str() {
            // cargo says `--bench` to every bench; a word without dashes is its filter.
            "--quick" | "--bench" => {}
            "--rounds" => options.rounds = number(&value()?)?,
            "--seconds" => options.seconds = number(&value()?)?,
            "--connections" => options.connections = number(&value()?)?,
            "--sessions" => options.sessions = number(&value()?)?,
            "--idle-seconds" => options.idle_seconds = number(&value()?)?,
            "--starts" => options.starts = number(&value()?)?,
            "--json" => options.json = Some(value()?.into()),
            "--markdown" => options.markdown = Some(value()?.into()),
            "--peer" => options.targets.push(peer(&value()?)?),
            "--serve-ours" => return Ok(Wish::ServeOurs(number(&value()?)?)),
            "--serve-limit" => return Ok(Wish::ServeLimit(number(&value()?)?)),
            _ => return Err(format!("{arg:?} is unknown; {USAGE}")),
        }
    }
    Ok(Wish::Measure(options))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number; {USAGE}"))
}

/// Our server in every way, and the limit.
fn own() -> Result<Vec<Target>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let target = |server: &str, kind, option: &str| {
        let command = vec![program.clone(), option.into(), "{port}".into()];
        Target { server: server.into(), kind, command }
    };
    let mut targets: Vec<_> = Kind::ALL.iter().map(|kind| target("portcullis", *kind, "--serve-ours")).collect();
    targets.push(target("epoll + httparse + serde_json", Kind::Session, "--serve-limit"));
    Ok(targets)
}

fn peer(text: &str) -> Result<Target, String> {
    let [server, kind, command] = text.split('|').collect::<Vec<_>>()[..] else {
        return Err(format!("--peer {text:?}; {USAGE}"));
    };
    let kind = match kind.trim() {
        "json" => Kind::Session,
        "sse" => Kind::Sse,
        "2026" => Kind::Stateless,
        other => return Err(format!("--peer: {other:?} is no way to call; {USAGE}")),
    };
    Ok(Target { server: server.trim().into(), kind, command: command.split_whitespace().map(str::to_owned).collect() })
}
