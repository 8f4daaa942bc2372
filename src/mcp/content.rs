//! Blocks of content (F-33): what tools and prompts say, and what resources hold.

use base64ct::{Base64, Encoding};
use serde::Serialize;
use serde_json::{Map, Value};

use super::describe::Resource;

/// One block of content.
///
/// ```
/// use portcullis::Content;
/// let map = Content::image(b"\x89PNG", "image/png").for_user().priority(0.5);
/// let words = Content::text("3 rules");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Content {
    #[serde(flatten)]
    pub(crate) block: Block,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub(crate) annotations: Annotations,
}

/// The kinds of block.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Block {
    Text {
        text: String,
    },
    Image {
        data: String,
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    Audio {
        data: String,
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    Resource {
        resource: Contents,
    },
    ResourceLink(Map<String, Value>),
}

/// Hints on whom content is for, how much it matters, and how old it is (F-7).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Annotations {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audience: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<f64>,
    #[serde(rename = "lastModified", skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
}

impl Annotations {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Annotations::default()
    }
}

impl Content {
    fn new(block: Block) -> Content {
        Content { block, annotations: Annotations::default() }
    }

    /// A block of text.
    pub fn text(text: impl Into<String>) -> Content {
        Content::new(Block::Text { text: text.into() })
    }

    /// A picture; `mime_type` is for example `image/png`.
    pub fn image(bytes: &[u8], mime_type: impl Into<String>) -> Content {
        Content::new(Block::Image { data: Base64::encode_string(bytes), mime_type: mime_type.into() })
    }

    /// Sound; `mime_type` is for example `audio/wav`. Clients of 2024-11-05 get a note instead.
    pub fn audio(bytes: &[u8], mime_type: impl Into<String>) -> Content {
        Content::new(Block::Audio { data: Base64::encode_string(bytes), mime_type: mime_type.into() })
    }

    /// What a resource holds, inside the result.
    pub fn resource(contents: Contents) -> Content {
        Content::new(Block::Resource { resource: contents })
    }

    /// A link to a resource. Clients older than 2025-06-18 get its address as text.
    pub fn link(resource: &Resource) -> Content {
        Content::new(Block::ResourceLink(resource.members()))
    }

    /// It is meant for the user, not the model.
    pub fn for_user(mut self) -> Content {
        self.annotations.audience.push("user");
        self
    }

    /// It is meant for the model, not the user.
    pub fn for_assistant(mut self) -> Content {
        self.annotations.audience.push("assistant");
        self
    }

    /// How much it matters, from 0 to 1.
    pub fn priority(mut self, priority: f64) -> Content {
        self.annotations.priority = Some(priority.clamp(0.0, 1.0));
        self
    }

    /// When it was last changed, as ISO 8601.
    pub fn last_modified(mut self, time: impl Into<String>) -> Content {
        self.annotations.last_modified = Some(time.into());
        self
    }
}

/// What a resource holds: text, or bytes.
///
/// ```
/// use portcullis::Contents;
/// let rules = Contents::text("table inet filter {}").at("fw://rules").mime_type("text/plain");
/// let picture = Contents::bytes(b"\x89PNG").mime_type("image/png");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Contents {
    pub(crate) uri: String,
    #[serde(rename = "mimeType", skip_serializing_if = "Option::is_none")]
    pub(crate) mime_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
    #[serde(rename = "_meta", skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
}

impl Contents {
    /// Text.
    pub fn text(text: impl Into<String>) -> Contents {
        Contents { text: Some(text.into()), ..Contents::default() }
    }

    /// Bytes; they travel as Base64.
    pub fn bytes(bytes: &[u8]) -> Contents {
        Contents { blob: Some(Base64::encode_string(bytes)), ..Contents::default() }
    }

    /// Whose contents they are. What a resource's own handler gives back has its address without this.
    pub fn at(mut self, uri: impl Into<String>) -> Contents {
        self.uri = uri.into();
        self
    }

    /// For example `text/plain`. What a resource's own handler gives back has the resource's type without this.
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Contents {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// Adds something to its `_meta`.
    pub fn meta(mut self, key: impl Into<String>, value: Value) -> Contents {
        self.meta.insert(key.into(), value);
        self
    }
}

impl From<String> for Contents {
    fn from(text: String) -> Contents {
        Contents::text(text)
    }
}

impl From<&str> for Contents {
    fn from(text: &str) -> Contents {
        Contents::text(text)
    }
}
