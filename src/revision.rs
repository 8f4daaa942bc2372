//! The published revisions of MCP, and every difference between them as a named question.
//!
//! No other file compares revisions (a test enforces it). A version is an enum: an unknown string is
//! unknown, never "newer".

/// A published revision, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Revision {
    /// 2024-11-05: HTTP+SSE.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP, batches.
    V2025_03_26,
    /// 2025-06-18: structured content, elicitation, the version header.
    V2025_06_18,
    /// 2025-11-25: priming events, polling, icons, URL elicitation.
    V2025_11_25,
    /// 2026-07-28: no sessions; every request stands alone.
    V2026_07_28,
}

/// What a version string from the wire names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A revision whose sessions begin with `initialize`.
    Handshake(Revision),
    /// A revision without sessions.
    Stateless(Revision),
    /// Anything else.
    Unknown,
}

impl Revision {
    const HANDSHAKE: [Revision; 4] =
        [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];
    /// What `server/discover` names, and the error for a version that is not among them.
    pub(crate) const STATELESS: [Revision; 1] = [Revision::V2026_07_28];

    /// The revision's name on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Revision::V2024_11_05 => "2024-11-05",
            Revision::V2025_03_26 => "2025-03-26",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_11_25 => "2025-11-25",
            Revision::V2026_07_28 => "2026-07-28",
        }
    }

    /// The answer to an `initialize` that asks for `wanted` (S-43): that one if it has a handshake, else the
    /// newest that has.
    pub(crate) fn negotiate(wanted: &str) -> Revision {
        match Revision::named(wanted) {
            Named::Handshake(revision) => revision,
            Named::Stateless(_) | Named::Unknown => Revision::V2025_11_25,
        }
    }

    /// What a version string from the wire names.
    pub(crate) fn named(text: &str) -> Named {
        let is = |revision: &Revision| revision.as_str() == text;
        if let Some(revision) = Revision::HANDSHAKE.into_iter().find(is) {
            return Named::Handshake(revision);
        }
        Revision::STATELESS.into_iter().find(is).map_or(Named::Unknown, Named::Stateless)
    }

    // ---- the transport ----

    /// Does every request stand alone, with its own envelope (T-24)? Else there are sessions and `initialize`.
    pub(crate) fn is_stateless(self) -> bool {
        self >= Revision::V2026_07_28
    }

    /// Does a client cancel by closing the stream of the answer (T-6)? Elsewhere a disconnect means nothing (S-10).
    pub(crate) fn disconnect_cancels(self) -> bool {
        self.is_stateless()
    }

    /// Do some errors have an HTTP status of their own (T-17, T-20)? Elsewhere they are in a 200 (S-11).
    pub(crate) fn errors_have_statuses(self) -> bool {
        self.is_stateless()
    }

    /// May a POST carry an array of messages (S-2 … S-4)?
    pub(crate) fn has_batches(self) -> bool {
        self == Revision::V2025_03_26
    }

    /// Do events have ids, so that a stream can be resumed (S-18, W-7)?
    pub(crate) fn numbers_events(self) -> bool {
        !self.is_stateless()
    }

    /// Does a stream begin with an empty event that only carries an id (S-20, S-21)?
    pub(crate) fn primes_streams(self) -> bool {
        self == Revision::V2025_11_25
    }

    // ---- results ----

    /// Does a result say what kind it is, who made it, and for how long it may be kept (T-27, F-160)?
    pub(crate) fn has_result_types(self) -> bool {
        self.is_stateless()
    }

    /// Does a tool have an `outputSchema`, its result `structuredContent`?
    pub(crate) fn has_structured_content(self) -> bool {
        self >= Revision::V2025_06_18
    }

    /// May structured content be any JSON? Before, only an object (F-36, X-48).
    pub(crate) fn has_any_structured_content(self) -> bool {
        self.is_stateless()
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

    /// The error code for a resource that is not there (F-43).
    pub(crate) fn resource_not_found(self) -> i32 {
        if self.is_stateless() { -32602 } else { -32002 }
    }

    // ---- questions to the client ----

    /// Is there elicitation by form (F-120)?
    pub(crate) fn has_elicitation(self) -> bool {
        self >= Revision::V2025_06_18
    }

    /// Is there elicitation by URL, and `mode` to tell the two apart?
    pub(crate) fn has_elicitation_modes(self) -> bool {
        self >= Revision::V2025_11_25
    }

    /// Does an elicitation by URL have an id, and a notification of its end (F-123)?
    pub(crate) fn has_elicitation_ids(self) -> bool {
        self == Revision::V2025_11_25
    }

    /// Has a form titled choices, several choices at once, and defaults on every field (F-121)?
    pub(crate) fn has_rich_forms(self) -> bool {
        self >= Revision::V2025_11_25
    }

    /// May a sampling request offer tools (F-110)?
    pub(crate) fn has_sampling_tools(self) -> bool {
        self >= Revision::V2025_11_25
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
