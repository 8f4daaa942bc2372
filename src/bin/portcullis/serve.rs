//! From a command line to a running server: log, signals, and how it ends.
//!
//! Decided here: what a person is told at
//! the start (stdout; everything later is log), and the end: SIGTERM or SIGINT let running calls finish
//! within the grace, a second one ends at once, and both are a success. Signals are awaited beside the
//! server on its thread. The example `echo` runs through this file too.

use crate::bounds::shown_seconds;
use crate::listeners::{self, Listeners};
use crate::log::Log;
use crate::notify::Manager;
use crate::options::{self, Options, Program, Watch, Wish};
use crate::reload::Reload;
use async_signal::{Signal, Signals};
use log::{info, warn};
use portcullis::{Builder, Handle, Limits, Server, Tokens, Toolset};
use rustix::io::Errno;
use smol::future;
use smol::stream::StreamExt;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

/// Bytes of a token file: thousands of tokens. A larger file is not one.
const TOKEN_FILE_BYTES_MAX: u64 = 1 << 20;

/// Says what a server is, and what it can do.
pub(crate) type Describe = fn(Builder, &Limits, &Handle) -> Builder;

/// A server that serves, and what runs beside it.
pub(crate) type Serving<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;

/// Runs a program from its arguments to its exit code; `tools` adds what it can do.
///
/// 0: it was asked to end, or printed what was asked for. 1: it could not serve. 2: its command line makes no sense.
pub(crate) fn main(program: &Program, args: impl Iterator<Item = OsString>, tools: Describe) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    start(program, args.clone(), &|options| run(program, args.clone(), options, tools))
}

/// From arguments to an exit code, by way of what is to be done with the options in them.
pub(crate) fn start(program: &Program, args: Vec<OsString>, run: &dyn Fn(Options) -> Result<(), String>) -> ExitCode {
    match options::parse(program, args) {
        Ok(Wish::Run(options)) => match run(*options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(program, &why, 1),
        },
        Ok(Wish::Print(text)) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(why) => fail(program, &why, 2),
    }
}

/// Says why it cannot be, and with which exit code.
pub(crate) fn fail(program: &Program, why: &str, code: u8) -> ExitCode {
    // Not `eprintln!`: that one panics if nobody reads stderr.
    let _ = writeln!(io::stderr(), "{}: {why}", program.name);
    ExitCode::from(code)
}

/// Prints to stdout; whoever closed it wants to hear nothing.
pub(crate) fn say(text: &str) {
    let mut rest = text.as_bytes();
    // Not `print!`, which panics there, and has a buffer that nobody needs here.
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn run(program: &Program, args: Vec<OsString>, mut options: Options, tools: Describe) -> Result<(), String> {
    let log = crate::log::init(options.log_level)?;
    // Before anything else is open: what was handed over is known by its number.
    let open = listeners::open(&options)?;
    let handle = Handle::new();
    let mut builder = configure(Server::builder(program.name, program.version), &mut options)?.handle(&handle);
    builder = tools(builder, &options.limits, &handle);
    let reload = Reload::of(program, args, &mut options);
    let mut own = (program.tools)(Toolset::new(), &options.limits);
    let mut watch: fn(&Handle) -> Watch<'_> = |_| Box::pin(future::pending());
    if let Some(loaded) = options.loaded.take() {
        loaded.warnings.iter().for_each(|warning| warn!("{warning}"));
        (loaded.admit)();
        builder = (loaded.guard)(builder);
        own = (loaded.tools)(own);
        watch = loaded.watch;
    }
    let server = builder.tools(own).build().map_err(|error| error.to_string())?;
    // Before the first byte is served: who sees the URLs may send signals. One who has nothing to read again ends
    // with his terminal, like any program.
    let those = [Signal::Term, Signal::Int, Signal::Usr1, Signal::Hup];
    let signals = signals(if reload.is_some() { &those } else { &those[..3] })?;

    say(&welcome(program, &options, &open));
    let manager = Manager::from_env();
    manager.iter().for_each(Manager::ready);

    let obedient = obey(signals, &handle, options.grace, reload.as_ref(), watch, manager.as_ref());
    let mut serving = first(Box::pin(server.serve(open.all)), obedient);
    if let Some(manager) = &manager {
        serving = first(serving, Box::pin(manager.attend(&handle)));
    }
    let ended = to_the_end(serving, &log);
    drop(open.files);
    info!("{} ended", program.name);
    log.flush();
    ended
}

/// Those that are to be awaited.
pub(crate) fn signals(which: &[Signal]) -> Result<Signals, String> {
    Signals::new(which.iter().copied()).map_err(|error| format!("cannot wait for signals: {error}"))
}

/// Both at once, until one of them ends. Boxed, so that there is one kind of it and not one for every pair.
pub(crate) fn first<'a>(one: Serving<'a>, other: Serving<'a>) -> Serving<'a> {
    Box::pin(future::or(one, other))
}

/// Runs it on this thread, and lets the log out meanwhile.
pub(crate) fn to_the_end(serving: Serving<'_>, log: &Log) -> Result<(), String> {
    let mut ended = Ok(());
    block_on(Box::pin(async { ended = future::or(serving, log.drain()).await }));
    log.flush();
    ended.map_err(|error| format!("cannot go on serving: {error}"))
}

/// `smol::block_on`, once: it is 2 KB for each kind of future.
pub(crate) fn block_on(future: Pin<Box<dyn Future<Output = ()> + '_>>) {
    smol::block_on(future);
}

/// Gives the builder what the command line said.
pub(crate) fn configure(mut builder: Builder, options: &mut Options) -> Result<Builder, String> {
    builder = builder.limits(options.limits()).relative_endpoint(options.relative_endpoint);
    if let Some(path) = &options.base_path {
        builder = builder.base_path(path.as_str());
    }
    for cidr in options.trust_proxy.drain(..) {
        builder = builder.trust_proxy(cidr);
    }
    for host in &options.allow_host {
        builder = builder.allow_host(host.as_str());
    }
    for origin in &options.allow_origin {
        builder = builder.allow_origin(origin.as_str());
    }
    match &options.token_file {
        Some(path) => Ok(builder.tokens(tokens(path)?)),
        None => Ok(builder),
    }
}

/// Reads a token file; the text of a fault never holds a token.
pub(crate) fn tokens(path: &Path) -> Result<Tokens, String> {
    let read = || {
        let file = File::open(path)?;
        Ok((file.metadata()?.mode(), contents(file, TOKEN_FILE_BYTES_MAX)?))
    };
    let tokens = || {
        let (mode, bytes) = read().map_err(|error: io::Error| error.to_string())?;
        if mode & 0o007 != 0 {
            warn!("token file {} can be read by everybody: chmod o= it", path.display());
        }
        if bytes.len() as u64 > TOKEN_FILE_BYTES_MAX {
            return Err(format!("longer than {TOKEN_FILE_BYTES_MAX} bytes, expected one bearer token a line"));
        }
        let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?;
        Tokens::parse(&text).map_err(|error| error.to_string())
    };
    tokens().map_err(|why| format!("`--token-file`: {}: {why}", path.display()))
}

/// What a file holds, up to so many bytes and one more, which shows that it is longer.
pub(crate) fn contents(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Turns signals into what they mean. Never ends by itself before the third that asks for an end.
pub(crate) fn obey<'a>(
    mut signals: Signals,
    handle: &'a Handle,
    grace: Duration,
    reload: Option<&'a Reload<'_>>,
    watch: fn(&Handle) -> Watch<'_>,
    manager: Option<&'a Manager>,
) -> Serving<'a> {
    Box::pin(async move {
        let mut asked = 0;
        loop {
            let watching = async {
                watch(handle).await;
                future::pending().await
            };
            match (future::or(signals.next(), watching).await, reload, asked) {
                (Some(Ok(Signal::Hup)), Some(reload), _) => {
                    manager.iter().for_each(|manager| manager.reloading());
                    reload.again(handle).await;
                    manager.iter().for_each(|manager| manager.ready());
                }
                (Some(Ok(Signal::Usr1)), ..) => crate::sessions::log(handle).await,
                (Some(Ok(signal)), _, 0) => {
                    let seconds = shown_seconds(grace);
                    info!("{signal:?}: running calls may finish within {seconds} s; a second signal ends at once");
                    manager.iter().for_each(|manager| manager.stopping());
                    handle.shutdown(grace);
                    asked = 1;
                }
                (Some(Ok(signal)), _, 1) => {
                    info!("{signal:?}: ending at once");
                    handle.shutdown(Duration::ZERO);
                    asked = 2;
                }
                // Whoever sends a third one does not want to hear why it takes long: the server is dropped.
                (Some(Ok(_)), ..) => return Ok(()),
                (Some(Err(_)), ..) => {}
                (None, ..) => future::pending().await,
            }
        }
    })
}

/// What a person is told when it runs.
fn welcome(program: &Program, options: &Options, open: &Listeners) -> String {
    let addresses = &open.addresses;
    let base = options.base_path.as_deref().unwrap_or_default();
    let mut text = format!("{} {} serves MCP on\n", program.name, program.version);
    // Writing into a String cannot fail.
    for address in addresses {
        let _ = writeln!(text, "  http://{address}{base}/mcp   (Streamable HTTP)");
        let _ = writeln!(text, "  http://{address}{base}/sse   (HTTP+SSE)");
    }
    for socket in &open.sockets {
        let _ = writeln!(text, "  unix:{}   (both, at the same paths)", socket.display());
    }
    if let Some(shown) = &open.shown {
        let _ = writeln!(text, "and shows its sessions to you alone:\n  {shown}");
    }
    let Some(first) = addresses.first() else { return text };
    let (name, url) = (program.name, format!("http://{}{base}/mcp", reachable(*first)));
    let token = match (&options.token_file, options.has_tokens) {
        (Some(_), _) => "where TOKEN is a line of the token file.\n",
        (None, true) => "where TOKEN is one whose digest is in the file, as `[[token]]`.\n",
        (None, false) => "",
    };
    let (header, headers) = match token {
        "" => ("", ""),
        _ => (" --header \"Authorization: Bearer TOKEN\"", r#""headers":{"Authorization":"Bearer TOKEN"},"#),
    };
    let _ = writeln!(
        text,
        "\nAdd it to an MCP client, with its command\n  claude mcp add --transport http {name} {url}{header}"
    );
    // Neither the name nor a URL of ours has a letter that JSON would have to escape.
    let entry = format!(r#"{{{headers}"type":"http","url":"{url}"}}"#);
    let _ = writeln!(text, "or in its configuration\n  {{\"mcpServers\":{{\"{name}\":{entry}}}}}");
    text.push_str(token);
    text
}

/// An address a client can use: not the wildcard, which only a listener can.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into(),
        usual => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wildcard_is_not_told_to_clients() {
        for (bound, told) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")] {
            assert_eq!(reachable(bound.parse().unwrap()), told.parse().unwrap());
        }
    }
}
