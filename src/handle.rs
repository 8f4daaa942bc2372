//! What other threads can ask of a running server.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use crate::features::BuildError;
use crate::process;
use crate::subscription::Changes;
use crate::tools::Toolset;
use crate::transport::View;
use crate::transport::auth::Tokens;

/// Asks things of a server from any thread. Exists before the server; clones are the same handle.
///
/// What is told (`shutdown`, `…_changed`, `set_tokens`) is told at once and waits for nothing; before the server
/// begins it is kept for it. What is asked ([`Handle::sessions`]) is answered by the server's own loop, between two
/// turns of it. In a `fork` of the process nothing is told and every question is an error.
///
/// ```
/// use portcullis::{Handle, Server};
/// use std::time::Duration;
///
/// let handle = Handle::new();
/// let remote = handle.clone();
/// let thread = std::thread::spawn(move || {
///     // The server lives on this thread; its handlers need no `Send`.
///     let server = Server::builder("edge-fw", "1.0.0").handle(&remote).build().expect("no tools, no faults");
///     server.run("127.0.0.1:0")
/// });
/// handle.shutdown(Duration::from_secs(1));
/// thread.join().expect("no panic")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Handle(Arc<Wire>);

#[derive(Debug)]
struct Wire {
    commands: Mutex<Commands>,
    loop_is: Mutex<Loop>,
    changes: Mutex<Changes>,
    /// Tokens that are to be let in instead of those before.
    tokens: Mutex<Option<Tokens>>,
}

/// What waits for the server, and who is woken by more of it. No channel: each type in one is 5 KB of program.
#[derive(Debug, Default)]
struct Commands {
    waiting: VecDeque<Command>,
    server: Option<Waker>,
}

/// Nothing that is behind these locks is left half done by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the server is that answers.
#[derive(Clone, Copy, Debug)]
enum Loop {
    NotYet,
    On(ThreadId),
    Over,
}

/// What is asked.
pub(crate) enum Command {
    Shutdown(Duration),
    /// There is something in the changes.
    Changed,
    Tools(Box<dyn FnOnce() -> Toolset + Send>, Reply),
    Show(View, Reply),
}

/// What is answered: a text if one was asked for, or what is wrong with the tools.
type Answer = Result<String, BuildError>;

/// A question's way back. Dropped without an answer, it says that there will be none.
pub(crate) struct Reply(Arc<Asked>);

/// A question that waits for its answer.
#[derive(Default)]
struct Asked {
    state: Mutex<Answering>,
    settled: Condvar,
}

#[derive(Default)]
struct Answering {
    answer: Option<Answer>,
    is_over: bool,
    waker: Option<Waker>,
}

impl Reply {
    pub(crate) fn give(self, answer: Answer) {
        // Whoever asked may have stopped waiting. If not, the drop of this wakes him.
        locked(&self.0.state).answer = Some(answer);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let mut state = locked(&self.0.state);
        state.is_over = true;
        let waker = state.waker.take();
        drop(state);
        self.0.settled.notify_one();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Asked {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<Answer, AskError>> {
        let mut state = locked(&self.state);
        if state.is_over {
            return Poll::Ready(state.answer.take().ok_or(AskError::NotServing));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// For threads that cannot await.
    fn wait(&self, time: Duration) -> Result<Answer, AskError> {
        let waiting = self.settled.wait_timeout_while(locked(&self.state), time, |state| !state.is_over);
        let (mut state, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        let none = if state.is_over { AskError::NotServing } else { AskError::TimedOut(time) };
        state.answer.take().ok_or(none)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Command")
    }
}

/// Why a question to a server has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskError {
    /// The server has ended, or did before it answered.
    NotServing,
    /// Asked on the thread that would have to answer.
    OwnThread,
    /// The server did not answer within this time: it has not begun yet, or a handler blocks its thread.
    TimedOut(Duration),
    /// So many questions wait already that this one was not put.
    Busy,
    /// This process is a fork of the one with this id, in which the server began.
    Forked(u32),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::NotServing => f.write_str("the server has ended"),
            AskError::OwnThread => f.write_str(
                "this is the server's own thread, which cannot wait for itself: await the other form of this question, \
                 or ask from another thread",
            ),
            AskError::TimedOut(time) => write!(
                f,
                "no answer within {time:?}: the server has not begun, or a handler blocks its thread (give blocking work \
                 to RequestContext::unblock)",
            ),
            AskError::Busy => write!(f, "{WAITING_MAX} questions wait for the server already: ask again later"),
            AskError::Forked(began_in) => write!(
                f,
                "the server runs in process {began_in}, of which this is a fork: ask there, or fork before it begins",
            ),
        }
    }
}

impl std::error::Error for AskError {}

impl From<process::Forked> for AskError {
    fn from(forked: process::Forked) -> AskError {
        AskError::Forked(forked.began_in)
    }
}

/// Questions that can wait for a server to answer them; one more is dropped.
const WAITING_MAX: usize = 64;

impl Handle {
    /// A handle for a server that is yet to be built.
    pub fn new() -> Handle {
        let (commands, loop_is) = (Mutex::default(), Mutex::new(Loop::NotYet));
        Handle(Arc::new(Wire { commands, loop_is, changes: Mutex::default(), tokens: Mutex::default() }))
    }

    /// Stops the server: listeners close at once, running calls get `grace` to finish, streams are ended.
    /// A second call ends it at once.
    pub fn shutdown(&self, grace: Duration) {
        self.ask(Command::Shutdown(grace));
    }

    /// Tells every client that listens that the tools have changed.
    pub fn tools_list_changed(&self) {
        self.changed(|changes| changes.tools = true);
    }

    /// Tells every client that listens that the prompts have changed.
    pub fn prompts_list_changed(&self) {
        self.changed(|changes| changes.prompts = true);
    }

    /// Tells every client that listens that the list of resources has changed.
    pub fn resources_list_changed(&self) {
        self.changed(|changes| changes.resources = true);
    }

    /// Tells every client that subscribed to the resource at `uri`, or to one above it, that it has changed. Changes
    /// that come faster than they can be told are put together.
    pub fn resource_updated(&self, uri: impl Into<String>) {
        self.changed(|changes| changes.note_updated(uri.into()));
    }

    fn changed(&self, note: impl FnOnce(&mut Changes)) {
        if self.is_in_a_fork() {
            return;
        }
        let mut changes = locked(&self.0.changes);
        let was_empty = changes.is_empty();
        note(&mut changes);
        drop(changes);
        if was_empty {
            self.ask(Command::Changed);
        }
    }

    /// What has changed since this was last asked.
    pub(crate) fn take_changes(&self) -> Changes {
        std::mem::take(&mut *locked(&self.0.changes))
    }

    /// Replaces the tokens. Sessions, listeners and calls of those that are gone end.
    pub fn set_tokens(&self, tokens: Tokens) {
        self.changed(|changes| {
            changes.access = true;
            *locked(&self.0.tokens) = Some(tokens);
        });
    }

    /// The tokens that were set last, if the server has not seen them yet.
    pub(crate) fn take_tokens(&self) -> Option<Tokens> {
        locked(&self.0.tokens).take()
    }

    /// Says that the server's [`Access`](crate::Access) would answer otherwise than before. Sessions, listeners and calls
    /// of those whom it does not know any more end; all others are told that the lists have changed, because what
    /// they may use may be something else.
    pub fn access_changed(&self) {
        self.changed(|changes| {
            (changes.access, changes.tools, changes.prompts, changes.resources) = (true, true, true, true);
        });
    }

    /// Puts other tools in place of those there are, while the server runs. `make` is called on the server's thread, so
    /// handlers need no `Send`; what it gives back is checked as [`Builder::build`](crate::Builder::build) would. Then
    /// the whole set is there at once, or nothing has changed. Running calls keep their handlers and finish; clients
    /// that listen are told that the list has changed.
    ///
    /// Before the server begins this waits until it does.
    ///
    /// ```
    /// use portcullis::{CallError, Handle, RequestContext, Server, Tool, Toolset};
    ///
    /// async fn uptime(_: RequestContext, _: serde_json::Value) -> Result<String, CallError> {
    ///     Ok(std::fs::read_to_string("/proc/uptime")?)
    /// }
    ///
    /// let handle = Handle::new();
    /// let server = Server::builder("edge-fw", "1.0.0").tools(Toolset::new()).handle(&handle).build()?;
    /// let reload = async {
    ///     let faulty = handle.replace_tools(|| Toolset::new().tool(Tool::new("up time"), uptime)).await;
    ///     assert!(faulty.is_err(), "that is no name");
    ///     let replaced = handle.replace_tools(|| Toolset::new().tool(Tool::new("uptime").read_only(), uptime)).await;
    ///     handle.shutdown(std::time::Duration::ZERO);
    ///     replaced
    /// };
    /// let (served, replaced) = smol::block_on(smol::future::zip(server.serve(Vec::new()), reload));
    /// served?;
    /// replaced?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first fault of all descriptions, in words; that `make` panicked; any [`AskError`].
    pub async fn replace_tools(&self, make: impl FnOnce() -> Toolset + Send + 'static) -> Result<(), BuildError> {
        let asked = self.question(|reply| Command::Tools(Box::new(make), reply));
        answer(asked).await.unwrap_or_else(|unasked| Err(BuildError(unasked.to_string()))).map(drop)
    }

    /// What `/debug/sessions` shows, as JSON. Asked before the server has begun, this waits until it has.
    ///
    /// ```
    /// use portcullis::{Handle, Server};
    /// use std::time::Duration;
    ///
    /// let handle = Handle::new();
    /// let server = Server::builder("edge-fw", "1.0.0").handle(&handle).build()?;
    /// let ask = async {
    ///     let sessions = handle.sessions().await;
    ///     handle.shutdown(Duration::ZERO);
    ///     sessions
    /// };
    /// let (served, sessions) = smol::block_on(smol::future::zip(server.serve(Vec::new()), ask));
    /// assert!(served.is_ok() && sessions?.contains("\"ended\""));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`AskError::NotServing`], [`AskError::Busy`], [`AskError::Forked`].
    pub async fn sessions(&self) -> Result<String, AskError> {
        self.shown(View::Sessions).await
    }

    /// How it stands now, as `/debug/events` tells it every second, as JSON: gauges, counters, the fifty living
    /// sessions that matter most, the last twenty that ended, and ten minutes of calls. Unlike [`Handle::sessions`] it
    /// is small whatever the clients do.
    ///
    /// # Errors
    /// As [`Handle::sessions`].
    pub async fn snapshot(&self) -> Result<String, AskError> {
        self.shown(View::Snapshots).await
    }

    /// What `/metrics` shows, in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// As [`Handle::sessions`].
    pub async fn metrics(&self) -> Result<String, AskError> {
        self.shown(View::Metrics).await
    }

    async fn shown(&self, view: View) -> Result<String, AskError> {
        // What is shown has no faults.
        answer(self.question(|reply| Command::Show(view, reply))).await.map(Result::unwrap_or_default)
    }

    /// [`Handle::sessions`] for threads that cannot await, within `time`. On the server's own thread, which would
    /// wait for itself, this is an error at once.
    ///
    /// # Errors
    /// Any [`AskError`].
    pub fn sessions_blocking(&self, time: Duration) -> Result<String, AskError> {
        process::check()?;
        if matches!(*self.loop_is(), Loop::On(thread) if thread == std::thread::current().id()) {
            return Err(AskError::OwnThread);
        }
        let asked = self.question(|reply| Command::Show(View::Sessions, reply))?;
        asked.wait(time).map(Result::unwrap_or_default)
    }

    /// Puts a question where the server finds it. What it finds at its end is dropped, which whoever waits notices.
    fn question(&self, question: impl FnOnce(Reply) -> Command) -> Result<Arc<Asked>, AskError> {
        process::check()?;
        let asked = Arc::new(Asked::default());
        let question = question(Reply(asked.clone()));
        let loop_is = self.loop_is();
        if matches!(*loop_is, Loop::Over) {
            return Err(AskError::NotServing);
        }
        if self.put(question) { Ok(asked) } else { Err(AskError::Busy) }
    }

    /// Puts a command where the server finds it; false if too many wait there.
    fn put(&self, command: Command) -> bool {
        let mut commands = locked(&self.0.commands);
        if commands.waiting.len() >= WAITING_MAX {
            return false;
        }
        commands.waiting.push_back(command);
        let server = commands.server.take();
        drop(commands);
        server.into_iter().for_each(Waker::wake);
        true
    }

    fn loop_is(&self) -> MutexGuard<'_, Loop> {
        locked(&self.0.loop_is)
    }

    /// Begins to answer, on this thread, until what comes back is dropped.
    pub(crate) fn attend(&self) -> io::Result<Attendance> {
        let mut loop_is = self.loop_is();
        if matches!(*loop_is, Loop::On(_)) {
            return Err(io::Error::other("another server listens to this Handle: give each one a Handle of its own"));
        }
        *loop_is = Loop::On(std::thread::current().id());
        Ok(Attendance(self.clone()))
    }

    /// Before any lock is taken: another thread of the parent may have held it in the moment of the fork.
    fn is_in_a_fork(&self) -> bool {
        let forked = process::check();
        if let Err(forked) = &forked {
            log::error!(target: "portcullis", "a Handle was used in vain: {forked}");
        }
        forked.is_err()
    }

    /// What the server is told next.
    pub(crate) fn poll_command(&self, cx: &Context<'_>) -> Poll<Command> {
        let mut commands = locked(&self.0.commands);
        match commands.waiting.pop_front() {
            Some(command) => Poll::Ready(command),
            None => {
                // Asked on every turn of the loop, mostly with the waker that is there.
                commands.server.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
                Poll::Pending
            }
        }
    }

    fn ask(&self, command: Command) {
        if self.is_in_a_fork() {
            return;
        }
        if !self.put(command) {
            log::warn!(target: "portcullis", "{WAITING_MAX} commands wait for the server already; one was dropped");
        }
    }
}

async fn answer(asked: Result<Arc<Asked>, AskError>) -> Result<Answer, AskError> {
    let asked = asked?;
    poll_fn(|cx| asked.poll(cx)).await
}

/// A server that answers.
pub(crate) struct Attendance(Handle);

impl Drop for Attendance {
    fn drop(&mut self) {
        // Under the lock: a question is put before this, and dropped here, or refused.
        let mut loop_is = self.0.loop_is();
        *loop_is = Loop::Over;
        let left = std::mem::take(&mut *locked(&self.0.0.commands));
        drop(left); // behind the lock on them: an answer's end may wake somebody who asks anew
    }
}

impl Default for Handle {
    fn default() -> Handle {
        Handle::new()
    }
}
