//! Where the system has no `epoll`, sockets are streams like others, and nobody watches them.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll};

/// There is none.
pub(crate) enum ReadySet {}

/// There is none.
pub(crate) enum Watched {}

impl ReadySet {
    pub(crate) fn new() -> io::Result<Rc<ReadySet>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn watch(self: &Rc<Self>, _: &impl AsFd) -> io::Result<Watched> {
        match **self {}
    }

    pub(crate) async fn serve(self: Rc<Self>) {}

    pub(crate) async fn in_step(&self) {
        match *self {}
    }
}

impl Watched {
    pub(crate) fn poll_readable(&self, _: &Context<'_>) -> Poll<()> {
        match *self {}
    }

    pub(crate) fn drained(&self) {
        match *self {}
    }

    pub(crate) fn wants_room(&self, _: &Context<'_>) {
        match *self {}
    }

    pub(crate) fn forget(&self, _: &impl AsFd) {
        match *self {}
    }
}
