//! Measures the server beside the least that could do the same job, and beside other servers where they are given.
//!
//! ```text
//! cargo bench                                    # all of it, some minutes on a quiet machine
//! cargo bench -- --quick                         # does it run? seconds, and figures that mean nothing
//! cargo bench -- --json out.json --markdown out.md
//! cargo bench -- --peer 'rmcp|json|/path/to/rmcp-peer {port} current json'
//! ```
//!
//! The limit is `limit`: a bare loop over epoll, with httparse and serde_json, that checks nothing. Rounds are
//! interleaved, so that what disturbs the machine disturbs all; medians of rounds are told. Only ratios within one run
//! mean anything on another machine. It passes no judgement: nothing here fails because it is slow, only because an
//! answer is wrong. Linux only.

mod client;
mod idle;
mod limit;
mod load;
mod machine;
mod options;
mod ours;
mod report;
mod start;

use std::error::Error;
use std::process::ExitCode;

use options::{Options, Wish};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

fn run(options: &Options) -> Outcome<()> {
    let mut report = report::Report::new(options);
    load::measure(options, &mut report)?;
    start::measure(options, &mut report)?;
    idle::measure(options, &mut report)?;
    report.write(options)
}

fn main() -> ExitCode {
    let outcome = match options::parse(std::env::args().skip(1)) {
        Ok(Wish::ServeOurs(port)) => ours::serve(port),
        Ok(Wish::ServeLimit(port)) => limit::serve(port),
        Ok(Wish::Measure(options)) => run(&options),
        Err(why) => Err(why.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::FAILURE
        }
    }
}
