//! What the server logs, per test: a simulation has one thread, so the lines of this thread are its own.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        // A line at the very end of a thread has nowhere to go.
        let _ = LINES.try_with(|lines| lines.borrow_mut().push(line));
    }

    fn flush(&self) {}
}

/// Forgets everything, and listens at every level from now on.
pub(crate) fn clear() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Logger).expect("nobody else sets a logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
    LINES.with(|lines| lines.borrow_mut().clear());
}

/// Every line that has `text` in it.
pub(crate) fn lines(text: &str) -> Vec<String> {
    LINES.with(|lines| lines.borrow().iter().filter(|line| line.contains(text)).cloned().collect())
}
