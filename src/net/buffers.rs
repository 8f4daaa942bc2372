//! Buffers for answers, lent for the time of a turn: a connection that only waits holds none.

use std::cell::RefCell;

/// Those that nobody has.
pub(crate) struct Buffers(RefCell<Vec<Vec<u8>>>);

/// Made at the start and kept, for those who answer in step. One that grew is not: it would hold a page among memory that
/// could be given back.
pub(super) const KEPT: usize = 32;
const BYTES: usize = 4096;

impl Buffers {
    pub(super) fn new() -> Buffers {
        Buffers(RefCell::new((0..KEPT).map(|_| Vec::with_capacity(BYTES)).collect()))
    }

    /// An empty one.
    pub(super) fn lend(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BYTES))
    }

    /// Takes one back.
    pub(super) fn take_back(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT && buffer.capacity() == BYTES {
            buffer.clear();
            kept.push(buffer);
        }
    }
}
