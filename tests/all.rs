//! All integration tests, in one binary.
//!
//! Nearly all of them run the whole server in a simulation ([`sim`]): connections are pipes in memory, time is
//! virtual, ids are counted. No test sleeps, and no outcome depends on how fast the machine is. A test's name is
//! the sentence it proves, with the ids of `SPEC.md` and `PAINS.md` in front; `docs/TESTED.md` lists them.

// Not `cfg(test)` in the eyes of clippy, but nothing else.
#![allow(clippy::unwrap_used, clippy::large_futures)]

mod sim;

mod admission;
mod asking;
mod bounds;
mod calls;
mod chaos;
mod debug;
mod faults;
mod features;
mod h1;
mod http;
mod http_sse;
mod lifecycle;
mod lines;
mod listening;
mod observe;
mod polling;
mod principals;
mod reload;
mod sessions;
#[cfg(feature = "config")]
mod sighup;
mod slow;
mod smoke;
mod sockets;
mod stateless;
mod streams;
mod tidy;
mod tokens;
mod transcripts;
