//! Every limit of the library as an option: one table says its name, its range and its one line of help.
//!
//! What is decided here: an option is called like the field of [`Limits`] it sets, and a value outside its
//! range is refused with the range in words. A limit of 0 is never "unlimited": the server has no unlimited
//! anything, so 0 is refused like any other value that makes no sense. Which values fit together is asked
//! once, after all options were read ([`contradiction`]).

use portcullis::Limits;
use std::time::Duration;

/// One limit of the library, as an option.
pub(crate) struct Bound {
    /// The option's name without its dashes.
    pub(crate) name: &'static str,
    /// One line for `--help`.
    pub(crate) help: &'static str,
    /// What it sets.
    pub(crate) slot: Slot,
}

/// Where a limit lives, and in what it is counted.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    /// A plain number from 1 to the given one.
    Count(usize, fn(&mut Limits) -> &mut usize),
    /// A size: a number of bytes, or of KiB, MiB or GiB with `K`, `M` or `G`.
    Bytes(fn(&mut Limits) -> &mut usize),
    /// A wait in seconds, with decimals.
    Time(fn(&mut Limits) -> &mut Duration),
}

/// Smallest size that is not obviously a slip; a bound for each size of its own would help nobody.
const BYTES_MIN: u64 = 256;
/// Largest size: what a `usize` of the 32-bit boards holds with room for a sum of two.
const BYTES_MAX: u64 = 1 << 30;
/// Waits are at least a millisecond, the grain of the server's clock.
const TIME_MIN: Duration = Duration::from_millis(1);
/// Ten years. More is not a wait but a slip of a digit.
const TIME_MAX: Duration = Duration::from_secs(315_360_000);

/// Every limit, in the order in which `--help` shows them.
#[rustfmt::skip] // a table: one line each
pub(crate) const BOUNDS: &[Bound] = &[
    Bound { name: "sessions-max", help: "sessions alive at once", slot: Slot::Count(1_000_000, |l| &mut l.sessions_max) },
    Bound { name: "connections-max", help: "connections open at once", slot: Slot::Count(1_000_000, |l| &mut l.connections_max) },
    Bound { name: "calls-max", help: "calls running at once in one session", slot: Slot::Count(65_536, |l| &mut l.calls_max) },
    Bound { name: "batch-max", help: "messages in one batch", slot: Slot::Count(65_536, |l| &mut l.batch_max) },
    Bound { name: "headers-max", help: "header lines of a request", slot: Slot::Count(1_024, |l| &mut l.headers_max) },
    Bound { name: "queue-messages-max", help: "messages waiting for one slow reader", slot: Slot::Count(65_536, |l| &mut l.queue_messages_max) },
    Bound { name: "listens-max", help: "clients that listen for changes (2026-07-28)", slot: Slot::Count(1_000_000, |l| &mut l.listens_max) },
    Bound { name: "subscriptions-max", help: "resources one client subscribes to", slot: Slot::Count(65_536, |l| &mut l.subscriptions_max) },
    Bound { name: "page-items-max", help: "entries on one page of a list", slot: Slot::Count(65_536, |l| &mut l.page_items_max) },
    Bound { name: "rounds-max", help: "questions that one request may lead to (2026-07-28)", slot: Slot::Count(1_024, |l| &mut l.rounds_max) },
    Bound { name: "tombstones-max", help: "ended sessions whose reason is remembered", slot: Slot::Count(1_000_000, |l| &mut l.tombstones_max) },
    Bound { name: "events-max", help: "events of sessions that are remembered", slot: Slot::Count(1_000_000, |l| &mut l.events_max) },
    Bound { name: "unblock-threads-max", help: "threads for tools that block", slot: Slot::Count(256, |l| &mut l.unblock_threads_max) },
    Bound { name: "head-bytes-max", help: "request line and headers", slot: Slot::Bytes(|l| &mut l.head_bytes_max) },
    Bound { name: "body-bytes-max", help: "body of a request", slot: Slot::Bytes(|l| &mut l.body_bytes_max) },
    Bound { name: "result-bytes-max", help: "one answer", slot: Slot::Bytes(|l| &mut l.result_bytes_max) },
    Bound { name: "queue-bytes-max", help: "waiting for one slow reader", slot: Slot::Bytes(|l| &mut l.queue_bytes_max) },
    Bound { name: "replay-bytes-max", help: "kept of one session for Last-Event-ID", slot: Slot::Bytes(|l| &mut l.replay_bytes_max) },
    Bound { name: "buffered-bytes-max", help: "bodies, queues, replay and answers of all clients", slot: Slot::Bytes(|l| &mut l.buffered_bytes_max) },
    Bound { name: "session-idle", help: "a session without a call or a stream ends", slot: Slot::Time(|l| &mut l.session_idle) },
    Bound { name: "session-life", help: "a session ends whatever it does", slot: Slot::Time(|l| &mut l.session_life) },
    Bound { name: "session-protected", help: "idle time before a newcomer may take its place", slot: Slot::Time(|l| &mut l.session_protected) },
    Bound { name: "initialize-wait", help: "a new session must initialize", slot: Slot::Time(|l| &mut l.initialize_wait) },
    Bound { name: "head-wait", help: "a request's headers must be complete", slot: Slot::Time(|l| &mut l.head_wait) },
    Bound { name: "body-wait", help: "a request's body must be complete", slot: Slot::Time(|l| &mut l.body_wait) },
    Bound { name: "idle-wait", help: "a kept-alive connection may be silent", slot: Slot::Time(|l| &mut l.idle_wait) },
    Bound { name: "write-wait", help: "a peer may take no byte before it is cut off", slot: Slot::Time(|l| &mut l.write_wait) },
    Bound { name: "keep-alive-every", help: "comment on an open stream", slot: Slot::Time(|l| &mut l.keep_alive_every) },
    Bound { name: "stream-after", help: "silence before an answer becomes a stream", slot: Slot::Time(|l| &mut l.stream_after) },
    Bound { name: "stateless-stream-after", help: "the same in revision 2026-07-28", slot: Slot::Time(|l| &mut l.stateless_stream_after) },
    Bound { name: "ask-wait", help: "a client may take to answer a question", slot: Slot::Time(|l| &mut l.ask_wait) },
    Bound { name: "state-wait", help: "a client of 2026-07-28 may take to come back with answers", slot: Slot::Time(|l| &mut l.state_wait) },
    Bound { name: "replay-wait", help: "a finished stream can be resumed", slot: Slot::Time(|l| &mut l.replay_wait) },
    Bound { name: "progress-every", help: "automatic progress of a silent call", slot: Slot::Time(|l| &mut l.progress_every) },
    Bound { name: "call-wait", help: "a call may run, unless its tool says otherwise", slot: Slot::Time(|l| &mut l.call_wait) },
];

/// A value that was read and lies in its range, ready to be set.
#[derive(Clone, Copy)]
pub(crate) enum Setting {
    /// For [`Slot::Count`] and [`Slot::Bytes`].
    Number(fn(&mut Limits) -> &mut usize, usize),
    /// For [`Slot::Time`].
    Time(fn(&mut Limits) -> &mut Duration, Duration),
}

impl Setting {
    /// Sets it.
    pub(crate) fn apply(self, limits: &mut Limits) {
        match self {
            Setting::Number(slot, value) => *slot(limits) = value,
            Setting::Time(slot, value) => *slot(limits) = value,
        }
    }
}

impl Bound {
    /// Reads a value; the error says what was expected, for a sentence that names option and value.
    pub(crate) fn parse(&self, text: &str) -> Result<Setting, String> {
        match self.slot {
            Slot::Count(max, slot) => count(text, 1, max as u64).map(|n| Setting::Number(slot, n)),
            Slot::Bytes(slot) => bytes(text, BYTES_MIN, BYTES_MAX).map(|n| Setting::Number(slot, n)),
            Slot::Time(slot) => seconds(text).map(|time| Setting::Time(slot, time)),
        }
    }

    /// What stands behind the option in `--help`.
    pub(crate) fn unit(&self) -> &'static str {
        match self.slot {
            Slot::Count(..) => "N",
            Slot::Bytes(_) => "BYTES",
            Slot::Time(_) => "SECONDS",
        }
    }

    /// Its value in `limits`, as one would type it.
    pub(crate) fn shown(&self, limits: &mut Limits) -> String {
        match self.slot {
            Slot::Count(_, slot) => slot(limits).to_string(),
            Slot::Bytes(slot) => shown_bytes(*slot(limits)),
            Slot::Time(slot) => shown_seconds(*slot(limits)),
        }
    }
}

/// A plain number from `min` to `max`.
pub(crate) fn count(text: &str, min: u64, max: u64) -> Result<usize, String> {
    let expected = || format!("expected a number from {min} to {max}");
    let number = digits(text).filter(|n| (min..=max).contains(n)).ok_or_else(expected)?;
    usize::try_from(number).map_err(|_| expected())
}

/// A size from `min` to `max` bytes; `K`, `M` and `G` count in 1024s.
pub(crate) fn bytes(text: &str, min: u64, max: u64) -> Result<usize, String> {
    let expected = || format!("expected a number of bytes from {min} to {max}, such as 65536, 64K or 16M");
    let (number, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let size = digits(number).and_then(|n| n.checked_mul(1 << shift)).filter(|n| (min..=max).contains(n));
    usize::try_from(size.ok_or_else(expected)?).map_err(|_| expected())
}

/// A wait in seconds, whole or with decimals.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    // In nanoseconds, the nine digits behind the point: `f64` is 30 KB of program, and takes "inf", "1e9" and "-0".
    let nanos = digits(&format!("{whole}{part:0<9.9}")).filter(|_| part.bytes().all(|b| b.is_ascii_digit()));
    nanos.map(Duration::from_nanos).filter(|time| (TIME_MIN..=TIME_MAX).contains(time)).ok_or_else(|| {
        let (min, max) = (shown_seconds(TIME_MIN), shown_seconds(TIME_MAX));
        format!("expected seconds from {min} to {max}, such as 30 or 0.25")
    })
}

/// A wait in seconds, as one would type it.
pub(crate) fn shown_seconds(time: Duration) -> String {
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Digits only: no sign, no spaces, no underscores.
pub(crate) fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn shown_bytes(bytes: usize) -> String {
    match bytes {
        n if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("{}M", n >> 20),
        n if n >= 1 << 10 && n.is_multiple_of(1 << 10) => format!("{}K", n >> 10),
        n => n.to_string(),
    }
}

/// Two limits that contradict each other: with them some request could never be served, only refused.
pub(crate) fn contradiction(limits: &Limits) -> Option<String> {
    let whole = limits.buffered_bytes_max;
    let parts = [("body-bytes-max", limits.body_bytes_max), ("result-bytes-max", limits.result_bytes_max)];
    let (name, part) = parts.into_iter().find(|(_, part)| *part > whole)?;
    Some(format!(
        "`--{name}` is {} and `--buffered-bytes-max`, which holds it, is only {}: lower the first or raise the second",
        shown_bytes(part),
        shown_bytes(whole)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused_with_the_range() {
        for text in ["", "0", "-1", "+1", "1 ", "1_000", "1e3", "0x10", "1.5", "1000001", "99999999999999999999999"] {
            assert_eq!(count(text, 1, 1_000_000).unwrap_err(), "expected a number from 1 to 1000000", "{text:?}");
        }
        assert_eq!(count("1000000", 1, 1_000_000), Ok(1_000_000));
    }

    #[test]
    fn sizes_are_read_in_bytes_or_with_a_suffix() {
        for (text, size) in [("256", 256), ("64K", 65_536), ("64k", 65_536), ("16M", 16 << 20), ("1g", 1 << 30)] {
            assert_eq!(bytes(text, BYTES_MIN, BYTES_MAX), Ok(size), "{text:?}");
        }
        for text in ["", "K", "0", "0K", "255", "-1K", "2G", "1T", "1.5M", "18446744073709551615G", "é"] {
            assert!(bytes(text, BYTES_MIN, BYTES_MAX).is_err(), "{text:?}");
        }
    }

    #[test]
    fn waits_are_read_in_seconds_with_decimals() {
        for (text, ms) in
            [("1", 1_000), ("0.25", 250), (".5", 500), ("2.", 2_000), ("0.001", 1), ("1.0000000009", 1_000)]
        {
            assert_eq!(seconds(text), Ok(Duration::from_millis(ms)), "{text:?}");
        }
        for (text, shown) in [("315360000", "315360000"), ("10", "10"), ("0.250", "0.25"), ("01.5", "1.5")] {
            assert_eq!(shown_seconds(seconds(text).unwrap()), shown);
        }
        for text in [
            "",
            ".",
            "0",
            "0.0",
            "-1",
            "+1",
            "1e9",
            "inf",
            "NaN",
            "1s",
            " 1",
            "315360001",
            "0.0001",
            "1.2.3",
            "1.0000000000x",
        ] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_bound_takes_its_own_default_back_and_sets_nothing_else() {
        for bound in BOUNDS {
            let text = bound.shown(&mut Limits::default());
            let setting = bound.parse(&text).unwrap_or_else(|why| panic!("--{} {text}: {why}", bound.name));
            let mut limits = Limits::default();
            setting.apply(&mut limits);
            assert_eq!(limits, Limits::default(), "--{} {text}", bound.name);
        }
    }

    #[test]
    fn a_part_larger_than_the_whole_is_a_contradiction() {
        let limits = Limits { buffered_bytes_max: 1 << 20, ..Limits::default() };
        let why = contradiction(&limits).unwrap();
        assert!(
            why.starts_with("`--body-bytes-max` is 4M and `--buffered-bytes-max`, which holds it, is only 1M"),
            "{why}"
        );
        assert_eq!(contradiction(&Limits::default()), None);
    }
}
