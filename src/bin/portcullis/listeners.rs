//! Where the program listens: addresses, Unix sockets, and sockets that a service manager has opened.
//!
//! Decided here: which listener may be missing (only one that nobody asked for), who may use a socket's file, and that
//! sockets handed over by a service manager take the place of the default addresses, and of whatever else asks for the
//! same place (a file may name it too, for starts without the manager's socket). The manager's own words for it are
//! those of `sd_listen_fds(3)`; a socket named `debug` or `operator` is the operator's. A connection over a Unix socket is nobody's in
//! particular, as one over loopback is: the file's mode says who gets that far.

use crate::bounds::digits;
use crate::options::{Debug, Options, is_loopback};
use log::warn;
use portcullis::Listener;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
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
pub(crate) struct RemovedAtEnd {
    path: PathBuf,
    file: Option<Identity>,
}

/// Device, inode, and when it was made: numbers alone come again.
type Identity = (u64, u64, i64, i64);

impl RemovedAtEnd {
    fn new(path: &Path) -> RemovedAtEnd {
        RemovedAtEnd { path: path.to_owned(), file: identity(path) }
    }
}

impl Drop for RemovedAtEnd {
    /// A server that waits for its last calls does not listen any more, so the next one may have taken the place.
    fn drop(&mut self) {
        if self.file.is_some() && self.file == identity(&self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let file = std::fs::symlink_metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))
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
        if open.sockets.contains(path) {
            continue;
        }
        // Its owner and its group; others cannot even knock.
        let listener = open_unix(path, 0o660).map_err(|error| {
            format!(
                "cannot listen on unix:{}: {error}; is its folder there, and may this user write to it?",
                path.display()
            )
        })?;
        open.all.push(listener);
        open.sockets.push(path.clone());
        open.files.push(RemovedAtEnd::new(path));
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
        for (at, (name, socket)) in handed_over()?.into_iter().enumerate() {
            let what = name.unwrap_or_else(|| format!("number {at}"));
            let (listener, path) = adopt(socket).map_err(|why| format!("the socket {what:?} handed over: {why}"))?;
            let address = listener.local_addr();
            if matches!(&*what, "debug" | "operator") {
                if address.is_some_and(|address| !is_loopback(&address)) {
                    return Err(format!(
                        "the socket {what:?} handed over can be reached by others: expected loopback or Unix"
                    ));
                }
                self.shown = Some(format!("/debug/sessions, on the socket {what:?}"));
                self.all.push(listener.operator());
                given.shows = true;
                continue;
            }
            if let Some(address) = address {
                options.check_address(&address)?;
                self.addresses.push(address);
            }
            self.sockets.extend(path);
            self.all.push(listener);
            given.serves = true;
        }
        Ok(given)
    }

    fn addresses(&mut self, options: &Options) -> Result<(), String> {
        let given = self.addresses.clone();
        for address in &options.listen {
            match Listener::bind(*address) {
                Ok(listener) => {
                    self.addresses.extend(listener.local_addr());
                    self.all.push(listener);
                }
                Err(error)
                    if error.kind() == ErrorKind::AddrInUse && given.iter().any(|given| covers(given, address)) => {}
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
            self.files.push(RemovedAtEnd::new(path));
        }
        self.all.push(listener.operator());
        Ok(())
    }
}

/// The sockets that a service manager has opened for this process, with their names.
fn handed_over() -> Result<Vec<(Option<String>, OwnedFd)>, String> {
    let of = |name| std::env::var(name).ok();
    if of("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string()) {
        check_numbers(of("LISTEN_FDS").as_deref(), |fd| Path::new("/proc/self/fd").join(fd.to_string()).exists())?;
    }
    let sockets = sd_listen_fds::get().map_err(|error| format!("`LISTEN_FDS`: {error}"))?;
    Ok(sockets.into_iter().map(|(name, socket)| (name, socket.into_std())).collect())
}

/// Sockets that a service manager may hand over; systemd units have a handful.
const HANDED_OVER_MAX: u64 = 64;

/// Checks that the descriptors which are about to be taken on trust are there.
fn check_numbers(count: Option<&str>, is_open: impl Fn(u64) -> bool) -> Result<(), String> {
    let Some(count) = count else { return Ok(()) };
    let known = digits(count).filter(|count| *count <= HANDED_OVER_MAX);
    let Some(known) = known else {
        return Err(format!("`LISTEN_FDS`: got {count:?}, expected a number of sockets up to {HANDED_OVER_MAX}"));
    };
    match (3..3 + known).find(|fd| !is_open(*fd)) {
        Some(fd) => {
            Err(format!("`LISTEN_FDS`: is {known}, but descriptor {fd} is not open: was it closed on the way?"))
        }
        None => Ok(()),
    }
}

/// Whether `wanted` may be in use because of `given`. Where `[::]` is for IPv6 alone, IPv4 is not in use.
fn covers(given: &SocketAddr, wanted: &SocketAddr) -> bool {
    given == wanted || given.ip().is_unspecified() && given.port() == wanted.port()
}

/// Takes a socket that somebody else has opened, if it is one that can be served; a Unix one with its path.
fn adopt(socket: OwnedFd) -> Result<(Listener, Option<PathBuf>), String> {
    // It came through an exec, and so would go through the next: a tool's child must not hold the port.
    fcntl_setfd(&socket, FdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    let listens =
        sockopt::socket_type(&socket) == Ok(SocketType::STREAM) && sockopt::socket_acceptconn(&socket) == Ok(true);
    let mut path = None;
    let listener = match sockopt::socket_domain(&socket) {
        Ok(AddressFamily::UNIX) if listens => {
            let socket = UnixListener::from(socket);
            path = socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
            Listener::unix(socket)
        }
        Ok(AddressFamily::INET | AddressFamily::INET6) if listens => Listener::tcp(TcpListener::from(socket)),
        _ => return Err("expected a TCP or Unix stream socket that listens (`ListenStream=`, `Accept=no`)".into()),
    };
    listener.map(|listener| (listener, path)).map_err(|error| error.to_string())
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
    use std::os::fd::AsRawFd;

    #[test]
    fn only_sockets_that_listen_are_taken_over_and_no_child_gets_them() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let same = tcp.as_raw_fd();
        fcntl_setfd(&tcp, FdFlags::empty()).unwrap();
        let adopted = adopt(tcp.into()).unwrap();
        assert!(adopted.0.local_addr().is_some());
        let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{same}")).unwrap();
        let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        assert_ne!(u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000, 0, "O_CLOEXEC: {flags}");
        let (one, _other) = UnixStream::pair().unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for (what, fd) in [("a stream", OwnedFd::from(one)), ("datagrams", udp.into()), ("a file", file.into())] {
            assert!(adopt(fd).is_err_and(|why| why.contains("ListenStream=")), "{what}");
        }
    }
    #[test]
    fn a_place_that_was_handed_over_is_not_opened_again() {
        for (given, wanted, covered) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "127.0.0.1:2", false),
            ("[::]:1", "[::1]:1", true),
            ("[::]:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", false),
        ] {
            assert_eq!(covers(&given.parse().unwrap(), &wanted.parse().unwrap()), covered, "{given} {wanted}");
        }
    }

    #[test]
    fn descriptors_that_are_not_there_are_not_taken_on_trust() {
        let open = |fd| fd < 5;
        for count in [None, Some("0"), Some("1"), Some("2")] {
            assert_eq!(check_numbers(count, open), Ok(()), "{count:?}");
        }
        for (count, expected) in [
            ("3", "descriptor 5 is not open"),
            ("65", "expected a number of sockets up to 64"),
            ("4294967295", "expected a number"),
            ("-1", "expected a number"),
            ("two", "expected a number"),
        ] {
            assert!(check_numbers(Some(count), open).is_err_and(|why| why.contains(expected)), "{count}");
        }
    }

    #[test]
    fn a_socket_is_left_to_the_next_server_that_took_its_place() {
        let folder = std::env::temp_dir().join(format!("portcullis-listeners-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("mcp.sock");
        let ours = open_unix(&path, 0o660).unwrap();
        let file = RemovedAtEnd::new(&path);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert!(open_unix(&path, 0o660).is_err(), "it is being served");
        drop(ours);
        let next = open_unix(&path, 0o660).unwrap();
        drop(file);
        assert!(UnixStream::connect(&path).is_ok(), "the next one is still there");
        drop((next, RemovedAtEnd::new(&path)));
        assert!(!path.exists());
        std::fs::remove_dir(folder).unwrap();
    }
}
