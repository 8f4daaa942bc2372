//! How much a log message matters.

/// How much a log message matters (F-100), least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names of RFC 5424
pub enum Level {
    Debug,
    #[default]
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    const ALL: [(Level, &'static str); 8] = [
        (Level::Debug, "debug"),
        (Level::Info, "info"),
        (Level::Notice, "notice"),
        (Level::Warning, "warning"),
        (Level::Error, "error"),
        (Level::Critical, "critical"),
        (Level::Alert, "alert"),
        (Level::Emergency, "emergency"),
    ];
    /// For whoever named another.
    pub(crate) const NAMES: &'static str = "debug, info, notice, warning, error, critical, alert or emergency";

    pub(crate) fn named(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|(_, known)| *known == name).map(|(level, _)| level)
    }

    pub(crate) fn as_str(self) -> &'static str {
        Level::ALL[self as usize].1
    }
}
