//! Every bound of the server: its unit, its default, why that value, and what happens at it.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Every bound of the server. Sizes are bytes, waits are durations, the rest are counts.
///
/// ```
/// use portcullis::Limits;
/// let small = Limits { connections_max: 64, ..Limits::for_memory(8 << 20) };
/// assert!(small.worst_case_bytes() <= 8 << 20);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Sessions alive at once. At it the longest idle one gives way, else the newcomer gets 503.
    pub sessions_max: usize,
    /// Connections open at once. At it the listener waits until one closes.
    pub connections_max: usize,
    /// Calls running at once in one session; one more gets 503 (a client that needs more is broken).
    pub calls_max: usize,
    /// Messages in one batch of revision 2025-03-26; a longer one is refused with 400.
    pub batch_max: usize,
    /// Bytes of a request line with its headers; more is 431. Browsers stop at about this.
    pub head_bytes_max: usize,
    /// Header lines of a request; more is 431.
    pub headers_max: usize,
    /// Bytes of a request body; more is 413, before it is read. The value of the Python SDK.
    pub body_bytes_max: usize,
    /// Bytes of bodies, queues, replay and reserved answers together, over all clients. Over it replay
    /// goes first, oldest first; then new requests get 503.
    pub buffered_bytes_max: usize,
    /// Bytes of one answer; a larger one becomes an `isError` result that says so. Clients cut
    /// lines at 1 MiB and at 64 KiB.
    pub result_bytes_max: usize,
    /// Bytes that wait for one slow reader; over it progress is replaced and logs are dropped.
    pub queue_bytes_max: usize,
    /// Messages that wait for one slow reader; over it progress is replaced and logs are dropped.
    pub queue_messages_max: usize,
    /// Bytes kept of one session's streams for `Last-Event-ID`; the oldest go first.
    pub replay_bytes_max: usize,
    /// Ended sessions whose reason is remembered, so that a 404 can say why.
    pub tombstones_max: usize,
    /// Events of sessions that an operator can still read; the oldest go first.
    pub events_max: usize,
    /// Threads for blocking work of handlers, all together; more work waits its turn.
    pub unblock_threads_max: usize,
    /// Open `subscriptions/listen`, over all clients; one more gets −32603.
    pub listens_max: usize,
    /// Resources that one session or one `subscriptions/listen` may subscribe to; more is −32602.
    pub subscriptions_max: usize,
    /// Entries on one page of a list; the rest is behind its cursor.
    pub page_items_max: usize,
    /// How often one request of 2026-07-28 may be answered with a question (F-145); then it is −32602.
    pub rounds_max: usize,
    /// How long a session may be idle (no call running, no stream open) before it ends.
    pub session_idle: Duration,
    /// How long a session may live, whatever it does; running calls may finish.
    pub session_life: Duration,
    /// How long a session must have been idle before a newcomer may take its place.
    pub session_protected: Duration,
    /// How long a new HTTP+SSE session may wait before it sends `initialize`.
    pub initialize_wait: Duration,
    /// From the first byte of a request to the end of its headers; then 408.
    pub head_wait: Duration,
    /// From the end of the headers to the end of the body; then 408.
    pub body_wait: Duration,
    /// How long a kept-alive connection may be silent. Longer than the pools of clients and proxies.
    pub idle_wait: Duration,
    /// How long a peer may take no byte of what is being written before its connection is cut.
    pub write_wait: Duration,
    /// Time between comments on an open stream. Proxies cut at 60 s.
    pub keep_alive_every: Duration,
    /// Silence after which the answer of a session-era call becomes a stream, if the client takes one.
    pub stream_after: Duration,
    /// Silence after which the answer of a call of 2026-07-28 becomes a stream. Long: until then it can have a status.
    pub stateless_stream_after: Duration,
    /// How long a client may take to answer a question of a handler's; its user may have gone for coffee.
    pub ask_wait: Duration,
    /// How long a client of 2026-07-28 may take to come back with its answers: the age of a `requestState`.
    pub state_wait: Duration,
    /// How long a finished stream can be resumed.
    pub replay_wait: Duration,
    /// Time between automatic progress notifications of a call whose client gave a token.
    pub progress_every: Duration,
    /// How long a call may run before it is dropped and answered with an error. A tool can set its own.
    pub call_wait: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            sessions_max: 10_000,
            connections_max: 10_240,
            calls_max: 64,
            batch_max: 64,
            head_bytes_max: 16 * KIB,
            headers_max: 100,
            body_bytes_max: 4 * MIB,
            buffered_bytes_max: 64 * MIB,
            result_bytes_max: 512 * KIB,
            queue_bytes_max: 256 * KIB,
            queue_messages_max: 16,
            replay_bytes_max: MIB,
            tombstones_max: 256,
            events_max: 1024,
            unblock_threads_max: 4,
            listens_max: 1024,
            subscriptions_max: 256,
            page_items_max: 100,
            rounds_max: 8,
            session_idle: Duration::from_secs(30 * 60),
            session_life: Duration::from_secs(7 * 24 * 3600),
            session_protected: Duration::from_secs(60),
            initialize_wait: Duration::from_secs(30),
            head_wait: Duration::from_secs(10),
            body_wait: Duration::from_secs(30),
            idle_wait: Duration::from_secs(130),
            write_wait: Duration::from_secs(30),
            keep_alive_every: Duration::from_secs(15),
            stream_after: Duration::from_millis(250),
            stateless_stream_after: Duration::from_secs(15),
            ask_wait: Duration::from_secs(10 * 60),
            state_wait: Duration::from_secs(10 * 60),
            replay_wait: Duration::from_secs(5 * 60),
            progress_every: Duration::from_secs(15),
            call_wait: Duration::from_secs(30 * 60),
        }
    }
}

/// User-space bytes of a session with an open stream and its connection (measured, rounded up), and a kilobyte for what
/// its client may say of its extensions.
const SESSION_BYTES: usize = 5 * KIB;
/// Bytes of one event; a test compares it with the real one.
const EVENT_BYTES: usize = 96;

impl Limits {
    /// Limits whose worst case stays within `bytes` of memory: half for buffers, half for sessions.
    ///
    /// Below 1 MiB nothing useful fits: the result is that of 1 MiB.
    pub fn for_memory(bytes: usize) -> Limits {
        let bytes = bytes.max(MIB);
        let buffered = bytes / 2;
        let sessions = (bytes / 2 / SESSION_BYTES).clamp(16, 10_000);
        let usual = Limits::default();
        Limits {
            sessions_max: sessions,
            connections_max: sessions + sessions / 8,
            buffered_bytes_max: buffered,
            body_bytes_max: usual.body_bytes_max.min(buffered / 4),
            result_bytes_max: usual.result_bytes_max.min(buffered / 16),
            queue_bytes_max: usual.queue_bytes_max.min(buffered / 16),
            replay_bytes_max: usual.replay_bytes_max.min(buffered / 8),
            events_max: usual.events_max.min(bytes / 32 / EVENT_BYTES),
            ..usual
        }
        .with_connections_within(bytes)
    }

    fn with_connections_within(mut self, bytes: usize) -> Limits {
        while self.worst_case_bytes() > bytes && self.sessions_max > 1 {
            self.sessions_max = self.sessions_max * 7 / 8;
            self.connections_max = self.sessions_max + self.sessions_max / 8 + 1;
        }
        self
    }

    /// What is wrong with them, if anything: periods so short that the loop would do nothing else.
    pub(crate) fn fault(&self) -> Option<String> {
        let periods = [("keep_alive_every", self.keep_alive_every), ("progress_every", self.progress_every)];
        let short = periods.into_iter().find(|(_, period)| *period < Duration::from_millis(100))?;
        Some(format!("limit {}: {:?}; expected at least 0.1 s", short.0, short.1))
    }

    /// The most memory clients can make the server hold: full sessions and connections, the whole budget, and the
    /// events of [`Limits::events_max`].
    pub fn worst_case_bytes(&self) -> usize {
        self.sessions_max
            .max(self.connections_max)
            .saturating_mul(SESSION_BYTES)
            .saturating_add(self.buffered_bytes_max)
            .saturating_add(self.events_max.saturating_mul(EVENT_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_for_a_memory_size_stay_within_it() {
        for mib in [1, 2, 8, 64, 1024] {
            let limits = Limits::for_memory(mib * MIB);
            assert!(limits.worst_case_bytes() <= mib * MIB, "{mib} MiB: {}", limits.worst_case_bytes());
            assert!(limits.result_bytes_max * 8 <= limits.buffered_bytes_max, "{mib} MiB: eight calls must fit");
        }
    }
}
