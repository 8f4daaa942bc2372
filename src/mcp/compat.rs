//! Writes a result down for the revision of the one who asked (SPEC appendix B).
//!
//! Results are made in the terms of the newest revision. What an older peer does not know is left out or replaced
//! here, and nothing of 2026-07-28 reaches one (P76).

use serde_json::{Map, Value, json};

use super::content::{Block, Content};
use super::describe::Cache;
use super::result::{CallResult, Completion, PromptResult, ReadResult};
use crate::jsonrpc::{Error, write_integer, write_json, write_string};
use crate::revision::Revision;

/// How a request ends.
pub(crate) enum Outcome {
    /// A result that is written already, by a [`Writer`].
    Written(Vec<u8>),
    Tool(CallResult),
    /// Of what not every program offers: only where one is made is there code to write it.
    Other(Box<dyn Written>),
    /// The handler asks the client, and will run again with the answers (F-141).
    InputRequired {
        /// Key and question, as JSON.
        requests: Vec<(String, String)>,
        state: String,
    },
    Error(Error),
}

/// A result that knows how it is written down.
pub(crate) trait Written {
    fn write(&self, writer: Writer<'_>);
}

/// What stands around every result.
#[derive(Clone, Copy)]
pub(crate) struct Envelope<'a> {
    pub(crate) revision: Revision,
    /// The result's `_meta` if it has nothing else, as [`plain_meta`] writes it.
    pub(crate) plain_meta: &'a [u8],
    /// The result depends on answers of this client's user: nobody may keep it (F-147).
    pub(crate) is_private: bool,
    /// Results do not depend on who asks; else nothing may be shared (B-18).
    pub(crate) same_for_all: bool,
}

/// Writes one result object, member by member.
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    envelope: Envelope<'a>,
    some: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, envelope: Envelope<'a>, result_type: &str) -> Writer<'a> {
        let some = envelope.revision.has_result_types();
        if some {
            // Our own words need no escapes.
            out.extend_from_slice(b"{\"resultType\":\"");
            out.extend_from_slice(result_type.as_bytes());
            out.push(b'"');
        } else {
            out.push(b'{');
        }
        Writer { out, envelope, some }
    }

    /// Begins a member; its value is to be written to `out`.
    pub(crate) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.some, true) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(crate) fn json(&mut self, name: &str, value: &(impl serde::Serialize + ?Sized)) {
        write_json(self.member(name), value);
    }

    /// Ends the object; `cache` where the method has hints for caches, `meta` for what the handler put into `_meta`.
    pub(crate) fn end(self, cache: Option<Cache>, meta: &Map<String, Value>) {
        let mut members = Vec::new();
        if !meta.is_empty() {
            write_json(&mut members, meta);
            members.pop();
            members.remove(0);
        }
        self.end_with(cache, &members);
    }

    /// The same with `_meta`'s members as JSON, without braces.
    pub(crate) fn end_with(mut self, cache: Option<Cache>, meta: &[u8]) {
        let has_types = self.envelope.revision.has_result_types();
        if let Some(cache) = cache.filter(|_| has_types) {
            let cache = if self.envelope.is_private { Cache::default() } else { cache };
            write_integer(self.member("ttlMs"), cache.ttl.as_millis().try_into().unwrap_or(i64::MAX));
            let public = cache.public && self.envelope.same_for_all;
            self.json("cacheScope", if public { "public" } else { "private" });
        }
        if has_types {
            // Nothing but the server's own, nearly always.
            let (open, rest) = self.envelope.plain_meta.split_at(META_OPEN.len());
            self.out.push(b',');
            self.out.extend_from_slice(open);
            if !meta.is_empty() {
                self.out.extend_from_slice(meta);
                self.out.push(b',');
            }
            self.out.extend_from_slice(rest);
        } else if !meta.is_empty() {
            let out = self.member("_meta");
            out.push(b'{');
            out.extend_from_slice(meta);
            out.push(b'}');
        }
        self.out.push(b'}');
    }
}

const META_OPEN: &[u8] = b"\"_meta\":{";

/// The `_meta` of a result that says who the server is, which is `server_info`.
pub(crate) fn plain_meta(server_info: &[u8]) -> Vec<u8> {
    [META_OPEN, b"\"io.modelcontextprotocol/serverInfo\":", server_info, b"}"].concat()
}

/// Appends the result; nothing for an error, which is none.
pub(crate) fn write_result(out: &mut Vec<u8>, outcome: &Outcome, envelope: Envelope<'_>) {
    let result_type = if matches!(outcome, Outcome::InputRequired { .. }) { "input_required" } else { "complete" };
    match outcome {
        Outcome::Written(text) => out.extend_from_slice(text),
        Outcome::Error(_) => {}
        Outcome::Tool(result) => write_call_result(Writer::new(out, envelope, result_type), result),
        Outcome::Other(result) => result.write(Writer::new(out, envelope, result_type)),
        Outcome::InputRequired { requests, state } => {
            let mut writer = Writer::new(out, envelope, result_type);
            let out = writer.member("inputRequests");
            for (at, (key, question)) in requests.iter().enumerate() {
                out.push(if at == 0 { b'{' } else { b',' });
                write_string(out, key);
                out.push(b':');
                out.extend_from_slice(question.as_bytes());
            }
            out.push(b'}');
            writer.json("requestState", state);
            writer.end(None, &Map::new());
        }
    }
}

impl Written for (ReadResult, Cache) {
    fn write(&self, mut writer: Writer<'_>) {
        let (ReadResult(contents), cache) = self;
        writer.json("contents", contents);
        writer.end(Some(*cache), &Map::new());
    }
}

impl Written for PromptResult {
    fn write(&self, mut writer: Writer<'_>) {
        if let Some(description) = &self.description {
            writer.json("description", description);
        }
        let revision = writer.envelope.revision;
        write_list(writer.member("messages"), &self.messages, |out, (role, content)| {
            out.extend_from_slice(b"{\"role\":");
            write_string(out, role);
            out.extend_from_slice(b",\"content\":");
            write_content(out, content, revision);
            out.push(b'}');
        });
        writer.end(None, &Map::new());
    }
}

impl Written for Completion {
    fn write(&self, mut writer: Writer<'_>) {
        writer.json("completion", &completion_members(self));
        writer.end(None, &Map::new());
    }
}

/// F-61: at most a hundred values.
fn completion_members(completion: &Completion) -> Value {
    let shown = completion.values.len().min(COMPLETIONS_MAX);
    let total = completion.total.unwrap_or(completion.values.len()).max(completion.values.len());
    json!({ "values": completion.values[..shown], "total": total, "hasMore": total > shown })
}

const COMPLETIONS_MAX: usize = 100;

fn write_call_result(mut writer: Writer<'_>, result: &CallResult) {
    let revision = writer.envelope.revision;
    write_list(writer.member("content"), &result.content, |out, content| write_content(out, content, revision));
    if let Some(value) = result.structured.as_ref().filter(|_| revision.has_structured_content()) {
        match value {
            Value::Object(_) => writer.json("structuredContent", value),
            _ if revision.has_any_structured_content() => writer.json("structuredContent", value),
            // These revisions know only objects (X-48).
            other => {
                let out = writer.member("structuredContent");
                out.extend_from_slice(b"{\"result\":");
                write_json(out, other);
                out.push(b'}');
            }
        }
    }
    writer.member("isError").extend_from_slice(if result.is_error { b"true" } else { b"false" });
    writer.end(None, &result.meta);
}

fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn write_content(out: &mut Vec<u8>, content: &Content, revision: Revision) {
    if let (Block::Text { text }, true) = (&content.block, content.annotations.is_empty()) {
        // Nearly all content, and serde's way for blocks with annotations is a long one.
        out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
        write_string(out, text);
        return out.push(b'}');
    }
    match older(content, revision) {
        Some(replacement) => write_json(out, &replacement),
        None => write_json(out, content),
    }
}

/// What an older peer gets instead of a block it does not know.
fn older(content: &Content, revision: Revision) -> Option<Content> {
    match &content.block {
        Block::Audio { mime_type, data } if !revision.has_audio() => {
            let bytes = data.len() / 4 * 3;
            Some(Content::text(format!(
                "[audio, {mime_type}, about {bytes} bytes: this client's revision has no audio]"
            )))
        }
        Block::ResourceLink(link) if !revision.has_resource_links() => {
            let text = |name: &str| link.get(name).and_then(Value::as_str).unwrap_or_default();
            Some(Content::text(format!("{}: {}", text("name"), text("uri"))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::describe::Resource;

    fn written(outcome: &Outcome, revision: Revision) -> Value {
        let mut out = Vec::new();
        let plain_meta = &plain_meta(br#"{"name":"gate","version":"1"}"#);
        write_result(&mut out, outcome, Envelope { revision, plain_meta, is_private: false, same_for_all: true });
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn p76_an_older_peer_gets_no_block_or_member_that_its_revision_does_not_know() {
        let audio = Content::audio(b"abc", "audio/wav");
        let link = Content::link(&Resource::new("fw://a", "a"));
        let result = Outcome::Tool(CallResult::structured(json!([1])).with_content(vec![audio, link]));
        let wrapped = json!({ "result": [1] });
        for (revision, audio, link, structured) in [
            ("2024-11-05", false, false, Value::Null),
            ("2025-03-26", true, false, Value::Null),
            ("2025-06-18", true, true, wrapped.clone()),
            ("2025-11-25", true, true, wrapped),
        ] {
            let value = written(&result, Revision::negotiate(revision));
            let has = |kind: &str| value["content"].as_array().unwrap().iter().any(|block| block["type"] == kind);
            assert_eq!((has("audio"), has("resource_link")), (audio, link), "{revision}");
            assert_eq!(value["structuredContent"], structured, "{revision}");
            assert!(!value.to_string().contains("resultType") && !value.to_string().contains("serverInfo"));
        }
        let value = written(&result, Revision::STATELESS[0]);
        assert_eq!((&value["structuredContent"], &value["resultType"]), (&json!([1]), &json!("complete")));
        assert_eq!(value["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "gate");
    }

    #[test]
    fn f61_f160_completions_are_cut_at_a_hundred_and_caches_are_told_only_where_they_exist() {
        let many: Completion = (0..130).map(|n| n.to_string()).collect::<Vec<_>>().into();
        let value = written(&Outcome::Other(Box::new(many)), Revision::negotiate("2025-06-18"));
        assert_eq!(value["completion"]["values"].as_array().unwrap().len(), 100);
        assert_eq!((&value["completion"]["total"], &value["completion"]["hasMore"]), (&json!(130), &json!(true)));
        let cache = Cache { ttl: std::time::Duration::from_secs(2), public: true };
        let read = Outcome::Other(Box::new((ReadResult::from("x"), cache)));
        let value = written(&read, Revision::STATELESS[0]);
        assert_eq!((&value["ttlMs"], &value["cacheScope"]), (&json!(2000), &json!("public")));
        assert_eq!(written(&read, Revision::negotiate("2025-11-25")).as_object().unwrap().len(), 1);
    }
}
