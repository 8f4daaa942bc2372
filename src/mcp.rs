//! The protocol's nouns: who asks, what content is, how a tool is described, how a request ends.
//!
//! Written in the newest terms we speak; `compat` writes a result down for an older peer.

pub(crate) mod compat;
pub(crate) mod content;
pub(crate) mod describe;
pub(crate) mod level;
pub(crate) mod peer;
