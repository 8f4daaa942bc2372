//! What a daemon sees: the builder, the server, and its one future.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_channel::Receiver;
use serde::de::DeserializeOwned;
use serde_json::json;
use smol::LocalExecutor;
use smol::future::FutureExt;

use crate::budget::Budget;
use crate::clock::{Clock, Instant, Sleep};
use crate::context::{RequestContext, Services};
use crate::counters::Counters;
use crate::handle::{Command, Handle};
use crate::jsonrpc;
use crate::limits::Limits;
use crate::mcp::content::{CallError, CallResult};
use crate::mcp::describe::Tool;
use crate::net::listen::{Door, Listener};
use crate::net::shell::{Cut, Shell, Wait};
use crate::observe;
use crate::offload::Offload;
use crate::session::Reason;
use crate::stream::Common;
use crate::tools::Tools;
use crate::transport::Policy;
use crate::transport::auth::Tokens;
use crate::transport::guard::{Cidr, Guard};

/// An MCP server that is ready to serve.
///
/// ```no_run
/// use portcullis::{CallError, RequestContext, Server, Tool};
///
/// async fn uptime(_: RequestContext, _: serde_json::Value) -> Result<String, CallError> {
///     Ok(std::fs::read_to_string("/proc/uptime")?)
/// }
///
/// let server = Server::builder("edge-fw", "1.0.0")
///     .tool(Tool::new("uptime").description("Seconds since boot.").read_only(), uptime)
///     .build()?;
/// server.run("127.0.0.1:8001")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    policy: Policy,
    limits: Limits,
    clock: Clock,
    ids: Box<dyn Fn() -> u128>,
    handle: Handle,
}

/// Collects what a server is made of.
pub struct Builder {
    info: serde_json::Map<String, serde_json::Value>,
    instructions: Option<String>,
    tools: Tools,
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

/// Why a server cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(String);

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

impl Server {
    /// Begins a server with the name and version that clients see.
    pub fn builder(name: impl Into<String>, version: impl Into<String>) -> Builder {
        let mut info = serde_json::Map::new();
        info.insert("name".into(), name.into().into());
        info.insert("version".into(), version.into().into());
        Builder {
            info,
            instructions: None,
            tools: Tools::default(),
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
}

impl Builder {
    /// What people see instead of the name.
    pub fn title(mut self, title: impl Into<String>) -> Builder {
        self.info.insert("title".into(), title.into().into());
        self
    }

    /// What a model is told about the server as a whole.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Builder {
        self.instructions = Some(instructions.into());
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
        self.tools.finish().map_err(BuildError)?;
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
        let policy = Policy {
            guard: self.guard,
            tokens: self.tokens.into(),
            base_path,
            relative_endpoint: self.relative_endpoint,
            trusted_proxies: self.trusted_proxies,
            tools: self.tools,
            introduction: introduction(self.info, self.instructions),
        };
        Ok(Server { policy, limits: self.limits, clock: self.clock, ids: self.ids, handle: self.handle })
    }
}

/// The members of an `InitializeResult` behind its version (F-11, F-12).
fn introduction(info: serde_json::Map<String, serde_json::Value>, instructions: Option<String>) -> Vec<u8> {
    let mut members = json!({
        "capabilities": { "logging": {}, "tools": { "listChanged": true } },
        "serverInfo": info,
    });
    if let (Some(members), Some(instructions)) = (members.as_object_mut(), instructions) {
        members.insert("instructions".into(), instructions.into());
    }
    let mut text = Vec::new();
    jsonrpc::write_json(&mut text, &members);
    text.remove(0); // its opening brace: the version comes first
    jsonrpc::one_line(text)
}

impl Server {
    /// Serves on this thread until it is shut down.
    ///
    /// # Errors
    /// If `addr` cannot be bound.
    pub fn run(self, addr: impl ToSocketAddrs) -> io::Result<()> {
        let addrs: Vec<SocketAddr> = addr.to_socket_addrs()?.collect();
        let listeners = addrs.into_iter().map(Listener::bind).collect::<io::Result<Vec<_>>>()?;
        async_io::block_on(self.serve(listeners))
    }

    /// Serves on any executor, until it is shut down. Dropping the future stops everything at once and frees it:
    /// listeners, connections, sessions and calls.
    ///
    /// # Errors
    /// If a listener cannot be registered with the system's poller.
    pub async fn serve(self, listeners: Vec<Listener>) -> io::Result<()> {
        let doors = listeners.into_iter().map(Listener::open).collect::<io::Result<Vec<_>>>()?;
        let common = Rc::new(Common {
            budget: Budget::new(self.limits.buffered_bytes_max),
            counters: Counters::default(),
            limits: self.limits.clone(),
        });
        let offload = Offload::new(self.limits.unblock_threads_max);
        let services = Rc::new(Services { clock: self.clock, offload, common });
        let shell = Shell::new(self.policy, services, self.ids);
        log::info!(
            target: "portcullis",
            "worst case: {} MiB for {} connections and {} sessions, of which {} MiB are buffers",
            self.limits.worst_case_bytes() >> 20, self.limits.connections_max, self.limits.sessions_max,
            self.limits.buffered_bytes_max >> 20,
        );
        // Owned here and nowhere else: tasks that held it would keep it, and themselves, alive for ever.
        let executor = Rc::new(LocalExecutor::new());
        *shell.executor.borrow_mut() = Rc::downgrade(&executor);
        let main = Box::pin(attend(shell.clone(), doors, self.handle.commands()));
        Turns { run: pin!(executor.run(main)), shell, sleep: None }.await;
        Ok(())
    }
}

/// The loop: lets the executor run, then looks at the clock (D22), and sleeps until something is due.
struct Turns<'a, F> {
    run: Pin<&'a mut F>,
    shell: Rc<Shell>,
    sleep: Option<(Instant, Sleep)>,
}

impl<F: Future<Output = ()>> Future for Turns<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.run.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let Some(next) = self.shell.next_deadline() else { return Poll::Pending };
            let now = self.shell.now();
            if next <= now {
                if self.shell.run_due(now) {
                    // There is more, but the others come first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            }
            if self.sleep.as_ref().is_none_or(|(at, _)| *at != next) {
                self.sleep = Some((next, self.shell.clock().sleep_until(next)));
            }
            let Some((_, sleep)) = &mut self.sleep else { return Poll::Pending };
            std::task::ready!(Pin::new(sleep).poll(cx));
            self.sleep = None;
        }
    }
}

/// Accepts and obeys until told to stop, then drains.
async fn attend(shell: Rc<Shell>, doors: Vec<Door>, commands: Receiver<Command>) {
    let accepting: Vec<_> = doors.into_iter().filter_map(|door| shell.spawn(door.serve(shell.clone()))).collect();
    let grace = loop {
        match commands.recv().await {
            Ok(Command::Shutdown(grace)) => break grace,
            Ok(command) => obey(&shell, command),
            Err(_) => std::future::pending().await,
        }
    };
    drop(accepting);
    shell.stopping.set(true);
    log::info!(target: "portcullis", "stopping: {} calls run, grace {} s", shell.calls.borrow().len(), grace.as_secs());
    hang_up(&shell, |waits_for| waits_for == Wait::Request);
    let patience = drained(&shell, |shell| shell.calls.borrow().is_empty()).or(sleep(&shell, grace));
    patience.or(told_again(&shell, &commands)).await;
    let keys = shell.table.borrow().keys(|_| true);
    keys.into_iter().for_each(|key| shell.end_session(key, Reason::Shutdown));
    // What was answered or ended last is on its way out; a peer that takes nothing is not waited for.
    let last = drained(&shell, |shell| shell.connections.borrow().is_empty()).or(sleep(&shell, LAST_BYTES));
    last.or(told_again(&shell, &commands)).await;
    log::info!(target: "portcullis", "stopped");
}

/// How long connections have for their last bytes at shutdown.
const LAST_BYTES: Duration = Duration::from_millis(150);

fn obey(shell: &Rc<Shell>, command: Command) {
    match command {
        Command::Shutdown(_) => {}
        Command::ToolsChanged => {
            let mut text = Vec::new();
            jsonrpc::write_notification(&mut text, "notifications/tools/list_changed", b"");
            let table = shell.table.borrow();
            let streams =
                table.iter().filter(|session| session.initialized).filter_map(|session| session.stream.as_ref());
            streams.for_each(|stream| stream.notice(text.clone()));
        }
        Command::Tokens(tokens) => {
            let revoked = shell.table.borrow().keys(|session| !tokens.know(session.principal()));
            *shell.policy.tokens.borrow_mut() = Some(tokens);
            revoked.into_iter().for_each(|key| shell.end_session(key, Reason::Revoked));
        }
        Command::Sessions(answer) => drop(answer.try_send(observe::whole(shell))),
    }
}

/// Cuts the connections that wait for something which will not come any more.
fn hang_up(shell: &Shell, which: impl Fn(Wait) -> bool) {
    let connections = shell.connections.borrow();
    connections.iter().filter(|(_, presence)| which(presence.waits_for.get())).for_each(|(_, p)| p.cut(Cut::GiveWay));
}

/// Completes when `done` says so. Looked at every few milliseconds: it happens once in a server's life.
async fn drained(shell: &Shell, done: impl Fn(&Shell) -> bool) {
    while !done(shell) {
        sleep(shell, Duration::from_millis(5)).await;
    }
}

async fn sleep(shell: &Shell, time: Duration) {
    shell.clock().sleep_until(shell.now() + time).await;
}

async fn told_again(shell: &Rc<Shell>, commands: &Receiver<Command>) {
    loop {
        match commands.recv().await {
            Ok(Command::Shutdown(_)) => return,
            Ok(command) => obey(shell, command),
            Err(_) => std::future::pending().await,
        }
    }
}
