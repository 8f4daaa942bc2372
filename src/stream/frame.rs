//! One message on its way to a client.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::budget::Charge;
use crate::jsonrpc::RequestId;

/// What kind of message a frame is, which says what may happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Never lost in silence.
    Answer,
    /// Replaced by newer progress of the same call.
    Progress,
    /// Dropped when the queue is full.
    Notice,
    /// Refused when the queue is full, and whoever asks is told.
    Request,
}

/// One message on its way.
pub(crate) struct Frame {
    pub(super) kind: Kind,
    pub(super) seq: u64,
    pub(super) answers: Option<RequestId>,
    /// Has a connection taken it out of the queue?
    pub(super) taken: Cell<bool>,
    text: RefCell<Vec<u8>>,
    /// Its share of the server's buffers.
    charge: RefCell<Charge>,
}

impl Frame {
    pub(super) fn new(kind: Kind, seq: u64, answers: Option<RequestId>, text: Vec<u8>, charge: Charge) -> Frame {
        Frame { kind, seq, answers, taken: Cell::new(false), text: RefCell::new(text), charge: RefCell::new(charge) }
    }

    /// The message's JSON.
    pub(crate) fn text(&self) -> std::cell::Ref<'_, Vec<u8>> {
        self.text.borrow()
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.borrow().len()
    }

    /// Newer progress in the place of older.
    pub(super) fn replace(&self, text: Vec<u8>) {
        self.charge.borrow_mut().set(text.len());
        *self.text.borrow_mut() = text;
    }
}

/// The place of the last progress notification of a call, where newer ones may replace it.
#[derive(Default)]
pub(crate) struct LastProgress(pub(super) RefCell<Weak<Frame>>);

/// The answers of a batch as one JSON array.
pub(crate) fn join_answers(out: &mut Vec<u8>, answers: &[Rc<Frame>]) {
    out.push(b'[');
    for (at, frame) in answers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&frame.text());
    }
    out.push(b']');
}

/// The id of the event with number `seq` of the stream that `nonce` names.
pub(super) fn event_id(nonce: u64, seq: u64) -> String {
    format!("{nonce:016x}.{seq}")
}

/// Stream and number of an event id of ours.
pub(crate) fn parse_event_id(id: &str) -> Option<(u64, u64)> {
    let (nonce, seq) = id.split_once('.')?;
    let digits = nonce.len() == 16 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    let seq = seq.bytes().all(|byte| byte.is_ascii_digit()).then(|| seq.parse().ok())??;
    Some((digits.then(|| u64::from_str_radix(nonce, 16).ok())??, seq))
}
