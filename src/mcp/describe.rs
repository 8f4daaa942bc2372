//! How a tool is described to clients, and what a description must be (F-30, 4.5).

use std::time::Duration;

use serde_json::{Map, Value, json};

/// The description of a tool: what `tools/list` says of it, and how its calls are treated.
///
/// ```
/// use portcullis::Tool;
/// let tool = Tool::new("open_port")
///     .title("Open a port")
///     .description("Opens a TCP port to everyone.")
///     .input_schema(serde_json::json!({
///         "type": "object",
///         "properties": { "port": { "type": "integer", "minimum": 1, "maximum": 65535 } },
///         "required": ["port"],
///         "additionalProperties": false
///     }))
///     .destructive(true);
/// ```
#[derive(Clone, Debug)]
pub struct Tool {
    pub(crate) name: String,
    title: Option<String>,
    description: Option<String>,
    input_schema: Value,
    output_schema: Option<Value>,
    annotations: Map<String, Value>,
    pub(crate) uncancellable: bool,
    pub(crate) timeout: Option<Duration>,
}

impl Tool {
    /// A tool without arguments. `name` is what clients call: 1 to 128 of `A-Z a-z 0-9 _ - .`.
    pub fn new(name: impl Into<String>) -> Tool {
        Tool {
            name: name.into(),
            title: None,
            description: None,
            input_schema: json!({ "type": "object", "additionalProperties": false }),
            output_schema: None,
            annotations: Map::new(),
            uncancellable: false,
            timeout: None,
        }
    }

    /// What people see instead of the name.
    pub fn title(mut self, title: impl Into<String>) -> Tool {
        self.title = Some(title.into());
        self
    }

    /// What the model reads to decide whether to call it.
    pub fn description(mut self, description: impl Into<String>) -> Tool {
        self.description = Some(description.into());
        self
    }

    /// JSON Schema of the arguments; its root has `"type": "object"`.
    pub fn input_schema(mut self, schema: Value) -> Tool {
        self.input_schema = schema;
        self
    }

    /// The arguments' schema from their type's own derive.
    #[cfg(feature = "schemars")]
    pub fn input<A: schemars::JsonSchema>(self) -> Tool {
        self.input_schema(schemars::schema_for!(A).to_value())
    }

    /// JSON Schema of the structured result; its root has `"type": "object"`.
    pub fn output_schema(mut self, schema: Value) -> Tool {
        self.output_schema = Some(schema);
        self
    }

    /// It changes nothing. Clients may call such tools without asking.
    pub fn read_only(self) -> Tool {
        self.annotation("readOnlyHint", true)
    }

    /// It may destroy something (the protocol's default is yes).
    pub fn destructive(self, yes: bool) -> Tool {
        self.annotation("destructiveHint", yes)
    }

    /// Calling it again with the same arguments changes nothing more.
    pub fn idempotent(self) -> Tool {
        self.annotation("idempotentHint", true)
    }

    /// It reaches out of this machine (the protocol's default is yes).
    pub fn open_world(self, yes: bool) -> Tool {
        self.annotation("openWorldHint", yes)
    }

    /// A call of it is never dropped half-way: neither a cancellation nor the end of its session stops it.
    pub fn uncancellable(mut self) -> Tool {
        self.uncancellable = true;
        self
    }

    /// How long a call may run, instead of [`Limits::call_wait`](crate::Limits::call_wait).
    pub fn timeout(mut self, timeout: Duration) -> Tool {
        self.timeout = Some(timeout);
        self
    }

    fn annotation(mut self, name: &str, value: bool) -> Tool {
        self.annotations.insert(name.into(), value.into());
        self
    }

    /// What is wrong with the description, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if self.name.is_empty() || self.name.len() > 128 || !self.name.bytes().all(legal) {
            return Some(format!("tool {:?}: a name is 1 to 128 of A-Z a-z 0-9 _ - .", self.name));
        }
        for (what, schema) in
            [("input_schema", Some(&self.input_schema)), ("output_schema", self.output_schema.as_ref())]
        {
            if schema.is_some_and(|schema| schema.get("type") != Some(&json!("object"))) {
                return Some(format!("tool {:?}: {what}: expected an object with \"type\": \"object\"", self.name));
            }
        }
        None
    }

    /// The entry in `tools/list`, with or without what only newer revisions know.
    pub(crate) fn entry(&self, with_output_schema: bool) -> Value {
        let mut entry = Map::new();
        entry.insert("name".into(), self.name.clone().into());
        for (key, text) in [("title", &self.title), ("description", &self.description)] {
            if let Some(text) = text {
                entry.insert(key.into(), text.clone().into());
            }
        }
        entry.insert("inputSchema".into(), self.input_schema.clone());
        if let Some(schema) = self.output_schema.as_ref().filter(|_| with_output_schema) {
            entry.insert("outputSchema".into(), schema.clone());
        }
        if !self.annotations.is_empty() {
            entry.insert("annotations".into(), self.annotations.clone().into());
        }
        entry.into()
    }
}
