//! Arguments that are mirrored in headers: `x-mcp-header` (V-3).
//!
//! A header is written by a client that knows nothing but the schema, so the way to the property has to be plain:
//! keys of `properties` from the root on, and a type of which there is one text.

use serde_json::{Map, Value};

use super::DEPTH_MAX;
use super::compile::step;

const KEYWORD: &str = "x-mcp-header";
/// Keywords that hold a schema, or a list of schemas.
const SCHEMAS: [&str; 16] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords that hold schemas by name, besides `properties`.
const MAPS: [&str; 5] = ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties"];

/// One property that is mirrored in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderParam {
    /// The header is `Mcp-Param-` and this.
    pub(crate) token: String,
    /// Names of properties, from the root.
    pub(crate) path: Vec<String>,
    pub(crate) kind: HeaderKind,
}

/// What is written in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderKind {
    String,
    Integer,
    Boolean,
}

/// All `x-mcp-header` annotations of an input schema.
///
/// # Errors
/// One sentence about the first that is not as V-3 wants it.
pub(crate) fn header_params(schema: &Value) -> Result<Vec<HeaderParam>, String> {
    let mut walk = Walk { path: Vec::new(), pointer: Vec::new(), found: Vec::new() };
    walk.schema(schema, true)?;
    Ok(walk.found)
}

struct Walk<'s> {
    /// Names of properties.
    path: Vec<&'s str>,
    /// All keys.
    pointer: Vec<&'s str>,
    found: Vec<HeaderParam>,
}

impl<'s> Walk<'s> {
    /// `plain`: it was reached only through `properties`.
    fn schema(&mut self, schema: &'s Value, plain: bool) -> Result<(), String> {
        let Value::Object(schema) = schema else { return Ok(()) };
        if self.pointer.len() > 2 * DEPTH_MAX {
            return Err(self.fault("nested too deeply"));
        }
        if let Some(token) = schema.get(KEYWORD) {
            let found = self.annotation(schema, token, plain)?;
            self.found.push(found);
        }
        for (key, inner) in schema {
            let key = key.as_str();
            self.pointer.push(key);
            match inner {
                Value::Object(properties) if key == "properties" => self.properties(properties, plain)?,
                Value::Object(schemas) if MAPS.contains(&key) => {
                    for (name, schema) in schemas {
                        self.pointer.push(name);
                        self.schema(schema, false)?;
                        self.pointer.pop();
                    }
                }
                Value::Array(schemas) if SCHEMAS.contains(&key) => {
                    schemas.iter().try_for_each(|schema| self.schema(schema, false))?;
                }
                _ if SCHEMAS.contains(&key) => self.schema(inner, false)?,
                // Examples, constants and the like are values; they annotate nothing.
                _ => {}
            }
            self.pointer.pop();
        }
        Ok(())
    }

    fn properties(&mut self, properties: &'s Map<String, Value>, plain: bool) -> Result<(), String> {
        for (name, schema) in properties {
            self.pointer.push(name);
            self.path.push(name);
            self.schema(schema, plain)?;
            self.path.pop();
            self.pointer.pop();
        }
        Ok(())
    }

    fn annotation(&self, schema: &Map<String, Value>, token: &Value, plain: bool) -> Result<HeaderParam, String> {
        if !plain || self.path.is_empty() {
            return Err(self.fault("allowed only on a property that is reached through `properties` alone"));
        }
        let token = match token.as_str() {
            Some(token) if !token.is_empty() && token.bytes().all(is_tchar) => token,
            _ => return Err(self.fault("expected a token of RFC 9110: letters, digits and !#$%&'*+-.^_`|~")),
        };
        if self.found.iter().any(|other| other.token.eq_ignore_ascii_case(token)) {
            return Err(self.fault("another property has the same header; case does not count"));
        }
        let kind = match schema.get("type").and_then(Value::as_str) {
            Some("string") => HeaderKind::String,
            Some("integer") => HeaderKind::Integer,
            Some("boolean") => HeaderKind::Boolean,
            _ => return Err(self.fault("expected `type` \"string\", \"integer\" or \"boolean\" beside it")),
        };
        let path = self.path.iter().map(|name| (*name).to_owned()).collect();
        Ok(HeaderParam { token: token.to_owned(), path, kind })
    }

    #[cold]
    fn fault(&self, what: &str) -> String {
        let mut place = String::new();
        for key in self.pointer.iter().chain(&[KEYWORD]) {
            step(&mut place, key);
        }
        super::compile::fault(&place, what)
    }
}

/// RFC 9110, section 5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn v03_headers_are_found_at_their_paths() {
        let schema = json!({"type": "object", "properties": {
            "zone": {"type": "string", "x-mcp-header": "Zone"},
            "rule": {"type": "object", "properties": {
                "port": {"type": "integer", "x-mcp-header": "Port"},
                "on": {"type": "boolean", "x-mcp-header": "on", "default": {"x-mcp-header": 1}}
            }},
            "x-mcp-header": {"type": "string"}
        }});
        let found = header_params(&schema).unwrap();
        let found: Vec<_> = found.iter().map(|f| (f.token.as_str(), f.path.join("."), f.kind)).collect();
        assert_eq!(
            found,
            [
                ("on", "rule.on".into(), HeaderKind::Boolean),
                ("Port", "rule.port".into(), HeaderKind::Integer),
                ("Zone", "zone".into(), HeaderKind::String),
            ]
        );
        assert_eq!(header_params(&json!(true)), Ok(Vec::new()));
    }

    #[test]
    fn v03_an_annotation_that_no_client_could_follow_is_refused() {
        let with =
            |token: serde_json::Value, of: &str| json!({"properties": {"a": {"type": of, "x-mcp-header": token}}});
        let marked = || json!({"type": "string", "x-mcp-header": "A"});
        for (schema, words) in [
            (with(json!(""), "string"), "`/properties/a/x-mcp-header`: expected a token"),
            (with(json!("a b"), "string"), "token"),
            (with(json!("a\r\nb"), "string"), "token"),
            (with(json!("ä"), "string"), "token"),
            (with(json!(1), "string"), "token"),
            (with(json!("A"), "number"), "expected `type`"),
            (with(json!("A"), "object"), "expected `type`"),
            (json!({"properties": {"a": {"type": ["string"], "x-mcp-header": "A"}}}), "expected `type`"),
            (json!({"properties": {"a": {"$ref": "#/$defs/a", "x-mcp-header": "A"}}}), "expected `type`"),
            (json!({"properties": {"a": marked(), "b": {"type": "string", "x-mcp-header": "a"}}}), "same header"),
            (marked(), "`/x-mcp-header`: allowed only"),
            (json!({"items": marked()}), "`/items/x-mcp-header`: allowed only"),
            (json!({"prefixItems": [marked()]}), "allowed only"),
            (json!({"anyOf": [{"properties": {"a": marked()}}]}), "allowed only"),
            (json!({"$defs": {"a": marked()}}), "`/$defs/a/x-mcp-header`: allowed only"),
            (json!({"not": {"properties": {"a": marked()}}}), "allowed only"),
            (json!({"if": {"properties": {"a": marked()}}}), "allowed only"),
            (json!({"patternProperties": {"^a": marked()}}), "allowed only"),
            (json!({"dependentSchemas": {"a": {"properties": {"b": marked()}}}}), "allowed only"),
            (json!({"properties": {"a": {"additionalProperties": marked()}}}), "allowed only"),
        ] {
            let error = header_params(&schema).unwrap_err();
            assert!(error.contains(words), "{schema}: {error}");
        }
    }
}
