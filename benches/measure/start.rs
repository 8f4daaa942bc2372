//! From nothing to the first answer, and what a server weighs then.

use std::io::Write;
use std::time::Instant;

use crate::Outcome;
use crate::client::{initialize, read_answer};
use crate::machine::Server;
use crate::options::{Kind, Options};
use crate::report::Report;

/// The program itself; without the feature `program` there is none.
const PROGRAM: Option<&str> = option_env!("CARGO_BIN_EXE_portcullis");

pub(crate) fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    let mut commands = Vec::new();
    if let Some(program) = PROGRAM {
        let words = [program, "--listen", "127.0.0.1:{port}", "--debug-listen", "off"];
        commands.push(("portcullis, the program".to_owned(), words.map(str::to_owned).to_vec()));
        report.program_bytes(std::fs::metadata(program)?.len());
    }
    let targets = options.targets.iter().filter(|target| target.kind == Kind::Session);
    commands.extend(targets.map(|target| (target.server.clone(), target.command.clone())));
    for _ in 0..options.starts {
        for (name, command) in &commands {
            let begin = Instant::now();
            let Ok(server) = Server::start(command) else { continue };
            let Ok(mut stream) = server.connect() else { continue };
            let hello = initialize(&stream, "2025-11-25");
            stream.write_all(&hello)?;
            let answer = read_answer(&mut stream)?;
            let took = begin.elapsed();
            if !answer.contains("protocolVersion") {
                return Err(format!("{name}: {answer}").into());
            }
            report.start(name, took, server.resident()?);
        }
    }
    Ok(())
}
