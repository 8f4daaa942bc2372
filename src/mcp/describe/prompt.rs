//! The description of a prompt.

use serde_json::{Map, Value};

use super::{About, described};
use crate::mcp::put;

/// The description of a prompt: words that a user chooses, with blanks to fill in.
///
/// ```
/// use portcullis::{Argument, Prompt};
/// let explain = Prompt::new("explain_drop")
///     .description("Why was a packet dropped?")
///     .argument(Argument::new("source").description("its source address").required());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub(crate) about: About,
    pub(crate) arguments: Vec<Argument>,
}

described!(Prompt);

/// A blank in a prompt. Its value is always text.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub(crate) about: About,
    pub(crate) required: bool,
}

impl Argument {
    /// An optional argument.
    pub fn new(name: impl Into<String>) -> Argument {
        Argument { about: About::named(name), required: false }
    }

    /// What people see instead of the name.
    pub fn title(mut self, title: impl Into<String>) -> Argument {
        self.about.title = Some(title.into());
        self
    }

    /// What belongs in it.
    pub fn description(mut self, description: impl Into<String>) -> Argument {
        self.about.description = Some(description.into());
        self
    }

    /// The prompt cannot do without it.
    pub fn required(mut self) -> Argument {
        self.required = true;
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.about.name
    }

    fn members(&self) -> Map<String, Value> {
        let mut members = self.about.members();
        put(&mut members, "required", self.required.into());
        members
    }
}

impl Prompt {
    /// A prompt without arguments. `name` is what clients ask for.
    pub fn new(name: impl Into<String>) -> Prompt {
        Prompt { about: About::named(name), arguments: Vec::new() }
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: Argument) -> Prompt {
        self.arguments.push(argument);
        self
    }

    pub(crate) fn members(&self) -> Map<String, Value> {
        let mut members = self.about.members();
        if !self.arguments.is_empty() {
            let arguments = self.arguments.iter().map(|argument| Value::Object(argument.members()));
            put(&mut members, "arguments", arguments.collect());
        }
        members
    }

    pub(crate) fn fault(&self) -> Option<String> {
        if self.about.name.is_empty() {
            return Some("prompt \"\": a name is not empty".into());
        }
        self.about.fault().map(|fault| format!("prompt {fault}"))
    }
}
