//! How it stands at one moment, in a bounded size: totals, the sessions that matter most, the last that ended, and the
//! calls of the last ten minutes. It is what the page draws, again and again.

use super::json::{Object, write_list};
use super::sessions::{live, past, write_counters, write_server, write_stateless_calls};
use crate::clock::Instant;
use crate::events::{HISTORY_SLOTS, SLOT_SECONDS, Slot};
use crate::jsonrpc::{one_line, write_integer};
use crate::net::shell::Shell;
use crate::session::{Session, SessionTable};

/// Sessions in a snapshot; the others are counted.
const SESSIONS_SHOWN: usize = 50;
/// Running calls of one of them.
const CALLS_SHOWN: usize = 8;
/// Ended sessions in a snapshot.
const ENDED_SHOWN: usize = 20;

/// Appends a snapshot on one line, with the calls since slot `from` of the history; returns from which slot on the next
/// one is news.
pub(crate) fn snapshot(shell: &Shell, from: u64, out: &mut Vec<u8>) -> u64 {
    let now = shell.now();
    let mut text = Vec::with_capacity(16 * 1024);
    text.push(b'{');
    write_server(&mut text, shell, now);
    text.push(b',');
    write_counters(&mut text, shell);
    let newest = write_history(&mut text, shell, from, now);
    text.extend_from_slice(b",\"sessions\":[");
    let table = shell.table.borrow();
    let shown = busiest(&table);
    write_list(&mut text, shown.iter(), false, |out, session| live(out, shell, session, now, CALLS_SHOWN));
    text.extend_from_slice(b"],\"sessions_not_shown\":");
    write_integer(&mut text, (table.len() - shown.len()) as i64);
    text.extend_from_slice(b",\"stateless_calls\":[");
    write_stateless_calls(&mut text, shell, now);
    text.extend_from_slice(b"],\"ended\":[");
    write_list(&mut text, table.ended().take(ENDED_SHOWN), false, |out, tomb| past(out, tomb, now));
    text.extend_from_slice(b"]}");
    out.append(&mut one_line(text));
    newest
}

/// The sessions that an operator looks for, newest first: those with calls, then with something queued, then those
/// that did something last. Linear in sessions, and only while somebody watches.
fn busiest(table: &SessionTable) -> Vec<&Session> {
    let rank = |session: &Session| {
        let queued = session.stream.as_ref().is_some_and(|stream| stream.load().0 > 0);
        (session.calls_in_flight > 0, queued, session.last_active)
    };
    let mut best: Vec<((bool, bool, Instant), &Session)> = Vec::with_capacity(SESSIONS_SHOWN + 1);
    for session in table.iter() {
        let rank = rank(session);
        if best.len() < SESSIONS_SHOWN || best.last().is_some_and(|(worst, _)| rank > *worst) {
            best.insert(best.partition_point(|(other, _)| *other >= rank), (rank, session));
            best.truncate(SESSIONS_SHOWN);
        }
    }
    // By age for the eye; fifty are not worth a sort of the library's, which is 4 KB.
    let mut shown: Vec<&Session> = Vec::with_capacity(best.len());
    for (_, session) in best {
        shown.insert(shown.partition_point(|other| other.opened >= session.opened), session);
    }
    shown
}

/// Appends the slots from `from` on: calls, failed, mean and longest time and the loop's lag in microseconds.
fn write_history(out: &mut Vec<u8>, shell: &Shell, from: u64, now: Instant) -> u64 {
    let history = shell.services.common.events.history(now);
    out.extend_from_slice(b",\"history\":");
    let mut object = Object::new(out);
    object.number("slot_s", SLOT_SECONDS as usize);
    object.number("slots_max", HISTORY_SLOTS);
    object.number("newest", history.newest() as usize);
    object.number("newest_ms", (now.elapsed().as_millis() as u64 - history.newest() * SLOT_SECONDS * 1000) as usize);
    object.key("slots").push(b'[');
    for (at, slot) in history.since(from).enumerate() {
        if at > 0 {
            object.out.push(b',');
        }
        write_slot(object.out, slot);
    }
    object.out.push(b']');
    object.end();
    history.newest()
}

fn write_slot(out: &mut Vec<u8>, slot: &Slot) {
    // Mostly there is nothing to say.
    if *slot == Slot::default() {
        return out.push(b'0');
    }
    let mean_us = slot.took_us / u64::from(slot.calls.max(1));
    let numbers = [slot.calls.into(), slot.failed.into(), mean_us as i64, slot.longest_us.into(), slot.lag_us.into()];
    out.push(b'[');
    for (at, number) in numbers.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_integer(out, number);
    }
    out.push(b']');
}
