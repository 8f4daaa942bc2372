//! Writes a result down for the revision of the one who asked (SPEC appendix B).

use serde_json::{Value, json};

use crate::jsonrpc::write_json;
use crate::mcp::content::{CallResult, Content};
use crate::revision::Revision;

/// Appends the result of `tools/call` as JSON.
pub(crate) fn write_call_result(out: &mut Vec<u8>, result: &CallResult, revision: Revision) {
    out.extend_from_slice(b"{\"content\":[");
    for (at, content) in result.content.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match older(content, revision) {
            Some(replacement) => write_json(out, &replacement),
            None => write_json(out, content),
        }
    }
    out.push(b']');
    if let Some(value) = result.structured.as_ref().filter(|_| revision.has_structured_content()) {
        out.extend_from_slice(b",\"structuredContent\":");
        match value {
            Value::Object(_) => write_json(out, value),
            // These revisions know only objects.
            other => write_json(out, &json!({ "result": other })),
        }
    }
    out.extend_from_slice(if result.is_error { b",\"isError\":true}" } else { b",\"isError\":false}" });
}

/// What an older peer gets instead of a block it does not know.
fn older(content: &Content, revision: Revision) -> Option<Content> {
    match content {
        Content::Audio { mime_type, data } if !revision.has_audio() => {
            let bytes = data.len() / 4 * 3;
            Some(Content::text(format!(
                "[audio, {mime_type}, about {bytes} bytes: this client's revision has no audio]"
            )))
        }
        Content::ResourceLink { uri, name } if !revision.has_resource_links() => {
            Some(Content::text(format!("{name}: {uri}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p76_an_older_peer_gets_no_block_or_member_that_its_revision_does_not_know() {
        let audio = Content::Audio { data: "AAAA".into(), mime_type: "audio/wav".into() };
        let link = Content::ResourceLink { uri: "fw://a".into(), name: "a".into() };
        let result = CallResult::structured(json!([1])).with_content(vec![audio, link]);
        for (revision, audio, link, structured) in [
            (Revision::V2024_11_05, false, false, false),
            (Revision::V2025_03_26, true, false, false),
            (Revision::V2025_06_18, true, true, true),
            (Revision::V2025_11_25, true, true, true),
        ] {
            let mut out = Vec::new();
            write_call_result(&mut out, &result, revision);
            let value: Value = serde_json::from_slice(&out).unwrap();
            let has = |kind: &str| value["content"].as_array().unwrap().iter().any(|block| block["type"] == kind);
            assert_eq!((has("audio"), has("resource_link")), (audio, link), "{revision:?}");
            let expected = if structured { json!({ "result": [1] }) } else { Value::Null };
            assert_eq!(value["structuredContent"], expected, "{revision:?}");
        }
    }
}
