//! `GET /debug/sessions`, piece by piece: ten thousand sessions are some megabytes, and nobody is to wait for them.

use super::json::{Object, write_list};
use crate::clock::Instant;
use crate::jsonrpc::{write_integer, write_string};
use crate::net::calls::Running;
use crate::net::shell::{Shell, Wait};
use crate::session::{Session, Tombstone};

/// What is still to be written.
pub(crate) struct Sessions {
    next: Part,
}

enum Part {
    Server,
    /// From which slot on, and whether a session has been written before.
    Live {
        from: usize,
        some: bool,
    },
    Ended,
    Done,
}

/// Sessions in one piece.
const PIECE: usize = 64;

impl Sessions {
    pub(crate) fn new() -> Sessions {
        Sessions { next: Part::Server }
    }

    /// Appends the next piece; false when the last has been.
    pub(crate) fn write_piece(&mut self, shell: &Shell, out: &mut Vec<u8>) -> bool {
        let now = shell.now();
        self.next = match self.next {
            Part::Server => {
                out.extend_from_slice(b"{\n");
                write_server(out, shell, now);
                out.extend_from_slice(b",\n\"sessions\": [");
                Part::Live { from: 0, some: false }
            }
            Part::Live { from, some } => {
                let table = shell.table.borrow();
                let (sessions, next) = table.some_from(from, PIECE);
                let write = |out: &mut Vec<u8>, session: &Session| live(out, shell, session, now, usize::MAX);
                let some = write_list(out, sessions, some, write) || some;
                next.map_or(Part::Ended, |from| Part::Live { from, some })
            }
            Part::Ended => {
                out.extend_from_slice(b"\n],\n\"stateless_calls\": [");
                write_stateless_calls(out, shell, now);
                out.extend_from_slice(b"\n],\n\"ended\": [");
                write_list(out, shell.table.borrow().ended(), false, |out, tomb| past(out, tomb, now));
                out.extend_from_slice(b"\n],\n");
                write_counters(out, shell);
                out.extend_from_slice(b",\n\"counters_mean\": {");
                for (at, (name, meaning, _)) in shell.counters().each().enumerate() {
                    write_key(out, name, at > 0);
                    write_string(out, meaning);
                }
                out.extend_from_slice(b"}\n}\n");
                Part::Done
            }
            Part::Done => return false,
        };
        true
    }
}

/// Everything at once, for an embedder.
pub(crate) fn whole(shell: &Shell) -> String {
    let (mut sessions, mut out) = (Sessions::new(), Vec::new());
    while sessions.write_piece(shell, &mut out) {}
    String::from_utf8(out).unwrap_or_default()
}

fn write_key(out: &mut Vec<u8>, name: &str, follows: bool) {
    if follows {
        out.push(b',');
    }
    write_string(out, name);
    out.push(b':');
}

/// Appends the members `server` and `gauges`.
pub(super) fn write_server(out: &mut Vec<u8>, shell: &Shell, now: Instant) {
    out.extend_from_slice(b"\"server\": ");
    let mut server = Object::new(out);
    server.seconds("up_s", now.since(shell.started));
    server.flag("stopping", shell.stopping.get());
    server.end();
    out.extend_from_slice(b",\n\"gauges\": {");
    for (at, (name, _, value)) in gauges(shell).into_iter().enumerate() {
        write_key(out, name, at > 0);
        write_integer(out, value as i64);
    }
    out.push(b'}');
}

/// Appends the member `counters`.
pub(super) fn write_counters(out: &mut Vec<u8>, shell: &Shell) {
    out.extend_from_slice(b"\"counters\": {");
    for (at, (name, _, value)) in shell.counters().each().enumerate() {
        write_key(out, name, at > 0);
        write_integer(out, value.try_into().unwrap_or(i64::MAX));
    }
    out.push(b'}');
}

/// Name, meaning and value of everything that goes up and down.
pub(super) fn gauges(shell: &Shell) -> [(&'static str, &'static str, usize); 13] {
    let (limits, connections) = (shell.limits(), shell.connections.borrow());
    let idle = connections.iter().filter(|(_, presence)| presence.waits_for.get() == Wait::Request).count();
    [
        ("sessions", "Sessions alive.", shell.table.borrow().len()),
        ("sessions_max", "Limit of sessions alive at once.", limits.sessions_max),
        ("connections", "Connections open.", connections.len()),
        ("connections_max", "Limit of connections open at once.", limits.connections_max),
        ("connections_idle", "Connections that wait for a request.", idle),
        ("calls_running", "Requests that were not ready at once and run.", shell.calls.borrow().len()),
        ("listens", "Open subscriptions/listen.", shell.services.listeners.len()),
        ("listens_max", "Limit of open subscriptions/listen.", limits.listens_max),
        ("buffered_bytes", "Bytes that clients make the server hold.", shell.services.common.budget.used()),
        ("buffered_bytes_max", "Limit of bytes that clients make the server hold.", limits.buffered_bytes_max),
        (
            "unblock_zombies",
            "Jobs on threads for whose calls nobody waits any more.",
            shell.services.offload.zombies() as usize,
        ),
        ("timers", "Deadlines that are being watched.", shell.timers()),
        ("watchers", "Operators who watch the stream of snapshots.", shell.watchers.get()),
    ]
}

/// Appends one living session, with at most so many of its calls.
pub(super) fn live(out: &mut Vec<u8>, shell: &Shell, session: &Session, now: Instant, calls_max: usize) {
    let limits = shell.limits();
    let (deadline, reason) = session.deadline(limits);
    let streams = || session.stream.iter().chain(&session.replies);
    let (mut queued, mut bytes, mut dropped, mut kept) = (0, 0, 0, 0);
    for stream in streams() {
        let (messages, waiting, lost) = stream.load();
        (queued, bytes, dropped) = (queued + messages, bytes + waiting, dropped + lost as usize);
        kept += stream.kept_bytes();
    }
    let mut object = Object::new(out);
    object.text("session", &session.fingerprint.to_string());
    object.text("transport", session.transport.as_str());
    object.text("revision", session.peer.revision.as_str());
    object.flag("initialized", session.initialized);
    object.text("principal", &session.principal().to_string());
    let mut client = object.object("client");
    client.text("name", &session.peer.client.name);
    client.text("version", &session.peer.client.version);
    client.end();
    object.maybe("address", session.address.map(|address| address.to_string()).as_deref());
    object.seconds("age_s", now.since(session.opened));
    let idle_since = if session.calls_in_flight > 0 { now } else { session.last_active };
    object.seconds("idle_s", now.since(idle_since));
    object.seconds("expires_in_s", deadline.since(now));
    object.text("expires_because", reason.as_str());
    object.flag("closing", session.closing);
    let mut of_streams = object.object("streams");
    of_streams.number("live", session.live_streams);
    of_streams.number("kept", session.replies.len());
    of_streams.number("kept_bytes", kept);
    of_streams.number("kept_bytes_max", limits.replay_bytes_max);
    of_streams.end();
    let mut queue = object.object("queue");
    queue.number("messages", queued);
    queue.number("messages_max", limits.queue_messages_max);
    queue.number("bytes", bytes);
    queue.number("bytes_max", limits.queue_bytes_max);
    queue.number("dropped", dropped);
    queue.end();
    let calls = shell.calls.borrow();
    let running = session.running.iter().filter_map(|running| calls.get(running.call)).take(calls_max);
    object.key("calls").push(b'[');
    for (at, call) in running.enumerate() {
        write_call(object.out, call, now, at > 0);
    }
    object.out.push(b']');
    object.number("calls_in_flight", session.calls_in_flight);
    object.number("calls_max", limits.calls_max);
    object.number("questions_open", session.questions.len());
    object.number("subscriptions", session.subscriptions.len());
    object.number("messages_in", session.messages_in as usize);
    object.number("answers_out", session.calls_done as usize);
    object.maybe("last_error", session.last_error.as_deref());
    object.end();
}

/// Appends a running call.
fn write_call(out: &mut Vec<u8>, call: &Running, now: Instant, follows: bool) {
    if follows {
        out.push(b',');
    }
    let mut object = Object::new(out);
    object.text("tool", call.tool());
    object.text("id", &call.cx.request_id().to_string());
    object.number("running_ms", now.since(call.started).as_millis() as usize);
    if call.session.is_none() {
        object.text("method", call.method);
        object.text("client", &call.cx.client().name);
        object.text("principal", &call.cx.principal().to_string());
    }
    object.end();
}

/// Running calls of 2026-07-28 that are shown; how many there are is among the gauges.
const STATELESS_SHOWN: usize = 64;

/// Appends running calls of nobody's session.
pub(super) fn write_stateless_calls(out: &mut Vec<u8>, shell: &Shell, now: Instant) {
    let calls = shell.calls.borrow();
    let alone = calls.iter().map(|(_, call)| call).filter(|call| call.session.is_none()).take(STATELESS_SHOWN);
    for (at, call) in alone.enumerate() {
        write_call(out, call, now, at > 0);
    }
}

/// Appends a session that has ended.
pub(super) fn past(out: &mut Vec<u8>, tomb: &Tombstone, now: Instant) {
    let mut object = Object::new(out);
    object.text("session", &tomb.fingerprint.to_string());
    object.text("transport", tomb.transport.as_str());
    object.text("client", tomb.client.as_str());
    object.text("principal", &tomb.principal.to_string());
    object.seconds("lived_s", tomb.ended.since(tomb.opened));
    object.seconds("ended_s_ago", now.since(tomb.ended));
    object.text("reason", tomb.reason.as_str());
    object.end();
}
