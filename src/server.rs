//! What a daemon sees: the builder, the server, and its one future.

mod builder;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use smol::LocalExecutor;
use smol::io::{AsyncRead, AsyncWrite};

pub use self::builder::Builder;
use crate::budget::Budget;
use crate::clock::{Clock, Instant, Sleep};
use crate::context::Services;
use crate::counters::Counters;
use crate::events::Events;
use crate::features::BuildError;
use crate::handle::{Attendance, Command, Handle};
use crate::limits::Limits;
use crate::mcp::compat;
use crate::mcp::peer::Principal;
use crate::net::lines::{self, Ends, Gone};
use crate::net::listen::{Door, Incoming, Listener};
use crate::net::shell::{Cut, Shell, Wait};
use crate::observe;
use crate::offload::Offload;
use crate::process;
use crate::seal::Seal;
use crate::session::Reason;
use crate::stream::Common;
use crate::subscription::{Changes, Filter};
use crate::tools::Toolset;
use crate::transport::Policy;
use crate::transport::auth::Tokens;

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
    server_info: Vec<u8>,
    seal: Seal,
    clock: Clock,
    ids: Box<dyn Fn() -> u128>,
    handle: Handle,
}

impl Server {
    /// Begins a server with the name and version that clients see.
    pub fn builder(name: impl Into<String>, version: impl Into<String>) -> Builder {
        Builder::new(name.into(), version.into())
    }

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
    /// If a listener cannot be registered with the system's poller, if another server listens to the same [`Handle`],
    /// and in a `fork` of a process in which a server has begun.
    pub async fn serve(self, listeners: Vec<Listener>) -> io::Result<()> {
        self.begin(listeners, Until::Told)?.await
    }

    /// Serves one connection that the host has accepted, as the whole of this server: for a process per connection
    /// (inetd, SSH) and for tests. Returns when the connection is over and the calls that it began have ended, or when
    /// it is shut down. Connections that are to share sessions come through one [`Listener::streams`] instead.
    ///
    /// ```
    /// use portcullis::{Incoming, Server};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// theirs.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    /// let server = Server::builder("gate", "1.0.0").build()?;
    /// smol::block_on(server.serve_connection(Incoming::unix(ours)?))?;
    /// let mut answer = String::new();
    /// theirs.read_to_string(&mut answer)?;
    /// assert!(answer.starts_with("HTTP/1.0 200 OK"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub async fn serve_connection(self, connection: Incoming) -> io::Result<()> {
        let once = Listener::streams(smol::stream::once(connection));
        self.begin(vec![once], Until::Alone)?.await
    }

    /// Serves one client over a pair of byte streams, as the whole of this server: every message is a line (the stdio
    /// binding of all revisions). Returns when `reader` has ended and the calls that run have finished, for which they
    /// have `grace`; [`Handle::shutdown`] ends it as any server. A client that does not read is not read from.
    ///
    /// Whoever holds the other end is let in without a token; with an [`Access`](crate::Access) as whom this says who
    /// comes with neither credentials nor address.
    ///
    /// ```
    /// use portcullis::Server;
    /// use smol::io::Cursor;
    /// use std::time::Duration;
    ///
    /// let server = Server::builder("gate", "1.0.0").build()?;
    /// let question = Cursor::new(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    /// let (answer, mut lines) = smol::net::unix::UnixStream::pair()?;
    /// smol::block_on(server.serve_lines(question, answer, Duration::from_secs(1)))?;
    /// let mut text = String::new();
    /// smol::block_on(smol::io::AsyncReadExt::read_to_string(&mut lines, &mut text))?;
    /// assert_eq!(text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Server::serve`], and if an [`Access`](crate::Access) does not let the client in.
    pub async fn serve_lines(
        self,
        reader: impl AsyncRead + 'static,
        writer: impl AsyncWrite + 'static,
        grace: Duration,
    ) -> io::Result<()> {
        let ends = Ends { reader: Box::pin(reader), writer: Box::pin(writer), grace };
        self.begin(Vec::new(), Until::Ended(ends))?.await
    }

    fn begin(self, listeners: Vec<Listener>, until: Until) -> io::Result<Turns> {
        process::begin()?;
        let attendance = self.handle.attend()?;
        let mut doors = Vec::with_capacity(listeners.len());
        for listener in listeners {
            doors.push(listener.open()?);
        }
        let common = Rc::new(Common {
            budget: Budget::new(self.limits.buffered_bytes_max),
            counters: Counters::default(),
            events: Events::new(self.clock.clone(), self.limits.events_max),
            limits: self.limits,
        });
        let limits = &common.limits;
        let buffers = limits.buffered_bytes_max >> 20;
        match until {
            Until::Ended(_) => log::info!(target: "portcullis", "worst case: {buffers} MiB of buffers for one client"),
            _ => log::info!(
                target: "portcullis",
                "worst case: {} MiB for {} connections and {} sessions, of which {buffers} MiB are buffers",
                limits.worst_case_bytes() >> 20, limits.connections_max, limits.sessions_max,
            ),
        }
        let services = Rc::new(Services {
            clock: self.clock,
            offload: Offload::new(limits.unblock_threads_max),
            same_for_all: self.policy.features.access.is_none(),
            common,
            ids: self.ids,
            seal: self.seal,
            listeners: Rc::default(),
            plain_meta: compat::plain_meta(&self.server_info),
            server_info: self.server_info,
            last_envelope: RefCell::default(),
        });
        let shell = Shell::new(self.policy, services);
        // Owned by the turns and by nobody else: tasks that held it would keep it, and themselves, alive for ever.
        let executor = Rc::new(LocalExecutor::new());
        *shell.executor.borrow_mut() = Rc::downgrade(&executor);
        shell.spawn(shell.clone().give_memory_back()).into_iter().for_each(smol::Task::detach);
        let until = match until {
            Until::Ended(ends) => {
                let (grace, denied) = (ends.grace, "the server's Access lets nobody in who shows nothing");
                let gone = lines::welcome(&shell, ends);
                Until::Closed(gone.ok_or_else(|| io::Error::new(io::ErrorKind::PermissionDenied, denied))?, grace)
            }
            until => until,
        };
        let main = Box::pin(attend(shell.clone(), doors, self.handle, until));
        Ok(Turns { main, tasks: Box::pin(run(executor)), shell, sleep: None, _attendance: attendance })
    }
}

/// For how long a server serves.
enum Until {
    /// It is told to stop.
    Told,
    /// Nobody is connected, and nobody can be any more.
    Alone,
    /// The one pair of streams that it serves has ended.
    Ended(Ends),
    /// The same, when they are served already.
    Closed(Rc<Gone>, Duration),
}

/// The loop: lets the executor run, then looks at the clock (D22), and sleeps until something is due.
struct Turns {
    main: Pin<Box<dyn Future<Output = ()>>>,
    /// Never ready.
    tasks: Pin<Box<dyn Future<Output = ()>>>,
    shell: Rc<Shell>,
    sleep: Option<(Instant, Sleep)>,
    _attendance: Attendance,
}

/// Tasks that run before `main` is asked again.
const TASKS_PER_TURN: usize = 200;

/// Lets tasks run, for ever. `LocalExecutor::run` is for several threads, which take tasks from each other: 6 KB.
async fn run(executor: Rc<LocalExecutor<'static>>) {
    loop {
        for _ in 0..TASKS_PER_TURN {
            executor.tick().await;
        }
        smol::future::yield_now().await;
    }
}

impl Future for Turns {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        process::check()?;
        loop {
            if self.main.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let _ = self.tasks.as_mut().poll(cx);
            self.shell.notice_crowds();
            let Some(next) = self.shell.next_deadline() else {
                self.sleep = None;
                return Poll::Pending;
            };
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

impl Drop for Turns {
    fn drop(&mut self) {
        self.shell.tasks.end();
    }
}

/// Accepts and obeys until told to stop, then drains.
async fn attend(shell: Rc<Shell>, doors: Vec<Door>, handle: Handle, until: Until) {
    // Changes of lists are those of a server before this one.
    if handle.take_changes().access {
        access_changed(&shell, handle.take_tokens());
    }
    let mut accepting = Vec::with_capacity(doors.len());
    for door in doors {
        accepting.extend(shell.spawn(door.serve(shell.clone())));
    }
    let grace = poll_fn(|cx| match commanded(&shell, &handle, cx) {
        Some(grace) => Poll::Ready(grace),
        None => until.poll_over(&shell, &mut accepting, cx),
    });
    let grace = grace.await;
    // Nobody else is there who could be held up by a client that reads lines slowly.
    let last_bytes = if let Until::Closed(..) = until { grace.max(LAST_BYTES) } else { LAST_BYTES };
    drop(accepting);
    shell.stopping.set(true);
    log::info!(target: "portcullis", "stopping: {} calls run, grace {} s", shell.calls.borrow().len(), grace.as_secs());
    shell.services.listeners.all().iter().for_each(|listener| listener.end());
    hang_up(&shell);
    drained(&shell, Some(&handle), grace, |shell| shell.calls.borrow().is_empty()).await;
    // Whoever listened has been told to end, and answers in his next turn: before the stream closes that he may share.
    drained(&shell, None, LAST_BYTES, |shell| shell.services.listeners.len() == 0).await;
    let keys = shell.table.borrow().keys(|_| true);
    keys.into_iter().for_each(|key| shell.end_session(key, Reason::Shutdown));
    shell.drop_stateless_calls(|_| true);
    shell.lines.borrow().iter().for_each(|lines| lines.stream.close());
    // What was answered or ended last is on its way out; a peer that takes nothing is not waited for.
    drained(&shell, Some(&handle), last_bytes, |shell| shell.connections.borrow().is_empty()).await;
    log::info!(target: "portcullis", "stopped");
}

impl Until {
    /// Is it over, without a word from anybody? Then calls may still run for so long.
    fn poll_over(&self, shell: &Shell, accepting: &mut Vec<smol::Task<()>>, cx: &mut Context<'_>) -> Poll<Duration> {
        match self {
            Until::Told | Until::Ended(_) => Poll::Pending,
            // Nobody is connected and nobody can be any more; calls may then run as long as they ever may.
            Until::Alone => {
                accepting.retain_mut(|task| Pin::new(task).poll(cx).is_pending());
                if !accepting.is_empty() {
                    return Poll::Pending;
                }
                shell.poll_vacant(cx).map(|()| shell.limits().call_wait)
            }
            Until::Closed(gone, grace) => gone.poll(cx).map(|()| *grace),
        }
    }
}

/// Does what it is told until that is to stop: the grace that running calls have then.
fn commanded(shell: &Rc<Shell>, handle: &Handle, cx: &Context<'_>) -> Option<Duration> {
    loop {
        match handle.poll_command(cx) {
            Poll::Ready(Command::Shutdown(grace)) => return Some(grace),
            Poll::Ready(command) => obey(shell, handle, command),
            Poll::Pending => return None,
        }
    }
}

/// How long connections have for their last bytes at shutdown.
const LAST_BYTES: Duration = Duration::from_millis(150);

fn obey(shell: &Shell, handle: &Handle, command: Command) {
    match command {
        Command::Shutdown(_) | Command::Changed => {}
        Command::Tools(make, reply) => {
            let replaced = replace_tools(shell, make);
            if replaced.is_ok() {
                handle.tools_list_changed();
            }
            reply.give(replaced.map(|()| String::new()));
        }
        Command::Show(view, reply) => reply.give(Ok(observe::text(shell, view))),
    }
    // With every command, not only with its own, which may not have found a place.
    let changes = handle.take_changes();
    if changes.access {
        access_changed(shell, handle.take_tokens());
    }
    tell(shell, changes);
}

fn replace_tools(shell: &Shell, make: Box<dyn FnOnce() -> Toolset + Send>) -> Result<(), BuildError> {
    let made = catch_unwind(AssertUnwindSafe(make));
    let tools = made.map_err(|_| BuildError("what makes the tools panicked; the host's log says where".into()))?;
    shell.policy.features.replace_tools(tools)
}

/// Ends everything of those who are not let in any more.
fn access_changed(shell: &Shell, tokens: Option<Tokens>) {
    let policy = &shell.policy;
    if let Some(tokens) = tokens {
        *policy.tokens.borrow_mut() = Some(tokens);
    }
    policy.access_changes.set(policy.access_changes.get().wrapping_add(1));
    let is_good = |principal: &Principal| policy.knows(principal);
    for listener in shell.services.listeners.all().iter().filter(|listener| !is_good(&listener.principal)) {
        listener.end();
    }
    shell.drop_stateless_calls(|cx| !is_good(cx.principal()));
    let revoked = shell.table.borrow().keys(|session| !is_good(session.principal()));
    revoked.into_iter().for_each(|key| shell.end_session(key, Reason::Revoked));
    shell.lines.borrow().iter().filter(|lines| !is_good(&lines.principal)).for_each(|lines| lines.stream.close());
}

/// Tells everybody who wants to know what has changed.
fn tell(shell: &Shell, mut changes: Changes) {
    let features = &shell.policy.features;
    // Not of lists that were never offered.
    changes.tools &= features.has_tools();
    changes.prompts &= features.has_prompts();
    changes.resources &= features.has_resources();
    changes.access = false;
    if changes.is_empty() {
        return;
    }
    for session in shell.table.borrow().iter().filter(|session| session.initialized) {
        let Some(stream) = &session.stream else { continue };
        let filter = Filter::of_session(session.subscriptions.iter().map(|(uri, _)| uri.as_str()));
        let texts = changes.notifications(&filter, None, &|uri| features.may_hear(session.principal(), uri));
        for text in texts {
            stream.ask(text);
        }
    }
    for listener in shell.services.listeners.all() {
        let may_hear = |uri: &str| features.may_hear(&listener.principal, uri);
        let texts = changes.notifications(&listener.filter, Some(&listener.id), &may_hear);
        if !texts.into_iter().all(|text| listener.stream.ask(text)) {
            listener.end(); // F-156: it reads too slowly to be told everything
        }
    }
}

/// Cuts the connections that wait for something which will not come any more.
fn hang_up(shell: &Shell) {
    for (_, presence) in shell.connections.borrow().iter() {
        if matches!(presence.waits_for.get(), Wait::Request | Wait::Watch) {
            presence.cut(Cut::GiveWay);
        }
    }
}

/// Completes when `done` says so, after `time` at the latest, and when `handle` is told a second time to stop. Looked at
/// every few milliseconds: it happens once in a server's life.
async fn drained(shell: &Rc<Shell>, handle: Option<&Handle>, time: Duration, done: fn(&Shell) -> bool) {
    let end = shell.now() + time;
    while !done(shell) && shell.now() < end {
        let told_again = poll_fn(|cx| Poll::Ready(handle.and_then(|handle| commanded(shell, handle, cx))));
        if told_again.await.is_some() {
            return;
        }
        shell.clock().sleep_until(end.min(shell.now() + Duration::from_millis(5))).await;
    }
}
