//! How tools, resources and prompts are described to clients, and what a description must be (4.5 … 4.7).

mod prompt;
mod resource;
mod tool;

use serde_json::{Map, Value, json};

pub use self::prompt::{Argument, Prompt};
pub(crate) use self::resource::Cache;
pub use self::resource::{Resource, ResourceTemplate};
pub use self::tool::Tool;
use super::put;

/// A picture that stands for something (F-7).
///
/// ```
/// use portcullis::Icon;
/// let icon = Icon::new("https://fw.example/icon.png").mime_type("image/png").size("48x48");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Icon(Map<String, Value>);

impl Icon {
    /// `src` is an `https:` or a `data:` URI.
    pub fn new(src: impl Into<String>) -> Icon {
        let mut members = Map::new();
        members.insert("src".to_owned(), src.into().into());
        Icon(members)
    }

    /// For example `image/svg+xml`.
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Icon {
        put(&mut self.0, "mimeType", mime_type.into().into());
        self
    }

    /// A size that it has, as `48x48`, or `any`. Several are possible.
    pub fn size(mut self, size: impl Into<String>) -> Icon {
        let sizes = self.0.entry("sizes").or_insert_with(|| json!([]));
        if let Some(sizes) = sizes.as_array_mut() {
            sizes.push(size.into().into());
        }
        self
    }

    /// It is for dark surroundings; without this it is for any.
    pub fn dark(mut self) -> Icon {
        put(&mut self.0, "theme", "dark".into());
        self
    }

    fn is_fetchable(&self) -> bool {
        let src = self.0.get("src").and_then(Value::as_str).unwrap_or_default();
        src.starts_with("https://") || src.starts_with("data:")
    }
}

/// What all descriptions have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct About {
    pub(crate) name: String,
    title: Option<String>,
    description: Option<String>,
    icons: Vec<Icon>,
    meta: Map<String, Value>,
}

impl About {
    fn named(name: impl Into<String>) -> About {
        About { name: name.into(), ..About::default() }
    }

    /// Name, title, description and icons.
    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        put(&mut members, "name", self.name.clone().into());
        for (key, text) in [("title", &self.title), ("description", &self.description)] {
            if let Some(text) = text {
                put(&mut members, key, text.clone().into());
            }
        }
        if !self.icons.is_empty() {
            let mut icons = Vec::with_capacity(self.icons.len());
            for icon in &self.icons {
                icons.push(Value::Object(icon.0.clone()));
            }
            put(&mut members, "icons", icons.into());
        }
        if !self.meta.is_empty() {
            put(&mut members, "_meta", self.meta.clone().into());
        }
        members
    }

    fn fault(&self) -> Option<String> {
        let icon = self.icons.iter().find(|icon| !icon.is_fetchable())?;
        Some(format!("{:?}: icon {}: expected an https: or a data: URI", self.name, icon.0["src"]))
    }
}

/// The methods that all descriptions have.
macro_rules! described {
    ($kind:ident) => {
        impl $kind {
            /// What people see instead of the name.
            pub fn title(mut self, title: impl Into<String>) -> $kind {
                self.about.title = Some(title.into());
                self
            }

            /// What the model, or its user, reads to decide whether to use it.
            pub fn description(mut self, description: impl Into<String>) -> $kind {
                self.about.description = Some(description.into());
                self
            }

            /// A picture for it; several are possible.
            pub fn icon(mut self, icon: $crate::mcp::describe::Icon) -> $kind {
                self.about.icons.push(icon);
                self
            }

            /// Adds something to its `_meta`, under a key with a prefix of yours (`example.com/key`).
            pub fn meta(mut self, key: impl Into<String>, value: serde_json::Value) -> $kind {
                self.about.meta.insert(key.into(), value);
                self
            }
        }
    };
}
use described;
