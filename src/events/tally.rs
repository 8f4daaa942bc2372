//! How the calls of each tool ended, and how long calls took: what `/metrics` shows with labels.
//!
//! Labels are bounded: `tool` is the name of a registered tool, `outcome` one of [`OUTCOMES`]. A server that changes
//! its tools for years names a thousand of them; the rest are counted together.

use std::rc::Rc;
use std::time::Duration;

/// How a call can end; the last is for a word that is not in the list.
pub(crate) const OUTCOMES: [&str; 10] = [
    "ok",
    "tool_error",
    "error",
    "too_large",
    "input_required",
    "cancelled",
    "timed_out",
    "disconnected",
    "session_ended",
    "other",
];

/// Upper bounds of the latency histogram: in microseconds, and as Prometheus wants them, in seconds.
pub(crate) const BUCKETS: [(u64, &str); 11] = [
    (250, "0.00025"),
    (1_000, "0.001"),
    (5_000, "0.005"),
    (25_000, "0.025"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (15_000_000, "15"),
    (60_000_000, "60"),
    (300_000_000, "300"),
];

/// Tools that are counted by name.
const TOOLS_MAX: usize = 1_024;

/// The counts.
#[derive(Default)]
pub(crate) struct Tally {
    tools: Vec<(Rc<str>, [u64; OUTCOMES.len()])>,
    /// Calls by bucket; not added up yet. The last holds those that took longer than any bound.
    durations: [u64; BUCKETS.len() + 1],
    sum_us: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, tool: &Rc<str>, outcome: &str, took: Duration) {
        let at = OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(OUTCOMES.len() - 1);
        let place = self.place(tool);
        self.tools[place].1[at] += 1;
        let us = took.as_micros() as u64;
        self.durations[BUCKETS.iter().take_while(|(most, _)| us > *most).count()] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Where a tool is counted. By its name's address: the registry gives the same one every time.
    fn place(&mut self, tool: &Rc<str>) -> usize {
        if let Some(at) = self.tools.iter().position(|(name, _)| Rc::ptr_eq(name, tool)) {
            return at;
        }
        let other = || Rc::from("(other)");
        let name = if self.tools.len() < TOOLS_MAX { tool.clone() } else { other() };
        match self.tools.iter().position(|(known, _)| *known == name) {
            Some(at) => {
                self.tools[at].0 = name;
                at
            }
            None => {
                self.tools.push((name, [0; OUTCOMES.len()]));
                self.tools.len() - 1
            }
        }
    }

    /// Tool, outcome and count of everything that happened at least once.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.tools.iter().flat_map(|(tool, counts)| {
            let counts = OUTCOMES.into_iter().zip(*counts).filter(|(_, count)| *count > 0);
            counts.map(|(outcome, count)| (&**tool, outcome, count))
        })
    }

    /// Calls that took no longer than each bound of [`BUCKETS`], then all.
    pub(crate) fn cumulative(&self) -> [u64; BUCKETS.len() + 1] {
        let mut sum = 0;
        self.durations.map(|count| {
            sum += count;
            sum
        })
    }

    /// How long all calls took together.
    pub(crate) fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_tool_and_outcome_whoever_owns_the_name() {
        let mut tally = Tally::default();
        let (ping, again): (Rc<str>, Rc<str>) = ("ping".into(), "ping".into());
        for (name, outcome, us) in [(&ping, "ok", 250), (&again, "ok", 251), (&ping, "error", 400_000_000)] {
            tally.count(name, outcome, Duration::from_micros(us));
        }
        tally.count(&ping, "a new word", Duration::ZERO);
        assert_eq!(tally.each().collect::<Vec<_>>(), [("ping", "ok", 2), ("ping", "error", 1), ("ping", "other", 1)]);
        assert_eq!(tally.cumulative(), [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!(tally.sum_us(), 400_000_501);
    }

    #[test]
    fn no_more_than_a_thousand_tools_are_named() {
        let mut tally = Tally::default();
        for n in 0..3_000 {
            tally.count(&format!("tool {n}").into(), "ok", Duration::ZERO);
        }
        assert_eq!(tally.tools.len(), TOOLS_MAX + 1);
        assert_eq!(tally.each().last(), Some(("(other)", "ok", 3_000 - TOOLS_MAX as u64)));
    }

    #[test]
    fn the_bounds_are_the_same_in_both_units() {
        for (us, seconds) in BUCKETS {
            assert_eq!(us as f64 / 1e6, seconds.parse::<f64>().unwrap());
        }
    }
}
