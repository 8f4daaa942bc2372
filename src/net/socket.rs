//! A connection's two directions, whatever they are made of.
//!
//! Reads happen when the system says that there is something to read, not to find out: a short read means that
//! nothing is left. Writes never raise SIGPIPE, also in a host that has not ignored it, and are never vectored
//! (`writev` cannot be told not to).

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_io::Async;
use rustix::net::{SendFlags, Shutdown};
use smol::io::{AsyncRead, AsyncWrite};

/// Anything that reads and writes.
pub(crate) trait Duplex: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Duplex for T {}

pub(crate) enum Socket {
    Tcp(Async<TcpStream>),
    Unix(Async<UnixStream>),
    Other(Pin<Box<dyn Duplex>>),
}

impl Socket {
    /// Reads what is there. `eager` says that the last read filled its buffer, so that there may be more.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        eager: &mut bool,
    ) -> Poll<io::Result<usize>> {
        loop {
            if !*eager {
                match self {
                    Socket::Tcp(socket) => ready!(socket.poll_readable(cx))?,
                    Socket::Unix(socket) => ready!(socket.poll_readable(cx))?,
                    Socket::Other(_) => {}
                }
            }
            let read = match self {
                Socket::Tcp(socket) => socket.get_ref().read(buffer),
                Socket::Unix(socket) => socket.get_ref().read(buffer),
                Socket::Other(stream) => ready!(stream.as_mut().poll_read(cx, buffer)).map_or_else(Err, Ok),
            };
            match read {
                Ok(n) => {
                    *eager = n == buffer.len();
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => *eager = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes some of `bytes`.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let written = match self {
                Socket::Tcp(socket) => send(socket.get_ref(), bytes),
                Socket::Unix(socket) => send(socket.get_ref(), bytes),
                Socket::Other(stream) => {
                    let written = ready!(stream.as_mut().poll_write(cx, bytes));
                    if written.is_ok() {
                        // A pipe that wants more than this has its own idea of time.
                        let _ = stream.as_mut().poll_flush(cx)?;
                    }
                    return Poll::Ready(written);
                }
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self {
                    Socket::Tcp(socket) => ready!(socket.poll_writable(cx))?,
                    Socket::Unix(socket) => ready!(socket.poll_writable(cx))?,
                    Socket::Other(_) => {}
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) {
        // The peer may be gone already, which is as good.
        match self {
            Socket::Tcp(socket) => drop(rustix::net::shutdown(socket.get_ref(), Shutdown::Write)),
            Socket::Unix(socket) => drop(rustix::net::shutdown(socket.get_ref(), Shutdown::Write)),
            Socket::Other(stream) => drop(stream.as_mut().poll_close(cx)),
        }
    }
}

fn send(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
}
