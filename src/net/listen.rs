//! Listeners: what is accepted, with which socket options, and what happens when accepting fails.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use async_channel::Receiver;
use async_io::Async;
use rustix::net::sockopt;
use smol::io::{AsyncRead, AsyncWrite};

use super::connection::welcome;
use super::shell::Shell;
use super::socket::{Duplex, Socket};
use crate::counters::count;
use crate::transport::From;

/// Where connections come from, and for whom they are.
pub struct Listener {
    source: Source,
    operator: bool,
}

enum Source {
    Tcp(TcpListener),
    Unix(UnixListener),
    Streams(Receiver<Incoming>),
}

/// A connection that somebody else has accepted.
pub struct Incoming {
    stream: Pin<Box<dyn Duplex>>,
    address: Option<IpAddr>,
}

impl Incoming {
    /// `address` is the peer's, if it has one. Nothing else is taken on trust.
    pub fn new(stream: impl AsyncRead + AsyncWrite + 'static, address: Option<IpAddr>) -> Incoming {
        Incoming { stream: Box::pin(stream), address }
    }
}

/// Connections that wait to be accepted. std's 128 is little for clients that all come back at once.
const BACKLOG: i32 = 1024;
/// Bytes the kernel buffers for a client that does not read; with more, our own limits mean little (D13).
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How long the kernel waits for acknowledgements before it gives a connection up (D7).
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failed accept (D3).
const BACK_OFF: Duration = Duration::from_millis(100);

impl Listener {
    /// Binds `addr`.
    ///
    /// # Errors
    /// As the system says: in use, not an address of ours, not permitted.
    pub fn bind(addr: SocketAddr) -> io::Result<Listener> {
        Listener::tcp(TcpListener::bind(addr)?)
    }

    /// Takes a listener that is bound already, and sets its socket options; accepted connections inherit them.
    ///
    /// # Errors
    /// As the system says.
    pub fn tcp(listener: TcpListener) -> io::Result<Listener> {
        sockopt::set_tcp_nodelay(&listener, true)?;
        sockopt::set_socket_keepalive(&listener, true)?;
        sockopt::set_tcp_keepidle(&listener, Duration::from_secs(30))?;
        sockopt::set_tcp_keepintvl(&listener, Duration::from_secs(10))?;
        sockopt::set_tcp_keepcnt(&listener, 3)?;
        sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER_BYTES)?;
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_user_timeout(&listener, USER_TIMEOUT.as_millis() as u32)?;
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Listener { source: Source::Tcp(listener), operator: false })
    }

    /// Takes a bound Unix socket.
    ///
    /// # Errors
    /// As the system says.
    pub fn unix(listener: UnixListener) -> io::Result<Listener> {
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Listener { source: Source::Unix(listener), operator: false })
    }

    /// Serves connections that somebody else accepts, or that a test makes up.
    pub fn streams(incoming: Receiver<Incoming>) -> Listener {
        Listener { source: Source::Streams(incoming), operator: false }
    }

    /// Shows sessions to the operator instead of serving MCP.
    pub fn operator(mut self) -> Listener {
        self.operator = true;
        self
    }

    /// The address it is bound to, if it has one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.source {
            Source::Tcp(listener) => listener.local_addr().ok(),
            _ => None,
        }
    }

    /// Makes it ready to be waited for.
    pub(crate) fn open(self) -> io::Result<Door> {
        let source = match self.source {
            Source::Tcp(listener) => Entrance::Tcp(Async::new(listener)?),
            Source::Unix(listener) => Entrance::Unix(Async::new(listener)?),
            Source::Streams(incoming) => Entrance::Streams(incoming),
        };
        Ok(Door { source, operator: self.operator, spare: RefCell::new(spare()) })
    }
}

/// A listener that is being waited for.
pub(crate) struct Door {
    source: Entrance,
    operator: bool,
    /// A descriptor to give up, so that a connection can be told that there are none left.
    spare: RefCell<Option<File>>,
}

enum Entrance {
    Tcp(Async<TcpListener>),
    Unix(Async<UnixListener>),
    Streams(Receiver<Incoming>),
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

impl Door {
    /// Accepts for as long as the server runs.
    pub(crate) async fn serve(self, shell: Rc<Shell>) {
        loop {
            // The operator always gets in: to see why nobody else does.
            while !self.operator && shell.connections.borrow().len() >= shell.limits().connections_max {
                shell.cut_an_idle_connection();
                self.pause(&shell).await;
            }
            match self.accept().await {
                Ok(Some((socket, from))) => welcome(&shell, socket, From { operator: self.operator, ..from }),
                Ok(None) => return,
                Err(error) => self.failed(&shell, &error).await,
            }
            smol::future::yield_now().await;
        }
    }

    async fn accept(&self) -> io::Result<Option<(Socket, From)>> {
        match &self.source {
            Entrance::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let local = stream.get_ref().local_addr()?.ip().to_canonical();
                let from = From { address: Some(peer.ip().to_canonical()), local: Some(local), operator: false };
                Ok(Some((Socket::Tcp(stream), from)))
            }
            Entrance::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Some((Socket::Unix(stream), From::default())))
            }
            Entrance::Streams(incoming) => Ok(incoming
                .recv()
                .await
                .ok()
                .map(|Incoming { stream, address }| (Socket::Other(stream), From { address, ..From::default() }))),
        }
    }

    /// Out of descriptors, usually. The listener stays readable, so without a pause this would be all the loop does.
    async fn failed(&self, shell: &Rc<Shell>, error: &io::Error) {
        let counter = &shell.counters().accept_errors;
        if counter.get().is_multiple_of(100) {
            log::warn!(target: "portcullis", "accept failed: {error} (accept_errors={})", counter.get() + 1);
        }
        count(counter);
        if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) {
            return;
        }
        if self.spare.borrow_mut().take().is_some() {
            self.turn_one_away();
            *self.spare.borrow_mut() = spare();
        }
        self.pause(shell).await;
    }

    fn turn_one_away(&self) {
        const FULL: &[u8] =
            b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        // Whoever cannot be told is closed on anyway.
        match &self.source {
            Entrance::Tcp(listener) => drop(listener.get_ref().accept().map(|(stream, _)| tell(&stream, FULL))),
            Entrance::Unix(listener) => drop(listener.get_ref().accept().map(|(stream, _)| tell(&stream, FULL))),
            Entrance::Streams(_) => {}
        }
    }

    async fn pause(&self, shell: &Shell) {
        shell.clock().sleep_until(shell.now() + BACK_OFF).await;
    }
}

fn tell(stream: &impl AsFd, bytes: &[u8]) {
    let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
    let _ = rustix::net::send(stream, bytes, flags);
}
