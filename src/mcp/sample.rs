//! What a server asks a client's model (F-110 … F-113), and where the client works (F-130).

use serde_json::{Map, Value, json};

use super::content::Content;

/// A question to the client's model.
///
/// ```
/// use portcullis::Sampling;
/// let question = Sampling::new(200)
///     .system("You explain firewall rules.")
///     .user("What does `ct state established accept` do?")
///     .temperature(0.2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    messages: Vec<Value>,
    params: Map<String, Value>,
}

impl Sampling {
    /// A question whose answer has at most so many tokens.
    pub fn new(max_tokens: u32) -> Sampling {
        let mut params = Map::new();
        params.insert("maxTokens".to_owned(), max_tokens.into());
        Sampling { messages: Vec::new(), params }
    }

    fn message(mut self, role: &str, content: impl Into<Content>) -> Sampling {
        self.messages.push(json!({ "role": role, "content": content.into() }));
        self
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Sampling {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Adds words of the user.
    pub fn user(self, content: impl Into<Content>) -> Sampling {
        self.message("user", content)
    }

    /// Adds words of the assistant.
    pub fn assistant(self, content: impl Into<Content>) -> Sampling {
        self.message("assistant", content)
    }

    /// What the model is to be.
    pub fn system(self, prompt: impl Into<String>) -> Sampling {
        self.with("systemPrompt", prompt.into())
    }

    /// How much chance there is in the answer.
    pub fn temperature(self, temperature: f64) -> Sampling {
        self.with("temperature", temperature)
    }

    /// Words at which the model stops.
    pub fn stop_sequences<T: Into<String>>(self, words: impl IntoIterator<Item = T>) -> Sampling {
        let words: Vec<String> = words.into_iter().map(Into::into).collect();
        self.with("stopSequences", words)
    }

    /// Which model would be good, in the protocol's own form (`modelPreferences`).
    pub fn model_preferences(self, preferences: Value) -> Sampling {
        self.with("modelPreferences", preferences)
    }

    /// Tools that the model may use, in the protocol's own form, and how (`auto`, `required` or `none`). The client
    /// must have declared [`SamplingTools`](crate::ClientCapability::SamplingTools).
    pub fn tools(self, tools: Vec<Value>, mode: &str) -> Sampling {
        self.with("tools", tools).with("toolChoice", json!({ "mode": mode }))
    }

    pub(crate) fn has_tools(&self) -> bool {
        self.params.contains_key("tools")
    }

    pub(crate) fn params(&self) -> Value {
        let mut params = self.params.clone();
        params.insert("messages".into(), self.messages.clone().into());
        params.into()
    }
}

/// What the client's model said. Treat it as you would treat any stranger's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// The model's name.
    pub model: String,
    /// Why it stopped, if the client says so: `endTurn`, `stopSequence`, `maxTokens`, `toolUse`, or another word.
    pub stop_reason: Option<String>,
    /// The blocks of the answer, in the protocol's own form.
    pub content: Vec<Value>,
}

impl Sampled {
    /// All text of the answer.
    pub fn text(&self) -> String {
        self.content.iter().filter_map(|block| block.get("text")?.as_str()).collect()
    }

    /// Reads a client's `CreateMessageResult`.
    pub(crate) fn from_client(answer: &Value) -> Result<Sampled, String> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let content = match answer.get("content") {
            Some(Value::Array(blocks)) => blocks.clone(),
            Some(block @ Value::Object(_)) => vec![block.clone()],
            _ => return Err("`content`: expected a block of content, or several".into()),
        };
        let model = text("model").ok_or("`model`: expected text")?;
        Ok(Sampled { model, stop_reason: text("stopReason"), content })
    }
}

/// A folder that the client works in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// A `file:` URI.
    pub uri: String,
    /// What people call it.
    pub name: Option<String>,
}

impl Root {
    /// Reads a client's `ListRootsResult`. Whatever is no `file:` URI is no root (X-69).
    pub(crate) fn from_client(answer: &Value) -> Result<Vec<Root>, String> {
        let roots = answer.get("roots").and_then(Value::as_array).ok_or("`roots`: expected an array")?;
        let read = |root: &Value| {
            let uri = root.get("uri").and_then(Value::as_str).filter(|uri| uri.starts_with("file://"))?;
            let name = root.get("name").and_then(Value::as_str).map(str::to_owned);
            Some(Root { uri: uri.to_owned(), name })
        };
        roots.iter().map(|root| read(root).ok_or_else(|| format!("`roots`: {root} has no file: URI"))).collect()
    }
}
