//! What a tool gives back: content blocks, structured content, or an error for the model to read.

use serde::Serialize;
use serde_json::Value;

/// One block of content (F-33).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Text for the model.
    Text {
        /// The text.
        text: String,
    },
    /// A picture.
    Image {
        /// The bytes in Base64.
        data: String,
        /// For example `image/png`.
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    /// Sound. Clients of 2024-11-05 get a note instead.
    Audio {
        /// The bytes in Base64.
        data: String,
        /// For example `audio/wav`.
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    /// The contents of a resource.
    Resource {
        /// The contents themselves.
        resource: EmbeddedResource,
    },
    /// A link to a resource. Clients older than 2025-06-18 get its address as text.
    ResourceLink {
        /// Its address.
        uri: String,
        /// Its name.
        name: String,
    },
}

/// The contents of a resource inside a result: text, or bytes in Base64.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EmbeddedResource {
    /// Its address.
    pub uri: String,
    /// For example `text/plain`.
    #[serde(rename = "mimeType", skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The contents, if they are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The contents in Base64, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

impl Content {
    /// A block of text.
    pub fn text(text: impl Into<String>) -> Content {
        Content::Text { text: text.into() }
    }
}

/// The result of a call.
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
}

impl CallResult {
    /// Data, and the same data as JSON text for clients that know no structured content (F-35).
    pub fn structured(value: Value) -> CallResult {
        let text = value.to_string();
        CallResult { content: vec![Content::text(text)], structured: Some(value), is_error: false }
    }

    /// An error that the model can read and act on.
    pub fn error(text: impl Into<String>) -> CallResult {
        CallResult { content: vec![Content::text(text)], structured: None, is_error: true }
    }

    /// Replaces the content blocks; structured content stays.
    pub fn with_content(mut self, content: Vec<Content>) -> CallResult {
        self.content = content;
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
pub struct CallError(String);

impl CallError {
    /// An error in words that the model can act on: what failed, what was expected, what to do.
    pub fn new(text: impl Into<String>) -> CallError {
        CallError(text.into())
    }

    /// The words.
    pub fn message(&self) -> &str {
        &self.0
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
        CallError(text)
    }
}

impl From<CallError> for CallResult {
    fn from(error: CallError) -> CallResult {
        CallResult::error(error.0)
    }
}
