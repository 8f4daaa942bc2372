//! What part of HTTP/1.1 we speak, over `httparse`. No I/O: bytes in, decisions and bytes out.
//!
//! `head` reads a request line with its headers and decides where the body ends; `body` frames one request
//! after the other out of a buffer, `chunks` where its length is told piece by piece; `response` writes answers.

mod accept;
pub(crate) mod body;
mod chunks;
mod field;
pub(crate) mod head;
pub(crate) mod response;
pub(crate) mod word;
