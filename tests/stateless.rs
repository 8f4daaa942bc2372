//! Revision 2026-07-28: every request stands alone.

mod envelope;
mod headers;
mod ladder;
mod streams;
mod vocabulary;
