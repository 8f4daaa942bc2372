//! The methods that a client can call, and in which revision each exists (4.1).

use crate::features::Features;
use crate::revision::Revision;

/// A method of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Initialize,
    Ping,
    SetLevel,
    Discover,
    Listen,
    ToolsList,
    ToolsCall,
    ResourcesList,
    TemplatesList,
    ResourcesRead,
    Subscribe,
    Unsubscribe,
    PromptsList,
    PromptsGet,
    Complete,
}

impl Method {
    const ALL: [Method; 15] = [
        Method::Initialize,
        Method::Ping,
        Method::SetLevel,
        Method::Discover,
        Method::Listen,
        Method::ToolsList,
        Method::ToolsCall,
        Method::ResourcesList,
        Method::TemplatesList,
        Method::ResourcesRead,
        Method::Subscribe,
        Method::Unsubscribe,
        Method::PromptsList,
        Method::PromptsGet,
        Method::Complete,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Initialize => "initialize",
            Method::Ping => "ping",
            Method::SetLevel => "logging/setLevel",
            Method::Discover => "server/discover",
            Method::Listen => "subscriptions/listen",
            Method::ToolsList => "tools/list",
            Method::ToolsCall => "tools/call",
            Method::ResourcesList => "resources/list",
            Method::TemplatesList => "resources/templates/list",
            Method::ResourcesRead => "resources/read",
            Method::Subscribe => "resources/subscribe",
            Method::Unsubscribe => "resources/unsubscribe",
            Method::PromptsList => "prompts/list",
            Method::PromptsGet => "prompts/get",
            Method::Complete => "completion/complete",
        }
    }

    /// The method with this name, if it exists in `revision` and what it is about is offered.
    pub(crate) fn named(name: &str, revision: Revision, features: &Features) -> Option<Method> {
        let method = Method::ALL.into_iter().find(|method| method.as_str() == name)?;
        let exists = match method {
            Method::Initialize | Method::Ping => !revision.is_stateless(),
            Method::SetLevel => !revision.is_stateless() && !features.is_silent,
            Method::Discover | Method::Listen => revision.is_stateless(),
            Method::ToolsList | Method::ToolsCall => features.has_tools(),
            Method::ResourcesList | Method::TemplatesList | Method::ResourcesRead => features.has_resources(),
            Method::Subscribe | Method::Unsubscribe => !revision.is_stateless() && features.has_resources(),
            Method::PromptsList | Method::PromptsGet => features.has_prompts(),
            Method::Complete => features.has_completions(),
        };
        exists.then_some(method)
    }
}
