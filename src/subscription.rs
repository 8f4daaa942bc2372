//! Who wants to hear of which change (F-150 … F-157, F-45), and how it is told.
//!
//! Changes come from any thread and are put together until the server gets to them: two changes of the same list are
//! one. Sessions hear of every list and of the resources they subscribed to; a listener of 2026-07-28 of what its
//! filter names, with its own id in every message.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde_json::value::RawValue;

use crate::jsonrpc::{self, Error, RequestId};
use crate::mcp::peer::Principal;
use crate::mcp::write_those;
use crate::members::{self, Members};
use crate::stream::Stream;

/// What has changed since it was last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    /// Sorted, each once.
    pub(crate) updated: Vec<String>,
    /// Who is let in.
    pub(crate) access: bool,
}

/// Different resources that may have changed before anybody was told; one more counts as a change of their list.
const UPDATED_MAX: usize = 1024;

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        !(self.tools || self.prompts || self.resources || self.access) && self.updated.is_empty()
    }

    pub(crate) fn note_updated(&mut self, uri: String) {
        if self.updated.len() >= UPDATED_MAX {
            self.resources = true;
        } else if let Err(at) = self.updated.binary_search(&uri) {
            self.updated.insert(at, uri);
        }
    }

    /// The notifications to one who wants what `filter` says and may hear of a resource if `may_hear` says so, each with
    /// `subscription` if it has one.
    pub(crate) fn notifications(
        &self,
        filter: &Filter,
        subscription: Option<&RequestId>,
        may_hear: &dyn Fn(&str) -> bool,
    ) -> Vec<Vec<u8>> {
        let lists = [
            (self.tools && filter.tools_list_changed, "notifications/tools/list_changed"),
            (self.prompts && filter.prompts_list_changed, "notifications/prompts/list_changed"),
            (self.resources && filter.resources_list_changed, "notifications/resources/list_changed"),
        ];
        let mut texts = Vec::new();
        for (wanted, method) in lists {
            if wanted {
                texts.push(notification(method, None, subscription));
            }
        }
        for uri in &self.updated {
            if filter.covers(uri) && may_hear(uri) {
                texts.push(notification("notifications/resources/updated", Some(uri), subscription));
            }
        }
        texts
    }
}

fn notification(method: &str, uri: Option<&str>, subscription: Option<&RequestId>) -> Vec<u8> {
    let mut params = Vec::new();
    if let Some(uri) = uri {
        params.extend_from_slice(b"{\"uri\":");
        jsonrpc::write_string(&mut params, uri);
    }
    if let Some(id) = subscription {
        params.extend_from_slice(if params.is_empty() { b"{" } else { b"," });
        write_subscription(&mut params, id);
    }
    if !params.is_empty() {
        params.push(b'}');
    }
    let mut text = Vec::with_capacity(params.len() + 80);
    jsonrpc::write_notification(&mut text, method, &params);
    jsonrpc::one_line(text)
}

/// Appends the `_meta` that ties a message to its `subscriptions/listen` (F-153).
fn write_subscription(out: &mut Vec<u8>, id: &RequestId) {
    out.extend_from_slice(b"\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":");
    id.write(out);
    out.push(b'}');
}

/// What one listener wants to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) tools_list_changed: bool,
    pub(crate) prompts_list_changed: bool,
    pub(crate) resources_list_changed: bool,
    pub(crate) resource_subscriptions: Vec<String>,
}

impl Filter {
    /// Reads the `notifications` of a `subscriptions/listen`.
    pub(crate) fn read(members: &Members<'_>) -> Result<Filter, Error> {
        let wants = |name: &str| match members.get(name).map(RawValue::get) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            _ => Err(members::wrong(name, "true or false", members.get(name))),
        };
        let uris = members.get("resourceSubscriptions");
        let resource_subscriptions = match uris {
            None => Vec::new(),
            Some(raw) => texts(raw).ok_or_else(|| members::wrong("resourceSubscriptions", "an array of URIs", uris))?,
        };
        Ok(Filter {
            tools_list_changed: wants("toolsListChanged")?,
            prompts_list_changed: wants("promptsListChanged")?,
            resources_list_changed: wants("resourcesListChanged")?,
            resource_subscriptions,
        })
    }

    /// What a session hears of: all lists, and the resources it subscribed to.
    pub(crate) fn of_session<'a>(subscriptions: impl Iterator<Item = &'a str>) -> Filter {
        let resource_subscriptions = subscriptions.map(str::to_owned).collect();
        Filter {
            tools_list_changed: true,
            prompts_list_changed: true,
            resources_list_changed: true,
            resource_subscriptions,
        }
    }

    /// Is `uri` one of the subscribed ones, or below one (F-45)?
    fn covers(&self, uri: &str) -> bool {
        let below = |parent: &String| {
            uri.strip_prefix(parent.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || parent.ends_with('/'))
        };
        self.resource_subscriptions.iter().any(below)
    }

    /// The first message to a listener: what of its filter is honoured.
    pub(crate) fn acknowledgement(&self, id: &RequestId) -> Vec<u8> {
        let mut uris = Vec::new();
        jsonrpc::write_json(&mut uris, &self.resource_subscriptions);
        let honoured: [(_, _, &[u8]); 4] = [
            ("promptsListChanged", self.prompts_list_changed, b"true"),
            ("resourceSubscriptions", !self.resource_subscriptions.is_empty(), &uris),
            ("resourcesListChanged", self.resources_list_changed, b"true"),
            ("toolsListChanged", self.tools_list_changed, b"true"),
        ];
        let mut params = b"{\"notifications\":".to_vec();
        write_those(&mut params, &honoured);
        params.push(b',');
        write_subscription(&mut params, id);
        params.push(b'}');
        let mut text = Vec::with_capacity(params.len() + 80);
        jsonrpc::write_notification(&mut text, "notifications/subscriptions/acknowledged", &params);
        jsonrpc::one_line(text)
    }
}

/// An array of texts.
fn texts(raw: &RawValue) -> Option<Vec<String>> {
    let serde_json::Value::Array(items) = serde_json::from_str(raw.get()).ok()? else { return None };
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let serde_json::Value::String(text) = item else { return None };
        texts.push(text);
    }
    Some(texts)
}

/// One open `subscriptions/listen`.
pub(crate) struct Listener {
    pub(crate) id: RequestId,
    pub(crate) principal: Principal,
    pub(crate) filter: Filter,
    pub(crate) stream: Rc<Stream>,
    ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Listener {
    /// Ends it: its call answers, and its stream closes behind that (F-155).
    pub(crate) fn end(&self) {
        self.ended.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// All open `subscriptions/listen`.
#[derive(Default)]
pub(crate) struct Listeners(RefCell<Vec<Rc<Listener>>>);

impl Listeners {
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Lets somebody listen, for as long as the future lives. It is ready when the server ends it.
    pub(crate) fn open(
        self: &Rc<Self>,
        id: RequestId,
        principal: Principal,
        filter: Filter,
        stream: Rc<Stream>,
    ) -> Listening {
        let (ended, waker) = (Cell::new(false), RefCell::new(None));
        let listener = Rc::new(Listener { id, principal, filter, stream, ended, waker });
        self.0.borrow_mut().push(listener.clone());
        Listening { listeners: self.clone(), listener }
    }

    /// Everybody who listens now; not those who have been ended and are about to be told so.
    pub(crate) fn all(&self) -> Vec<Rc<Listener>> {
        self.0.borrow().iter().filter(|listener| !listener.ended.get()).cloned().collect()
    }
}

/// Somebody listens.
pub(crate) struct Listening {
    listeners: Rc<Listeners>,
    listener: Rc<Listener>,
}

impl Future for Listening {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.listener.ended.get() {
            return Poll::Ready(());
        }
        *self.listener.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listeners.0.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.listener));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f153_f157_a_listener_hears_once_of_what_it_asked_for_and_of_nothing_else() {
        let mut changes = Changes { tools: true, prompts: true, ..Changes::default() };
        for uri in ["fw://rules", "fw://rules", "fw://rules/input", "fw://rulesets", "fw://other"] {
            changes.note_updated(uri.into());
        }
        let filter = Filter {
            tools_list_changed: true,
            resources_list_changed: true,
            resource_subscriptions: vec!["fw://rules".into()],
            ..Filter::default()
        };
        let id = RequestId::String("a".into());
        let texts: Vec<_> =
            changes.notifications(&filter, Some(&id), &|_| true).into_iter().map(String::from_utf8).collect();
        let meta = r#""_meta":{"io.modelcontextprotocol/subscriptionId":"a"}"#;
        let expected = [
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{{meta}}}}}"#),
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"fw://rules",{meta}}}}}"#
            ),
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"fw://rules/input",{meta}}}}}"#
            ),
        ];
        assert_eq!(texts.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected);
        assert!(changes.notifications(&Filter::default(), None, &|_| true).is_empty());
    }
}
