//! What `--help` prints: the commands, the options and the limits, each with what it is for.

use crate::bounds::BOUNDS;
use crate::options::{Debug, OPTIONS, Program};
use portcullis::Limits;
use std::fmt::Write;

/// What the program does, by its first word; the last three are about files of tools.
const COMMANDS: [(&str, &str); 6] = [
    ("serve", "serve over HTTP; so it does without a command too"),
    ("stdio [--config FILE]", "serve over stdin and stdout, as for `ssh HOST portcullis stdio`"),
    ("sessions [FINGERPRINT]", "show the sessions of the one that runs, or what happened in one"),
    ("check-config FILE", "is a file for --config right, and what is in it?"),
    ("tools [TOOL] [--config FILE]", "list the tools, or tell all about one"),
    ("call TOOL ['{…}'] [--config F]", "run a tool here, without a client"),
];

/// Is it the first word of a command line?
pub(crate) fn is_command(word: &str) -> bool {
    COMMANDS.iter().any(|(command, _)| command.split(' ').next() == Some(word))
}

/// The text of `--help`.
pub(crate) fn help(program: &Program) -> String {
    let commands = match (program.has_commands, &program.config) {
        (false, _) => &[],
        (true, None) => &COMMANDS[..3],
        (true, Some(_)) => &COMMANDS[..],
    };
    let command = if commands.is_empty() { "" } else { " [COMMAND]" };
    let Program { name, version, about, .. } = program;
    let mut text = format!("{name} {version}: {about}\n\nUsage: {name}{command} [OPTIONS]\n");
    if !commands.is_empty() {
        text.push_str("\nCommands:\n");
        commands.iter().for_each(|(command, help)| row(&mut text, command, help));
    }
    text.push_str("\nOptions:\n");
    for opt in OPTIONS.iter().filter(|opt| opt.name != "config" || program.config.is_some()) {
        let usual = match (opt.name, &program.debug_listen) {
            ("debug-listen", Debug::Tcp(address)) => format!(" [{address}]"),
            ("debug-listen", _) => String::from(" [off]"),
            _ => String::new(),
        };
        line(&mut text, opt.name, opt.value, &[opt.help, &usual].concat());
    }
    line(&mut text, "help", "", "print this");
    line(&mut text, "version", "", "print the version");
    text.push_str("\nLimits, with their defaults (seconds may have decimals, bytes a suffix K, M or G):\n");
    let mut limits = Limits::default();
    for bound in BOUNDS {
        line(&mut text, bound.name, bound.unit(), &[bound.help, " [", &bound.shown(&mut limits), "]"].concat());
    }
    text.push_str(
        "\nSIGTERM or SIGINT: running calls may finish within the grace. A second one ends at once.\n\
                   SIGHUP: the files of --config and --token-file are read again, all or nothing.\n\
                   SIGUSR1: the sessions are written to the log.\n",
    );
    text
}

/// An option, what stands behind it, and what it is for.
fn line(text: &mut String, name: &str, value: &str, help: &str) {
    row(text, format!("--{name} {value}").trim_ascii_end(), help);
}

fn row(text: &mut String, what: &str, help: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "  {what:<30} {help}");
}
