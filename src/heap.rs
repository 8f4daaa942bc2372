//! Memory back to the system after a crowd has gone.
//!
//! glibc gives memory back from the end of its heap only, and keeps the last seven freed pieces of every small
//! size at hand. After ten thousand sessions those lie at the end of the heap and hold all of it: measured, 37 MB
//! stay resident with nobody left. `malloc_trim` would help, but no safe crate offers it. So the pieces are
//! exchanged for others that were taken before the crowd came and lie at the heap's beginning; the rest then
//! goes back by itself, down to 3 MB. With another allocator this costs some microseconds and changes nothing.

/// glibc keeps pieces of 24 to 1032 bytes, in steps of 16.
const SIZES: usize = 64;
/// How many of each size it keeps.
const KEPT: usize = 7;

/// Pieces of every size that glibc keeps, some 240 KB, taken while the heap is still small.
pub(crate) struct Ballast(Vec<Vec<u8>>);

impl Ballast {
    pub(crate) fn take() -> Ballast {
        let sizes = (0..SIZES * KEPT).map(|at| 24 + 16 * (at / KEPT));
        Ballast(std::hint::black_box(sizes.map(Vec::with_capacity).collect()))
    }

    /// Exchanges what the allocator keeps at hand. For rare moments: it is two thousand small steps.
    pub(crate) fn exchange(&mut self) {
        let at_hand = Ballast::take();
        // The old pieces fill the allocator's places, so that the ones from the far end are really freed.
        self.0.clear();
        drop(at_hand);
        // And out of those places come the old pieces again.
        *self = Ballast::take();
    }
}
