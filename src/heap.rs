//! Memory that nobody needs any more, given back to the system.
//!
//! glibc gives back what lies behind the last piece in use of its heap, and pieces in its cache for the thread (seven of
//! each size up to 1 KB) count as in use. After ten thousand sessions have gone a few of them lie at the far end and keep
//! 37 MB. So pieces from the heap's beginning are held while a crowd is here, and change places with the cached ones when
//! it has gone. This is done where the C library is glibc; another allocator in its place does not notice it.

use std::hint::black_box;

/// Pieces from the beginning of the heap, if there is a crowd: for [`EXCHANGES`].
#[derive(Default)]
pub(crate) struct Heap {
    low: Vec<Pieces>,
    /// The most that were here since memory was last given back.
    most: usize,
    /// Memory is being given back.
    busy: bool,
}

type Pieces = Vec<Vec<u8>>;

/// So many connections and sessions are a crowd: a megabyte, and little of it behind us.
const CROWD: usize = 256;
/// glibc's cache: sizes that one word less than a multiple of two words fills, and pieces of each.
const SIZES: std::ops::Range<usize> = 0..64;
const PIECES: usize = 7;
/// What is in use during one exchange comes back into the cache behind it, and goes with the next.
pub(crate) const EXCHANGES: usize = 3;
/// Freeing so much makes glibc put the small pieces together, and give back what is free at the end.
const LARGE: usize = 96 * 1024;

impl Heap {
    /// Notes how many are here. True if most of a crowd has gone: when nobody goes any more, [`Heap::give_back`] is worth
    /// its time.
    pub(crate) fn note(&mut self, here: usize) -> bool {
        if !cfg!(target_env = "gnu") {
            return false;
        }
        self.most = self.most.max(here);
        if here >= CROWD && self.low.is_empty() && !self.busy {
            self.low = (0..EXCHANGES).map(|_| pieces()).collect();
        }
        let begins = !self.busy && !self.low.is_empty() && here <= self.most / 8;
        self.busy |= begins;
        begins
    }

    /// Exchanges the pieces. Takes under a millisecond, and the system's time for the pages.
    pub(crate) fn give_back(&mut self) {
        let cached = pieces();
        drop(self.low.pop());
        drop(cached); // the cache is full of the others: these are free now
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
    }

    /// So many have stayed.
    pub(crate) fn settle(&mut self, here: usize) {
        *self = Heap { most: here, ..Heap::default() };
    }
}

/// All that the cache can hold, and so all that is in it.
fn pieces() -> Pieces {
    let word = size_of::<usize>();
    let sizes = SIZES.map(|size| (2 * size + 3) * word);
    black_box(sizes.flat_map(|bytes| (0..PIECES).map(move |_| Vec::with_capacity(bytes))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_env = "gnu")]
    fn memory_is_given_back_once_when_most_of_a_crowd_has_gone_and_again_after_the_next() {
        let mut heap = Heap::default();
        for (here, begins) in [(1, false), (255, false), (0, false), (400, false), (51, false), (50, true), (0, false)]
        {
            assert_eq!(heap.note(here), begins, "{here}");
        }
        (0..EXCHANGES).for_each(|_| heap.give_back());
        assert!(heap.low.is_empty());
        heap.settle(0);
        for (here, begins) in [(200, false), (0, false), (256, false), (300, false), (1, true)] {
            assert_eq!(heap.note(here), begins, "the next crowd: {here}");
        }
    }
}
