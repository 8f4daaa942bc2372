//! The shell: the only place that touches sockets, spawns tasks, makes ids and reads the clock for others.
//!
//! One task per listener, one per connection, one per call that is not ready at once. They share a [`Shell`]
//! and reach the executor through a weak pointer: `Server::serve` owns it on its own stack, so dropping that
//! future frees everything.

pub(crate) mod answer;
mod buffers;
pub(crate) mod calls;
pub(crate) mod connection;
mod crowd;
pub(crate) mod lines;
pub(crate) mod listen;
mod next;
pub(crate) mod pump;
#[cfg_attr(not(target_os = "linux"), path = "net/ready/none.rs")]
mod ready;
pub(crate) mod shell;
mod show;
pub(crate) mod socket;
mod tasks;
