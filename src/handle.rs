//! What other threads can ask of a running server.

use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};

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
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Shutdown(Duration),
    ToolsChanged,
    Tokens(Tokens),
    Sessions(Sender<String>),
}

/// Questions that can wait for a server to answer them; one more is dropped.
const WAITING_MAX: usize = 64;

impl Handle {
    /// A handle for a server that is yet to be built.
    pub fn new() -> Handle {
        let (commands, receiver) = async_channel::bounded(WAITING_MAX);
        Handle(Arc::new(Wire { commands, receiver }))
    }

    /// Stops the server: listeners close at once, running calls get `grace` to finish, streams are ended.
    /// A second call ends it at once.
    pub fn shutdown(&self, grace: Duration) {
        self.ask(Command::Shutdown(grace));
    }

    /// Tells every client with an open stream that the tools have changed.
    pub fn tools_list_changed(&self) {
        self.ask(Command::ToolsChanged);
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
