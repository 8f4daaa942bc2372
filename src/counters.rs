//! What the server counts. Each counter has a name and one line of documentation, and both are what an
//! operator reads.

use std::cell::Cell;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Everything the server counts since its start.
        #[derive(Default)]
        pub(crate) struct Counters {
            $($(#[doc = $doc])+ pub(crate) $name: Cell<u64>,)+
        }

        impl Counters {
            /// Name, meaning and value of each, in this file's order.
            pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                // Words that are constant, apart from values that are not: together each would be written by code of its own.
                const WORDS: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),+).trim_ascii()),)+];
                WORDS.iter().zip([$(self.$name.get()),+]).map(|((name, meaning), value)| (*name, *meaning, value))
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections_accepted,
    /// Accept calls that failed (out of descriptors, mostly).
    accept_errors,
    /// Requests answered with an HTTP error status.
    requests_refused,
    /// Requests read, over all connections.
    requests,
    /// Sessions opened.
    sessions_opened,
    /// Sessions ended, for whatever reason.
    sessions_ended,
    /// Calls of tools that began.
    calls_started,
    /// Calls that ended with an error, a panic or an `isError` result.
    calls_failed,
    /// Calls that the client cancelled.
    calls_cancelled,
    /// Calls dropped because they ran longer than they may.
    calls_timed_out,
    /// Handlers that panicked.
    handler_panics,
    /// Answers that were computed and could be delivered to nobody.
    responses_undeliverable,
    /// Cancellations that could have meant more than one call and cancelled none.
    ambiguous_cancels,
    /// Log and progress notifications dropped or replaced because the client read too slowly.
    messages_dropped,
    /// Requests of 2026-07-28, which have no session.
    stateless_requests,
    /// Questions of handlers that were sent to clients of sessions.
    questions_asked,
    /// Calls of 2026-07-28 that ended with a question to the client.
    calls_input_required,
    /// Calls of 2026-07-28 that ended because the client closed its connection.
    calls_disconnected,
    /// Connections cut because the peer took no byte for too long.
    slow_consumers,
    /// Streams resumed by `Last-Event-ID`.
    streams_resumed,
    /// Requests refused because the server's buffers are full.
    over_budget,
    /// Times the loop was held up for more than 100 ms by one handler.
    loop_stalls,
    /// The longest such time, in milliseconds.
    loop_stall_ms_max,
    /// Latest that a timer was served, in milliseconds.
    timer_late_ms_max,
}

/// Adds one.
pub(crate) fn count(counter: &Cell<u64>) {
    add(counter, 1);
}

/// Adds `n`.
pub(crate) fn add(counter: &Cell<u64>, n: u64) {
    // Nothing is counted 2^64 times.
    counter.set(counter.get().wrapping_add(n));
}

/// Keeps the larger of what it has and `value`.
pub(crate) fn peak(counter: &Cell<u64>, value: u64) {
    counter.set(counter.get().max(value));
}
