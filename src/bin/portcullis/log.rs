//! How log lines leave: one line an event, never forged by what a client sent, and never in the way.
//!
//! Decided here: the line's form (a time in UTC, or the priority that the journal reads), the escaping, and
//! what happens when nobody reads stderr. The server has one thread, so a log that blocks stops every
//! client: before each write the descriptor is asked whether it has room, what finds none waits in
//! [`BACKLOG_BYTES_MAX`] bytes, and what finds no room there either is dropped and counted. [`drain`] writes
//! the rest when there is room again. Stderr itself is left as it is: making it non-blocking would change
//! the descriptor of whoever started us.

use env_logger::{Builder, Target, fmt::Formatter};
use log::{Level, LevelFilter, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes that wait for a reader of stderr; as much again as a pipe holds.
const BACKLOG_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one write. A pipe that polls as writable takes this many without blocking (PIPE_BUF).
const WRITE_BYTES_MAX: usize = 4096;

/// How often [`drain`] looks for room while lines wait. Nobody notices a log that is this late.
const DRAIN_EVERY: Duration = Duration::from_millis(200);

/// Sends the `log` crate's records to stderr and returns what [`drain`] works on.
///
/// `level` is for us and the library; of other crates only warnings and errors are shown.
///
/// # Errors
/// A sentence, if another logger is in place or `PORTCULLIS_LOG` is no level.
pub(crate) fn init(level: Option<LevelFilter>) -> Result<Log, String> {
    let level = match (level, std::env::var("PORTCULLIS_LOG")) {
        (Some(level), _) => level,
        (None, Ok(text)) if !text.is_empty() => crate::options::level(&text)
            .map_err(|expected| format!("environment variable PORTCULLIS_LOG: got {text:?}, {expected}"))?,
        (None, _) => LevelFilter::Info,
    };
    let (wake, woken) = async_channel::bounded(1);
    let shared = Arc::new(Mutex::new(Backlog::default()));
    let journal = reads_priorities();
    Builder::new()
        .filter_level(level.min(LevelFilter::Warn))
        .filter_module("portcullis", level)
        // An example that includes this file is a crate of another name.
        .filter_module(module_path!().split("::").next().unwrap_or_default(), level)
        .format(move |out, record| line(out, record, journal, SystemTime::now()))
        .target(Target::Pipe(Box::new(Bounded { shared: shared.clone(), wake })))
        .try_init()
        .map_err(|error| format!("cannot log: {error}"))?;
    Ok(Log { shared, woken })
}

/// The log's end that is kept: what waits, and the news that something does.
pub(crate) struct Log {
    shared: Arc<Mutex<Backlog>>,
    woken: async_channel::Receiver<()>,
}

impl Log {
    /// Writes what waits whenever there is room; never ends, sleeps while nothing waits.
    pub(crate) async fn drain<T>(&self) -> T {
        loop {
            if self.woken.recv().await.is_err() {
                std::future::pending::<()>().await;
            }
            while !self.flush() {
                smol::Timer::after(DRAIN_EVERY).await;
            }
        }
    }

    /// Writes what there is room for now; true if nothing waits any more.
    pub(crate) fn flush(&self) -> bool {
        locked(&self.shared).flush(&mut Stderr)
    }
}

/// What the logger writes into: each call brings one whole line.
struct Bounded {
    shared: Arc<Mutex<Backlog>>,
    wake: async_channel::Sender<()>,
}

impl Write for Bounded {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !locked(&self.shared).push(line, &mut Stderr) {
            // Full means that the news is on its way already.
            let _ = self.wake.try_send(());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A panic while the lock was held leaves bytes that are still worth writing.
fn locked(shared: &Mutex<Backlog>) -> std::sync::MutexGuard<'_, Backlog> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that can say whether it would block.
trait Sink {
    /// Whether a write of [`WRITE_BYTES_MAX`] bytes would not block.
    fn has_room(&self) -> bool;
    /// Writes at most that many bytes; how many it took.
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

struct Stderr;

impl Sink for Stderr {
    fn has_room(&self) -> bool {
        let stderr = io::stderr();
        let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
        // A closed reader polls as ready too: the write then fails, and the lines are given up.
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write(bytes)
    }
}

/// Lines that wait, and how many did not fit.
#[derive(Default)]
struct Backlog {
    bytes: Vec<u8>,
    dropped: u64,
}

impl Backlog {
    /// Takes a line and writes what there is room for; true if nothing waits.
    fn push(&mut self, line: &[u8], sink: &mut impl Sink) -> bool {
        if self.dropped > 0 && !self.flush(sink) {
            // Lines after a gap come after the word about it, or the gap would be in the wrong place.
            self.dropped += 1;
            return false;
        }
        if self.bytes.len() + line.len() > BACKLOG_BYTES_MAX {
            self.flush(sink);
        }
        match self.bytes.len() + line.len() <= BACKLOG_BYTES_MAX {
            true => self.bytes.extend_from_slice(line),
            false => self.dropped += 1,
        }
        self.flush(sink)
    }

    fn flush(&mut self, sink: &mut impl Sink) -> bool {
        let mut done = 0;
        while done < self.bytes.len() && sink.has_room() {
            let end = self.bytes.len().min(done + WRITE_BYTES_MAX);
            match sink.put(&self.bytes[done..end]) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Nobody will ever read it, and there is no other place to complain.
                Err(_) => done = self.bytes.len(),
            }
        }
        self.bytes.drain(..done);
        if !self.bytes.is_empty() {
            return false;
        }
        if self.dropped == 0 {
            self.bytes.shrink_to(WRITE_BYTES_MAX);
            return true;
        }
        let dropped = std::mem::take(&mut self.dropped);
        self.bytes.extend_from_slice(format!("({dropped} log lines dropped: nobody read stderr)\n").as_bytes());
        self.flush(sink)
    }
}

/// Whether stderr goes straight into the journal (systemd.exec(5): the variable names stderr's file).
fn reads_priorities() -> bool {
    let stderr = std::fs::metadata("/proc/self/fd/2").map(|file| format!("{}:{}", file.dev(), file.ino()));
    std::env::var("JOURNAL_STREAM").is_ok_and(|journal| stderr.is_ok_and(|stderr| stderr == journal))
}

/// Writes one record as one line.
fn line(out: &mut Formatter, record: &Record<'_>, journal: bool, now: SystemTime) -> io::Result<()> {
    match journal {
        true => write!(out, "<{}>", priority(record.level()))?,
        false => write!(out, "{} {:<5} ", Utc(now), record.level())?,
    }
    let mut text = String::new();
    // Writing into a String fails only if a `Display` of the message does: then the line is short.
    let _ = write!(Escaped(&mut text), "{}: {}", record.target(), record.args());
    writeln!(out, "{text}")
}

/// The journal's priorities, sd-daemon(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Writes text with every character escaped that could end the line, colour it, or turn it around.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            // Besides controls: the line and paragraph separators and the marks that reorder what is shown.
            let harmful = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            match harmful || c.is_control() {
                true => write!(self.0, "{}", c.escape_default())?,
                false => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// A time as `2026-11-23T19:04:05.123Z`.
struct Utc(SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A clock before 1970 shows as 1970: boards without a battery start there.
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
    }
}

/// Year, month and day of a number of days since 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01, so that the leap day is a year's last
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that takes as many writes as it is told.
    struct Slow {
        room: usize,
        got: String,
    }

    impl Sink for Slow {
        fn has_room(&self) -> bool {
            self.room > 0
        }

        fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(bytes.len() <= WRITE_BYTES_MAX);
            self.room -= 1;
            self.got.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }
    }

    #[test]
    fn times_are_utc_and_know_leap_years() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (1_795_460_645_123, "2026-11-23T19:04:05.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(Utc(UNIX_EPOCH + Duration::from_millis(ms)).to_string(), text);
        }
    }

    #[test]
    fn no_text_can_end_a_line_or_colour_it() {
        let cases = [
            ("plain é 漢", "plain é 漢"),
            ("a\nINFO forged", "a\\nINFO forged"),
            ("a\r\u{1b}[31m\0\u{7f}\u{9b}", "a\\r\\u{1b}[31m\\u{0}\\u{7f}\\u{9b}"),
            ("a\u{2028}b\u{202e}c\u{2066}", "a\\u{2028}b\\u{202e}c\\u{2066}"),
        ];
        for (text, expected) in cases {
            let mut out = String::new();
            write!(Escaped(&mut out), "{text}").unwrap();
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn lines_wait_for_a_slow_reader_and_come_in_order() {
        let (mut backlog, mut sink) = (Backlog::default(), Slow { room: 1, got: String::new() });
        assert!(backlog.push(b"one\n", &mut sink));
        assert!(!backlog.push(b"two\n", &mut sink));
        assert!(!backlog.push(b"three\n", &mut sink));
        sink.room = 9;
        assert!(backlog.flush(&mut sink));
        assert_eq!(sink.got, "one\ntwo\nthree\n");
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_where_the_gap_is() {
        let (mut backlog, mut sink) = (Backlog::default(), Slow { room: 0, got: String::new() });
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        for _ in 0..64 + 3 {
            assert!(!backlog.push(&line, &mut sink));
        }
        assert_eq!((backlog.bytes.len(), backlog.dropped), (BACKLOG_BYTES_MAX, 3));
        sink.room = 1; // room for some, but the gap is still ahead: a new line may not jump it
        assert!(!backlog.push(b"late\n", &mut sink));
        sink.room = 99;
        assert!(backlog.push(b"after\n", &mut sink));
        assert!(sink.got.ends_with("x\n(4 log lines dropped: nobody read stderr)\nafter\n"), "{}", sink.got);
        assert_eq!(sink.got.matches('x').count(), 64 * 1023);
        assert!(backlog.bytes.capacity() <= WRITE_BYTES_MAX);
    }
}
