//! A `_meta` that comes again and again: clients of 2026-07-28 send the same one with every request, and it is longer than
//! all else that they send.
//!
//! It mostly stands where it stood before. Then the parser gets the text with `0` in its place; and if that very `0` is what
//! it finds as the `_meta` of the params, then what stood there is: JSON allows either wherever it allows the other.
//! Everything else is read as it came.

use std::cell::Cell;

use serde_json::value::RawValue;

/// The last of them.
pub(crate) struct SeenMeta {
    raw: Box<RawValue>,
    /// So many bytes stood before it the last time, and so many behind it: what is elsewhere in a request may be longer or
    /// shorter the next time.
    before: Cell<usize>,
    behind: Cell<usize>,
}

impl SeenMeta {
    pub(crate) fn new(raw: &RawValue) -> SeenMeta {
        SeenMeta { raw: raw.to_owned(), before: Cell::new(usize::MAX), behind: Cell::new(usize::MAX) }
    }

    pub(crate) fn raw(&self) -> &RawValue {
        &self.raw
    }

    /// Notes where in `body` the `_meta` stands, if it is the same to the byte.
    pub(crate) fn note(&self, meta: &RawValue, body: &[u8]) {
        if meta.get() == self.raw.get()
            && let Some(before) = offset(meta.get().as_bytes(), body)
        {
            self.before.set(before);
            self.behind.set(body.len() - before - meta.get().len());
        }
    }

    /// The body with `0` in its place, and where that is; none if it is not where it was.
    pub(crate) fn cut_out(&self, body: &[u8]) -> Option<(Vec<u8>, usize)> {
        let text = self.raw.get().as_bytes();
        let counted_back = body.len().checked_sub(text.len()).and_then(|rest| rest.checked_sub(self.behind.get()));
        let places = [Some(self.before.get()), counted_back];
        let stands_at = |at: &usize| body.get(*at..).is_some_and(|rest| rest.starts_with(text));
        let at = places.into_iter().flatten().find(stands_at)?;
        let mut short = Vec::with_capacity(body.len() - text.len() + 1);
        short.extend_from_slice(&body[..at]);
        short.push(b'0');
        short.extend_from_slice(&body[at + text.len()..]);
        Some((short, at))
    }
}

/// Where `part` begins in `whole`, if it lies in it.
pub(crate) fn offset(part: &[u8], whole: &[u8]) -> Option<usize> {
    let at = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (at.checked_add(part.len())? <= whole.len()).then_some(at)
}
