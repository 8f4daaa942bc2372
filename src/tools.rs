//! The tools: their registry, their entries in `tools/list`, and how a call of one begins.
//!
//! A set of them is replaced as a whole ([`Handle::replace_tools`](crate::Handle::replace_tools)): a call that runs
//! holds its handler, never the set it came from.

use std::any::Any;
use std::borrow::Cow;
use std::future::Future;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::access::Item;
use crate::context::RequestContext;
use crate::features::BuildError;
use crate::jsonrpc::{self, Error};
use crate::listing::{self, Listed};
use crate::mcp::compat::Outcome;
use crate::mcp::describe::Tool;
use crate::mcp::result::{CallError, CallResult};
use crate::members::{self, Members};
use crate::revision::Revision;
use crate::schema::{HeaderParam, Schema, header_params, make_whole};

/// A handler's future. It need not be `Send`: everything runs on one thread.
pub(crate) type CallFuture = std::pin::Pin<Box<dyn Future<Output = Result<Outcome, CallError>>>>;
/// Given the output schema too, so that nothing about a tool is compiled anew for each handler's type but its call.
type Handler = Box<dyn Fn(RequestContext, Value, Option<Rc<Schema>>) -> Result<CallFuture, CallError>>;

/// Tools, in the order in which they were added: those of a server, or those that are to take their place
/// ([`Handle::replace_tools`](crate::Handle::replace_tools)).
///
/// ```
/// use portcullis::{CallError, RequestContext, Server, Tool, Toolset};
///
/// async fn uptime(_: RequestContext, _: serde_json::Value) -> Result<String, CallError> {
///     Ok(std::fs::read_to_string("/proc/uptime")?)
/// }
///
/// let tools = Toolset::new().tool(Tool::new("uptime").read_only(), uptime);
/// let server = Server::builder("edge-fw", "1.0.0").tools(tools).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Toolset {
    pub(crate) entries: Vec<Entry>,
    /// Places in the list, sorted by the names of those who have them.
    by_name: Vec<usize>,
    fault: Option<String>,
}

/// A tool that can be called.
pub(crate) struct Entry {
    pub(crate) tool: Tool,
    pub(crate) name: Rc<str>,
    /// Properties that are mirrored in headers.
    pub(crate) headers: Vec<HeaderParam>,
    input: Schema,
    output: Option<Rc<Schema>>,
    handler: Handler,
    /// Its entry in the list, without the closing brace.
    text: Vec<u8>,
    /// Its output schema, for those who know only objects and for all others.
    outputs: Option<[Vec<u8>; 2]>,
}

/// The params of `tools/call`. Borrows from the request.
pub(crate) struct CallParams<'a> {
    pub(crate) name: Cow<'a, str>,
    arguments: Option<&'a RawValue>,
}

impl<'a> CallParams<'a> {
    pub(crate) fn read(params: &Members<'a>) -> Result<CallParams<'a>, Error> {
        let arguments = params.get("arguments");
        match arguments {
            Some(raw) if !raw.get().starts_with('{') => Err(members::wrong("arguments", "an object", arguments)),
            _ => Ok(CallParams { name: params.required("name")?, arguments }),
        }
    }

    /// The arguments as they came.
    pub(crate) fn arguments(&self) -> &'a str {
        self.arguments.map_or("{}", RawValue::get)
    }
}

impl Toolset {
    /// No tools yet.
    pub fn new() -> Toolset {
        Toolset::default()
    }

    /// Adds a tool; see [`Builder::tool`](crate::Builder::tool). What is wrong with its description is said by whoever
    /// takes the set.
    pub fn tool<A, F, Fut, R>(mut self, tool: Tool, handler: F) -> Toolset
    where
        A: DeserializeOwned + 'static,
        F: Fn(RequestContext, A) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<CallResult>,
    {
        self.add(tool, handler);
        self
    }

    /// Adds those of another set behind these.
    pub(crate) fn extend(&mut self, other: Toolset) {
        if self.entries.is_empty() && self.fault.is_none() {
            *self = other;
            return;
        }
        self.fault = self.fault.take().or(other.fault);
        other.entries.into_iter().for_each(|entry| self.push(entry));
    }

    pub(crate) fn add<A, F, Fut, R>(&mut self, tool: Tool, handler: F)
    where
        A: DeserializeOwned + 'static,
        F: Fn(RequestContext, A) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<CallResult>,
    {
        let handler = Rc::new(handler);
        let handler: Handler = Box::new(move |cx, arguments, output| {
            let handler = handler.clone();
            let arguments = read(arguments).map_err(unfit)?;
            // The handler itself is called by the first poll, which is guarded against panics.
            Ok(Box::pin(async move { finished(handler(cx, arguments).await.map(Into::into), output) }))
        });
        self.put(tool, handler);
    }

    fn put(&mut self, tool: Tool, handler: Handler) {
        let (input, output, headers) = match compile(&tool) {
            Ok(parts) => parts,
            Err(fault) => {
                self.fault.get_or_insert(fault);
                return;
            }
        };
        let (mut text, name) = (Vec::new(), tool.name().into());
        jsonrpc::write_json(&mut text, &tool.entry());
        text.pop();
        let outputs = tool.output_schemas();
        let output = output.map(Rc::new);
        self.push(Entry { tool, name, headers, input, output, handler, text, outputs });
    }

    fn push(&mut self, entry: Entry) {
        match self.place(&entry.name) {
            Ok(_) => drop(self.fault.get_or_insert_with(|| format!("tool {:?} is there twice", entry.name))),
            Err(at) => self.by_name.insert(at, self.entries.len()),
        }
        self.entries.push(entry);
    }

    /// Where a name stands among the sorted ones, or would.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|at| (*self.entries[*at].name).cmp(name))
    }

    /// Checks every description, as whoever takes the set will.
    ///
    /// # Errors
    /// The first fault of all descriptions, in words.
    pub fn check(&self) -> Result<(), BuildError> {
        self.fault.clone().map_or(Ok(()), |fault| Err(BuildError(fault)))
    }

    /// The tool with this name, if it is there and may be used.
    pub(crate) fn find(&self, name: &str, may_use: &dyn Fn(Item<'_>) -> bool) -> Result<&Entry, Error> {
        let entry = self.place(name).ok().map(|at| &self.entries[self.by_name[at]]);
        entry.filter(|entry| may_use(entry.item())).ok_or_else(|| listing::unknown("tool", name))
    }
}

/// What a tool's descriptions are compiled to.
fn compile(tool: &Tool) -> Result<(Schema, Option<Schema>, Vec<HeaderParam>), String> {
    if let Some(fault) = tool.fault() {
        return Err(fault);
    }
    let at = |what: &str, fault: String| format!("tool {:?}: {what}: {fault}", tool.name());
    let input = Schema::compile(&tool.input_schema).map_err(|fault| at("input_schema", fault))?;
    let output = tool.output_schema.as_ref().map(Schema::compile).transpose();
    let output = output.map_err(|fault| at("output_schema", fault))?;
    let headers = header_params(&tool.input_schema).map_err(|fault| at("input_schema", fault))?;
    Ok((input, output, headers))
}

impl Entry {
    /// Makes the handler's future. Arguments that do not fit are an error for the model to mend (F-34, F-37).
    pub(crate) fn future(&self, cx: RequestContext, mut arguments: Value) -> Result<CallFuture, CallError> {
        self.input
            .check(&arguments)
            .map_err(|fault| CallError::new(format!("invalid arguments for {}: {fault}", self.name)))?;
        make_whole(&mut arguments);
        (self.handler)(cx, arguments, self.output.clone())
    }
}

impl Listed for Entry {
    fn key(&self) -> &str {
        &self.name
    }

    fn item(&self) -> Item<'_> {
        Item::Tool(&self.name)
    }

    fn write(&self, out: &mut Vec<u8>, revision: Revision) {
        out.extend_from_slice(&self.text);
        if let Some(outputs) = self.outputs.as_ref().filter(|_| revision.has_structured_content()) {
            out.extend_from_slice(b",\"outputSchema\":");
            out.extend_from_slice(&outputs[usize::from(revision.has_any_structured_content())]);
        }
        out.push(b'}');
    }
}

/// F-35: what was promised is what is sent.
fn finished(result: Result<CallResult, CallError>, schema: Option<Rc<Schema>>) -> Result<Outcome, CallError> {
    let result = result?;
    if let Some(schema) = schema.filter(|_| !result.is_error()) {
        let fits = match &result.structured {
            Some(value) => schema.check(value),
            None => Err("there is no structured content".to_owned()),
        };
        fits.map_err(|fault| CallError::broken(format!("the tool's result does not fit its output schema: {fault}")))?;
    }
    Ok(Outcome::Tool(result))
}

/// The arguments as the handler's type. One that takes them as they are gets them as they are.
pub(crate) fn read<A: DeserializeOwned + 'static>(arguments: Value) -> Result<A, serde_json::Error> {
    let mut arguments = Some(arguments);
    let any: &mut dyn Any = &mut arguments;
    let as_it_is = any.downcast_mut::<Option<A>>().and_then(Option::take);
    as_it_is.map_or_else(|| serde_json::from_value(arguments.unwrap_or_default()), Ok)
}

fn unfit(error: serde_json::Error) -> CallError {
    let text = error.to_string();
    CallError::new(format!("invalid arguments: {}", jsonrpc::prefix(&text, 300)))
}
