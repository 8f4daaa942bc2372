//! The tools: their registry, `tools/list`, and how a call of one begins.

use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::context::RequestContext;
use crate::jsonrpc::{self, Error};
use crate::mcp::content::{CallError, CallResult};
use crate::mcp::describe::Tool;
use crate::revision::Revision;

/// A handler's future. It need not be `Send`: everything runs on one thread.
pub(crate) type CallFuture = std::pin::Pin<Box<dyn Future<Output = Result<CallResult, CallError>>>>;
type Handler = Box<dyn Fn(RequestContext, &str) -> Result<CallFuture, CallError>>;

/// All tools, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Tools {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    /// The result of `tools/list`, without and with what newer revisions know.
    lists: [Vec<u8>; 2],
}

struct Entry {
    tool: Tool,
    name: Rc<str>,
    handler: Handler,
}

/// The params of `tools/call`. Borrows from the request.
#[derive(Deserialize)]
struct CallParams<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// What a call begins with, found by name and ready to run.
pub(crate) struct Begun<'t> {
    pub(crate) tool: &'t Tool,
    pub(crate) name: Rc<str>,
    handler: &'t Handler,
    arguments: String,
}

impl Tools {
    pub(crate) fn add<A, F, Fut, R>(&mut self, tool: Tool, handler: F)
    where
        A: DeserializeOwned + 'static,
        F: Fn(RequestContext, A) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<CallResult>,
    {
        let handler = Rc::new(handler);
        let handler: Handler = Box::new(move |cx, arguments| {
            let (handler, arguments) = (handler.clone(), read_arguments(arguments)?);
            // The handler itself is called by the first poll, which is guarded against panics.
            Ok(Box::pin(async move { handler(cx, arguments).await.map(Into::into) }))
        });
        let name = tool.name.as_str().into();
        self.entries.push(Entry { tool, name, handler });
    }

    /// Checks all descriptions and writes the lists.
    ///
    /// # Errors
    /// The first fault, in words.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        for (at, entry) in self.entries.iter().enumerate() {
            if let Some(fault) = entry.tool.fault() {
                return Err(fault);
            }
            if self.by_name.insert(entry.tool.name.clone(), at).is_some() {
                return Err(format!("tool {:?} is there twice", entry.tool.name));
            }
        }
        for (list, with_output_schema) in self.lists.iter_mut().zip([false, true]) {
            let entries: Vec<_> = self.entries.iter().map(|entry| entry.tool.entry(with_output_schema)).collect();
            jsonrpc::write_json(list, &serde_json::json!({ "tools": entries }));
        }
        Ok(())
    }

    /// The result of `tools/list`. All tools are on one page, so no cursor is ours.
    pub(crate) fn list(&self, params: Option<&RawValue>, revision: Revision) -> Result<&[u8], Error> {
        #[derive(Deserialize)]
        struct ListParams {
            cursor: Option<String>,
        }
        if let Some(params) = params {
            let params: ListParams = serde_json::from_str(params.get()).map_err(invalid)?;
            if params.cursor.is_some() {
                return Err(Error::invalid_params("cursor: not one of ours; all tools are on the first page"));
            }
        }
        Ok(&self.lists[usize::from(revision.has_structured_content())])
    }

    /// Finds the tool that is called and copies its arguments out of the request.
    pub(crate) fn find(&self, params: Option<&RawValue>) -> Result<Begun<'_>, Error> {
        let params = params.map_or("{}", RawValue::get);
        let call: CallParams<'_> = serde_json::from_str(params).map_err(invalid)?;
        let arguments = call.arguments.map_or("{}", RawValue::get);
        if !arguments.starts_with('{') {
            return Err(Error::invalid_params("arguments: expected an object"));
        }
        let Some(entry) = self.by_name.get(&*call.name).and_then(|&at| self.entries.get(at)) else {
            let name: String = call.name.chars().take(128).collect();
            return Err(Error::invalid_params(format!("unknown tool {name:?}; tools/list names all there are")));
        };
        let name = entry.name.clone();
        Ok(Begun { tool: &entry.tool, name, handler: &entry.handler, arguments: arguments.to_owned() })
    }
}

impl Begun<'_> {
    /// Makes the handler's future. Arguments that do not fit are an error for the model to mend (F-34).
    pub(crate) fn future(self, cx: RequestContext) -> Result<CallFuture, CallError> {
        (self.handler)(cx, &self.arguments)
    }
}

fn invalid(error: serde_json::Error) -> Error {
    Error::invalid_params(format!("params: {error}"))
}

fn read_arguments<A: DeserializeOwned>(arguments: &str) -> Result<A, CallError> {
    serde_json::from_str(arguments).map_err(|error| {
        // Position in a line the model never sees as such is no help to it.
        let text = error.to_string();
        let words = text.split(" at line ").next().unwrap_or(&text);
        CallError::new(format!("invalid arguments: {}", jsonrpc::prefix(words, 300)))
    })
}
