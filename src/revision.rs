//! The published revisions of MCP, and every difference between them as a named question.
//!
//! No other file compares revisions (a test enforces it). A version is an enum: an unknown string is
//! unknown, never "newer".

/// A revision whose sessions begin with `initialize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Revision {
    /// 2024-11-05: HTTP+SSE.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP, batches.
    V2025_03_26,
    /// 2025-06-18: structured content, the version header.
    V2025_06_18,
    /// 2025-11-25: priming events, polling.
    V2025_11_25,
}

/// What a version string from the wire names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// One of the revisions with a handshake.
    Handshake(Revision),
    /// The stateless revision 2026-07-28, which this version of portcullis does not speak yet.
    Stateless,
    /// Anything else.
    Unknown,
}

impl Revision {
    const ALL: [Revision; 4] =
        [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

    /// The revision's name on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Revision::V2024_11_05 => "2024-11-05",
            Revision::V2025_03_26 => "2025-03-26",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_11_25 => "2025-11-25",
        }
    }

    /// The answer to an `initialize` that asks for `wanted` (S-43): that one if we speak it, else our newest.
    pub(crate) fn negotiate(wanted: &str) -> Revision {
        match Revision::named(wanted) {
            Named::Handshake(revision) => revision,
            Named::Stateless | Named::Unknown => Revision::V2025_11_25,
        }
    }

    /// What a version string from the wire names.
    pub(crate) fn named(text: &str) -> Named {
        match Revision::ALL.into_iter().find(|revision| revision.as_str() == text) {
            Some(revision) => Named::Handshake(revision),
            None if text == "2026-07-28" => Named::Stateless,
            None => Named::Unknown,
        }
    }

    /// May a POST carry an array of messages (S-2 … S-4)?
    pub(crate) fn has_batches(self) -> bool {
        self == Revision::V2025_03_26
    }

    /// Does a stream begin with an empty event that only carries an id (S-20, S-21)?
    pub(crate) fn primes_streams(self) -> bool {
        self >= Revision::V2025_11_25
    }

    /// Does a tool have an `outputSchema`, its result `structuredContent`?
    pub(crate) fn has_structured_content(self) -> bool {
        self >= Revision::V2025_06_18
    }

    /// Is there an audio content block?
    pub(crate) fn has_audio(self) -> bool {
        self >= Revision::V2025_03_26
    }

    /// Is there a resource link content block?
    pub(crate) fn has_resource_links(self) -> bool {
        self >= Revision::V2025_06_18
    }

    /// Does a progress notification have a `message`?
    pub(crate) fn has_progress_message(self) -> bool {
        self >= Revision::V2025_03_26
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s43_initialize_is_answered_with_what_was_asked_or_with_our_newest() {
        for (asked, answer) in [
            ("2024-11-05", "2024-11-05"),
            ("2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            ("2025-11-26", "2025-11-25"),
            ("", "2025-11-25"),
            ("v999.0.0", "2025-11-25"),
        ] {
            assert_eq!(Revision::negotiate(asked).as_str(), answer, "{asked}");
        }
    }
}
