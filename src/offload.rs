//! Blocking work of handlers, on a bounded number of threads.
//!
//! A job on a thread cannot be stopped. If its call ends before it, the job becomes a zombie: it keeps its
//! place among the threads until it is done, and it is counted, so that an operator sees why nothing moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use smol::lock::Semaphore;

/// The threads; clones share them.
#[derive(Clone)]
pub(crate) struct Offload {
    places: Arc<Semaphore>,
    zombies: Arc<AtomicU32>,
}

const RUNNING: u8 = 0;
const DONE: u8 = 1;
const ABANDONED: u8 = 2;

impl Offload {
    pub(crate) fn new(threads: usize) -> Offload {
        Offload { places: Arc::new(Semaphore::new(threads.max(1))), zombies: Arc::default() }
    }

    /// Jobs that go on although nobody waits for them.
    pub(crate) fn zombies(&self) -> u64 {
        self.zombies.load(Ordering::Relaxed).into()
    }

    /// Runs `work` on a thread as soon as one is free. A panic in it comes out here.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let place = self.places.acquire_arc().await;
        let state = Arc::new(AtomicU8::new(RUNNING));
        let _waiting = Waiting { state: state.clone(), zombies: self.zombies.clone() };
        let ends = Ends { state, zombies: self.zombies.clone() };
        let job = smol::unblock(move || {
            let (_place, _ends) = (place, ends);
            work()
        });
        job.await
    }
}

/// Dropped when nobody waits any more.
struct Waiting {
    state: Arc<AtomicU8>,
    zombies: Arc<AtomicU32>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.state.compare_exchange(RUNNING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.zombies.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Dropped when the job is done, or was never begun.
struct Ends {
    state: Arc<AtomicU8>,
    zombies: Arc<AtomicU32>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if self.state.swap(DONE, Ordering::AcqRel) == ABANDONED {
            self.zombies.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn d19_a_job_whose_call_ended_is_a_counted_zombie_until_it_is_done() {
        let offload = Offload::new(1);
        let (release, wait) = mpsc::channel::<()>();
        let mut job = Box::pin(offload.run(move || wait.recv()));
        smol::block_on(async {
            assert!(smol::future::poll_once(&mut job).await.is_none());
            drop(job);
            assert_eq!(offload.zombies(), 1);
            let next = offload.run(|| 7);
            release.send(()).unwrap();
            assert_eq!(next.await, 7, "its place is free again");
            assert_eq!(offload.zombies(), 0);
        });
    }
}
