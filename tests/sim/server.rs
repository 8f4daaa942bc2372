//! A server in the simulation, and what can be seen of it from outside.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use async_channel::Sender;
use portcullis::{Builder, Handle, Incoming, Limits, Listener};
use serde_json::Value;

use super::Sim;
use super::pipe;
use super::tools::{self, Seen};
use super::wire::Conn;

/// A server that runs. Clones are the same server.
#[derive(Clone)]
pub(crate) struct Server(Rc<Running>);

/// The future of `serve`.
type Serving = Pin<Box<dyn Future<Output = io::Result<()>>>>;

struct Running {
    sim: Sim,
    handle: Handle,
    seen: Rc<Seen>,
    door: Sender<Incoming>,
    operators: Sender<Incoming>,
    future: RefCell<Option<Serving>>,
    ended: Cell<Option<u64>>,
}

/// Bytes a connection holds that its reader has not taken: about what two kernels would.
const PIPE_BYTES: usize = 64 * 1024;

impl Sim {
    /// Starts a server with the tools of [`tools`] and the usual limits.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(|builder| builder)
    }

    /// Starts a server with other limits.
    pub(crate) fn serve_within(&self, limits: Limits) -> Server {
        self.serve_with(|builder| builder.limits(limits))
    }

    /// Starts a server that `change` has had a say in.
    pub(crate) fn serve_with(&self, change: impl FnOnce(Builder) -> Builder) -> Server {
        let (seen, handle) = (Rc::<Seen>::default(), Handle::new());
        let builder = portcullis::Server::builder("gate", "1.0.0").clock(self.clock()).ids(counted()).handle(&handle);
        let server = change(tools::add(builder, &seen)).build().unwrap();
        let (door, streams) = async_channel::unbounded();
        let (operators, operator_streams) = async_channel::unbounded();
        let listeners = vec![Listener::streams(streams), Listener::streams(operator_streams).operator()];
        let future = RefCell::new(Some(Box::pin(server.serve(listeners)) as Serving));
        let ended = Cell::new(None);
        let running = Rc::new(Running { sim: self.clone(), handle, seen, door, operators, future, ended });
        self.spawn(Rc::clone(&running).turn()).detach();
        Server(running)
    }
}

/// Ids that are the same in every run and all different (a Weyl sequence through a mixer).
pub(crate) fn counted() -> impl Fn() -> u128 {
    let state = Cell::new(0u128);
    move || {
        state.set(state.get().wrapping_add(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        let mixed = (state.get() ^ state.get() >> 61).wrapping_mul(0xDA94_2042_E4DD_58B5_94D0_49BB_1331_11EB);
        mixed ^ mixed >> 59
    }
}

impl Running {
    async fn turn(self: Rc<Self>) {
        std::future::poll_fn(|cx| {
            // Taken out while it is polled, so that a handler may look at everything here.
            let Some(mut future) = self.future.borrow_mut().take() else { return std::task::Poll::Ready(()) };
            let polled = future.as_mut().poll(cx);
            match polled {
                std::task::Poll::Pending => *self.future.borrow_mut() = Some(future),
                std::task::Poll::Ready(ref outcome) => {
                    assert!(outcome.is_ok(), "{outcome:?}");
                    self.ended.set(Some(self.sim.ms()));
                }
            }
            polled.map(drop)
        })
        .await;
    }
}

impl Server {
    pub(crate) fn sim(&self) -> &Sim {
        &self.0.sim
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0.handle
    }

    pub(crate) fn seen(&self) -> &Rc<Seen> {
        &self.0.seen
    }

    /// When `serve` returned, in milliseconds; none while it runs.
    pub(crate) fn ended(&self) -> Option<u64> {
        self.0.ended.get()
    }

    /// Waits until `serve` has returned; when, in milliseconds.
    pub(crate) async fn end(&self) -> u64 {
        loop {
            if let Some(at) = self.ended() {
                return at;
            }
            self.sim().sleep(1).await;
        }
    }

    /// Drops the future of `serve`, here and now.
    pub(crate) fn drop_now(&self) {
        let future = self.0.future.borrow_mut().take();
        assert!(future.is_some(), "it was there to be dropped");
    }

    /// A new connection from this machine.
    pub(crate) fn connect(&self) -> Conn {
        self.connect_from("127.0.0.1", PIPE_BYTES)
    }

    /// A new connection that holds only so many bytes in either direction.
    pub(crate) fn connect_narrow(&self, bytes: usize) -> Conn {
        self.connect_from("127.0.0.1", bytes)
    }

    pub(crate) fn connect_from(&self, address: &str, bytes: usize) -> Conn {
        let address: IpAddr = address.parse().unwrap();
        self.connect_to(&self.0.door, Some(address), bytes)
    }

    /// A new connection to the operator's listener.
    pub(crate) fn connect_as_operator(&self) -> Conn {
        self.connect_to(&self.0.operators, None, PIPE_BYTES)
    }

    fn connect_to(&self, door: &Sender<Incoming>, address: Option<IpAddr>, bytes: usize) -> Conn {
        let (ours, theirs) = pipe::pair(bytes);
        // After a shutdown nobody takes it, as with a port that is closed.
        let _ = door.try_send(Incoming::new(theirs, address));
        Conn::new(ours, self.sim())
    }

    /// What `/debug/sessions` shows.
    pub(crate) async fn debug(&self) -> Value {
        serde_json::from_str(&self.handle().sessions().await.unwrap()).unwrap()
    }

    pub(crate) async fn counter(&self, name: &str) -> u64 {
        self.debug().await["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name}"))
    }

    pub(crate) async fn gauge(&self, name: &str) -> u64 {
        self.debug().await["gauges"][name].as_u64().unwrap_or_else(|| panic!("no gauge {name}"))
    }

    /// The reasons for which the last sessions ended, newest first.
    pub(crate) async fn reasons(&self) -> Vec<String> {
        let debug = self.debug().await;
        debug["ended"].as_array().unwrap().iter().map(|tomb| tomb["reason"].as_str().unwrap().to_owned()).collect()
    }
}

/// Limits with a short idle time.
pub(crate) fn idle(ms: u64) -> Limits {
    Limits { session_idle: Duration::from_millis(ms), ..Limits::default() }
}
