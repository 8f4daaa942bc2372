//! What an operator sees: health, and every session, living and ended. Never a secret id.

use serde_json::{Value, json};

use crate::clock::Instant;
use crate::jsonrpc::{write_integer, write_json, write_string};
use crate::net::shell::{Shell, Wait};
use crate::session::{Session, Tombstone};
use crate::transport::Reply;

/// `GET /healthz`: the loop turns. It creates nothing.
pub(crate) fn health(shell: &Shell) -> Reply {
    let status = if shell.stopping.get() { "stopping" } else { "ok" };
    reply(json!({ "status": status }))
}

fn reply(body: Value) -> Reply {
    let mut body = body.to_string().into_bytes();
    body.push(b'\n');
    Reply { status: 200, media_type: "application/json", headers: Vec::new(), body }
}

/// `GET /debug/sessions`, piece by piece: ten thousand sessions are some megabytes, and nobody is to wait for them.
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
                out.extend_from_slice(b"{\n\"server\": ");
                write_json(out, &server(shell, now));
                out.extend_from_slice(b",\n\"gauges\": ");
                write_json(out, &gauges(shell));
                out.extend_from_slice(b",\n\"sessions\": [");
                Part::Live { from: 0, some: false }
            }
            Part::Live { from, some } => {
                let table = shell.table.borrow();
                let (sessions, next) = table.some_from(from, PIECE);
                let texts = sessions.map(|session| live(shell, session, now));
                let some = write_list(out, texts, some) || some;
                next.map_or(Part::Ended, |from| Part::Live { from, some })
            }
            Part::Ended => {
                out.extend_from_slice(b"\n],\n\"ended\": [");
                write_list(out, shell.table.borrow().ended().map(|tomb| past(tomb, now)), false);
                out.extend_from_slice(b"\n],\n\"counters\": ");
                write_counters(out, shell, |out, _, value| write_integer(out, value.try_into().unwrap_or(i64::MAX)));
                out.extend_from_slice(b",\n\"counters_mean\": ");
                write_counters(out, shell, |out, meaning, _| write_string(out, meaning));
                out.extend_from_slice(b"\n}\n");
                Part::Done
            }
            Part::Done => return false,
        };
        true
    }
}

/// Appends an object with a member for each counter.
fn write_counters(out: &mut Vec<u8>, shell: &Shell, write: impl Fn(&mut Vec<u8>, &str, u64)) {
    for (at, (name, meaning, value)) in shell.counters().each().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        write_string(out, name);
        out.push(b':');
        write(out, meaning, value);
    }
    out.push(b'}');
}

/// Everything at once, for an embedder.
pub(crate) fn whole(shell: &Shell) -> String {
    let (mut sessions, mut out) = (Sessions::new(), Vec::new());
    while sessions.write_piece(shell, &mut out) {}
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends values line by line, with a comma before each but the first of all; says whether there were any.
fn write_list(out: &mut Vec<u8>, values: impl Iterator<Item = Value>, follows: bool) -> bool {
    let mut some = false;
    for value in values {
        out.extend_from_slice(if some || follows { b",\n  " } else { b"\n  " });
        write_json(out, &value);
        some = true;
    }
    some
}

fn server(shell: &Shell, now: Instant) -> Value {
    json!({ "up_s": seconds(now, shell.started), "stopping": shell.stopping.get() })
}

fn gauges(shell: &Shell) -> Value {
    let (limits, connections) = (shell.limits(), shell.connections.borrow());
    json!({
        "sessions": shell.table.borrow().len(),
        "sessions_max": limits.sessions_max,
        "connections": connections.len(),
        "connections_max": limits.connections_max,
        "connections_idle": connections.iter().filter(|(_, p)| p.waits_for.get() == Wait::Request).count(),
        "calls_running": shell.calls.borrow().len(),
        "listens": shell.services.listeners.len(),
        "listens_max": limits.listens_max,
        "buffered_bytes": shell.services.common.budget.used(),
        "buffered_bytes_max": limits.buffered_bytes_max,
        "unblock_zombies": shell.services.offload.zombies(),
        "timers": shell.timers(),
    })
}

fn live(shell: &Shell, session: &Session, now: Instant) -> Value {
    let limits = shell.limits();
    let (deadline, reason) = session.deadline(limits);
    let streams: Vec<_> = session.stream.iter().chain(&session.replies).collect();
    let (mut queued, mut bytes, mut dropped) = (0, 0, 0);
    for (messages, waiting, lost) in streams.iter().map(|stream| stream.load()) {
        (queued, bytes, dropped) = (queued + messages, bytes + waiting, dropped + lost);
    }
    let kept: usize = streams.iter().map(|stream| stream.kept_bytes()).sum();
    let calls = shell.calls.borrow();
    let running = session.running.iter().filter_map(|running| calls.get(running.call));
    let running = running.map(|call| {
        json!({ "tool": &*call.tool, "id": call.cx.request_id().to_string(), "running_ms": now.since(call.started).as_millis() as u64 })
    });
    json!({
        "session": session.fingerprint.to_string(),
        "transport": session.transport.as_str(),
        "revision": session.peer.revision.as_str(),
        "initialized": session.initialized,
        "principal": session.principal().to_string(),
        "client": { "name": &*session.peer.client.name, "version": &*session.peer.client.version },
        "address": session.address.map(|address| address.to_string()),
        "age_s": seconds(now, session.opened),
        "idle_s": if session.calls_in_flight > 0 { 0.0 } else { seconds(now, session.last_active) },
        "expires_in_s": seconds(deadline, now),
        "expires_because": reason.as_str(),
        "closing": session.closing,
        "streams": { "live": session.live_streams, "kept": session.replies.len(), "kept_bytes": kept, "kept_bytes_max": limits.replay_bytes_max },
        "queue": { "messages": queued, "messages_max": limits.queue_messages_max, "bytes": bytes, "bytes_max": limits.queue_bytes_max, "dropped": dropped },
        "calls": running.collect::<Vec<_>>(),
        "calls_in_flight": session.calls_in_flight,
        "calls_max": limits.calls_max,
        "questions_open": session.questions.len(),
        "subscriptions": session.subscriptions.len(),
        "messages_in": session.messages_in,
        "answers_out": session.calls_done,
        "last_error": session.last_error.as_deref(),
    })
}

fn past(tomb: &Tombstone, now: Instant) -> Value {
    json!({
        "session": tomb.fingerprint.to_string(),
        "transport": tomb.transport.as_str(),
        "client": tomb.client.as_str(),
        "principal": tomb.principal.to_string(),
        "lived_s": seconds(tomb.ended, tomb.opened),
        "ended_s_ago": seconds(now, tomb.ended),
        "reason": tomb.reason.as_str(),
    })
}

/// Seconds with three digits.
fn seconds(later: Instant, earlier: Instant) -> f64 {
    later.since(earlier).as_millis() as f64 / 1000.0
}
