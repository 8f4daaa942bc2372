//! What an operator sees: health, and every session, living and ended. Never a secret id.

use serde_json::{Value, json};

use crate::clock::Instant;
use crate::net::shell::{Shell, Wait};
use crate::session::{Session, Tombstone};
use crate::transport::Reply;

/// `GET /healthz`: the loop turns. It creates nothing.
pub(crate) fn health(shell: &Shell) -> Reply {
    let status = if shell.stopping.get() { "stopping" } else { "ok" };
    reply(json!({ "status": status }))
}

/// `GET /debug/sessions`.
pub(crate) fn sessions(shell: &Shell) -> Reply {
    reply(snapshot(shell))
}

fn reply(body: Value) -> Reply {
    let mut body = format!("{body:#}").into_bytes();
    body.push(b'\n');
    Reply { status: 200, media_type: "application/json", headers: Vec::new(), body }
}

/// Everything there is to see, as JSON.
pub(crate) fn snapshot(shell: &Shell) -> Value {
    let now = shell.now();
    let table = shell.table.borrow();
    let (common, limits) = (&shell.services.common, shell.limits());
    let sessions: Vec<_> = table.iter().map(|session| live(shell, session, now)).collect();
    let ended: Vec<_> = table.ended().map(|tomb| past(tomb, now)).collect();
    let counters: serde_json::Map<_, _> =
        common.counters.each().map(|(name, _, value)| (name.to_owned(), value.into())).collect();
    let meaning: serde_json::Map<_, _> =
        common.counters.each().map(|(name, meaning, _)| (name.to_owned(), meaning.into())).collect();
    json!({
        "server": {
            "up_s": seconds(now, shell.started),
            "stopping": shell.stopping.get(),
            "revision_newest": "2025-11-25",
        },
        "gauges": {
            "sessions": table.len(),
            "sessions_max": limits.sessions_max,
            "connections": shell.connections.borrow().len(),
            "connections_max": limits.connections_max,
            "connections_idle": shell.connections.borrow().iter().filter(|(_, p)| p.waits_for.get() == Wait::Request).count(),
            "calls_running": shell.calls.borrow().len(),
            "buffered_bytes": common.budget.used(),
            "buffered_bytes_max": limits.buffered_bytes_max,
            "unblock_zombies": shell.services.offload.zombies(),
            "timers": shell.timers(),
        },
        "sessions": sessions,
        "ended": ended,
        "counters": counters,
        "counters_mean": meaning,
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
