//! The prompts, and the proposals for what belongs in their blanks and in those of templates (4.7, 4.8).

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use crate::access::Item;
use crate::context::RequestContext;
use crate::features::{self, Begin};
use crate::jsonrpc::{self, Error, read_string};
use crate::listing::{self, Listed};
use crate::mcp::compat::Outcome;
use crate::mcp::describe::Prompt;
use crate::mcp::result::{CallError, Completion, PromptResult};
use crate::members::{self, Members};
use crate::revision::Revision;
use crate::tools::{self, CallFuture};
use serde::de::DeserializeOwned;

type Handler = Box<dyn Fn(RequestContext, serde_json::Value) -> Result<CallFuture, CallError>>;
type Completer = Box<dyn Fn(RequestContext, CompletionRequest) -> CallFuture>;

/// All prompts, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Prompts {
    pub(crate) entries: Vec<Entry>,
    pub(crate) begin: Option<Begin>,
    fault: Option<String>,
}

/// A prompt that can be filled in.
pub(crate) struct Entry {
    pub(crate) prompt: Prompt,
    handler: Handler,
    text: Vec<u8>,
}

/// The params of `prompts/get`.
pub(crate) struct GetParams {
    pub(crate) name: String,
    arguments: BTreeMap<String, String>,
}

impl Prompts {
    pub(crate) fn add<A, F, Fut, R>(&mut self, prompt: Prompt, handler: F)
    where
        A: DeserializeOwned + 'static,
        F: Fn(RequestContext, A) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<PromptResult>,
    {
        let twice = self.entries.iter().any(|entry| entry.prompt.about.name == prompt.about.name);
        let twice = twice.then(|| format!("prompt {:?} is there twice", prompt.about.name));
        if let Some(fault) = prompt.fault().or(twice) {
            self.fault.get_or_insert(fault);
        }
        let handler = Rc::new(handler);
        let handler: Handler = Box::new(move |cx, arguments| {
            let handler = handler.clone();
            let arguments = tools::read(arguments).map_err(|error| CallError::params(format!("arguments: {error}")))?;
            Ok(Box::pin(
                async move { handler(cx, arguments).await.map(|result| Outcome::Other(Box::new(result.into()))) },
            ))
        });
        let mut text = Vec::new();
        jsonrpc::write_json(&mut text, &prompt.members());
        self.entries.push(Entry { prompt, handler, text });
        self.begin = Some(features::get_prompt);
    }

    /// # Errors
    /// The first fault of all descriptions, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// The prompt with this name, if it is there and may be used.
    pub(crate) fn find(&self, name: &str, may_use: &dyn Fn(Item<'_>) -> bool) -> Result<&Entry, Error> {
        let entry = self.entries.iter().find(|entry| entry.prompt.about.name == name);
        entry.filter(|entry| may_use(entry.item())).ok_or_else(|| listing::unknown("prompt", name))
    }
}

impl GetParams {
    /// The arguments as JSON.
    pub(crate) fn arguments(&self) -> Box<str> {
        let mut text = Vec::new();
        jsonrpc::write_json(&mut text, &self.arguments);
        String::from_utf8(text).unwrap_or_default().into()
    }

    pub(crate) fn read(params: &Members<'_>) -> Result<GetParams, Error> {
        Ok(GetParams { name: params.required("name")?.into(), arguments: texts(params)? })
    }
}

/// The `arguments` among `members`: texts, all of them.
fn texts(members: &Members<'_>) -> Result<BTreeMap<String, String>, Error> {
    let arguments = members.object("arguments")?.unwrap_or_default();
    // One by one: `collect` would bring a sort along.
    let mut texts = BTreeMap::new();
    for (name, raw) in arguments.iter() {
        let text = read_string(raw).ok_or_else(|| members::wrong(name, "a string", Some(raw)))?;
        texts.insert(name.to_owned(), text.into());
    }
    Ok(texts)
}

impl Entry {
    /// Makes the handler's future. A missing argument is an error (F-52); unknown ones are left out (F-3).
    pub(crate) fn future(&self, cx: RequestContext, params: GetParams) -> Result<CallFuture, CallError> {
        let known = &self.prompt.arguments;
        if let Some(missing) = known.iter().find(|known| known.required && !params.arguments.contains_key(known.name()))
        {
            return Err(CallError::params(format!("arguments: `{}` is missing", missing.name())));
        }
        let mut arguments = serde_json::Map::new();
        for (name, value) in params.arguments {
            if known.iter().any(|known| known.name() == name) {
                arguments.insert(name, value.into());
            }
        }
        (self.handler)(cx, arguments.into())
    }
}

impl Listed for Entry {
    fn key(&self) -> &str {
        &self.prompt.about.name
    }

    fn item(&self) -> Item<'_> {
        Item::Prompt(&self.prompt.about.name)
    }

    fn write(&self, out: &mut Vec<u8>, _: Revision) {
        out.extend_from_slice(&self.text);
    }
}

/// What proposals are wanted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletionRequest {
    /// What the user has typed so far.
    pub value: String,
    /// The other arguments that are filled in already.
    pub arguments: BTreeMap<String, String>,
}

/// Who proposes what.
#[derive(Default)]
pub(crate) struct Completions {
    entries: Vec<(Blank, Completer)>,
    pub(crate) begin: Option<Begin>,
}

/// A blank: an argument of a prompt, or a variable of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Blank {
    Prompt { prompt: String, argument: String },
    Template { uri_template: String, variable: String },
}

impl Blank {
    /// For a client's eyes.
    pub(crate) fn words(&self) -> String {
        let (of, name) = match self {
            Blank::Prompt { prompt, argument } => (prompt, argument),
            Blank::Template { uri_template, variable } => (uri_template, variable),
        };
        format!("{:?} of {:?}", jsonrpc::prefix(name, 100), jsonrpc::prefix(of, 200))
    }
}

/// Reads the params of `completion/complete`: which blank, and what is in it.
pub(crate) fn read_completion(params: &Members<'_>) -> Result<(Blank, CompletionRequest), Error> {
    let missing = |name: &str| members::wrong(name, "an object", None);
    let reference = params.object("ref")?.ok_or_else(|| missing("ref"))?;
    let argument = params.object("argument")?.ok_or_else(|| missing("argument"))?;
    let name = argument.required("name")?.into();
    let blank = match &*reference.required("type")? {
        "ref/prompt" => Blank::Prompt { prompt: reference.required("name")?.into(), argument: name },
        "ref/resource" => Blank::Template { uri_template: reference.required("uri")?.into(), variable: name },
        _ => return Err(members::wrong("type", "ref/prompt or ref/resource", reference.get("type"))),
    };
    let arguments = texts(&params.object("context")?.unwrap_or_default())?;
    Ok((blank, CompletionRequest { value: argument.required("value")?.into(), arguments }))
}

impl Completions {
    pub(crate) fn add<F, Fut, R>(&mut self, blank: Blank, handler: F)
    where
        F: Fn(RequestContext, CompletionRequest) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<Completion>,
    {
        let handler = Rc::new(handler);
        let completer: Completer = Box::new(move |cx, request| {
            let handler = handler.clone();
            Box::pin(async move { handler(cx, request).await.map(|result| Outcome::Other(Box::new(result.into()))) })
        });
        self.entries.push((blank, completer));
        self.begin = Some(features::complete);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn blanks(&self) -> impl Iterator<Item = &Blank> {
        self.entries.iter().map(|(blank, _)| blank)
    }

    /// Makes the future that proposes; none if nobody proposes anything for this blank.
    pub(crate) fn future(&self, blank: &Blank, cx: RequestContext, request: CompletionRequest) -> Option<CallFuture> {
        let (_, completer) = self.entries.iter().find(|(known, _)| known == blank)?;
        Some(completer(cx, request))
    }
}
