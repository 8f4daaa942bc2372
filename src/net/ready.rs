//! Which sockets have something to read or room to write: one set for all connections of a server.
//!
//! The system is told of a socket once, when it comes, and tells of each change once (edge-triggered `epoll`). A reactor
//! that serves anything, as `async-io` does, is asked anew before every wait, which is a system call for each request.
//! The set itself is one descriptor that `async-io` waits for.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use async_io::Async;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use slab::Slab;

/// The sockets of one server.
pub(crate) struct ReadySet {
    epoll: Async<OwnedFd>,
    watched: RefCell<Slab<Readiness>>,
    /// For so many something had changed when the system was last asked.
    ready: Cell<usize>,
}

/// What is known of a socket.
struct Readiness {
    /// There may be something to read: nobody has found out otherwise since the system said so.
    readable: bool,
    /// The peer will send nothing more, or is gone. The system says so once, and perhaps together with the last bytes.
    hung_up: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Changes that are fetched with one call, and so the most connections that go in step: as many as there are buffers.
const EVENTS_PER_WAIT: usize = super::buffers::KEPT;
/// A wait that does not wait.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

impl ReadySet {
    /// # Errors
    /// If there is no descriptor left.
    pub(crate) fn new() -> io::Result<Rc<ReadySet>> {
        // An epoll descriptor is never read, so that it need not be made non-blocking.
        let epoll = Async::new_nonblocking(epoll::create(epoll::CreateFlags::CLOEXEC)?)?;
        Ok(Rc::new(ReadySet { epoll, watched: RefCell::default(), ready: Cell::default() }))
    }

    /// Watches a socket until the result is dropped, which has to be before the socket is closed.
    ///
    /// # Errors
    /// As the system says: out of memory, or over its bound on watched descriptors.
    pub(crate) fn watch(self: &Rc<Self>, socket: &impl AsFd) -> io::Result<Watched> {
        let mut watched = self.watched.borrow_mut();
        let entry = watched.vacant_entry();
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(self.epoll.get_ref(), socket, epoll::EventData::new_u64(entry.key() as u64), flags)?;
        let key = entry.key();
        entry.insert(Readiness { readable: true, hung_up: false, reader: None, writer: None });
        Ok(Watched { set: self.clone(), key })
    }

    /// Tells connections what has changed, for as long as the server runs.
    pub(crate) async fn serve(self: Rc<Self>) {
        let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
        loop {
            let told = match self.fetch(&mut events) {
                // While there is something to do, this is asked again after it; the reactor only when there is not.
                Ok(true) => {
                    smol::future::yield_now().await;
                    // All have read; now those write who waited for that.
                    smol::future::yield_now().await;
                    Ok(())
                }
                Ok(false) => self.epoll.readable().await,
                Err(error) => Err(error),
            };
            if let Err(error) = told {
                // There is nothing in it that could fail but a reactor that is gone, and then nothing else runs either.
                return log::error!(target: "portcullis", "cannot wait for sockets: {error}");
            }
        }
    }

    /// Lets others that are ready come as far as who asks: all read before one writes. A client on this machine is woken
    /// by the first answer and finds the next when it has read that; written one by one, each answer would wake it,
    /// which costs the writer a microsecond.
    pub(crate) async fn in_step(&self) {
        if self.ready.get() > 1 {
            smol::future::yield_now().await;
        }
    }

    /// Wakes those for whom something has changed; false if there was nobody.
    fn fetch(&self, events: &mut Vec<epoll::Event>) -> io::Result<bool> {
        events.clear();
        match epoll::wait(self.epoll.get_ref(), spare_capacity(events), Some(&AT_ONCE)) {
            Err(rustix::io::Errno::INTR) => {}
            waited => {
                waited?;
            }
        }
        self.ready.set(events.len());
        for event in &*events {
            self.note(event.data.u64() as usize, event.flags);
        }
        Ok(!events.is_empty())
    }

    fn note(&self, key: usize, flags: epoll::EventFlags) {
        let mut watched = self.watched.borrow_mut();
        let Some(readiness) = watched.get_mut(key) else { return };
        let over = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        readiness.hung_up |= flags.intersects(over);
        let mut wakes = [None, None];
        if flags.intersects(over | epoll::EventFlags::IN) {
            readiness.readable = true;
            wakes[0] = readiness.reader.take();
        }
        if flags.intersects(over | epoll::EventFlags::OUT) {
            wakes[1] = readiness.writer.take();
        }
        drop(watched);
        wakes.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A socket that is being watched.
pub(crate) struct Watched {
    set: Rc<ReadySet>,
    key: usize,
}

impl Watched {
    fn change<T>(&self, change: impl FnOnce(&mut Readiness) -> T) -> T {
        change(&mut self.set.watched.borrow_mut()[self.key])
    }

    /// Ready when it is worth reading.
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        self.change(|readiness| {
            if readiness.readable {
                return Poll::Ready(());
            }
            keep(&mut readiness.reader, cx);
            Poll::Pending
        })
    }

    /// A read has found that nothing more is there; but the end of what the peer sends is always there to be found.
    pub(crate) fn drained(&self) {
        self.change(|readiness| readiness.readable = readiness.hung_up);
    }

    /// A write has found no room: whoever asks is woken when there is some.
    pub(crate) fn wants_room(&self, cx: &Context<'_>) {
        self.change(|readiness| keep(&mut readiness.writer, cx));
    }

    /// Ends the watch of `socket`. Its close would do so too, but for the moment in which a child that is being started
    /// has a copy of it.
    pub(crate) fn forget(&self, socket: &impl AsFd) {
        // A set that is being dropped has forgotten it already.
        let _ = epoll::delete(self.set.epoll.get_ref(), socket);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut watched = self.set.watched.borrow_mut();
        watched.try_remove(self.key);
        if watched.is_empty() {
            watched.shrink_to_fit();
        }
    }
}

fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}
