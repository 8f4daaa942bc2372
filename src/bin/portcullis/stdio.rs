//! `portcullis stdio`: the same tools over stdin and stdout, for `ssh firewall portcullis stdio`.
//!
//! Decided here: whoever can start this program may use everything that is in it, so nobody is asked for a token and
//! roles do not count. Stdout carries messages and nothing else, the log is stderr's. The end of the input, a
//! signal, and the terminal's end let running calls finish within `--grace`; a second signal ends at once.
//!
//! Neither descriptor is made non-blocking, because whoever started us may share it: it is asked first whether it is
//! ready, and a pipe that is takes [`WRITE_BYTES_MAX`] bytes without blocking. Files, which cannot be asked, never are
//! in the way.

use crate::options::{Options, Program, Watch};
use crate::serve::{self, Describe, configure, fail};
use async_signal::Signal;
use portcullis::{Handle, Server, Toolset};
use rustix::io::Errno;
use smol::Async;
use smol::future;
use smol::io::{AsyncRead, AsyncWrite};
use std::ffi::OsString;
use std::io::{self, Stdin, Stdout};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll, ready};

/// Bytes of one write (PIPE_BUF).
const WRITE_BYTES_MAX: usize = 4096;

/// Options that say who may come over a network, and from where.
const OF_A_NETWORK: [&str; 4] = ["--listen", "--debug-listen", "--insecure-listen", "--token-file"];

/// Runs the program over stdin and stdout; `describe` says what the server is. Exit codes as of `serve`.
pub(crate) fn main(program: &Program, args: impl Iterator<Item = OsString>, describe: Describe) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let is_given = |name: &str| args.iter().any(|arg| arg.to_string_lossy().split('=').next() == Some(name));
    if let Some(name) = OF_A_NETWORK.iter().find(|name| is_given(name)) {
        let why = format!("`{name}`: stdio serves whoever starts it and nobody else: leave it out, or use `serve`");
        return fail(program, &why, 2);
    }
    serve::start(program, args, &|options| run(program, options, describe))
}

fn run(program: &Program, mut options: Options, describe: Describe) -> Result<(), String> {
    let log = crate::log::init(options.log_level)?;
    let handle = Handle::new();
    options.token_file = None;
    let builder = configure(Server::builder(program.name, program.version), &mut options)?.handle(&handle);
    let mut tools = (program.tools)(Toolset::new(), &options.limits);
    if let Some(loaded) = &options.loaded {
        loaded.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        tools = (loaded.tools)(tools);
    }
    let server = describe(builder, &options.limits, &handle).tools(tools).build().map_err(|error| error.to_string())?;
    let signals = serve::signals(&[Signal::Term, Signal::Int, Signal::Hup])?;
    let (reader, writer) = (Stream::of(io::stdin()), Stream::of(io::stdout()));
    let serving = Box::pin(server.serve_lines(reader, writer, options.grace));
    let nobody: fn(&Handle) -> Watch<'_> = |_| Box::pin(future::pending());
    let obedient = serve::obey(signals, &handle, options.grace, None, nobody, None);
    serve::to_the_end(serve::first(serving, obedient), &log)
}

/// A standard stream, if it can be waited for; a file cannot, and is always ready.
struct Stream<T>(Option<Async<T>>);

impl<T: AsFd> Stream<T> {
    fn of(stream: T) -> Stream<T> {
        Stream(Async::new_nonblocking(stream).ok())
    }
}

impl AsyncRead for Stream<Stdin> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(stdin) = &self.0 {
                ready!(stdin.poll_readable(cx))?;
            }
            match rustix::io::read(io::stdin(), &mut *buffer) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return Poll::Ready(done.map_err(io::Error::from)),
            }
        }
    }
}

impl AsyncWrite for Stream<Stdout> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(stdout) = &self.0 {
                ready!(stdout.poll_writable(cx))?;
            }
            match rustix::io::write(io::stdout(), &bytes[..bytes.len().min(WRITE_BYTES_MAX)]) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return Poll::Ready(done.map_err(io::Error::from)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
