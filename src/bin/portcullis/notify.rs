//! What a service manager is told (`sd_notify(3)`): that the program is ready, how it stands, that it ends, and that its
//! loop still turns.
//!
//! The watchdog is fed by a future on the server's own thread, so that a loop which is stuck feeds nobody. A program
//! that nobody waits for tells nothing; one whose manager has gone does not mind. The environment keeps
//! `NOTIFY_SOCKET`, since it cannot be changed safely; children get none of it anyway.

use portcullis::Handle;
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Between two looks at how it stands. A person reads it, now and then.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Somebody who is told.
pub(crate) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How often it wants to hear that the loop turns, if at all.
    watchdog: Option<Duration>,
}

impl Manager {
    /// Whoever the environment names; none if nobody waits.
    pub(crate) fn from_env() -> Option<Manager> {
        let address = address(&std::env::var_os("NOTIFY_SOCKET")?)?;
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        let (usec, pid) = (std::env::var("WATCHDOG_USEC").ok(), std::env::var("WATCHDOG_PID").ok());
        Some(Manager { socket, address, watchdog: watchdog(usec.as_deref(), pid.as_deref(), std::process::id()) })
    }

    fn say(&self, words: &str) {
        if let Err(error) = self.socket.send_to_addr(words.as_bytes(), &self.address) {
            log::debug!("the service manager does not listen: {error}");
        }
    }

    /// Everything is bound: clients can come.
    pub(crate) fn ready(&self) {
        self.say(&format!("READY=1\nMAINPID={}", std::process::id()));
    }

    /// The configuration is being read again; [`Manager::ready`] says that it was.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec / 1000);
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// Running calls may finish; nobody new comes in.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=running calls may finish");
    }

    /// Tells how it stands, and that the loop turns, for as long as it is polled.
    pub(crate) async fn attend(&self, handle: &Handle) -> std::io::Result<()> {
        let mut told = String::new();
        let every = self.watchdog.map_or(STATUS_EVERY, |most| (most / 2).min(STATUS_EVERY));
        loop {
            if self.watchdog.is_some() {
                self.say("WATCHDOG=1");
            }
            let status = handle.snapshot().await.ok().as_deref().and_then(status);
            if let Some(status) = status.filter(|status| *status != told) {
                self.say(&format!("STATUS={status}"));
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
    if pid.is_some_and(|pid| pid.parse() != Ok(me)) {
        return None;
    }
    let usec = usec?.parse().ok().filter(|usec| *usec > 0)?;
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
            let manager =
                Manager { socket: UnixDatagram::unbound().unwrap(), address: address(&name).unwrap(), watchdog: None };
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
}
