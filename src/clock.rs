//! Time: what `now` is, and how to wait for a later one.
//!
//! Everything that waits or expires asks this one type, so the whole server also runs on a virtual
//! clock on which half an hour passes as soon as nobody has anything left to do. Deadlines are
//! monotonic; a wall clock that jumps (an appliance without a battery sets its time minutes after
//! boot) never moves them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A moment, as the time since its clock was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time since the clock was made.
    pub fn elapsed(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, wait: Duration) -> Instant {
        Instant(self.0.saturating_add(wait))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, back: Duration) -> Instant {
        Instant(self.0.saturating_sub(back))
    }
}

/// Where `now` and `sleep` come from: the machine, or a test.
#[derive(Clone)]
pub struct Clock(Rc<Source>);

enum Source {
    Real { start: std::time::Instant, said: Cell<Instant> },
    Simulated(RefCell<Simulated>),
}

#[derive(Default)]
struct Simulated {
    now: Instant,
    next_key: u64,
    sleepers: BTreeMap<(Instant, u64), Waker>,
}

/// The wall clock of a simulation at its start: a day in 2026.
const SIMULATION_BEGAN: u64 = 1_785_000_000;

impl Clock {
    /// The machine's monotonic clock; waits are served by `async-io`.
    pub fn real() -> Clock {
        Clock(Rc::new(Source::Real { start: std::time::Instant::now(), said: Cell::default() }))
    }

    /// A clock that stands still until [`Clock::advance`] is called. For tests.
    pub fn simulated() -> Clock {
        Clock(Rc::new(Source::Simulated(RefCell::default())))
    }

    /// This moment.
    pub fn now(&self) -> Instant {
        match &*self.0 {
            Source::Real { start, said } => {
                let now = Instant(start.elapsed());
                said.set(now);
                now
            }
            Source::Simulated(state) => state.borrow().now,
        }
    }

    /// What [`Clock::now`] said last: the same moment for whoever knows that somebody has just asked.
    pub(crate) fn said(&self) -> Instant {
        match &*self.0 {
            Source::Real { said, .. } => said.get(),
            Source::Simulated(state) => state.borrow().now,
        }
    }

    /// Seconds since 1970, for what must be understood by another instance of the server or after a restart. May jump.
    pub(crate) fn wall_seconds(&self) -> u64 {
        match &*self.0 {
            Source::Real { .. } => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                since.map_or(0, |since| since.as_secs())
            }
            Source::Simulated(state) => SIMULATION_BEGAN + state.borrow().now.elapsed().as_secs(),
        }
    }

    /// Completes at `deadline`, at once if that has passed.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        match &*self.0 {
            Source::Real { start, .. } => Sleep(Kind::Real(match start.checked_add(deadline.0) {
                Some(at) => async_io::Timer::at(at),
                None => async_io::Timer::never(),
            })),
            Source::Simulated(_) => Sleep(Kind::Simulated { clock: self.clone(), deadline, key: None }),
        }
    }

    /// Moves a simulated clock to the earliest moment somebody waits for and wakes them.
    ///
    /// Returns false if nobody waits, and always on a real clock.
    pub fn advance(&self) -> bool {
        let Source::Simulated(state) = &*self.0 else { return false };
        let mut due = Vec::new();
        {
            let mut state = state.borrow_mut();
            let Some((&(earliest, _), _)) = state.sleepers.first_key_value() else { return false };
            state.now = state.now.max(earliest);
            while let Some(entry) = state.sleepers.first_entry() {
                if entry.key().0 > earliest {
                    break;
                }
                due.push(entry.remove());
            }
        }
        due.into_iter().for_each(Waker::wake);
        true
    }
}

/// Waits for a moment. Made by [`Clock::sleep_until`].
pub struct Sleep(Kind);

enum Kind {
    Real(async_io::Timer),
    Simulated { clock: Clock, deadline: Instant, key: Option<u64> },
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::Real(timer) => Pin::new(timer).poll(cx).map(|_| ()),
            Kind::Simulated { clock, deadline, key } => {
                let Source::Simulated(state) = &*clock.0 else { return Poll::Ready(()) };
                let mut state = state.borrow_mut();
                if state.now >= *deadline {
                    return Poll::Ready(());
                }
                let key = *key.get_or_insert_with(|| {
                    state.next_key += 1;
                    state.next_key
                });
                state.sleepers.insert((*deadline, key), cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Kind::Simulated { clock, deadline, key: Some(key) } = &self.0
            && let Source::Simulated(state) = &*clock.0
        {
            state.borrow_mut().sleepers.remove(&(*deadline, *key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_to_the_earliest_sleeper_and_no_further() {
        let clock = Clock::simulated();
        let mut cx = Context::from_waker(Waker::noop());
        let mut early = clock.sleep_until(clock.now() + Duration::from_secs(1));
        let mut late = clock.sleep_until(clock.now() + Duration::from_secs(1800));
        assert!(Pin::new(&mut early).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut late).poll(&mut cx).is_pending());
        assert!(clock.advance());
        assert_eq!(clock.now().elapsed(), Duration::from_secs(1));
        assert!(Pin::new(&mut early).poll(&mut cx).is_ready());
        assert!(Pin::new(&mut late).poll(&mut cx).is_pending());
        drop(late);
        assert!(!clock.advance(), "a dropped sleeper is forgotten");
    }
}
