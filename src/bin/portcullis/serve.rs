//! From a command line to a running server: listeners, log, signals, and how it ends.
//!
//! Decided here: which listener may be missing (only one that nobody asked for), what a person is told at
//! the start (stdout; everything later is log), and the end: SIGTERM or SIGINT let running calls finish
//! within the grace, a second one ends at once, and both are a success. Signals are awaited beside the
//! server on its thread. The example `echo` runs through this file too.

use crate::options::{self, Debug, Options, Program, Wish};
use async_signal::{Signal, Signals};
use log::{info, warn};
use portcullis::{Builder, Handle, Limits, Listener, Server, Tokens};
use smol::future;
use smol::stream::StreamExt;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Bytes of a token file: thousands of tokens. A larger file is not one.
const TOKEN_FILE_BYTES_MAX: u64 = 1 << 20;

/// Runs a program from its arguments to its exit code; `tools` adds what it can do.
///
/// 0: it was asked to end, or printed what was asked for. 1: it could not serve. 2: its command line makes no sense.
pub(crate) fn main(
    program: &Program,
    args: impl Iterator<Item = OsString>,
    tools: impl FnOnce(Builder, &Limits, &Handle) -> Builder,
) -> ExitCode {
    let options = match options::parse(program, args.collect()) {
        Ok(Wish::Run(options)) => *options,
        Ok(Wish::Print(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Err(why) => return fail(program, &why, 2),
    };
    match run(program, options, tools) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(program, &why, 1),
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
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn run(
    program: &Program,
    mut options: Options,
    tools: impl FnOnce(Builder, &Limits, &Handle) -> Builder,
) -> Result<(), String> {
    let log = crate::log::init(options.log_level)?;
    let handle = Handle::new();
    let mut builder = configure(Server::builder(program.name, program.version), &mut options)?.handle(&handle);
    builder = tools(builder, &options.limits, &handle);
    if let Some(install) = options.install.take() {
        builder = install(builder, &options.limits, &handle)?;
    }
    let server = builder.build().map_err(|error| error.to_string())?;
    // Before the first byte is served: who sees the URLs may send signals.
    let signals =
        Signals::new([Signal::Term, Signal::Int]).map_err(|error| format!("cannot wait for signals: {error}"))?;

    let mut listeners = open(&options)?;
    let addresses: Vec<SocketAddr> = listeners.iter().filter_map(Listener::local_addr).collect();
    let operator = open_debug(&options)?;
    let mut socket = None;
    let mut shown = None;
    if let Some((listener, path)) = operator {
        shown = Some(match (&path, listener.local_addr()) {
            (Some(path), _) => format!("curl --unix-socket {} http://localhost/debug/sessions", path.display()),
            (None, Some(address)) => format!("http://{address}/debug/sessions"),
            (None, None) => String::from("/debug/sessions"),
        });
        socket = path.map(RemovedAtEnd);
        listeners.push(listener.operator());
    }
    say(&welcome(program, &options, &addresses, shown.as_deref()));

    let serving = future::or(server.serve(listeners), obey(signals, handle, options.grace));
    let ended = smol::block_on(future::or(serving, log.drain()));
    drop(socket);
    info!("{} ended", program.name);
    log.flush();
    ended.map_err(|error| format!("cannot go on serving: {error}"))
}

/// Gives the builder what the command line said.
fn configure(mut builder: Builder, options: &mut Options) -> Result<Builder, String> {
    builder = builder.limits(options.limits.clone()).relative_endpoint(options.relative_endpoint);
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
fn tokens(path: &Path) -> Result<Tokens, String> {
    let fault = |why: String| format!("`--token-file`: {}: {why}", path.display());
    let file = std::fs::File::open(path).map_err(|error| fault(error.to_string()))?;
    let mode = file.metadata().map_err(|error| fault(error.to_string()))?.mode();
    if mode & 0o077 != 0 {
        warn!("token file {} can be read by others than its owner: chmod 600 it", path.display());
    }
    let mut text = String::new();
    let read =
        file.take(TOKEN_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| fault(error.to_string()))?;
    if read as u64 > TOKEN_FILE_BYTES_MAX {
        return Err(fault(format!("longer than {TOKEN_FILE_BYTES_MAX} bytes, expected one bearer token a line")));
    }
    Tokens::parse(&text).map_err(|error| fault(error.to_string()))
}

/// Opens the addresses to serve on.
fn open(options: &Options) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for address in &options.listen {
        match Listener::bind(*address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if !options.listen_given && address.is_ipv6() && has_no_ipv6(&error) => {
                warn!("not listening on {address}: this machine has no IPv6 ({error})");
            }
            Err(error) => return Err(format!("cannot listen on {address}: {}", reason(&error))),
        }
    }
    Ok(listeners)
}

/// Why a listener could not be opened, and what helps.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!("{error}; is this program already running? Choose another port with `--listen ADDR:PORT`")
        }
        ErrorKind::AddrNotAvailable => format!("{error}; it is no address of this machine (`ip addr` lists them)"),
        ErrorKind::PermissionDenied => {
            format!("{error}; ports below 1024 need CAP_NET_BIND_SERVICE or root, or choose a higher one")
        }
        _ => error.to_string(),
    }
}

/// A kernel without IPv6, or with `::1` taken away by `disable_ipv6`.
fn has_no_ipv6(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Opens the place where sessions are shown; one that nobody asked for may be missing.
fn open_debug(options: &Options) -> Result<Option<(Listener, Option<PathBuf>)>, String> {
    let opened = match &options.debug_listen {
        Debug::Off => return Ok(None),
        Debug::Tcp(address) => Listener::bind(*address).map(|listener| (listener, None)),
        Debug::Unix(path) => open_unix(path).map(|listener| (listener, Some(path.clone()))),
    };
    let place = match &options.debug_listen {
        Debug::Unix(path) => format!("unix:{}", path.display()),
        Debug::Tcp(address) => address.to_string(),
        Debug::Off => String::new(),
    };
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if options.debug_given => Err(format!("`--debug-listen`: cannot listen on {place}: {error}")),
        Err(error) => {
            warn!("sessions are not shown on {place}: {error}; `--debug-listen` chooses another place");
            Ok(None)
        }
    }
}

/// Opens a socket that only its owner may use, in place of one that nobody serves any more.
fn open_unix(path: &Path) -> io::Result<Listener> {
    let stale = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    if stale {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // To connect one must be allowed to write, which the usual umask gives to the owner alone even before this.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Listener::unix(listener)
}

/// A socket's file, which outlives the socket unless somebody removes it.
struct RemovedAtEnd(PathBuf);

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Turns signals into the server's end. Never ends by itself before the third.
async fn obey(mut signals: Signals, handle: Handle, grace: Duration) -> io::Result<()> {
    if let Some(Ok(signal)) = signals.next().await {
        info!("{signal:?}: running calls may finish within {} s; a second signal ends at once", grace.as_secs_f64());
        handle.shutdown(grace);
    }
    if let Some(Ok(signal)) = signals.next().await {
        info!("{signal:?}: ending at once");
        handle.shutdown(Duration::ZERO);
    }
    // Whoever sends a third one does not want to hear why it takes long: the server is dropped.
    match signals.next().await {
        Some(_) => Ok(()),
        None => future::pending().await,
    }
}

/// What a person is told when it runs.
fn welcome(program: &Program, options: &Options, addresses: &[SocketAddr], shown: Option<&str>) -> String {
    let base = options.base_path.as_deref().unwrap_or_default();
    let mut text = format!("{} {} serves MCP on\n", program.name, program.version);
    // Writing into a String cannot fail.
    for address in addresses {
        let _ = writeln!(text, "  http://{address}{base}/mcp   (Streamable HTTP)");
        let _ = writeln!(text, "  http://{address}{base}/sse   (HTTP+SSE)");
    }
    if let Some(shown) = shown {
        let _ = writeln!(text, "and shows its sessions to you alone:\n  {shown}");
    }
    let Some(first) = addresses.first() else { return text };
    let (name, url) = (program.name, format!("http://{}{base}/mcp", reachable(*first)));
    let (mut header, mut entry) = (String::new(), serde_json::json!({ "type": "http", "url": url }));
    if options.token_file.is_some() {
        header = String::from(" --header \"Authorization: Bearer TOKEN\"");
        entry["headers"] = serde_json::json!({ "Authorization": "Bearer TOKEN" });
    }
    let _ = writeln!(
        text,
        "\nAdd it to an MCP client, with its command\n  claude mcp add --transport http {name} {url}{header}"
    );
    let _ = writeln!(text, "or in its configuration\n  {}", serde_json::json!({ "mcpServers": { name: entry } }));
    if options.token_file.is_some() {
        text.push_str("where TOKEN is a line of the token file.\n");
    }
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
