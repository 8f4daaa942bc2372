//! What a server offers, and how a request for it begins (4.4 … 4.8). It knows nothing of transports and sessions:
//! the same request from whichever revision comes to the same handler.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::access::{Access, Credentials, Item};
use crate::asking::{Asking, Rounds};
use crate::call::{self, Work};
use crate::context::RequestContext;
use crate::counters::count;
use crate::jsonrpc::{self, Error, HEADER_MISMATCH, METHOD_NOT_FOUND};
use crate::listing::{self, Listed, Page};
use crate::mcp::capability::ClientCapability;
use crate::mcp::compat::{Outcome, Writer};
use crate::mcp::describe::Cache;
use crate::mcp::peer::Principal;
use crate::mcp::result::{CallError, Completion};
use crate::mcp::write_those;
use crate::members::Members;
use crate::mirror;
use crate::prompts::{Blank, Completions, GetParams, Prompts, read_completion};
use crate::resources::{self, Resources};
use crate::revision::Revision;
use crate::schema::HeaderKind;
use crate::tools::{self, CallFuture, CallParams, Toolset};

/// Why a server cannot be built, or tools not take the place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(pub(crate) String);

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// Everything that a server offers.
#[derive(Default)]
pub(crate) struct Features {
    /// Replaced as a whole; whoever looks at them holds the set that he found.
    tools: RefCell<Rc<Toolset>>,
    /// Whether tools are offered although there may be none: somebody replaces them, and clients have been told so.
    tools_change: Cell<bool>,
    pub(crate) resources: Resources,
    pub(crate) prompts: Prompts,
    pub(crate) completions: Completions,
    pub(crate) extensions: Map<String, Value>,
    pub(crate) instructions: Option<String>,
    /// Nobody sends log messages to clients, and so none are offered.
    pub(crate) is_silent: bool,
    /// For how long clients may keep lists.
    pub(crate) cache: Cache,
    pub(crate) access: Option<Rc<dyn Access>>,
}

/// A call of a tool, as far as it differs from other calls.
pub(crate) struct ToolCall {
    pub(crate) name: Rc<str>,
    pub(crate) uncancellable: bool,
    pub(crate) changes: bool,
    pub(crate) timeout: Option<Duration>,
}

/// What a request begins with.
pub(crate) struct Begun {
    pub(crate) work: Work,
    pub(crate) tool: Option<ToolCall>,
}

impl From<Outcome> for Begun {
    fn from(outcome: Outcome) -> Begun {
        Begun { work: Work::Ready(outcome), tool: None }
    }
}

impl From<Result<Outcome, Error>> for Begun {
    fn from(outcome: Result<Outcome, Error>) -> Begun {
        outcome.unwrap_or_else(Outcome::Error).into()
    }
}

/// Headers that mirror arguments, as they came; none where revisions have no mirroring.
pub(crate) type Mirrored<'a> = Option<&'a [(&'a str, &'a str)]>;

impl Features {
    /// # Errors
    /// The first fault of all descriptions, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.tools().check().map_err(|fault| fault.0)?;
        self.resources.check()?;
        self.prompts.check()?;
        for blank in self.completions.blanks() {
            let known = match blank {
                Blank::Prompt { prompt, argument } => self.prompts.entries.iter().any(|entry| {
                    entry.prompt.about.name == *prompt
                        && entry.prompt.arguments.iter().any(|known| known.name() == argument)
                }),
                Blank::Template { uri_template, variable } => self.resources.has_variable(uri_template, variable),
            };
            if !known {
                return Err(format!("completion for {blank:?}: there is no such prompt argument or template variable"));
            }
        }
        Ok(())
    }

    /// Appends the server's capabilities (F-12, F-21).
    fn write_capabilities(&self, out: &mut Vec<u8>) {
        let mut extensions = Vec::new();
        jsonrpc::write_json(&mut extensions, &self.extensions);
        let offers: [(_, _, &[u8]); 6] = [
            ("completions", self.has_completions(), b"{}"),
            ("extensions", !self.extensions.is_empty(), &extensions),
            ("logging", !self.is_silent, b"{}"),
            ("prompts", self.has_prompts(), b"{\"listChanged\":true}"),
            ("resources", self.has_resources(), b"{\"listChanged\":true,\"subscribe\":true}"),
            ("tools", self.has_tools(), b"{\"listChanged\":true}"),
        ];
        write_those(out, &offers);
    }

    /// Appends the members of an `InitializeResult` behind its version (F-11, F-12), and its closing brace.
    pub(crate) fn introduce(&self, out: &mut Vec<u8>, server_info: &[u8]) {
        out.extend_from_slice(b"\"capabilities\":");
        self.write_capabilities(out);
        if let Some(instructions) = &self.instructions {
            out.extend_from_slice(b",\"instructions\":");
            jsonrpc::write_string(out, instructions);
        }
        out.extend_from_slice(b",\"serverInfo\":");
        out.extend_from_slice(server_info);
        out.push(b'}');
    }

    pub(crate) fn tools(&self) -> Rc<Toolset> {
        self.tools.borrow().clone()
    }

    pub(crate) fn set_tools(&self, tools: Toolset) {
        let before = self.tools.replace(Rc::new(tools));
        drop(before); // with its handlers, which may hold anything: nothing is borrowed here
    }

    /// Tools are offered from now on, even while there are none.
    pub(crate) fn offer_tools(&self) {
        self.tools_change.set(true);
    }

    /// Puts other tools in place of those there are, if nothing is wrong with them.
    ///
    /// # Errors
    /// The first fault of all descriptions, in words; then nothing has changed.
    pub(crate) fn replace_tools(&self, tools: Toolset) -> Result<(), BuildError> {
        tools.check()?;
        self.offer_tools();
        self.set_tools(tools);
        Ok(())
    }

    pub(crate) fn has_tools(&self) -> bool {
        self.tools_change.get() || !self.tools().entries.is_empty()
    }

    pub(crate) fn has_resources(&self) -> bool {
        !self.resources.is_empty()
    }

    pub(crate) fn has_prompts(&self) -> bool {
        !self.prompts.entries.is_empty()
    }

    pub(crate) fn has_completions(&self) -> bool {
        !self.completions.is_empty()
    }

    /// May `principal` use it? A policy that panics lets nobody do anything.
    pub(crate) fn may_use(&self, principal: &Principal, item: Item<'_>) -> bool {
        let asks = |access: &Rc<dyn Access>| {
            catch_unwind(AssertUnwindSafe(|| access.may_use(principal, item))).unwrap_or(false)
        };
        self.access.as_ref().is_none_or(asks)
    }

    /// Who somebody is, by the embedder's own policy; without one he is nobody in particular.
    pub(crate) fn principal(&self, credentials: &Credentials<'_>) -> Option<Principal> {
        match &self.access {
            None => Some(Principal::Anonymous),
            Some(access) => catch_unwind(AssertUnwindSafe(|| access.principal(credentials))).ok()?.ok(),
        }
    }

    /// Is `principal` still one who is let in? A policy that panics knows nobody.
    pub(crate) fn knows(&self, principal: &Principal) -> bool {
        let asks =
            |access: &Rc<dyn Access>| catch_unwind(AssertUnwindSafe(|| access.knows(principal))).unwrap_or(false);
        self.access.as_ref().is_none_or(asks)
    }

    /// May `principal` hear of a change of `uri`? Not if it is there for others only (F-154).
    pub(crate) fn may_hear(&self, principal: &Principal, uri: &str) -> bool {
        self.resources.find(uri, &|item| self.may_use(principal, item)).is_ok()
            || self.resources.find(uri, &|_| true).is_err()
    }

    /// The result of `server/discover` (F-20).
    pub(crate) fn discover(&self, cx: &RequestContext) -> Outcome {
        let mut text = Vec::with_capacity(512);
        let mut writer = Writer::new(&mut text, cx.envelope(), "complete");
        writer.json("supportedVersions", &Revision::STATELESS.map(Revision::as_str));
        self.write_capabilities(writer.member("capabilities"));
        if let Some(instructions) = &self.instructions {
            writer.json("instructions", instructions);
        }
        writer.end(Some(self.cache), &Map::new());
        Outcome::Written(text)
    }

    /// One page of a list; `name` is its member in the result.
    pub(crate) fn list(
        &self,
        name: &'static str,
        entries: &mut dyn Iterator<Item = &dyn Listed>,
        params: &Members<'_>,
        cx: &RequestContext,
    ) -> Begun {
        let (services, principal) = (cx.services(), cx.principal());
        let owner = principal.binding();
        let bound: [&[u8]; 2] = [name.as_bytes(), owner.as_bytes()];
        let mut page = || {
            let after = match listing::cursor(params)? {
                None => None,
                Some(sealed) => {
                    let opened = services.seal.open("cursor", &bound, 0, &sealed);
                    Some(opened.and_then(|key| String::from_utf8(key).ok()).ok_or_else(listing::bad_cursor)?)
                }
            };
            let mut text = Vec::with_capacity(1024);
            let page = Page {
                name,
                after: after.as_deref(),
                items_max: services.common.limits.page_items_max,
                revision: cx.peer().revision,
                cache: self.cache,
            };
            let writer = Writer::new(&mut text, cx.envelope(), "complete");
            page.write(writer, entries, &|item| self.may_use(principal, item), &|key| {
                services.seal.seal("cursor", &bound, 0, key.as_bytes(), services.nonce())
            })?;
            Ok(Outcome::Written(text))
        };
        page().into()
    }

    /// `tools/call`.
    pub(crate) fn call(&self, params: &Members<'_>, mirrored: Mirrored<'_>, cx: &RequestContext) -> Begun {
        let tools = self.tools();
        let found = CallParams::read(params).and_then(|call| {
            let entry = tools.find(&call.name, &|item| self.may_use(cx.principal(), item))?;
            Ok((call, entry))
        });
        let (call, entry) = match found {
            Ok(found) => found,
            Err(error) => return Outcome::Error(error).into(),
        };
        count(&cx.services().common.counters.calls_started);
        let tool = &entry.tool;
        let about = ToolCall {
            name: entry.name.clone(),
            uncancellable: tool.uncancellable,
            changes: tool.changes(),
            timeout: tool.timeout,
        };
        let begin = || {
            let arguments: Value = serde_json::from_str(call.arguments())
                .map_err(|error| Error::invalid_params(format!("arguments: {error}")))?;
            if let Some(mirrored) = mirrored {
                check_mirrored(entry, mirrored, &arguments)?;
            }
            if let Some(missing) = missing(&tool.needs, cx) {
                return Ok(Err(CallError::missing(missing)));
            }
            ask_by_rounds(cx, "tools/call", &|| (entry.name.clone(), call.arguments().into()), params)?;
            Ok(entry.future(cx.clone(), arguments))
        };
        Begun { work: guarded(&begin, cx, Some(&entry.name)), tool: Some(about) }
    }

    /// `resources/read`.
    pub(crate) fn read(&self, params: &Members<'_>, cx: &RequestContext) -> Begun {
        self.begun(self.resources.begin, params, cx)
    }

    /// Is there something to read at `uri`, for this one?
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn is_readable(&self, uri: &str, cx: &RequestContext) -> Result<(), Error> {
        let found = self.resources.find(uri, &|item| self.may_use(cx.principal(), item));
        found.map(drop).map_err(|error| error.of_request(cx.peer().revision))
    }

    /// `prompts/get`.
    pub(crate) fn prompt(&self, params: &Members<'_>, cx: &RequestContext) -> Begun {
        self.begun(self.prompts.begin, params, cx)
    }

    /// `completion/complete`.
    pub(crate) fn complete(&self, params: &Members<'_>, cx: &RequestContext) -> Begun {
        self.begun(self.completions.begin, params, cx)
    }

    fn begun(&self, begin: Option<Begin>, params: &Members<'_>, cx: &RequestContext) -> Begun {
        match begin {
            Some(begin) => begin(self, params, cx),
            // No method is known of what is not offered.
            None => Outcome::Error(Error::new(METHOD_NOT_FOUND, "nothing of this kind is offered")).into(),
        }
    }

    fn is_blank(&self, blank: &Blank, cx: &RequestContext) -> bool {
        let may_use = |item: Item<'_>| self.may_use(cx.principal(), item);
        match blank {
            Blank::Prompt { prompt, argument } => {
                let entry = self.prompts.find(prompt, &may_use).ok();
                entry.is_some_and(|entry| entry.prompt.arguments.iter().any(|known| known.name() == argument))
            }
            Blank::Template { uri_template, variable } => {
                self.resources.has_variable(uri_template, variable) && may_use(Item::Template(uri_template))
            }
        }
    }
}

/// How requests for a feature begin that a program may not have. It is set where something of the kind is added, and named
/// nowhere else: a program that offers none has none of the code.
pub(crate) type Begin = fn(&Features, &Members<'_>, &RequestContext) -> Begun;

/// Begins a `resources/read`.
pub(crate) fn read(features: &Features, params: &Members<'_>, cx: &RequestContext) -> Begun {
    let begin = || {
        let uri = resources::read_uri(params)?;
        ask_by_rounds(cx, "resources/read", &|| (uri.as_str().into(), Box::default()), params)?;
        let found = features.resources.find(&uri, &|item| features.may_use(cx.principal(), item));
        Ok(found.map(|found| found.future(cx.clone())))
    };
    Begun { work: guarded(&begin, cx, None), tool: None }
}

/// Begins a `prompts/get`.
pub(crate) fn get_prompt(features: &Features, params: &Members<'_>, cx: &RequestContext) -> Begun {
    let begin = || {
        let get = GetParams::read(params)?;
        let entry = features.prompts.find(&get.name, &|item| features.may_use(cx.principal(), item))?;
        ask_by_rounds(cx, "prompts/get", &|| (get.name.as_str().into(), get.arguments()), params)?;
        Ok(entry.future(cx.clone(), get))
    };
    Begun { work: guarded(&begin, cx, None), tool: None }
}

/// Begins a `completion/complete`.
pub(crate) fn complete(features: &Features, params: &Members<'_>, cx: &RequestContext) -> Begun {
    let begin = || {
        let (blank, request) = read_completion(params)?;
        if !features.is_blank(&blank, cx) {
            return Err(Error::invalid_params(format!("no such blank to complete: {}", blank.words())));
        }
        Ok(features.completions.future(&blank, cx.clone(), request))
    };
    match begin() {
        Ok(Some(future)) => Begun { work: Work::Handler(future), tool: None },
        Ok(None) => Outcome::Other(Box::new(Completion::default())).into(),
        Err(error) => Outcome::Error(error).into(),
    }
}

/// Where every request stands alone, questions are asked in rounds; `about` is its target and its arguments.
fn ask_by_rounds(
    cx: &RequestContext,
    method: &'static str,
    about: &dyn Fn() -> (Rc<str>, Box<str>),
    params: &Members<'_>,
) -> Result<(), Error> {
    if cx.peer().revision.is_stateless() {
        let rounds = Rounds::read(cx.services(), cx.principal(), method, about(), params)?;
        cx.asks_by(Asking::Rounds(Box::new(rounds)));
    }
    Ok(())
}

/// The handler's future; or why there is none, to who called or to the one who made the request.
type Beginning = Result<Result<CallFuture, CallError>, Error>;

/// The work of a request, of a tool's call if there is one. An embedder's `Deserialize` may panic like his handler may.
fn guarded(begin: &dyn Fn() -> Beginning, cx: &RequestContext, tool: Option<&str>) -> Work {
    match catch_unwind(AssertUnwindSafe(begin)) {
        Ok(Ok(Ok(future))) => Work::Handler(future),
        Ok(Ok(Err(error))) if tool.is_some() => Work::Ready(call::tool_failed(error, cx)),
        Ok(Ok(Err(error))) => Work::Ready(Outcome::Error(error.of_request(cx.peer().revision))),
        Ok(Err(error)) => Work::Ready(Outcome::Error(error)),
        Err(_) => Work::Ready(Outcome::Error(call::panicked(cx, tool.unwrap_or_default()))),
    }
}

/// What a tool cannot do without and its client cannot do.
fn missing(needs: &[ClientCapability], cx: &RequestContext) -> Option<ClientCapability> {
    needs.iter().copied().find(|need| !cx.can(*need))
}

/// Beyond this not every reader of JSON and headers sees the same number (V-5).
const INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// V-3 … V-6: every argument that is mirrored says in its header what it says in the body.
fn check_mirrored(entry: &tools::Entry, mirrored: &[(&str, &str)], arguments: &Value) -> Result<(), Error> {
    let mismatch = |fault: String| Error::new(HEADER_MISMATCH, fault);
    for param in &entry.headers {
        let mut given = mirrored.iter().filter(|(token, _)| token.eq_ignore_ascii_case(&param.token));
        let header = given.next().map(|(_, value)| *value);
        if given.next().is_some() {
            return Err(mismatch(format!("more than one Mcp-Param-{} header", param.token)));
        }
        let value = param.path.iter().try_fold(arguments, |value, name| value.get(name));
        let number;
        let expected = match (param.kind, value) {
            (_, None | Some(Value::Null)) => mirror::Expected::Absent,
            (HeaderKind::String, Some(Value::String(text))) => mirror::Expected::String(text),
            (HeaderKind::Boolean, Some(Value::Bool(yes))) => mirror::Expected::Boolean(*yes),
            (HeaderKind::Integer, Some(Value::Number(value))) => {
                if value.as_f64().is_none_or(|value| value.abs() > INTEGER_MAX) {
                    let name = param.path.join(".");
                    return Err(Error::invalid_params(format!("`{name}`: expected an integer within ±(2^53 − 1)")));
                }
                number = value.to_string();
                mirror::Expected::Integer(&number)
            }
            // It does not fit the schema, which is said later and better.
            _ => continue,
        };
        mirror::check_param(&param.token, header, expected).map_err(mismatch)?;
    }
    Ok(())
}
