//! What handlers give back: a result, or why there is none.

use serde_json::{Map, Value};

use super::capability::ClientCapability;
use super::content::{Content, Contents};
use super::object;
use crate::jsonrpc::{self, Error, INTERNAL_ERROR, MISSING_CAPABILITY};
use crate::revision::Revision;

/// The result of a tool's call.
///
/// ```
/// use portcullis::CallResult;
/// let plain: CallResult = "3 rules".into();
/// let data = CallResult::structured(serde_json::json!({ "rules": 3 }));
/// assert!(!data.is_error() && !plain.is_error());
/// assert!(CallResult::error("no such chain").is_error());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallResult {
    pub(crate) content: Vec<Content>,
    /// `Some(Value::Null)` is a value; `None` is none.
    pub(crate) structured: Option<Value>,
    pub(crate) is_error: bool,
    pub(crate) meta: Map<String, Value>,
}

impl CallResult {
    /// Data, and the same data as JSON text for clients that know no structured content (F-35).
    pub fn structured(value: Value) -> CallResult {
        let text = value.to_string();
        CallResult { content: vec![Content::text(text)], structured: Some(value), ..CallResult::default() }
    }

    /// An error that the model can read and act on.
    pub fn error(text: impl Into<String>) -> CallResult {
        CallResult { content: vec![Content::text(text)], is_error: true, ..CallResult::default() }
    }

    /// Replaces the content blocks; structured content stays.
    pub fn with_content(mut self, content: Vec<Content>) -> CallResult {
        self.content = content;
        self
    }

    /// Adds something to its `_meta`.
    pub fn meta(mut self, key: impl Into<String>, value: Value) -> CallResult {
        self.meta.insert(key.into(), value);
        self
    }

    /// Does it say that the call failed?
    pub fn is_error(&self) -> bool {
        self.is_error
    }
}

impl From<String> for CallResult {
    fn from(text: String) -> CallResult {
        Content::text(text).into()
    }
}

impl From<&str> for CallResult {
    fn from(text: &str) -> CallResult {
        Content::text(text).into()
    }
}

impl From<Content> for CallResult {
    fn from(content: Content) -> CallResult {
        vec![content].into()
    }
}

impl From<Vec<Content>> for CallResult {
    fn from(content: Vec<Content>) -> CallResult {
        CallResult { content, ..CallResult::default() }
    }
}

/// What reading a resource gives: one piece of contents, or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadResult(pub(crate) Vec<Contents>);

impl<C: Into<Contents>> From<C> for ReadResult {
    fn from(contents: C) -> ReadResult {
        ReadResult(vec![contents.into()])
    }
}

impl From<Vec<Contents>> for ReadResult {
    fn from(contents: Vec<Contents>) -> ReadResult {
        ReadResult(contents)
    }
}

/// What a prompt gives: messages for the model.
///
/// ```
/// use portcullis::PromptResult;
/// let prompt = PromptResult::user("Why was this packet dropped?").and_assistant("Let me look at the rules.");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptResult {
    pub(crate) description: Option<String>,
    pub(crate) messages: Vec<(&'static str, Content)>,
}

impl PromptResult {
    /// Begins with words of the user.
    pub fn user(content: impl Into<Content>) -> PromptResult {
        PromptResult::default().and_user(content)
    }

    /// Adds words of the user.
    pub fn and_user(mut self, content: impl Into<Content>) -> PromptResult {
        self.messages.push(("user", content.into()));
        self
    }

    /// Adds words of the assistant.
    pub fn and_assistant(mut self, content: impl Into<Content>) -> PromptResult {
        self.messages.push(("assistant", content.into()));
        self
    }

    /// What the prompt is for.
    pub fn description(mut self, description: impl Into<String>) -> PromptResult {
        self.description = Some(description.into());
        self
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Content {
        Content::text(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Content {
        Content::text(text)
    }
}

impl From<String> for PromptResult {
    fn from(text: String) -> PromptResult {
        PromptResult::user(text)
    }
}

/// Proposals for an argument, best first.
///
/// ```
/// use portcullis::Completion;
/// let chains: Completion = vec!["input", "forward"].into();
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    pub(crate) values: Vec<String>,
    pub(crate) total: Option<usize>,
}

impl Completion {
    /// How many there are in all, if more than are given here.
    pub fn total(mut self, total: usize) -> Completion {
        self.total = Some(total);
        self
    }
}

impl<T: Into<String>> From<Vec<T>> for Completion {
    fn from(values: Vec<T>) -> Completion {
        Completion { values: values.into_iter().map(Into::into).collect(), total: None }
    }
}

/// Why a call failed. Every standard error converts into it with `?` and reaches the model as an
/// `isError` result.
///
/// ```
/// # use portcullis::CallError;
/// fn port(text: &str) -> Result<u16, CallError> {
///     Ok(text.parse()?)
/// }
/// assert!(port("ssh").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct CallError {
    text: String,
    kind: Kind,
}

/// What a failure is to the protocol.
#[derive(Clone, Debug)]
enum Kind {
    /// For the model to read.
    Tool,
    /// The request itself is at fault.
    Params,
    /// There is no such resource.
    NotFound(String),
    /// The client did not declare what the handler needs.
    Missing(ClientCapability),
    /// The handler's result is not what it promised.
    Broken,
}

impl CallError {
    /// An error in words that the model can act on: what failed, what was expected, what to do.
    pub fn new(text: impl Into<String>) -> CallError {
        CallError { text: text.into(), kind: Kind::Tool }
    }

    /// There is no resource at `uri`.
    pub fn not_found(uri: impl Into<String>) -> CallError {
        let uri = uri.into();
        let text = format!("no resource {:?}; resources/list names those there are", jsonrpc::prefix(&uri, 200));
        CallError { text, kind: Kind::NotFound(uri) }
    }

    pub(crate) fn params(text: impl Into<String>) -> CallError {
        CallError { text: text.into(), kind: Kind::Params }
    }

    pub(crate) fn missing(capability: ClientCapability) -> CallError {
        let text = format!(
            "this client cannot be asked: {} is not in its revision, or it did not declare it",
            capability.as_str()
        );
        CallError { text, kind: Kind::Missing(capability) }
    }

    pub(crate) fn broken(text: impl Into<String>) -> CallError {
        CallError { text: text.into(), kind: Kind::Broken }
    }

    /// The words.
    pub fn message(&self) -> &str {
        &self.text
    }

    /// As the end of a tool's call: mostly a result for the model, else an error.
    pub(crate) fn of_tool(self, revision: Revision) -> Result<CallResult, Error> {
        match self.kind {
            Kind::Params | Kind::Missing(_) if revision.errors_have_statuses() => Err(self.of_request(revision)),
            Kind::Broken => Err(self.of_request(revision)),
            _ => Ok(CallResult::error(self.text)),
        }
    }

    /// As the end of any other request.
    pub(crate) fn of_request(self, revision: Revision) -> Error {
        match self.kind {
            Kind::Tool | Kind::Broken => Error::new(INTERNAL_ERROR, self.text),
            Kind::Params => Error::invalid_params(self.text),
            Kind::NotFound(uri) => {
                Error::new(revision.resource_not_found(), self.text).with_data(object("uri", uri.into()).into())
            }
            Kind::Missing(capability) if revision.errors_have_statuses() => Error::new(MISSING_CAPABILITY, self.text)
                .with_data(object("requiredCapabilities", capability.required()).into()),
            Kind::Missing(_) => Error::invalid_params(self.text),
        }
    }
}

impl<E: std::error::Error> From<E> for CallError {
    fn from(error: E) -> CallError {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        CallError::new(text)
    }
}
