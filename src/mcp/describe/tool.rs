//! The description of a tool.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{About, described};
use crate::jsonrpc::write_json;
use crate::mcp::capability::ClientCapability;
use crate::mcp::put;

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
    pub(crate) about: About,
    pub(crate) input_schema: Value,
    pub(crate) output_schema: Option<Value>,
    annotations: Map<String, Value>,
    pub(crate) uncancellable: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) needs: Vec<ClientCapability>,
}

described!(Tool);

impl Tool {
    /// A tool without arguments. `name` is what clients call: 1 to 128 of `A-Z a-z 0-9 _ - .`.
    pub fn new(name: impl Into<String>) -> Tool {
        Tool {
            about: About::named(name),
            input_schema: json!({ "type": "object", "additionalProperties": false }),
            output_schema: None,
            annotations: Map::new(),
            uncancellable: false,
            timeout: None,
            needs: Vec::new(),
        }
    }

    /// JSON Schema of the arguments; its root has `"type": "object"`. Every call's arguments are checked against it.
    ///
    /// The dialect is 2020-12 without `$dynamicRef`, `unevaluated…` and references to other documents; a schema with
    /// one of those is refused when the server is built. A property with `"x-mcp-header": "Zone"` is mirrored by
    /// clients of 2026-07-28 in the header `Mcp-Param-Zone`, for proxies to route by.
    pub fn input_schema(mut self, schema: Value) -> Tool {
        self.input_schema = schema;
        self
    }

    /// The arguments' schema from their type's own derive.
    #[cfg(feature = "schemars")]
    pub fn input<A: schemars::JsonSchema>(self) -> Tool {
        self.input_schema(schemars::schema_for!(A).to_value())
    }

    /// JSON Schema of the structured result; every result is checked against it before it is sent. Where its root is
    /// no object, clients older than 2026-07-28 get `{"result": …}` around schema and result.
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

    /// It cannot do without this. A client that has not declared it is told so before the handler runs.
    pub fn needs(mut self, capability: ClientCapability) -> Tool {
        self.needs.push(capability);
        self
    }

    /// How long a call may run, instead of [`Limits::call_wait`](crate::Limits::call_wait).
    pub fn timeout(mut self, timeout: Duration) -> Tool {
        self.timeout = Some(timeout);
        self
    }

    fn annotation(mut self, name: &str, value: bool) -> Tool {
        put(&mut self.annotations, name, value.into());
        self
    }

    /// May a call of it change something, as far as it says?
    pub(crate) fn changes(&self) -> bool {
        self.annotations.get("readOnlyHint") != Some(&Value::Bool(true))
    }

    pub(crate) fn name(&self) -> &str {
        &self.about.name
    }

    /// What is wrong with the description, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let (name, legal) =
            (self.name(), |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if name.is_empty() || name.len() > 128 || !name.bytes().all(legal) {
            return Some(format!("tool {name:?}: a name is 1 to 128 of A-Z a-z 0-9 _ - ."));
        }
        if !is_of_object(&self.input_schema) {
            return Some(format!("tool {name:?}: input_schema: expected an object with \"type\": \"object\""));
        }
        self.about.fault().map(|fault| format!("tool {fault}"))
    }

    /// The entry in `tools/list` without its output schema.
    pub(crate) fn entry(&self) -> Map<String, Value> {
        let mut entry = self.about.members();
        put(&mut entry, "inputSchema", self.input_schema.clone());
        if !self.annotations.is_empty() {
            put(&mut entry, "annotations", self.annotations.clone().into());
        }
        entry
    }

    /// The output schema as JSON: for clients that know only objects (X-48, X-49), and for all others.
    pub(crate) fn output_schemas(&self) -> Option<[Vec<u8>; 2]> {
        let schema = self.output_schema.as_ref()?;
        let (mut of_object, mut any) = (Vec::new(), Vec::new());
        write_json(&mut any, schema);
        if is_of_object(schema) {
            return Some([any.clone(), any]);
        }
        // References begin at the root.
        const DEFINITIONS: &str = "$defs";
        of_object.push(b'{');
        if let Some(definitions) = schema.get(DEFINITIONS) {
            of_object.extend_from_slice(b"\"$defs\":");
            write_json(&mut of_object, definitions);
            of_object.push(b',');
        }
        of_object.extend_from_slice(b"\"properties\":{\"result\":");
        match schema {
            Value::Object(members) => {
                let mut inner = Map::new();
                for (name, member) in members.iter().filter(|(name, _)| *name != DEFINITIONS) {
                    put(&mut inner, name, member.clone());
                }
                write_json(&mut of_object, &inner);
            }
            other => write_json(&mut of_object, other),
        }
        of_object.extend_from_slice(b"},\"required\":[\"result\"],\"type\":\"object\"}");
        Some([of_object, any])
    }
}

fn is_of_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}
