//! What a server asks a client's user (F-120 … F-124): a form, or a visit to a page.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::result::CallError;
use crate::jsonrpc::{write_json, write_string};
use crate::revision::Revision;
use crate::schema::{Schema, make_whole};

/// A form for the user: a question, and fields for the answer. Never for secrets: those belong on a page of yours.
///
/// ```
/// use portcullis::{Field, Form};
/// let form = Form::new("Open this port to everyone?")
///     .field("reason", Field::text().title("Why?").max_length(200))
///     .optional("hours", Field::integer().minimum(1.0).maximum(48.0).default_to(2));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    pub(crate) message: String,
    fields: Vec<(String, Field, bool)>,
}

impl Form {
    /// A form that only asks for yes or no.
    pub fn new(message: impl Into<String>) -> Form {
        Form { message: message.into(), fields: Vec::new() }
    }

    /// Adds a field that must be filled in.
    pub fn field(mut self, name: impl Into<String>, field: Field) -> Form {
        self.fields.push((name.into(), field, true));
        self
    }

    /// Adds a field that may stay empty.
    pub fn optional(mut self, name: impl Into<String>, field: Field) -> Form {
        self.fields.push((name.into(), field, false));
        self
    }

    /// The form as `requestedSchema`, in the words of `revision`. Written by hand: people see the fields in their order.
    pub(crate) fn schema(&self, revision: Revision) -> Result<String, CallError> {
        let mut out = b"{\"type\":\"object\",\"properties\":{".to_vec();
        for (at, (name, field, _)) in self.fields.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_string(&mut out, name);
            out.push(b':');
            write_json(&mut out, &field.schema(name, revision)?);
        }
        out.push(b'}');
        let required: Vec<_> =
            self.fields.iter().filter(|(_, _, required)| *required).map(|(name, ..)| name.as_str()).collect();
        if !required.is_empty() {
            out.extend_from_slice(b",\"required\":");
            write_json(&mut out, &required);
        }
        out.push(b'}');
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Reads the user's answer; what was accepted fits the form, and nothing else is in it.
    pub(crate) fn read(&self, answer: &Value, schema: &str) -> Result<Elicited, String> {
        let mut elicited = Elicited::from_client(answer)?;
        if elicited.accepted() {
            let schema = serde_json::from_str(schema).unwrap_or_default();
            let mut given = answer.get("content").cloned().unwrap_or_else(|| json!({}));
            Schema::compile(&schema)?.check(&given).map_err(|fault| format!("content: {fault}"))?;
            make_whole(&mut given);
            elicited.content = if let Value::Object(given) = given { given } else { Map::new() };
            elicited.content.retain(|name, _| self.fields.iter().any(|(known, ..)| known == name));
        }
        Ok(elicited)
    }
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    schema: Map<String, Value>,
    /// Values with the words that people see, and whether several may be chosen.
    choices: Option<(Vec<(String, String)>, bool)>,
}

impl Field {
    fn of(schema: Value) -> Field {
        let schema = if let Value::Object(schema) = schema { schema } else { Map::new() };
        Field { schema, choices: None }
    }

    /// Text.
    pub fn text() -> Field {
        Field::of(json!({ "type": "string" }))
    }

    /// An e-mail address.
    pub fn email() -> Field {
        Field::of(json!({ "type": "string", "format": "email" }))
    }

    /// A URI.
    pub fn uri() -> Field {
        Field::of(json!({ "type": "string", "format": "uri" }))
    }

    /// A day.
    pub fn date() -> Field {
        Field::of(json!({ "type": "string", "format": "date" }))
    }

    /// A day and a time.
    pub fn date_time() -> Field {
        Field::of(json!({ "type": "string", "format": "date-time" }))
    }

    /// A whole number.
    pub fn integer() -> Field {
        Field::of(json!({ "type": "integer" }))
    }

    /// A number.
    pub fn number() -> Field {
        Field::of(json!({ "type": "number" }))
    }

    /// Yes or no.
    pub fn boolean() -> Field {
        Field::of(json!({ "type": "boolean" }))
    }

    /// One of these.
    pub fn one_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Field {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        Field::of(json!({ "type": "string", "enum": values }))
    }

    /// One of these values, each with the words that people see.
    pub fn one_of_titled<T: Into<String>, U: Into<String>>(values: impl IntoIterator<Item = (T, U)>) -> Field {
        Field { choices: Some((pairs(values), false)), ..Field::of(json!({ "type": "string" })) }
    }

    /// The same in the form that clients of 2025-06-18 know, `enumNames`; later ones have kept it.
    pub fn one_of_named<T: Into<String>, U: Into<String>>(values: impl IntoIterator<Item = (T, U)>) -> Field {
        let (values, names): (Vec<_>, Vec<_>) = pairs(values).into_iter().unzip();
        Field::of(json!({ "type": "string", "enum": values, "enumNames": names }))
    }

    /// Some of these. Clients of 2025-06-18 cannot be asked for several.
    pub fn some_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Field {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        Field::of(json!({ "type": "array", "items": { "type": "string", "enum": values } }))
    }

    /// Some of these values, each with the words that people see. Clients of 2025-06-18 cannot be asked for several.
    pub fn some_of_titled<T: Into<String>, U: Into<String>>(values: impl IntoIterator<Item = (T, U)>) -> Field {
        Field { choices: Some((pairs(values), true)), ..Field::of(json!({ "type": "array" })) }
    }

    fn with(mut self, keyword: &str, value: impl Into<Value>) -> Field {
        self.schema.insert(keyword.into(), value.into());
        self
    }

    /// What people see instead of the name.
    pub fn title(self, title: impl Into<String>) -> Field {
        self.with("title", title.into())
    }

    /// What belongs in it.
    pub fn description(self, description: impl Into<String>) -> Field {
        self.with("description", description.into())
    }

    /// What it holds at first. Clients of 2025-06-18 see that of yes-or-no fields only.
    pub fn default_to(self, value: impl Into<Value>) -> Field {
        self.with("default", value)
    }

    /// The least number.
    pub fn minimum(self, minimum: f64) -> Field {
        self.with("minimum", whole(minimum))
    }

    /// The greatest number.
    pub fn maximum(self, maximum: f64) -> Field {
        self.with("maximum", whole(maximum))
    }

    /// The least number of characters.
    pub fn min_length(self, characters: u32) -> Field {
        self.with("minLength", characters)
    }

    /// The greatest number of characters.
    pub fn max_length(self, characters: u32) -> Field {
        self.with("maxLength", characters)
    }

    /// The least number of choices.
    pub fn min_items(self, choices: u32) -> Field {
        self.with("minItems", choices)
    }

    /// The greatest number of choices.
    pub fn max_items(self, choices: u32) -> Field {
        self.with("maxItems", choices)
    }

    fn schema(&self, name: &str, revision: Revision) -> Result<Value, CallError> {
        let mut schema = self.schema.clone();
        if !revision.has_rich_forms() {
            if schema["type"] == "array" {
                let words = format!("this client's revision has no field for several choices ({name})");
                return Err(CallError::new(words));
            }
            if schema["type"] != "boolean" {
                schema.remove("default");
            }
        }
        if let Some((choices, several)) = &self.choices {
            let titled: Vec<_> =
                choices.iter().map(|(value, title)| json!({ "const": value, "title": title })).collect();
            if *several {
                schema.insert("items".into(), json!({ "anyOf": titled }));
            } else if revision.has_rich_forms() {
                schema.insert("oneOf".into(), titled.into());
            } else {
                let (values, names): (Vec<_>, Vec<_>) = choices.iter().cloned().unzip();
                schema.insert("enum".into(), json!(values));
                schema.insert("enumNames".into(), json!(names));
            }
        }
        Ok(schema.into())
    }
}

fn pairs<T: Into<String>, U: Into<String>>(values: impl IntoIterator<Item = (T, U)>) -> Vec<(String, String)> {
    values.into_iter().map(|(value, title)| (value.into(), title.into())).collect()
}

/// `3` rather than `3.0`, where that is what is meant.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 { json!(number as i64) } else { json!(number) }
}

/// What the user did with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Accept,
    Decline,
    Cancel,
}

/// A user's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Elicited {
    action: Action,
    content: Map<String, Value>,
    pub(crate) elicitation: Option<String>,
}

impl Elicited {
    /// Did the user agree? For a page that means: agreed to open it, not yet that he is done there.
    pub fn accepted(&self) -> bool {
        self.action == Action::Accept
    }

    /// Did the user say no?
    pub fn declined(&self) -> bool {
        self.action == Action::Decline
    }

    /// Did the user turn away without an answer?
    pub fn cancelled(&self) -> bool {
        self.action == Action::Cancel
    }

    /// What the user filled in under `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.content.get(name)
    }

    /// Everything that the user filled in.
    pub fn content(&self) -> &Map<String, Value> {
        &self.content
    }

    /// Everything that the user filled in, as a type of yours.
    ///
    /// # Errors
    /// If it does not fit that type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        Ok(serde_json::from_value(self.content.clone().into())?)
    }

    /// Reads a client's `ElicitResult`, without what was filled in.
    pub(crate) fn from_client(answer: &Value) -> Result<Elicited, String> {
        let action = match answer.get("action").and_then(Value::as_str) {
            Some("accept") => Action::Accept,
            Some("decline") => Action::Decline,
            Some("cancel") => Action::Cancel,
            _ => return Err("`action`: expected accept, decline or cancel".into()),
        };
        Ok(Elicited { action, content: Map::new(), elicitation: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f121_a_form_is_written_in_the_words_of_each_revision() {
        let form = Form::new("?")
            .field("zone", Field::one_of_titled([("w", "WAN"), ("l", "LAN")]).default_to("w"))
            .optional("log", Field::boolean().default_to(true));
        let schema = |form: &Form, revision: &str| -> Value {
            serde_json::from_str(&form.schema(Revision::negotiate(revision)).unwrap()).unwrap()
        };
        let newer = schema(&form, "2025-11-25");
        assert_eq!(newer["properties"]["zone"]["oneOf"][1], json!({ "const": "l", "title": "LAN" }));
        assert_eq!((&newer["properties"]["zone"]["default"], &newer["required"]), (&json!("w"), &json!(["zone"])));
        let older = schema(&form, "2025-06-18");
        let zone = json!({ "type": "string", "enum": ["w", "l"], "enumNames": ["WAN", "LAN"] });
        assert_eq!((&older["properties"]["zone"], &older["properties"]["log"]["default"]), (&zone, &json!(true)));
        let several = Form::new("?").field("zones", Field::some_of(["w", "l"]));
        assert!(several.schema(Revision::negotiate("2025-06-18")).is_err());
        assert!(several.schema(Revision::negotiate("2025-11-25")).is_ok());
    }

    #[test]
    fn f122_an_answer_fits_the_form_or_is_refused() {
        let form = Form::new("?").field("n", Field::integer().minimum(1.0)).optional("t", Field::text());
        let schema = form.schema(Revision::STATELESS[0]).unwrap();
        for (answer, good) in [
            (json!({ "action": "accept", "content": { "n": 3.0 } }), true),
            (json!({ "action": "accept", "content": { "n": 0 } }), false),
            (json!({ "action": "accept", "content": { "t": "x" } }), false),
            (json!({ "action": "accept" }), false),
            (json!({ "action": "decline" }), true),
            (json!({ "action": "cancel", "content": { "n": 0 } }), true),
            (json!({ "action": "perhaps" }), false),
            (json!(12345), false),
        ] {
            assert_eq!(form.read(&answer, &schema).is_ok(), good, "{answer}");
        }
        let odd = json!({ "action": "accept", "content": { "n": 3.0, "unasked": 1 } });
        assert_eq!(form.read(&odd, &schema).unwrap().content(), json!({ "n": 3 }).as_object().unwrap());
    }
}
