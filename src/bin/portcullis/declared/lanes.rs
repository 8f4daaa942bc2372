//! Who runs now and who waits: the concurrency of a tool, and groups of tools that never run at once.
//!
//! A lane has places; a call of a tool takes one of its tool's lane and then one of its group's, which has only
//! one. In this order nobody who waits holds what the one he waits for still needs. Who waits is counted and
//! bounded, in number and in time; a call that is dropped gives back what it took.

use crate::bounds::shown_seconds;
use async_channel::{Receiver, Sender};
use smol::future;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// All lanes of a server. Kept over a reload, so that what runs goes on holding its place.
#[derive(Default)]
pub(crate) struct Lanes(RefCell<Vec<Rc<Lane>>>);

/// So many at once.
pub(crate) struct Lane {
    /// As a person knows it: "tool `x`", "group `y`".
    name: String,
    places: usize,
    free: Receiver<()>,
    give: Sender<()>,
    waiting: Cell<usize>,
}

/// A place in a lane, given back when it is dropped.
pub(crate) struct Place(Rc<Lane>);

impl Drop for Place {
    fn drop(&mut self) {
        // There is room for every place.
        let _ = self.0.give.try_send(());
    }
}

/// Counts one who waits.
struct Waits<'a>(&'a Lane);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

impl Lanes {
    /// The lane with this name and so many places: the one that is there, or a new one.
    pub(crate) fn lane(&self, name: String, places: usize) -> Rc<Lane> {
        let mut lanes = self.0.borrow_mut();
        // What nobody holds any more went with an older file.
        lanes.retain(|lane| Rc::strong_count(lane) > 1);
        if let Some(lane) = lanes.iter().find(|lane| lane.name == name && lane.places == places) {
            return lane.clone();
        }
        let places = places.max(1);
        let (give, free) = async_channel::bounded(places);
        for _ in 0..places {
            let _ = give.try_send(());
        }
        let lane = Rc::new(Lane { name, places, free, give, waiting: Cell::new(0) });
        lanes.push(lane.clone());
        lane
    }
}

impl Lane {
    /// How many run.
    fn running(&self) -> usize {
        self.places - self.free.len()
    }
}

/// Waits for a place in each of the lanes, in their order, in the queue of the first.
///
/// # Errors
/// Why there is none: too many wait already, or the wait was too long.
pub(crate) async fn enter(
    lanes: &[Rc<Lane>],
    queue_max: usize,
    wait: Duration,
    timer: impl Future<Output = ()>,
) -> Result<Vec<Place>, String> {
    let Some(first) = lanes.first() else { return Ok(Vec::new()) };
    let mut places = Vec::with_capacity(lanes.len());
    for lane in lanes {
        // Who waits already is not overtaken.
        if first.waiting.get() > 0 || lane.free.try_recv().is_err() {
            break;
        }
        places.push(Place(lane.clone()));
    }
    let Some(busy) = lanes.get(places.len()) else { return Ok(places) };
    if first.waiting.get() >= queue_max {
        return Err(format!(
            "{} is busy: {} run and {} wait, and no more than {queue_max} may (`queue`); try again later",
            busy.name,
            busy.running(),
            first.waiting.get()
        ));
    }
    first.waiting.set(first.waiting.get() + 1);
    let _waits = Waits(first);
    let entering = async {
        while let Some(lane) = lanes.get(places.len()) {
            // The lane holds its own sender, so it is never closed.
            let _ = lane.free.recv().await;
            places.push(Place(lane.clone()));
        }
        true
    };
    let is_in = future::or(entering, async {
        timer.await;
        false
    });
    match is_in.await {
        true => Ok(places),
        false => Err(format!(
            "{} was busy for {} s, and longer is not waited (`queue_wait`); try again later",
            busy.name,
            shown_seconds(wait)
        )),
    }
}
