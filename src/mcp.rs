//! The protocol's nouns: who asks, what is described, what is given back, and how that is written down.

pub(crate) mod capability;
pub(crate) mod compat;
pub(crate) mod content;
pub(crate) mod describe;
pub(crate) mod elicit;
pub(crate) mod level;
pub(crate) mod meta;
pub(crate) mod peer;
pub(crate) mod result;
pub(crate) mod sample;
pub(crate) mod uri_template;
