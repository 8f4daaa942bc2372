//! Ten minutes of calls, in slots of two seconds: how many, how many failed, how long they took, and how late the loop
//! was. 7 KB, always; what is noted goes into the newest slot only.

use std::time::Duration;

use crate::clock::Instant;

/// One slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) calls: u32,
    pub(crate) failed: u32,
    /// Of all its calls together.
    pub(crate) took_us: u64,
    pub(crate) longest_us: u32,
    pub(crate) lag_us: u32,
}

/// The slots, and which is the newest.
pub(crate) struct History {
    slots: Box<[Slot; HISTORY_SLOTS]>,
    /// Its number since the clock began.
    newest: u64,
}

/// Ten minutes of them; a screen has about as many points.
pub(crate) const HISTORY_SLOTS: usize = 300;
pub(crate) const SLOT_SECONDS: u64 = 2;

impl History {
    pub(crate) fn new() -> History {
        History { slots: Box::new([Slot::default(); HISTORY_SLOTS]), newest: 0 }
    }

    /// Empties the slots that time has passed over.
    pub(crate) fn turn_to(&mut self, now: Instant) {
        let number = now.elapsed().as_secs() / SLOT_SECONDS;
        // Of an hour without calls no slot is left, and none is emptied twice.
        let first = (self.newest + 1).max(number.saturating_sub(HISTORY_SLOTS as u64 - 1));
        for passed in first..=number {
            self.slots[place(passed)] = Slot::default();
        }
        self.newest = self.newest.max(number);
    }

    fn slot(&mut self, at: Instant) -> &mut Slot {
        self.turn_to(at);
        &mut self.slots[place(self.newest)]
    }

    pub(crate) fn call(&mut self, at: Instant, took: Duration, failed: bool) {
        let slot = self.slot(at);
        let us = took.as_micros() as u64;
        slot.calls = slot.calls.saturating_add(1);
        slot.failed = slot.failed.saturating_add(failed.into());
        slot.took_us = slot.took_us.saturating_add(us);
        slot.longest_us = slot.longest_us.max(us.try_into().unwrap_or(u32::MAX));
    }

    pub(crate) fn lag(&mut self, at: Instant, lag: Duration) {
        let slot = self.slot(at);
        slot.lag_us = slot.lag_us.max(lag.as_micros().try_into().unwrap_or(u32::MAX));
    }

    /// The number of the newest slot.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// The slots from number `from` on that are still there, oldest first.
    pub(crate) fn since(&self, from: u64) -> impl Iterator<Item = &Slot> {
        let oldest = (self.newest + 1).saturating_sub(HISTORY_SLOTS as u64);
        (from.max(oldest)..=self.newest).map(|number| &self.slots[place(number)])
    }
}

fn place(number: u64) -> usize {
    (number % HISTORY_SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn each_slot_has_its_own_calls_and_ten_minutes_later_nothing_is_left() {
        let mut history = History::new();
        history.call(at(1), Duration::from_millis(3), false);
        history.call(at(1), Duration::from_millis(5), true);
        history.lag(at(2), Duration::from_micros(70));
        history.call(at(598), Duration::from_secs(9_000), false);
        let slots: Vec<_> = history.since(0).copied().collect();
        assert_eq!(slots.len(), HISTORY_SLOTS);
        assert_eq!(slots[0], Slot { calls: 2, failed: 1, took_us: 8_000, longest_us: 5_000, lag_us: 0 });
        assert_eq!(slots[1].lag_us, 70);
        assert_eq!(slots[299].longest_us, u32::MAX, "saturates");
        history.turn_to(at(600));
        assert_eq!(history.since(0).next().map(|slot| slot.lag_us), Some(70), "the oldest went");
        assert_eq!((history.newest(), history.since(300).count(), history.since(301).count()), (300, 1, 0));
        history.turn_to(at(1_000_000));
        assert!(history.since(0).all(|slot| *slot == Slot::default()));
        history.turn_to(at(5));
        assert_eq!(history.newest(), 500_000, "time does not go back");
    }

    #[test]
    fn the_history_takes_7_kb() {
        assert!(size_of::<[Slot; HISTORY_SLOTS]>() <= 7_200);
    }
}
