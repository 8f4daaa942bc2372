//! The description of a resource, and of many by a template.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{About, described};
use crate::mcp::put;

/// For how long clients may keep a result, and whether they may share it (F-160).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cache {
    pub(crate) ttl: Duration,
    pub(crate) public: bool,
}

/// The description of a resource: something that clients can read, at a fixed address.
///
/// ```
/// use portcullis::Resource;
/// let rules = Resource::new("fw://rules", "rules").title("The rule set").mime_type("text/plain");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub(crate) about: About,
    pub(crate) uri: String,
    pub(crate) mime_type: Option<String>,
    size: Option<u64>,
    pub(crate) cache: Cache,
}

described!(Resource);

impl Resource {
    /// A resource at `uri`, an absolute URI of any scheme.
    pub fn new(uri: impl Into<String>, name: impl Into<String>) -> Resource {
        Resource { about: About::named(name), uri: uri.into(), mime_type: None, size: None, cache: Cache::default() }
    }

    /// For example `text/plain`.
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Resource {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// Its size in bytes, if it is known beforehand.
    pub fn size(mut self, bytes: u64) -> Resource {
        self.size = Some(bytes);
        self
    }

    /// For how long clients may keep its contents. With `public` they may share them between their users: then they
    /// must be the same for everybody.
    pub fn cache(mut self, ttl: Duration, public: bool) -> Resource {
        self.cache = Cache { ttl, public };
        self
    }

    pub(crate) fn members(&self) -> Map<String, Value> {
        let mut members = self.about.members();
        put(&mut members, "uri", self.uri.clone().into());
        if let Some(mime_type) = &self.mime_type {
            put(&mut members, "mimeType", mime_type.clone().into());
        }
        if let Some(size) = self.size {
            put(&mut members, "size", size.into());
        }
        members
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.about.fault().map(|fault| format!("resource {fault}"))
    }
}

/// The description of many resources at once, by the form of their address.
///
/// ```
/// use portcullis::ResourceTemplate;
/// let chains = ResourceTemplate::new("fw://chains/{name}", "chain").mime_type("application/json");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceTemplate {
    pub(crate) about: About,
    pub(crate) uri_template: String,
    pub(crate) mime_type: Option<String>,
    pub(crate) cache: Cache,
}

described!(ResourceTemplate);

impl ResourceTemplate {
    /// Resources whose addresses have the form `uri_template` (RFC 6570).
    pub fn new(uri_template: impl Into<String>, name: impl Into<String>) -> ResourceTemplate {
        ResourceTemplate {
            about: About::named(name),
            uri_template: uri_template.into(),
            mime_type: None,
            cache: Cache::default(),
        }
    }

    /// For example `text/plain`, if all of them are.
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> ResourceTemplate {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// For how long clients may keep their contents; see [`Resource::cache`].
    pub fn cache(mut self, ttl: Duration, public: bool) -> ResourceTemplate {
        self.cache = Cache { ttl, public };
        self
    }

    pub(crate) fn members(&self) -> Map<String, Value> {
        let mut members = self.about.members();
        put(&mut members, "uriTemplate", self.uri_template.clone().into());
        if let Some(mime_type) = &self.mime_type {
            put(&mut members, "mimeType", mime_type.clone().into());
        }
        members
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.about.fault().map(|fault| format!("resource template {fault}"))
    }
}
