//! Where the program listens: addresses, Unix sockets, and sockets that a service manager has opened.
//!
//! Decided here: which listener may be missing (only one that nobody asked for), who may use a socket's file, and that
//! sockets handed over by a service manager take the place of the default addresses. The manager's own words for it are
//! those of `sd_listen_fds(3)`; a socket named `debug` is the operator's. A connection over a Unix socket is nobody's in
//! particular, as one over loopback is: the file's mode says who gets that far.

use crate::options::{Debug, Options, is_loopback};
use log::warn;
use portcullis::Listener;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// All listeners of the program.
pub(crate) struct Listeners {
    pub(crate) all: Vec<Listener>,
    /// Addresses that MCP is served on.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Unix sockets that MCP is served on.
    pub(crate) sockets: Vec<PathBuf>,
    /// How to look at the sessions, if somewhere.
    pub(crate) shown: Option<String>,
    /// To be kept until the server has ended.
    pub(crate) files: Vec<RemovedAtEnd>,
}

/// A socket's file, which outlives the socket unless somebody removes it.
pub(crate) struct RemovedAtEnd(PathBuf);

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Opens everything that was asked for.
///
/// # Errors
/// In words: which place, why not, and what helps.
pub(crate) fn open(options: &Options) -> Result<Listeners, String> {
    let mut open =
        Listeners { all: Vec::new(), addresses: Vec::new(), sockets: Vec::new(), shown: None, files: Vec::new() };
    let given = open.handed_over(options)?;
    if options.listen_given || !given.serves {
        open.addresses(options)?;
    }
    for path in &options.listen_unix {
        // Its owner and its group; others cannot even knock.
        let listener = open_unix(path, 0o660).map_err(|error| {
            format!(
                "cannot listen on unix:{}: {error}; is its folder there, and may this user write to it?",
                path.display()
            )
        })?;
        open.all.push(listener);
        open.sockets.push(path.clone());
        open.files.push(RemovedAtEnd(path.clone()));
    }
    if !given.shows {
        open.operator(options)?;
    }
    Ok(open)
}

/// What a service manager has handed over.
struct HandedOver {
    serves: bool,
    shows: bool,
}

impl Listeners {
    fn handed_over(&mut self, options: &Options) -> Result<HandedOver, String> {
        let mut given = HandedOver { serves: false, shows: false };
        let sockets = sd_listen_fds::get().map_err(|error| format!("`LISTEN_FDS`: {error}"))?;
        for (at, (name, socket)) in sockets.into_iter().enumerate() {
            let what = name.unwrap_or_else(|| format!("number {at}"));
            let listener = adopt(socket.into_std()).map_err(|why| format!("the socket {what:?} handed over: {why}"))?;
            let address = listener.local_addr();
            if what == "debug" {
                if address.is_some_and(|address| !is_loopback(&address)) {
                    return Err(
                        "the socket \"debug\" handed over can be reached by others: expected loopback or Unix".into()
                    );
                }
                self.shown = Some(String::from("/debug/sessions, on the socket \"debug\""));
                self.all.push(listener.operator());
                given.shows = true;
                continue;
            }
            if let Some(address) = address {
                options.check_address(&address)?;
                self.addresses.push(address);
            }
            self.all.push(listener);
            given.serves = true;
        }
        Ok(given)
    }

    fn addresses(&mut self, options: &Options) -> Result<(), String> {
        for address in &options.listen {
            match Listener::bind(*address) {
                Ok(listener) => {
                    self.addresses.extend(listener.local_addr());
                    self.all.push(listener);
                }
                Err(error) if !options.listen_given && address.is_ipv6() && has_no_ipv6(&error) => {
                    warn!("not listening on {address}: this machine has no IPv6 ({error})");
                }
                Err(error) => return Err(format!("cannot listen on {address}: {}", reason(&error))),
            }
        }
        Ok(())
    }

    /// Opens the place where sessions are shown; one that nobody asked for may be missing.
    fn operator(&mut self, options: &Options) -> Result<(), String> {
        let (opened, place) = match &options.debug_listen {
            Debug::Off => return Ok(()),
            Debug::Tcp(address) => (Listener::bind(*address), address.to_string()),
            Debug::Unix(path) => (open_unix(path, 0o600), format!("unix:{}", path.display())),
        };
        let listener = match opened {
            Ok(listener) => listener,
            Err(error) if options.debug_given => {
                return Err(format!("`--debug-listen`: cannot listen on {place}: {error}"));
            }
            Err(error) => {
                warn!("sessions are not shown on {place}: {error}; `--debug-listen` chooses another place");
                return Ok(());
            }
        };
        self.shown = Some(match (&options.debug_listen, listener.local_addr()) {
            (Debug::Unix(path), _) => format!("curl --unix-socket {} http://localhost/debug/sessions", path.display()),
            (_, Some(address)) => format!("http://{address}/debug/sessions"),
            (_, None) => String::from("/debug/sessions"),
        });
        if let Debug::Unix(path) = &options.debug_listen {
            self.files.push(RemovedAtEnd(path.clone()));
        }
        self.all.push(listener.operator());
        Ok(())
    }
}

/// Takes a socket that somebody else has opened, if it is one that can be served.
fn adopt(socket: OwnedFd) -> Result<Listener, String> {
    let listens =
        sockopt::socket_type(&socket) == Ok(SocketType::STREAM) && sockopt::socket_acceptconn(&socket) == Ok(true);
    let listener = match sockopt::socket_domain(&socket) {
        Ok(AddressFamily::UNIX) if listens => Listener::unix(UnixListener::from(socket)),
        Ok(AddressFamily::INET | AddressFamily::INET6) if listens => Listener::tcp(TcpListener::from(socket)),
        _ => return Err("expected a TCP or Unix stream socket that listens (`ListenStream=`, `Accept=no`)".into()),
    };
    listener.map_err(|error| error.to_string())
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

/// Opens a socket with this mode, in place of one that nobody serves any more.
fn open_unix(path: &Path, mode: u32) -> io::Result<Listener> {
    let stale = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    if stale {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // To connect one must be allowed to write, which the usual umask gives to the owner alone even before this.
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
    Listener::unix(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_are_taken_over() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(adopt(tcp.into()).is_ok_and(|listener| listener.local_addr().is_some()));
        let (one, _other) = UnixStream::pair().unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for (what, fd) in [("a stream", OwnedFd::from(one)), ("datagrams", udp.into()), ("a file", file.into())] {
            assert!(adopt(fd).is_err_and(|why| why.contains("ListenStream=")), "{what}");
        }
    }
}
