//! The futures of a server's tasks, which are the server's own.
//!
//! Whoever drops an executor drops the futures that it knows. One that another thread is just waking (the reactor's does)
//! reaches its queue behind that, and would keep its socket for ever (`async-executor` 1.14; one run in ten of a hundred
//! servers). So the executor has only a way to each, and the end of the server drops them here and now.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use slab::Slab;

/// All of one server.
#[derive(Default)]
pub(crate) struct Tasks(Rc<RefCell<Slab<Owned>>>);

type Owned = Rc<RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>>;

impl Tasks {
    /// Takes a task in; what comes back is for the executor.
    pub(crate) fn lend(&self, task: Pin<Box<dyn Future<Output = ()>>>) -> Lent {
        let task: Owned = Rc::new(RefCell::new(Some(task)));
        let key = self.0.borrow_mut().insert(task.clone());
        Lent { tasks: self.0.clone(), task, key }
    }

    /// Drops all of them. Not from within one.
    pub(crate) fn end(&self) {
        let tasks = std::mem::take(&mut *self.0.borrow_mut());
        for (_, task) in tasks {
            // Not borrowed any more when its future is dropped, which may end others.
            let future = task.borrow_mut().take();
            drop(future);
        }
    }
}

/// A task as the executor has it.
pub(crate) struct Lent {
    tasks: Rc<RefCell<Slab<Owned>>>,
    task: Owned,
    key: usize,
}

impl Future for Lent {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.task.borrow_mut() {
            Some(task) => task.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut tasks = self.tasks.borrow_mut();
        let owned = tasks.try_remove(self.key);
        // A list that ten thousand were in holds memory behind all that they held.
        if tasks.len() < tasks.capacity() / 8 {
            tasks.shrink_to_fit();
        }
        drop(tasks);
        drop(owned);
    }
}
