//! What a server is made of, put together and checked.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Server;
use crate::access::Access;
use crate::clock::Clock;
use crate::context::RequestContext;
use crate::features::{BuildError, Features};
use crate::handle::Handle;
use crate::jsonrpc;
use crate::limits::Limits;
use crate::mcp::describe::{Cache, Prompt, Resource, ResourceTemplate, Tool};
use crate::mcp::put;
use crate::mcp::result::{CallError, CallResult, Completion, PromptResult, ReadResult};
use crate::prompts::{Blank, CompletionRequest};
use crate::resources::ReadRequest;
use crate::seal::Seal;
use crate::tools::Toolset;
use crate::transport::Policy;
use crate::transport::auth::Tokens;
use crate::transport::guard::{Cidr, Guard};

/// Collects what a server is made of.
pub struct Builder {
    info: serde_json::Map<String, serde_json::Value>,
    tools: Toolset,
    features: Features,
    state_key: Option<[u8; 32]>,
    limits: Limits,
    guard: Guard,
    tokens: Option<Tokens>,
    base_path: String,
    relative_endpoint: bool,
    trusted_proxies: Vec<Cidr>,
    clock: Clock,
    ids: Box<dyn Fn() -> u128>,
    handle: Handle,
}

impl Builder {
    pub(super) fn new(name: String, version: String) -> Builder {
        let mut info = serde_json::Map::new();
        put(&mut info, "name", name.into());
        put(&mut info, "version", version.into());
        Builder {
            info,
            tools: Toolset::new(),
            features: Features::default(),
            state_key: None,
            limits: Limits::default(),
            guard: Guard::default(),
            tokens: None,
            base_path: String::new(),
            relative_endpoint: false,
            trusted_proxies: Vec::new(),
            clock: Clock::real(),
            ids: Box::new(|| uuid::Uuid::new_v4().as_u128()),
            handle: Handle::new(),
        }
    }

    /// What people see instead of the name.
    pub fn title(mut self, title: impl Into<String>) -> Builder {
        put(&mut self.info, "title", title.into().into());
        self
    }

    /// What a model is told about the server as a whole.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Builder {
        self.features.instructions = Some(instructions.into());
        self
    }

    /// Adds a tool. **A handler that blocks stalls every client**: give blocking work to
    /// [`RequestContext::unblock`]. A handler that panics answers −32603, and nobody else notices.
    ///
    /// A cancelled call's future is dropped; what must be undone belongs into a guard's `Drop`. Handlers and
    /// their futures need no `Send`. Arguments are read with serde before the handler runs; an error there
    /// goes to the model as an `isError` result.
    pub fn tool<A, F, Fut, R>(mut self, tool: Tool, handler: F) -> Builder
    where
        A: DeserializeOwned + 'static,
        F: Fn(RequestContext, A) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<CallResult>,
    {
        self.tools.add(tool, handler);
        self
    }

    /// Adds a set of tools. From then on tools are offered even while there are none, so that clients listen for those
    /// that [`Handle::replace_tools`] may bring.
    pub fn tools(mut self, tools: Toolset) -> Builder {
        self.tools.extend(tools);
        self.features.offer_tools();
        self
    }

    /// Adds a resource. Its handler gives back text, [`Contents`](crate::Contents), or several of them; a missing one
    /// is [`CallError::not_found`].
    pub fn resource<F, Fut, R>(mut self, resource: Resource, handler: F) -> Builder
    where
        F: Fn(RequestContext, ReadRequest) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<ReadResult>,
    {
        self.features.resources.add(resource, handler);
        self
    }

    /// Adds many resources at once, by the form of their addresses. A resource of its own with the same address comes
    /// first, then the templates in the order in which they were added.
    pub fn resource_template<F, Fut, R>(mut self, template: ResourceTemplate, handler: F) -> Builder
    where
        F: Fn(RequestContext, ReadRequest) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<ReadResult>,
    {
        self.features.resources.add_template(template, handler);
        self
    }

    /// Adds a prompt. Its handler gets the arguments as a type of yours, whose fields are texts.
    pub fn prompt<A, F, Fut, R>(mut self, prompt: Prompt, handler: F) -> Builder
    where
        A: DeserializeOwned + 'static,
        F: Fn(RequestContext, A) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<PromptResult>,
    {
        self.features.prompts.add(prompt, handler);
        self
    }

    /// Proposes values for an argument of a prompt.
    pub fn complete_prompt<F, Fut, R>(
        mut self,
        prompt: impl Into<String>,
        argument: impl Into<String>,
        handler: F,
    ) -> Builder
    where
        F: Fn(RequestContext, CompletionRequest) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<Completion>,
    {
        let blank = Blank::Prompt { prompt: prompt.into(), argument: argument.into() };
        self.features.completions.add(blank, handler);
        self
    }

    /// Proposes values for a variable of a resource template.
    pub fn complete_resource<F, Fut, R>(
        mut self,
        uri_template: impl Into<String>,
        variable: impl Into<String>,
        handler: F,
    ) -> Builder
    where
        F: Fn(RequestContext, CompletionRequest) -> Fut + 'static,
        Fut: Future<Output = Result<R, CallError>> + 'static,
        R: Into<Completion>,
    {
        let blank = Blank::Template { uri_template: uri_template.into(), variable: variable.into() };
        self.features.completions.add(blank, handler);
        self
    }

    /// Does not offer log messages, for servers whose handlers send none; [`RequestContext::log`] does nothing then.
    pub fn without_logging(mut self) -> Builder {
        self.features.is_silent = true;
        self
    }

    /// Offers an extension of the protocol, by its id (`example.com/name`) and its settings, an object. What clients
    /// have of it, [`RequestContext::extension`] says.
    pub fn extension(mut self, id: impl Into<String>, settings: serde_json::Value) -> Builder {
        self.features.extensions.insert(id.into(), settings);
        self
    }

    /// For how long clients of 2026-07-28 may keep lists, and with `public` share them between their users. Without
    /// this they may not keep them; with an [`Access`] they may never share them.
    pub fn cache(mut self, ttl: Duration, public: bool) -> Builder {
        self.features.cache = Cache { ttl, public };
        self
    }

    /// Decides for every request who asks and what he may use. Where there are [`Builder::tokens`], they say who asks.
    pub fn access(mut self, access: impl Access + 'static) -> Builder {
        self.features.access = Some(Rc::new(access));
        self
    }

    /// The secret under which cursors and request states are sealed. Instances that share one take over each other's
    /// clients of 2026-07-28; without this each start draws its own.
    pub fn state_key(mut self, key: [u8; 32]) -> Builder {
        self.state_key = Some(key);
        self
    }

    /// Replaces the limits.
    pub fn limits(mut self, limits: Limits) -> Builder {
        self.limits = limits;
        self
    }

    /// The path under which clients see the server, for example `/fw`; it is served with and without it.
    pub fn base_path(mut self, path: impl Into<String>) -> Builder {
        self.base_path = path.into();
        self
    }

    /// Always announces `?session_id=…`, which works behind any proxy that keeps queries.
    pub fn relative_endpoint(mut self, relative: bool) -> Builder {
        self.relative_endpoint = relative;
        self
    }

    /// Believes `X-Forwarded-For` and `X-Forwarded-Prefix` from these addresses.
    pub fn trust_proxy(mut self, range: Cidr) -> Builder {
        self.trusted_proxies.push(range);
        self
    }

    /// Accepts requests for this host: a name, a name with a port, or `*.domain`. Loopback names and the address a
    /// connection was accepted on are accepted always.
    pub fn allow_host(mut self, host: impl AsRef<str>) -> Builder {
        self.guard.allow_host(host.as_ref());
        self
    }

    /// Accepts requests from pages of this origin, for example `https://app.example`.
    pub fn allow_origin(mut self, origin: impl AsRef<str>) -> Builder {
        self.guard.allow_origin(origin.as_ref());
        self
    }

    /// Lets in holders of these bearer tokens, and nobody else.
    pub fn tokens(mut self, tokens: Tokens) -> Builder {
        self.tokens = Some(tokens);
        self
    }

    /// Makes the server listen to this handle.
    pub fn handle(mut self, handle: &Handle) -> Builder {
        self.handle = handle.clone();
        self
    }

    /// Runs the server on another clock. For tests; see [`Clock::simulated`].
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = clock;
        self
    }

    /// Takes ids from elsewhere than the system's random source. For tests: whoever guesses an id has the session.
    pub fn ids(mut self, ids: impl Fn() -> u128 + 'static) -> Builder {
        self.ids = Box::new(ids);
        self
    }

    /// Checks everything and makes the server.
    ///
    /// # Errors
    /// The first thing that is wrong, in words: a tool's name or schema, a limit, a base path.
    pub fn build(mut self) -> Result<Server, BuildError> {
        self.features.set_tools(self.tools);
        self.features.check().map_err(BuildError)?;
        if let Some(fault) = self.limits.fault() {
            return Err(BuildError(fault));
        }
        let base_path = self.base_path.trim_end_matches('/').to_owned();
        if !base_path.is_empty()
            && (!base_path.starts_with('/') || !base_path.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b)))
        {
            return Err(BuildError(format!("base path {base_path:?}: expected something like /fw")));
        }
        if let Ok(name) = rustix::system::uname().nodename().to_str() {
            for suffix in ["", ".local", ".lan"] {
                self.guard.allow_host(&format!("{name}{suffix}"));
            }
        }
        if cfg!(panic = "abort") {
            log::warn!(target: "portcullis", "built with panic=abort: a handler that panics ends the whole process");
        }
        let mut server_info = Vec::new();
        jsonrpc::write_json(&mut server_info, &self.info);
        let key = self.state_key.unwrap_or_else(|| {
            let mut key = [0; 32];
            key.chunks_exact_mut(16).for_each(|half| half.copy_from_slice(&(self.ids)().to_le_bytes()));
            key
        });
        let policy = Policy {
            guard: self.guard,
            tokens: self.tokens.into(),
            access_changes: Cell::new(0),
            base_path,
            relative_endpoint: self.relative_endpoint,
            trusted_proxies: self.trusted_proxies,
            features: self.features,
        };
        let seal = Seal::new(key);
        let (limits, clock, ids, handle) = (self.limits, self.clock, self.ids, self.handle);
        Ok(Server { policy, limits, server_info, seal, clock, ids, handle })
    }
}
