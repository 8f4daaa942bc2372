//! What other threads can ask of a running server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::subscription::Changes;
use crate::transport::auth::Tokens;

/// Asks things of a server from any thread. Exists before the server; clones are the same handle.
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
    commands: Sender<Command>,
    receiver: Receiver<Command>,
    changes: Mutex<Changes>,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Shutdown(Duration),
    /// There is something in the changes.
    Changed,
    Tokens(Tokens),
    Sessions(Sender<String>),
}

/// Questions that can wait for a server to answer them; one more is dropped.
const WAITING_MAX: usize = 64;

impl Handle {
    /// A handle for a server that is yet to be built.
    pub fn new() -> Handle {
        let (commands, receiver) = async_channel::bounded(WAITING_MAX);
        Handle(Arc::new(Wire { commands, receiver, changes: Mutex::default() }))
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
        let mut changes = self.0.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = changes.is_empty();
        note(&mut changes);
        drop(changes);
        if was_empty {
            self.ask(Command::Changed);
        }
    }

    /// What has changed since this was last asked.
    pub(crate) fn take_changes(&self) -> Changes {
        std::mem::take(&mut *self.0.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the tokens. Sessions of tokens that are gone end.
    pub fn set_tokens(&self, tokens: Tokens) {
        self.ask(Command::Tokens(tokens));
    }

    /// What `/debug/sessions` shows, as JSON; none if no server runs.
    pub async fn sessions(&self) -> Option<String> {
        let (answer, wait) = async_channel::bounded(1);
        self.0.commands.send(Command::Sessions(answer)).await.ok()?;
        wait.recv().await.ok()
    }

    pub(crate) fn commands(&self) -> Receiver<Command> {
        self.0.receiver.clone()
    }

    fn ask(&self, command: Command) {
        if self.0.commands.try_send(command).is_err() {
            log::warn!(target: "portcullis", "{WAITING_MAX} commands wait for the server already; one was dropped");
        }
    }
}

impl Default for Handle {
    fn default() -> Handle {
        Handle::new()
    }
}
