//! Who may use what (A-14, A-20): the embedder's own answer, asked for every request.
//!
//! Lists show what may be used and nothing else; what may not be used is answered exactly like what is not there.

use std::net::IpAddr;

use crate::mcp::peer::Principal;

/// What a request brings to say whose it is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Credentials<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The peer's address; none on a Unix socket. Clients change theirs: it is no identity.
    pub address: Option<IpAddr>,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The credential is missing or wrong: 401.
    Unauthenticated,
    /// The credential is good, and not for this: 403.
    Forbidden,
}

/// Something that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'a> {
    /// A tool, by its name.
    Tool(&'a str),
    /// A resource, by its address.
    Resource(&'a str),
    /// A resource template, by its form.
    Template(&'a str),
    /// A prompt, by its name.
    Prompt(&'a str),
}

/// An embedder's policy: who asks, and what he may use. It is asked for every request and must answer at once.
///
/// ```
/// use portcullis::{Access, Credentials, Denied, Item, Principal};
///
/// struct Roles;
///
/// impl Access for Roles {
///     fn principal(&self, request: &Credentials<'_>) -> Result<Principal, Denied> {
///         match request.authorization {
///             Some("Bearer ops-secret") => Ok(Principal::Named("ops".into())),
///             None => Ok(Principal::Anonymous),
///             Some(_) => Err(Denied::Unauthenticated),
///         }
///     }
///
///     fn may_use(&self, principal: &Principal, item: Item<'_>) -> bool {
///         *principal != Principal::Anonymous || !matches!(item, Item::Tool("open_port"))
///     }
/// }
/// ```
pub trait Access {
    /// Whose request it is. Sessions, streams, cursors and request states belong to the principal that began them.
    ///
    /// # Errors
    /// Why the request is not let in.
    fn principal(&self, request: &Credentials<'_>) -> Result<Principal, Denied>;

    /// Is he still one who is let in? Asked about everybody who is there when
    /// [`Handle::access_changed`](crate::Handle::access_changed) or [`Handle::set_tokens`](crate::Handle::set_tokens) says
    /// that this may have changed: the sessions and calls of those who are not end. Without an answer of yours: yes.
    fn knows(&self, principal: &Principal) -> bool {
        let _ = principal;
        true
    }

    /// May he use it? Without an answer of yours: yes.
    fn may_use(&self, principal: &Principal, item: Item<'_>) -> bool {
        let _ = (principal, item);
        true
    }
}
