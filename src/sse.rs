//! Server-sent events to bytes (W-1 … W-7). A whole event goes in, so none is ever split.

/// What an event with a JSON-RPC message begins with.
pub(crate) const MESSAGE: &[u8] = b"event: message\ndata: ";
/// What the event with the address for POSTs begins with.
pub(crate) const ENDPOINT: &[u8] = b"event: endpoint\ndata: ";
/// What an event for an operator begins with.
pub(crate) const SNAPSHOT: &[u8] = b"event: snapshot\ndata: ";

/// Appends an event: `id:` if it has one, `event:` and one `data:` line. `data` has no line ends.
pub(crate) fn event(out: &mut Vec<u8>, id: Option<&str>, begin: &[u8], data: &[u8]) {
    if let Some(id) = id {
        line(out, b"id: ", id.as_bytes());
    }
    line(out, begin, data);
    out.push(b'\n');
}

/// Appends the event that only carries an id, so that a client can resume before the first message (W-6).
pub(crate) fn priming(out: &mut Vec<u8>, id: &str) {
    line(out, b"id: ", id.as_bytes());
    out.extend_from_slice(b"data:\n\n");
}

/// Appends how long a client should wait before it connects again (W-5).
pub(crate) fn retry(out: &mut Vec<u8>, ms: u64) {
    line(out, b"retry: ", ms.to_string().as_bytes());
    out.push(b'\n');
}

/// Appends a comment (W-4). `text` has no line ends.
pub(crate) fn comment(out: &mut Vec<u8>, text: &str) {
    line(out, b":", text.as_bytes());
    out.push(b'\n');
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w1_to_w7_events_are_written_as_the_format_says() {
        let mut out = Vec::new();
        event(&mut out, None, ENDPOINT, b"/messages/?session_id=0f");
        event(&mut out, Some("a.1"), MESSAGE, b"{}");
        priming(&mut out, "a.0");
        retry(&mut out, 3000);
        comment(&mut out, "");
        let expected = "event: endpoint\ndata: /messages/?session_id=0f\n\n\
                        id: a.1\nevent: message\ndata: {}\n\n\
                        id: a.0\ndata:\n\nretry: 3000\n\n:\n\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
