//! What a service manager is told (`sd_notify(3)`): that the program is ready, how it stands, that it ends, and that its
//! loop still turns.
//!
//! The watchdog is fed on the server's own thread, each time that the server has answered a question, so that a loop
//! which is stuck feeds nobody. A program that nobody waits for tells nothing; one whose manager has gone does not mind.
//! The environment keeps `NOTIFY_SOCKET`, since it cannot be changed safely; children get none of it anyway.

use crate::bounds::digits;
use portcullis::Handle;
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Between two looks at how it stands. A person reads it, now and then.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// How long the manager may take to make room for news that it must not miss. Without it the unit would wait for
/// ever to become active; PID 1 reads its socket in microseconds.
const NEWS_WAIT: Duration = Duration::from_secs(1);

/// Somebody who is told.
pub(crate) struct Manager {
    address: SocketAddr,
    /// How often it wants to hear that the loop turns, if at all.
    watchdog: Option<Duration>,
}

impl Manager {
    /// Whoever the environment names; none if nobody waits.
    pub(crate) fn from_env() -> Option<Manager> {
        let name = std::env::var_os("NOTIFY_SOCKET")?;
        let Some(address) = address(&name) else {
            log::warn!("NOTIFY_SOCKET: got {name:?}, expected an absolute path or @NAME; nobody is told how it stands");
            return None;
        };
        let (usec, pid) = (std::env::var("WATCHDOG_USEC").ok(), std::env::var("WATCHDOG_PID").ok());
        Some(Manager { address, watchdog: watchdog(usec.as_deref(), pid.as_deref(), std::process::id()) })
    }

    /// Says what must not be missed, and waits for room if need be.
    fn news(&self, words: &str) {
        self.say(words, |socket| socket.set_write_timeout(Some(NEWS_WAIT)));
    }

    /// Says what is said again soon, and waits for nothing.
    fn mention(&self, words: &str) {
        self.say(words, |socket| socket.set_nonblocking(true));
    }

    fn say(&self, words: &str, patience: fn(&UnixDatagram) -> io::Result<()>) {
        // A socket for each word: one that was connected would not find a manager that has begun anew.
        let said = UnixDatagram::unbound().and_then(|socket| {
            patience(&socket)?;
            socket.send_to_addr(words.as_bytes(), &self.address)
        });
        if let Err(error) = said {
            log::debug!("the service manager does not listen: {error}");
        }
    }

    /// Everything is bound: clients can come.
    pub(crate) fn ready(&self) {
        self.news(&format!("READY=1\nMAINPID={}", std::process::id()));
    }

    /// The configuration is being read again; [`Manager::ready`] says that it was.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec / 1000);
        self.news(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// Running calls may finish; nobody new comes in.
    pub(crate) fn stopping(&self) {
        self.news("STOPPING=1\nSTATUS=running calls may finish");
    }

    /// Tells how it stands, and that the loop turns, for as long as it is polled.
    pub(crate) async fn attend(&self, handle: &Handle) -> io::Result<()> {
        let mut told = String::new();
        let every = self.watchdog.map_or(STATUS_EVERY, |most| (most / 2).min(STATUS_EVERY));
        loop {
            let snapshot = handle.snapshot().await;
            if self.watchdog.is_some() && snapshot.is_ok() {
                self.mention("WATCHDOG=1");
            }
            if let Some(status) = snapshot.ok().as_deref().and_then(status).filter(|status| *status != told) {
                self.mention(&format!("STATUS={status}"));
                told = status;
            }
            async_io::Timer::after(every).await;
        }
    }
}

/// The manager's address: a path, or a name in the abstract space, which begins with `@`.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

/// How often the manager wants to hear from the process `me`.
fn watchdog(usec: Option<&str>, pid: Option<&str>, me: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| digits(pid) != Some(me.into())) {
        return None;
    }
    let usec = digits(usec?).filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec))
}

/// One line about a snapshot.
fn status(snapshot: &str) -> Option<String> {
    let snapshot: serde_json::Value = serde_json::from_str(snapshot).ok()?;
    let gauge = |name| snapshot["gauges"][name].as_u64();
    Some(format!("{} sessions, {} calls running", gauge("sessions")?, gauge("calls_running")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::{Listener, RequestContext, Server, Tool};
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::rc::Rc;

    #[test]
    fn a_watchdog_is_fed_only_by_the_process_it_is_meant_for() {
        let ten = Some(Duration::from_secs(10));
        for (usec, pid, expected) in [
            (Some("10000000"), None, ten),
            (Some("10000000"), Some("7"), ten),
            (Some("10000000"), Some("8"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ] {
            assert_eq!(watchdog(usec, pid, 7), expected, "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn a_manager_is_told_by_path_and_by_abstract_name() {
        let folder = std::env::temp_dir().join(format!("portcullis-notify-{}", std::process::id()));
        let abstract_name = format!("portcullis-notify-{}", std::process::id());
        let by_path = UnixDatagram::bind(&folder).unwrap();
        let by_name = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let by_name = UnixDatagram::bind_addr(&by_name).unwrap();
        for (name, receiver) in
            [(folder.as_os_str().to_owned(), by_path), (format!("@{abstract_name}").into(), by_name)]
        {
            let manager = Manager { address: address(&name).unwrap(), watchdog: None };
            manager.ready();
            manager.reloading();
            manager.stopping();
            let heard: Vec<String> = (0..3)
                .map(|_| {
                    let mut text = [0; 256];
                    let n = receiver.recv(&mut text).unwrap();
                    String::from_utf8_lossy(&text[..n]).into_owned()
                })
                .collect();
            assert!(heard[0].starts_with("READY=1\nMAINPID="), "{heard:?}");
            assert!(heard[1].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{heard:?}");
            assert!(heard[2].starts_with("STOPPING=1"), "{heard:?}");
        }
        let _ = std::fs::remove_file(folder);
        assert!(address(OsStr::new("relative")).is_none());
    }

    #[test]
    fn the_status_is_one_line() {
        let line = status(r#"{"gauges":{"sessions":3,"calls_running":1}}"#);
        assert_eq!(line.as_deref(), Some("3 sessions, 1 calls running"));
        assert_eq!(status("{}"), None);
    }
    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"block","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

    /// Calls the tool `block` and waits for the answer.
    fn call(server: std::net::SocketAddr) -> String {
        let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
                    Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
                    Mcp-Method: tools/call\r\nMcp-Name: block\r\n";
        let mut socket = TcpStream::connect(server).unwrap();
        write!(socket, "{head}Content-Length: {}\r\n\r\n{CALL}", CALL.len()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn while_a_handler_blocks_the_loop_nobody_feeds_the_watchdog() {
        let most = Duration::from_millis(40);
        let here = SocketAddr::from_abstract_name(format!("portcullis-watchdog-{}", std::process::id())).unwrap();
        let heard = Rc::new(UnixDatagram::bind_addr(&here).unwrap());
        heard.set_nonblocking(true).unwrap();
        let feeds = move |heard: &UnixDatagram| {
            let mut word = [0; 64];
            let words = std::iter::from_fn(|| heard.recv(&mut word).ok().map(|n| word[..n] == *b"WATCHDOG=1"));
            words.filter(|is_food| *is_food).count()
        };
        let while_blocked = Rc::new(Cell::new(None));
        let (ear, found) = (heard.clone(), while_blocked.clone());
        let block = move |_: RequestContext, _: serde_json::Value| {
            assert!(feeds(&ear) > 0, "it was fed until now");
            std::thread::sleep(most * 5);
            found.set(Some(feeds(&ear)));
            async { Ok::<_, portcullis::CallError>(String::from("done")) }
        };
        let handle = Handle::new();
        let server = Server::builder("watched", "1").handle(&handle).tool(Tool::new("block"), block).build().unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let manager = Manager { address: here, watchdog: Some(most) };
        let client = async {
            while feeds(&heard) == 0 {
                smol::Timer::after(most / 8).await; // the first feed shows that the server answers
            }
            smol::Timer::after(most * 2).await;
            let answer = smol::unblock(move || call(address)).await;
            assert!(answer.contains("done"), "{answer}");
            while feeds(&heard) == 0 {
                smol::Timer::after(most / 8).await; // fed again, or this test does not end
            }
            Ok(())
        };
        smol::block_on(smol::future::or(
            server.serve(vec![listener]),
            smol::future::or(client, manager.attend(&handle)),
        ))
        .unwrap();
        assert_eq!(while_blocked.get(), Some(0));
    }
}
