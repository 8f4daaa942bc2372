//! A wheel of coarse slots: what is due, in the order in which it becomes due.
//!
//! It is sparse, an ordered list of slots with keys, so that half an hour of idle time costs one entry
//! per session and no rotation. A new slot moves those behind it, four times a second at most; a map would not, and is
//! ten times the code. Work is proportional to what falls due, never to what lives. A key is not
//! removed when its owner goes: whoever takes one out compares it with the deadline that counts (a session
//! that was used meanwhile is simply put in again), and once the dead outnumber the living they are shed.

use std::time::Duration;

use crate::clock::Instant;

/// Deadlines are rounded up to this; nobody is cut early, and at most this much late.
const SLOT: Duration = Duration::from_millis(250);
const SLOTS_PER_SECOND: u64 = 4;
/// So many dead keys are not worth a search.
const SPARE: usize = 256;

/// Points at something in a table, and at nothing that takes its place later. One type for every table, so that there
/// is one wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) place: u32,
    pub(crate) serial: u32,
}

/// Keys by the slot in which they fall due.
pub(crate) struct Wheel {
    /// The earliest is the last, from where it is taken.
    slots: Vec<(u64, Vec<Key>)>,
    len: usize,
}

impl Wheel {
    pub(crate) fn new() -> Wheel {
        Wheel { slots: Vec::new(), len: 0 }
    }

    /// Puts `key` into the slot of `deadline`.
    pub(crate) fn insert(&mut self, deadline: Instant, key: Key) {
        let slot = slot_of(deadline);
        let at = self.slots.partition_point(|(other, _)| *other > slot);
        match self.slots.get_mut(at) {
            Some((other, keys)) if *other == slot => keys.push(key),
            _ => self.slots.insert(at, (slot, vec![key])),
        }
        self.len += 1;
    }

    /// How many keys are in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Throws out the keys of those who are gone, and those that their owners no longer count on, if they are more than
    /// those who live. `is_wanted` is asked for each key with its slot.
    ///
    /// Linear in keys, but each is looked at once for at least one that was put in: constant over time.
    pub(crate) fn shed(&mut self, living: usize, is_wanted: impl Fn(&Key, u64) -> bool) {
        if living == 0 {
            // Nobody: even a few dead keys could hold the memory pages of ten thousand.
            *self = Wheel::new();
        }
        if self.len > 2 * living + SPARE {
            self.shed_all(&is_wanted);
        }
    }

    fn shed_all(&mut self, is_wanted: &dyn Fn(&Key, u64) -> bool) {
        self.len = 0;
        self.slots.retain_mut(|(slot, keys)| {
            keys.retain(|key| is_wanted(key, *slot));
            keys.shrink_to_fit();
            self.len += keys.len();
            !keys.is_empty()
        });
        self.slots.shrink_to_fit();
    }

    /// Takes one key that is due at `now`, earliest slot first.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Key> {
        let now = now.elapsed();
        let passed =
            now.as_secs().saturating_mul(SLOTS_PER_SECOND) + u64::from(now.subsec_nanos() / SLOT.subsec_nanos());
        let (slot, keys) = self.slots.last_mut()?;
        if *slot > passed {
            return None;
        }
        let key = keys.pop();
        self.len -= usize::from(key.is_some());
        if keys.is_empty() {
            self.slots.pop();
        }
        key
    }

    /// When the earliest slot falls due.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (slot, _) = self.slots.last()?;
        Some(Instant::default() + SLOT.saturating_mul(u32::try_from(*slot).unwrap_or(u32::MAX)))
    }
}

/// The first slot that does not begin before `deadline`, to the nanosecond: a key that came up early would be
/// taken for one that is no longer its owner's only one.
pub(crate) fn slot_of(deadline: Instant) -> u64 {
    let deadline = deadline.elapsed();
    // As many slots as fit a u64 last for 146 billion years; what is later still is never.
    let of_seconds = deadline.as_secs().saturating_mul(SLOTS_PER_SECOND);
    of_seconds.saturating_add(deadline.subsec_nanos().div_ceil(SLOT.subsec_nanos()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_when_due_never_early_and_by_slot() {
        let at = |ms| Instant::default() + Duration::from_millis(ms);
        let mut wheel = Wheel::new();
        let key = |name| Key { place: u32::from(name), serial: 0 };
        wheel.insert(at(1000) + Duration::from_nanos(1), key('d'));
        assert_eq!(wheel.pop(at(1249)), None, "not even a nanosecond early");
        assert_eq!(wheel.pop(at(1250)), Some(key('d')));
        wheel.insert(Instant::default() + Duration::MAX, key('e'));
        assert_eq!(wheel.pop(at(1_000_000_000)), None, "never is never");
        let mut wheel = Wheel::new();
        for (ms, name) in [(1000, 'b'), (1, 'a'), (1001, 'c')] {
            wheel.insert(at(ms), key(name));
        }
        assert_eq!(wheel.next(), Some(at(250)));
        assert_eq!(wheel.pop(at(249)), None);
        assert_eq!(wheel.pop(at(250)), Some(key('a')));
        assert_eq!(wheel.pop(at(1000)), Some(key('b')));
        assert_eq!(wheel.pop(at(1249)), None, "rounded up, never early");
        assert_eq!(wheel.pop(at(1250)), Some(key('c')));
        assert_eq!((wheel.next(), wheel.len()), (None, 0));
    }

    #[test]
    fn p19_the_dead_are_shed_once_they_outnumber_the_living() {
        let mut wheel = Wheel::new();
        for place in 0..100_000u32 {
            wheel.shed(10, |other, _| place - other.place <= 10);
            let due = Instant::default() + Duration::from_secs(1800 + u64::from(place) / 1000);
            wheel.insert(due, Key { place, serial: 0 });
            assert!(wheel.len() <= 2 * 10 + SPARE + 1);
        }
    }
}
