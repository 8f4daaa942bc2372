//! What a connection does next, once the bytes that came have been looked at.

use super::calls::CallKey;
use crate::call::Call;
use crate::http::response::Manner;
use crate::observe::Shown;
use crate::session::SessionKey;
use crate::transport::{Events, Exchange};

/// What a connection does next.
pub(super) enum Next {
    /// Look for another request in what is there.
    Continue,
    /// Read more.
    More,
    /// Let others run; there is more to do here.
    Yield,
    /// End, after what is to be written.
    Close,
    /// Begin calls that answer on another stream, now that their POST is answered.
    Start { calls: Vec<Call>, session: SessionKey },
    /// Do what takes time. Boxed: most turns have none of it, and all of them hand this on.
    Wait(Box<Waiting>),
}

/// What a connection waits for before it looks for another request.
pub(super) enum Waiting {
    /// Calls that answer here.
    Answer { exchange: Exchange, manner: Manner, running: Option<CallKey> },
    /// What is shown to the operator and takes more than one write.
    Show { shown: Shown, manner: Manner },
    /// A stream, which the connection becomes.
    Stream { events: Events, manner: Manner },
}

impl Next {
    pub(super) fn wait(waiting: Waiting) -> Next {
        Next::Wait(Box::new(waiting))
    }
}
