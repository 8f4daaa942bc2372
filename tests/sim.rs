//! The simulation: a whole server, its clients and their network on one thread and one virtual clock.
//!
//! [`run`] polls everybody who was woken; when nobody was, and only then, the clock moves to the next moment
//! somebody waits for. So half an hour passes in the time it takes to do what happens in it, and two runs do
//! the same. What is not simulated: sockets and the kernel (`.ci/pains` has them).

pub(crate) mod client;
pub(crate) mod features;
pub(crate) mod logs;
pub(crate) mod pipe;
pub(crate) mod script;
pub(crate) mod server;
pub(crate) mod stateless;
pub(crate) mod tools;
pub(crate) mod tour;
pub(crate) mod way;
pub(crate) mod wire;

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use portcullis::{Clock, Instant};
use smol::LocalExecutor;
use smol::future::FutureExt;

/// The world of one test. Clones are the same world.
#[derive(Clone)]
pub(crate) struct Sim(Rc<Inner>);

struct Inner {
    clock: Clock,
    executor: LocalExecutor<'static>,
    /// The clock stands still: threads are at work, and they live in real time.
    held: Cell<bool>,
    /// Everything that servers have written, with when and to whom, for comparing two runs; none if nobody asked.
    record: RefCell<Option<String>>,
    connections: Cell<u32>,
}

/// Longer than any session lives: who still waits then waits for something that never comes.
const END_OF_TIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long threads may take, in real time, before the test is declared stuck.
const THREADS_WAIT: Duration = Duration::from_secs(20);

/// Runs a test in a world of its own.
pub(crate) fn run<F: Future>(test: impl FnOnce(Sim) -> F) -> F::Output {
    logs::clear();
    let sim = Sim(Rc::new(Inner {
        clock: Clock::simulated(),
        executor: LocalExecutor::new(),
        held: Cell::new(false),
        record: RefCell::default(),
        connections: Cell::new(0),
    }));
    let bell = Arc::new(Bell { rung: AtomicBool::new(false), thread: std::thread::current() });
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let mut everybody = pin!(sim.0.executor.run(test(sim.clone())));
    loop {
        bell.rung.store(false, Ordering::SeqCst);
        if let Poll::Ready(outcome) = everybody.as_mut().poll(&mut cx) {
            return outcome;
        }
        if bell.rung.load(Ordering::SeqCst) {
            continue;
        }
        if sim.0.held.get() {
            let begin = std::time::Instant::now();
            while !bell.rung.load(Ordering::SeqCst) {
                assert!(begin.elapsed() < THREADS_WAIT, "a thread was waited for in vain");
                std::thread::park_timeout(THREADS_WAIT);
            }
        } else {
            assert!(sim.0.clock.advance(), "everybody waits, and for nothing that could come");
            assert!(sim.now().elapsed() < END_OF_TIME, "waited to the end of time");
        }
    }
}

/// Remembers that somebody was woken; also from other threads.
struct Bell {
    rung: AtomicBool,
    thread: Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Sim {
    pub(crate) fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.clock.now()
    }

    /// Milliseconds since the world began.
    pub(crate) fn ms(&self) -> u64 {
        self.now().elapsed().as_millis() as u64
    }

    pub(crate) async fn sleep(&self, ms: u64) {
        self.0.clock.sleep_until(self.now() + Duration::from_millis(ms)).await;
    }

    /// Sleeps until `ms` after the world began.
    pub(crate) async fn until(&self, ms: u64) {
        self.0.clock.sleep_until(Instant::default() + Duration::from_millis(ms)).await;
    }

    /// Lets everybody else do what there is to do now, without time passing.
    pub(crate) async fn settle(&self) {
        for _ in 0..50 {
            smol::future::yield_now().await;
        }
    }

    /// The outcome of `what`, or none if it takes longer than `ms`.
    pub(crate) async fn within<T>(&self, ms: u64, what: impl Future<Output = T>) -> Option<T> {
        let what = async { Some(what.await) };
        let sleep = async {
            self.sleep(ms).await;
            None
        };
        what.or(sleep).await
    }

    /// Runs something beside the test; dropping the task stops it.
    pub(crate) fn spawn<T: 'static>(&self, what: impl Future<Output = T> + 'static) -> smol::Task<T> {
        self.0.executor.spawn(what)
    }

    /// Runs `job(0) … job(count - 1)` all at once and waits for the last.
    pub(crate) async fn all<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        count: usize,
        mut job: impl FnMut(usize) -> F,
    ) -> Vec<T> {
        let tasks: Vec<_> = (0..count).map(|n| self.spawn(job(n))).collect();
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await);
        }
        outcomes
    }

    /// Stops the clock while threads are at work, and starts it again.
    pub(crate) fn hold_clock(&self, held: bool) {
        self.0.held.set(held);
    }

    /// From now on everything that servers write is recorded.
    pub(crate) fn begin_record(&self) {
        *self.0.record.borrow_mut() = Some(String::new());
    }

    /// Everything that servers have written so far.
    pub(crate) fn record(&self) -> String {
        self.0.record.borrow().clone().expect("begin_record came first")
    }

    fn note(&self, connection: u32, bytes: &[u8]) {
        if let Some(record) = &mut *self.0.record.borrow_mut() {
            let _ = writeln!(record, "{} ms, connection {connection}: {}", self.ms(), bytes.escape_ascii());
        }
    }

    fn next_connection(&self) -> u32 {
        self.0.connections.set(self.0.connections.get() + 1);
        self.0.connections.get()
    }
}
