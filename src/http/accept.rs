//! `Accept` (RFC 9110, 12.5.1), read leniently: which of three kinds of answer a client takes.

use super::word::is_word;

/// What kinds of answer the client takes (G-10).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accept {
    stated: bool,
    json: Option<bool>,
    events: Option<bool>,
    application: Option<bool>,
    text: Option<bool>,
    html: Option<bool>,
    any: Option<bool>,
}

impl Accept {
    pub(crate) fn json(&self) -> bool {
        !self.stated || self.json.or(self.application).or(self.any).unwrap_or(false)
    }

    pub(crate) fn events(&self) -> bool {
        !self.stated || self.events.or(self.text).or(self.any).unwrap_or(false)
    }

    /// Did the client itself name the event stream? A mere `*/*` gets JSON.
    pub(crate) fn asks_for_events(&self) -> bool {
        self.events.or(self.text).unwrap_or(false)
    }

    /// Did the client name HTML? Only browsers do.
    pub(crate) fn html(&self) -> bool {
        self.html.unwrap_or(false)
    }

    /// Takes another line into account; what it has that is no media type is passed over.
    pub(super) fn add(&mut self, line: &[u8]) {
        self.stated = true;
        for range in line.split(|&byte| byte == b',') {
            let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let excluded = parts.any(|parameter| {
                let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
                value.is_some_and(|q| q.starts_with(b"0") && q.iter().all(|byte| matches!(byte, b'0' | b'.')))
            });
            let is = |known: &str| is_word(name, known);
            let slot = match name.len() {
                16 if is("application/json") => &mut self.json,
                17 if is("text/event-stream") => &mut self.events,
                13 if is("application/*") => &mut self.application,
                6 if is("text/*") => &mut self.text,
                3 if is("*/*") => &mut self.any,
                9 if is("text/html") => &mut self.html,
                _ => continue,
            };
            *slot = Some(!excluded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p49_accept_is_read_leniently() {
        for (lines, json, events, asks) in [
            (&[][..], true, true, false),
            (&["*/*"], true, true, false),
            (&["application/json, text/event-stream"], true, true, true),
            (&["text/event-stream, application/json;q=0.9"], true, true, true),
            (&["application/json", "text/event-stream"], true, true, true),
            (&["application/json"], true, false, false),
            (&["application/*"], true, false, false),
            (&["TEXT/Event-Stream"], false, true, true),
            (&["text/*"], false, true, true),
            (&["*/*, application/json;q=0"], false, true, false),
            (&["text/html"], false, false, false),
            (&["text/html;level=1, \u{e9}, application/json ; q=0.0 , */*"], false, true, false),
        ] {
            let mut accept = Accept::default();
            lines.iter().for_each(|line| accept.add(line.as_bytes()));
            assert_eq!((accept.json(), accept.events(), accept.asks_for_events()), (json, events, asks), "{lines:?}");
        }
    }
}
