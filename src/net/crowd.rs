//! What is done when most of a crowd has gone: memory is given back to the system.
//!
//! glibc gives back what is free at the end of its heap, if it was put together and nothing in use lies behind it. What
//! lies there after ten thousand sessions is a piece of the executor's queue, which is changed for another when as many
//! tasks have run as it holds; and what glibc itself caches for the thread, which only its own setting prevents
//! (`docs/DESIGN.md`, "How does memory go back").

use std::hint::black_box;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::shell::Shell;

/// Who was here.
#[derive(Clone, Copy, Default)]
pub(crate) struct Crowd {
    /// The most connections and sessions since memory was last given back.
    most: usize,
    /// It is being given back.
    leaving: bool,
}

/// So many are a crowd: a megabyte.
const CROWD: usize = 256;
/// Nobody has come or gone for so long: this is who stays.
const SETTLES_IN: Duration = Duration::from_millis(500);
/// So often that is waited for.
const SETTLES_MAX: usize = 20;
/// Tasks that the executor's queue holds in one piece of memory, at most.
const TASKS_IN_A_PIECE: usize = 64;
/// Freeing so much makes glibc put small pieces together.
const LARGE: usize = 96 * 1024;

impl Crowd {
    /// Notes how many are here; true if most of a crowd has just gone.
    fn note(&mut self, here: usize) -> bool {
        self.most = self.most.max(here);
        let goes = !self.leaving && self.most >= CROWD && here <= self.most / 8;
        self.leaving |= goes;
        goes
    }
}

impl Shell {
    /// Asked on every turn of the loop.
    pub(crate) fn notice_crowds(&self) {
        let mut crowd = self.crowd.get();
        let goes = crowd.note(self.present());
        self.crowd.set(crowd);
        if goes {
            self.crowd_goes.take().into_iter().for_each(Waker::wake);
        }
    }

    fn present(&self) -> usize {
        self.connections.borrow().len() + self.table.borrow().len()
    }

    /// Gives memory back whenever a crowd has gone. Begun with the server, so that it lies at the heap's beginning itself.
    pub(crate) async fn give_memory_back(self: Rc<Self>) {
        loop {
            std::future::poll_fn(|cx| {
                self.crowd_goes.set(Some(cx.waker().clone()));
                if self.crowd.get().leaving { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            self.give_it_back().await;
        }
    }

    /// Twice: what is in use the first time is free the second.
    async fn give_it_back(&self) {
        for _ in 0..SETTLES_MAX {
            let before = self.present();
            self.clock().sleep_until(self.now() + SETTLES_IN).await;
            if self.present() == before {
                break;
            }
        }
        for _ in 0..2 {
            for _ in 0..TASKS_IN_A_PIECE {
                smol::future::yield_now().await;
            }
            drop(black_box(Vec::<u8>::with_capacity(LARGE)));
            self.clock().sleep_until(self.now() + SETTLES_IN).await;
        }
        self.crowd.set(Crowd { most: self.present(), leaving: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_a_crowd_goes_once_whoever_comes_and_goes_meanwhile() {
        let mut crowd = Crowd::default();
        for (here, goes) in [(1, false), (255, false), (0, false), (400, false), (51, false), (50, true), (0, false)] {
            assert_eq!(crowd.note(here), goes, "{here}");
        }
        crowd = Crowd::default();
        for (here, goes) in [(256, false), (33, false), (32, true), (300, false), (0, false)] {
            assert_eq!(crowd.note(here), goes, "the next crowd: {here}");
        }
    }
}
