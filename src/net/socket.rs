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

use super::ready::Watched;

/// Anything that reads and writes.
pub(crate) trait Duplex: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Duplex for T {}

/// Where bytes come from and go to. Those with a descriptor do not block.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Other(Pin<Box<dyn Duplex>>),
}

impl Socket {
    /// # Errors
    /// As the system says.
    pub(crate) fn tcp(stream: TcpStream) -> io::Result<Socket> {
        if !WATCHES_SOCKETS {
            return Ok(Socket::Other(Box::pin(Async::new(stream)?)));
        }
        stream.set_nonblocking(true)?;
        Ok(Socket::Tcp(stream))
    }

    /// # Errors
    /// As the system says.
    pub(crate) fn unix(stream: UnixStream) -> io::Result<Socket> {
        if !WATCHES_SOCKETS {
            return Ok(Socket::Other(Box::pin(Async::new(stream)?)));
        }
        stream.set_nonblocking(true)?;
        Ok(Socket::Unix(stream))
    }
}

/// Is there a set of ready sockets?
const WATCHES_SOCKETS: bool = cfg!(target_os = "linux");

/// A socket that a connection waits for.
pub(crate) struct Wire {
    socket: Socket,
    /// None for a stream that has its own idea of when it is ready.
    watched: Option<Watched>,
}

impl Wire {
    /// `watch` takes a socket into the server's set.
    ///
    /// # Errors
    /// As `watch`.
    pub(crate) fn new(socket: Socket, watch: impl FnOnce(&dyn AsFd) -> io::Result<Watched>) -> io::Result<Wire> {
        let watched = match &socket {
            Socket::Tcp(stream) => Some(watch(stream)?),
            Socket::Unix(stream) => Some(watch(stream)?),
            Socket::Other(_) => None,
        };
        Ok(Wire { socket, watched })
    }

    /// Reads what is there.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(watched) = &self.watched {
                ready!(watched.poll_readable(cx));
            }
            let read = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(buffer),
                Socket::Unix(stream) => stream.read(buffer),
                Socket::Other(stream) => return stream.as_mut().poll_read(cx, buffer),
            };
            let drained = || self.watched.iter().for_each(Watched::drained);
            match read {
                Ok(n) => {
                    if n < buffer.len() {
                        drained();
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => drained(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes some of `bytes`.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let written = match &mut self.socket {
                Socket::Tcp(stream) => send(stream, bytes),
                Socket::Unix(stream) => send(stream, bytes),
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
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.watched.iter().for_each(|watched| watched.wants_room(cx));
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) {
        // The peer may be gone already, which is as good.
        match &mut self.socket {
            Socket::Tcp(stream) => drop(rustix::net::shutdown(stream, Shutdown::Write)),
            Socket::Unix(stream) => drop(rustix::net::shutdown(stream, Shutdown::Write)),
            Socket::Other(stream) => drop(stream.as_mut().poll_close(cx)),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let Some(watched) = &self.watched else { return };
        match &self.socket {
            Socket::Tcp(stream) => watched.forget(stream),
            Socket::Unix(stream) => watched.forget(stream),
            Socket::Other(_) => {}
        }
    }
}

fn send(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
}
