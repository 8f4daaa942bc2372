//! What sessions weigh that only wait, each with its stream open, and what they cost.

use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::client::open_idle;
use crate::machine::{self, Server};
use crate::options::{Kind, Options};
use crate::report::{Idle, Report};

/// Descriptors that a process needs besides its sessions'.
const SPARE: u64 = 100;

pub(crate) fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    let most = machine::raise_descriptors().saturating_sub(SPARE) as usize;
    let sessions = options.sessions.min(most);
    if sessions < options.sessions {
        eprintln!("{sessions} idle sessions instead of {}: so many descriptors are there", options.sessions);
    }
    for target in options.targets.iter().take(report.own()).filter(|target| target.server == "portcullis") {
        if target.kind == Kind::Stateless {
            continue; // it has no sessions
        }
        let server = Server::start(&target.command)?;
        // The first of each kind pays for what all of them share.
        let _first = open_idle(target.kind, server.connect()?)?;
        let before = server.resident()?;
        let mut open = Vec::with_capacity(sessions);
        for _ in 0..sessions {
            open.push(open_idle(target.kind, server.connect()?)?);
        }
        let (bytes, cpu) = (server.resident()?.saturating_sub(before), server.cpu()?);
        thread::sleep(Duration::from_secs_f64(options.idle_seconds));
        let cpu = server.cpu()? - cpu;
        report.idle(Idle {
            kind: target.kind,
            sessions,
            bytes_each: bytes as f64 / sessions as f64,
            core_percent: cpu as f64 / 1e7 / options.idle_seconds,
        });
    }
    Ok(())
}
