//! Which process this is, and whether it is still the one in which the first server began.
//!
//! The reactor under us (`async-io`) is one for the process. A child of `fork` inherits its descriptors and none of
//! its threads, so whoever waits in the child waits for ever, and may take events away from the parent. It cannot be
//! repaired from here, so it is noticed and said. The number below is all that servers of one process share, and it
//! never changes once it is set.

use std::fmt;
use std::io;
use std::sync::OnceLock;

/// A server is used in another process than the one it began in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forked {
    pub(crate) began_in: u32,
    pub(crate) now_in: u32,
}

impl fmt::Display for Forked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forked { began_in, now_in } = self;
        write!(
            f,
            "a server began in process {began_in}, and this is its fork {now_in}, where nothing would ever be answered; \
             fork before the first server begins, or exec in the child"
        )
    }
}

impl From<Forked> for io::Error {
    fn from(forked: Forked) -> io::Error {
        // As a text: what `main` prints of an error is its `Debug`.
        io::Error::other(forked.to_string())
    }
}

/// The process of the first server, once there is one.
struct Home(OnceLock<u32>);

static HOME: Home = Home(OnceLock::new());

/// Says that a server begins here.
pub(crate) fn begin() -> Result<(), Forked> {
    HOME.begin(std::process::id())
}

/// Is this still the process in which the first server began, or has none begun?
pub(crate) fn check() -> Result<(), Forked> {
    HOME.check(std::process::id())
}

impl Home {
    fn begin(&self, now_in: u32) -> Result<(), Forked> {
        self.0.get_or_init(|| now_in);
        self.check(now_in)
    }

    fn check(&self, now_in: u32) -> Result<(), Forked> {
        match self.0.get() {
            Some(&began_in) if began_in != now_in => Err(Forked { began_in, now_in }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_is_told_from_its_parent_once_a_server_has_begun_and_not_before() {
        let home = Home(OnceLock::new());
        assert_eq!(
            (home.check(1), home.check(2)),
            (Ok(()), Ok(())),
            "a daemon that forks first is none of our business"
        );
        assert_eq!((home.begin(2), home.begin(2), home.check(2)), (Ok(()), Ok(()), Ok(())));
        let forked = Forked { began_in: 2, now_in: 3 };
        assert_eq!((home.check(3), home.begin(3)), (Err(forked), Err(forked)));
        assert_eq!(home.check(2), Ok(()), "the parent goes on");
        let text = forked.to_string();
        assert!(text.contains("process 2") && text.contains("fork 3") && text.contains("exec"), "{text}");
    }
}
