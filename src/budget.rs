//! One budget of bytes over everything that clients can make the server hold: bodies, queues, replay and
//! the room reserved for answers.
//!
//! Whoever holds bytes holds a [`Charge`]; dropping it gives them back, so the sum is right by construction.
//! When the budget is short, what is kept for replay goes first, oldest first; only then is a request refused.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// Somebody who keeps bytes that he can do without.
pub(crate) trait Forgetful {
    /// Lets go of them.
    fn forget(&self);
}

/// The budget. Clones share it.
#[derive(Clone)]
pub(crate) struct Budget(Rc<Inner>);

struct Inner {
    used: Cell<usize>,
    most: usize,
    keepers: RefCell<VecDeque<Weak<dyn Forgetful>>>,
    /// At this many keepers the dead among them are thrown out.
    prune_at: Cell<usize>,
}

/// Bytes held; given back when dropped.
pub(crate) struct Charge {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Budget {
        Budget(Rc::new(Inner { used: Cell::new(0), most, keepers: RefCell::default(), prune_at: Cell::new(64) }))
    }

    /// Bytes held now.
    pub(crate) fn used(&self) -> usize {
        self.0.used.get()
    }

    /// Holds `bytes` if there is room, after the keepers have let go of what it takes. There is always room for nothing.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Charge> {
        while bytes > 0 && self.used().checked_add(bytes).is_none_or(|sum| sum > self.0.most) {
            let oldest = self.0.keepers.borrow_mut().pop_front()?;
            if let Some(keeper) = oldest.upgrade() {
                keeper.forget();
            }
        }
        Some(self.charge(bytes))
    }

    /// Holds `bytes` for which room was reserved before, or which are too few to ask for.
    pub(crate) fn charge(&self, bytes: usize) -> Charge {
        self.0.used.set(self.used() + bytes);
        Charge { budget: self.clone(), bytes }
    }

    /// Registers one who keeps bytes from now on; the oldest is asked first.
    pub(crate) fn keeps(&self, keeper: Weak<dyn Forgetful>) {
        let mut keepers = self.0.keepers.borrow_mut();
        if keepers.len() >= self.0.prune_at.get() {
            keepers.retain(|keeper| keeper.strong_count() > 0);
            self.0.prune_at.set(2 * keepers.len() + 64);
        }
        keepers.push_back(keeper);
    }
}

impl Charge {
    /// Holds at least `bytes`; false if there is no room for the difference.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let Some(mut charge) = self.budget.reserve(more) else { return false };
        // The difference moves over: what the other held it no longer gives back.
        charge.bytes = 0;
        self.bytes += more;
        true
    }

    /// A part of what it holds, to be held by somebody else.
    pub(crate) fn split(&mut self, bytes: usize) -> Charge {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Charge { budget: self.budget.clone(), bytes }
    }

    /// Holds exactly `bytes` from now on.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.budget.0.used.set(self.budget.used() - self.bytes + bytes);
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.used.set(self.budget.used() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keeper(RefCell<Option<Charge>>);
    impl Forgetful for Keeper {
        fn forget(&self) {
            self.0.take();
        }
    }

    #[test]
    fn replay_gives_way_oldest_first_and_then_there_is_no_room() {
        let budget = Budget::new(100);
        let keep = || Rc::new(Keeper(RefCell::new(Some(budget.charge(40)))));
        let (old, new) = (keep(), keep());
        for keeper in [&old, &new] {
            let weak: Weak<Keeper> = Rc::downgrade(keeper);
            budget.keeps(weak);
        }
        let mut held = budget.reserve(50).expect("the oldest gives way");
        assert!(old.0.borrow().is_none() && new.0.borrow().is_some());
        assert!(held.grow(60) && budget.used() == 100);
        assert!(held.grow(100), "then the next");
        assert!(!held.grow(101) && budget.reserve(1).is_none());
        assert!(budget.reserve(usize::MAX).is_none() && budget.reserve(0).is_some());
        held.set(10);
        assert_eq!(budget.used(), 10);
        drop(held.split(4));
        assert_eq!(budget.used(), 6);
        drop((held.split(100), held));
        assert_eq!(budget.used(), 0);
    }
}
