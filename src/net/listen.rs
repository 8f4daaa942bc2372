//! Listeners: what is accepted, with which socket options, and what happens when accepting fails.

use std::cell::RefCell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::Async;
use rustix::net::sockopt;
use smol::io::{AsyncRead, AsyncWrite};
use smol::stream::Stream;

use super::connection::welcome;
use super::shell::Shell;
use super::socket::Socket;
use crate::counters::count;
use crate::transport::From;

/// Where connections come from, and for whom they are.
pub struct Listener {
    source: Source,
    operator: bool,
}

enum Source {
    Socket(Bound),
    Streams(Streams),
}

/// A socket that listens. One type for both families, so that waiting for one is there once.
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

type Streams = Pin<Box<dyn Stream<Item = Incoming>>>;

/// A connection that somebody else has accepted.
///
/// Nothing is taken on trust from one: its `Host` and `Origin` are checked, it has to show a token where tokens are
/// wanted, it is not the operator's (unless its [`Listener::operator`] says so), and its `X-Forwarded-…` headers are
/// ignored unless its address is one that [`Builder::trust_proxy`](crate::Builder::trust_proxy) names.
pub struct Incoming {
    socket: Socket,
    from: From,
}

impl Incoming {
    /// Anything that reads and writes: a TLS stream, a pipe. `address` is the peer's, as far as the host knows it: it is
    /// shown to the operator and to [`Access`](crate::Access).
    ///
    /// Writing is the stream's own affair: one that is made of a pipe raises SIGPIPE when its peer has gone, which ends a
    /// host that does not ignore that signal (Rust's own `main` does). [`Incoming::tcp`] and [`Incoming::unix`] never
    /// raise it.
    pub fn new(stream: impl AsyncRead + AsyncWrite + 'static, address: Option<IpAddr>) -> Incoming {
        let from = From { address: address.map(|address| address.to_canonical()), ..From::default() };
        Incoming { socket: Socket::Other(Box::pin(stream)), from }
    }

    /// A TCP connection; sets the socket options that [`Listener::tcp`] sets. Its peer's address is the socket's, and
    /// the address it was accepted on is a good `Host`.
    ///
    /// # Errors
    /// As the system says, for example if it is no longer connected.
    pub fn tcp(stream: TcpStream) -> io::Result<Incoming> {
        set_options(stream.as_fd())?;
        tcp(stream)
    }

    /// A connection over a Unix socket. No page can reach one, so that its `Host` is not looked at. Whoever may use it
    /// is the host's affair: the mode of its file, or the peer's user (`SO_PEERCRED`).
    ///
    /// # Errors
    /// As the system says.
    pub fn unix(stream: UnixStream) -> io::Result<Incoming> {
        unix(stream)
    }

    /// The address that the connection was accepted on: clients may name it as `Host`.
    pub fn accepted_on(mut self, local: IpAddr) -> Incoming {
        self.from.local = Some(local.to_canonical());
        self
    }
}

fn tcp(stream: TcpStream) -> io::Result<Incoming> {
    let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
    let from =
        From { address: Some(peer.ip().to_canonical()), local: Some(local.ip().to_canonical()), ..From::default() };
    Ok(Incoming { socket: Socket::tcp(stream)?, from })
}

fn unix(stream: UnixStream) -> io::Result<Incoming> {
    Ok(Incoming { socket: Socket::unix(stream)?, from: From { unix: true, ..From::default() } })
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
        set_options(listener.as_fd())?;
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Listener { source: Source::Socket(Bound::Tcp(listener)), operator: false })
    }

    /// Takes a bound Unix socket.
    ///
    /// # Errors
    /// As the system says.
    pub fn unix(listener: UnixListener) -> io::Result<Listener> {
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Listener { source: Source::Socket(Bound::Unix(listener)), operator: false })
    }

    /// Serves connections that somebody else accepts, or that a test makes up, until `incoming` ends. They share the
    /// sessions of all other listeners.
    ///
    /// A channel of std's sockets crosses threads, and becomes connections on the server's:
    ///
    /// ```
    /// use portcullis::{Incoming, Listener};
    /// use smol::stream::StreamExt;
    ///
    /// let (hand_over, accepted) = async_channel::bounded::<std::net::TcpStream>(16);
    /// let listener = Listener::streams(accepted.filter_map(|stream| Incoming::tcp(stream).ok()));
    /// # let _ = (hand_over, listener);
    /// ```
    pub fn streams(incoming: impl Stream<Item = Incoming> + 'static) -> Listener {
        Listener { source: Source::Streams(Box::pin(incoming)), operator: false }
    }

    /// Shows sessions to the operator instead of serving MCP.
    pub fn operator(mut self) -> Listener {
        self.operator = true;
        self
    }

    /// The address it is bound to, if it has one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.source {
            Source::Socket(Bound::Tcp(listener)) => listener.local_addr().ok(),
            _ => None,
        }
    }

    /// Makes it ready to be waited for.
    pub(crate) fn open(self) -> io::Result<Door> {
        let source = match self.source {
            Source::Socket(listener) => Entrance::Socket(Async::new(listener)?),
            Source::Streams(incoming) => Entrance::Streams(incoming),
        };
        Ok(Door { source, operator: self.operator, spare: RefCell::new(spare()) })
    }
}

/// What every TCP connection gets; accepted ones inherit it from their listener.
fn set_options(socket: BorrowedFd<'_>) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(socket, 3)?;
    sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER_BYTES)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(socket, USER_TIMEOUT.as_millis() as u32)?;
    Ok(())
}

/// A listener that is being waited for.
pub(crate) struct Door {
    source: Entrance,
    operator: bool,
    /// A descriptor to give up, so that a connection can be told that there are none left.
    spare: RefCell<Option<File>>,
}

enum Entrance {
    Socket(Async<Bound>),
    Streams(Streams),
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Bound::Tcp(listener) => listener.as_fd(),
            Bound::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Bound {
    fn accept(&self) -> io::Result<Incoming> {
        match self {
            Bound::Tcp(listener) => tcp(listener.accept()?.0),
            Bound::Unix(listener) => unix(listener.accept()?.0),
        }
    }

    /// Whoever cannot be told is closed on anyway.
    fn turn_one_away(&self) {
        match self {
            Bound::Tcp(listener) => drop(listener.accept().map(|(stream, _)| tell_it_is_full(stream.as_fd()))),
            Bound::Unix(listener) => drop(listener.accept().map(|(stream, _)| tell_it_is_full(stream.as_fd()))),
        }
    }
}

fn tell_it_is_full(stream: BorrowedFd<'_>) {
    const FULL: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
    let _ = rustix::net::send(stream, FULL, flags);
}

impl Door {
    /// Accepts for as long as the server runs.
    pub(crate) async fn serve(mut self, shell: Rc<Shell>) {
        loop {
            // The operator always gets in: to see why nobody else does.
            let is_full = !self.operator && shell.connections.borrow().len() >= shell.limits().connections_max;
            let pauses = if is_full {
                shell.cut_an_idle_connection();
                true
            } else {
                match poll_fn(|cx| self.poll_accept(cx)).await {
                    Ok(Some(Incoming { socket, from })) => {
                        welcome(&shell, socket, From { operator: self.operator, ..from });
                        false
                    }
                    Ok(None) => return,
                    Err(error) => self.failed(&shell, &error),
                }
            };
            if pauses {
                shell.clock().sleep_until(shell.now() + BACK_OFF).await;
            } else {
                smol::future::yield_now().await;
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Incoming>>> {
        let socket = match &mut self.source {
            Entrance::Socket(socket) => socket,
            Entrance::Streams(incoming) => return incoming.as_mut().poll_next(cx).map(Ok),
        };
        loop {
            match socket.get_ref().accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(socket.poll_readable(cx))?,
                accepted => return Poll::Ready(accepted.map(Some)),
            }
        }
    }

    /// Whether to wait before the next try. Out of descriptors, usually: the listener stays readable, so without a pause
    /// this would be all the loop does.
    fn failed(&self, shell: &Shell, error: &io::Error) -> bool {
        let counter = &shell.counters().accept_errors;
        if counter.get().is_multiple_of(100) {
            log::warn!(target: "portcullis", "accept failed: {error} (accept_errors={})", counter.get() + 1);
        }
        count(counter);
        if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) {
            return false;
        }
        if self.spare.borrow_mut().take().is_some() {
            if let Entrance::Socket(socket) = &self.source {
                socket.get_ref().turn_one_away();
            }
            *self.spare.borrow_mut() = spare();
        }
        true
    }
}
