//! The library inside a host: on threads, on other executors, several times in one process, and at its end.
//!
//! These tests have real sockets, processes and signals, and count what is left in this process (descriptors, threads,
//! memory), so they are a program of their own and take turns. What needs a virtual clock is in `tests/all.rs`.

// Not `cfg(test)` in the eyes of clippy, but nothing else.
#![allow(clippy::unwrap_used, clippy::large_futures)]

#[path = "embedding/client.rs"]
mod client;
#[path = "embedding/connections.rs"]
mod connections;
#[path = "embedding/cycles.rs"]
mod cycles;
#[path = "embedding/examples.rs"]
mod examples;
#[path = "embedding/handles.rs"]
mod handles;
#[path = "embedding/sigpipe.rs"]
mod sigpipe;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Only one test at a time, so that it can count.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
