//! JSON-RPC 2.0: from text to messages, and from answers back to text.
//!
//! Decided here: what a message is (X-40: `"id": null` is a bad request, no `id` is a notification) and
//! what an id is (a string or a whole number, echoed with its type and all its digits, G-13). `params`
//! stay text; whoever needs them reads them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::door;
use crate::members::{self, Key, Members, ObjectOr};
use crate::seen::SeenMeta;

/// The id of a request: a string or a whole number of any size.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestId {
    /// A number that fits.
    Integer(i64),
    /// The digits of a number that does not.
    Large(Box<str>),
    /// A string; `"1"` is not `1`.
    String(Box<str>),
}

impl RequestId {
    /// Longest text of an id; nobody needs more, and it is echoed in every message about the call.
    const BYTES_MAX: usize = 256;

    pub(crate) fn read(raw: &RawValue) -> Option<RequestId> {
        let text = raw.get();
        if text.len() > RequestId::BYTES_MAX {
            return None;
        }
        if text.starts_with('"') {
            return serde_json::from_str::<String>(text).ok().map(|text| RequestId::String(text.into()));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(match text.parse() {
            // "-0" would come back as "0".
            Ok(number) if text != "-0" => RequestId::Integer(number),
            _ => RequestId::Large(text.into()),
        })
    }

    /// Appends the id as JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            RequestId::Integer(number) => write_integer(out, *number),
            RequestId::Large(digits) => out.extend_from_slice(digits.as_bytes()),
            RequestId::String(text) => write_string(out, text),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

/// One message from the client. Borrows from the request's body.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Request {
        id: RequestId,
        method: Cow<'a, str>,
        params: Params<'a>,
    },
    Notification {
        method: Cow<'a, str>,
        params: Params<'a>,
    },
    /// An answer to a request of ours: a result, or an error.
    Response {
        id: RequestId,
        outcome: Result<&'a RawValue, &'a RawValue>,
    },
}

/// A message's params; absent ones and `null` are empty (X-40). The error is −32602: they are no object.
pub(crate) type Params<'a> = Result<Members<'a>, Error>;

/// What a body holds.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    One(Message<'a>),
    Batch(Vec<Message<'a>>),
}

impl<'a> Body<'a> {
    pub(crate) fn messages(&self) -> &[Message<'a>] {
        match self {
            Body::One(message) => std::slice::from_ref(message),
            Body::Batch(messages) => messages,
        }
    }
}

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    /// One of the codes of JSON-RPC or MCP.
    pub code: i32,
    /// One sentence that names the cause and, where there is one, the remedy.
    pub message: String,
    /// What a program may want to know besides.
    pub data: Option<serde_json::Value>,
}

pub(crate) const PARSE_ERROR: i32 = -32700;
pub(crate) const INVALID_REQUEST: i32 = -32600;
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
pub(crate) const INVALID_PARAMS: i32 = -32602;
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// A mirrored header is missing, or says something else than the body (2026-07-28).
pub(crate) const HEADER_MISMATCH: i32 = -32020;
/// The client did not declare what the request needs (2026-07-28).
pub(crate) const MISSING_CAPABILITY: i32 = -32021;
/// The envelope names a revision that is not spoken here (2026-07-28).
pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;
/// How a cancelled Streamable HTTP request ends (F-90); outside the range that JSON-RPC reserves.
pub(crate) const CANCELLED: i32 = -32800;

impl Error {
    /// `message` is cut to half a kilobyte: it may quote what came in, and that may be megabytes.
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Error {
        let mut message = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(prefix(&message, MESSAGE_BYTES_MAX).len());
            message.push('…');
        }
        Error { code, message, data: None }
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Error {
        Error::new(INVALID_REQUEST, message)
    }

    pub(crate) fn invalid_params(message: impl Into<String>) -> Error {
        Error::new(INVALID_PARAMS, message)
    }

    pub(crate) fn with_data(mut self, data: serde_json::Value) -> Error {
        self.data = Some(data);
        self
    }
}

const MESSAGE_BYTES_MAX: usize = 512;

/// The beginning of `text`, at most so many bytes, whole characters.
pub(crate) fn prefix(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The members of a message as they stand in the text. Every one of them that is present, if only as `null`, is `Some`.
#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<ObjectOr<'a>>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    /// Keys that mean nothing to us.
    others: Vec<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    /// Takes a member in; false if its key was there already.
    fn add<A: MapAccess<'a>>(&mut self, key: &Cow<'a, str>, map: &mut A) -> Result<bool, A::Error> {
        let slot = match &**key {
            "jsonrpc" => &mut self.jsonrpc,
            "id" => &mut self.id,
            "method" => &mut self.method,
            "result" => &mut self.result,
            "error" => &mut self.error,
            "params" => return Ok(self.params.replace(map.next_value()?).is_none()),
            _ => {
                map.next_value::<IgnoredAny>()?;
                let is_new = !self.others.contains(key);
                self.others.push(key.clone());
                return Ok(is_new);
            }
        };
        Ok(slot.replace(map.next_value()?).is_none())
    }
}

/// Reads an envelope; what is wrong with its keys ends the reading and is left here.
struct EnvelopeReader<'f>(&'f mut Option<Error>);

impl<'de> DeserializeSeed<'de> for EnvelopeReader<'_> {
    type Value = Envelope<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Envelope<'de>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeReader<'_> {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let (mut envelope, mut members) = (Envelope::default(), 0);
        while let Some(Key(key)) = map.next_key()? {
            members += 1;
            let fault = match envelope.add(&key, &mut map)? {
                false => members::twice(&key),
                true if members > members::MEMBERS_MAX => members::too_many(),
                true => continue,
            };
            *self.0 = Some(fault);
            return Err(serde::de::Error::custom("keys"));
        }
        Ok(envelope)
    }
}

/// Reads a request body.
///
/// # Errors
/// −32700 if the text is not JSON or nests too deeply; −32600 if it is no message, or if a key of a message, of its params
/// or of its `_meta` is there twice.
pub(crate) fn parse(body: &[u8], batch_max: usize) -> Result<Body<'_>, Error> {
    if door::is_too_deep(body) {
        return Err(Error::new(PARSE_ERROR, format!("JSON nested deeper than {} levels", door::DEPTH_MAX)));
    }
    let text = std::str::from_utf8(body).map_err(|_| Error::new(PARSE_ERROR, "the body is not UTF-8"))?;
    if text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[') {
        let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| not_json(&e))?;
        if parts.is_empty() {
            return Err(Error::invalid_request("an empty array is no message"));
        }
        if parts.len() > batch_max {
            return Err(Error::invalid_request(format!("a batch of {} messages; at most {batch_max}", parts.len())));
        }
        return parts.into_iter().map(|part| message(part.get())).collect::<Result<_, _>>().map(Body::Batch);
    }
    message(text).map(Body::One)
}

/// Reads a request body in which a `_meta` may stand that was seen before. `room` is for what is read in its place.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_again<'a>(
    body: &'a [u8],
    batch_max: usize,
    seen: Option<&'a SeenMeta>,
    room: &'a mut Vec<u8>,
) -> Result<Body<'a>, Error> {
    let Some(seen) = seen else { return parse(body, batch_max) };
    if let Some((short, at)) = seen.cut_out(body) {
        *room = short;
        let short: &'a [u8] = room;
        if let Ok(Body::One(mut message)) = parse(short, batch_max)
            && let Message::Request { params: Ok(params), .. } | Message::Notification { params: Ok(params), .. } =
                &mut message
            && params.put_back("_meta", seen.raw(), short, at)
        {
            return Ok(Body::One(message));
        }
    }
    let read = parse(body, batch_max)?;
    if let Body::One(Message::Request { params: Ok(params), .. }) = &read
        && let Some(meta) = params.get("_meta")
    {
        seen.note(meta, body);
    }
    Ok(read)
}

fn not_json(error: &serde_json::Error) -> Error {
    Error::new(PARSE_ERROR, format!("not JSON: {error}"))
}

fn message(text: &str) -> Result<Message<'_>, Error> {
    let (mut fault, mut reader) = (None, serde_json::Deserializer::from_str(text));
    let read = EnvelopeReader(&mut fault).deserialize(&mut reader).and_then(|members| reader.end().map(|()| members));
    fault.map_or(Ok(()), Err)?;
    let members = read.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Error::invalid_request("a message is a JSON object"),
        _ => not_json(&error),
    })?;
    let params = members.params.map_or_else(|| Some(Members::default()), |params| params.0);
    params.as_ref().map_or(Ok(()), distinct)?;
    if members.jsonrpc.is_none_or(|raw| raw.get() != "\"2.0\"") {
        return Err(Error::invalid_request("\"jsonrpc\": expected \"2.0\""));
    }
    let id = match members.id {
        Some(raw) => Some(RequestId::read(raw).ok_or_else(|| {
            Error::invalid_request(
                "\"id\": expected a string or a whole number (at most 256 bytes), not null or a fraction",
            )
        })?),
        None => None,
    };
    let Some(method) = members.method else {
        return match (id, members.result, members.error) {
            (Some(id), Some(result), None) => Ok(Message::Response { id, outcome: Ok(result) }),
            (Some(id), None, Some(error)) => Ok(Message::Response { id, outcome: Err(error) }),
            _ => Err(Error::invalid_request("expected \"method\", or \"id\" with either \"result\" or \"error\"")),
        };
    };
    let method = read_string(method).ok_or_else(|| Error::invalid_request("\"method\": expected a string"))?;
    let params = params.ok_or_else(|| Error::invalid_params("params: expected an object"));
    Ok(match id {
        Some(id) => Message::Request { id, method, params },
        None => Message::Notification { method, params },
    })
}

/// Keys of params and of `_meta`.
fn distinct(params: &Members<'_>) -> Result<(), Error> {
    params.distinct()?;
    let meta = params.get("_meta").and_then(Members::read_some);
    meta.map_or(Ok(()), |meta| meta.distinct())
}

/// A JSON string, borrowed if it has no escapes; none if it is not one.
pub(crate) fn read_string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.as_bytes().contains(&b'\\') {
        return serde_json::from_str::<String>(text).ok().map(Into::into);
    }
    Some(inner.into())
}

/// Appends the answer to `id`; `result` writes the result's JSON.
pub(crate) fn write_result(out: &mut Vec<u8>, id: &RequestId, result: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"result\":");
    result(out);
    out.push(b'}');
}

/// Appends an error, with `null` for an id that could not be read (G-15).
pub(crate) fn write_error(out: &mut Vec<u8>, id: Option<&RequestId>, error: &Error) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    match id {
        Some(id) => id.write(out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"error\":{\"code\":");
    write_integer(out, error.code.into());
    out.extend_from_slice(b",\"message\":");
    write_string(out, &error.message);
    if let Some(data) = &error.data {
        out.extend_from_slice(b",\"data\":");
        write_json(out, data);
    }
    out.extend_from_slice(b"}}");
}

/// Appends a request of ours; `params` is JSON.
pub(crate) fn write_request(out: &mut Vec<u8>, id: &RequestId, method: &str, params: &[u8]) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"method\":");
    write_string(out, method);
    out.extend_from_slice(b",\"params\":");
    out.extend_from_slice(params);
    out.push(b'}');
}

/// Appends a notification; `params` is JSON.
pub(crate) fn write_notification(out: &mut Vec<u8>, method: &str, params: &[u8]) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":");
    write_string(out, method);
    if !params.is_empty() {
        out.extend_from_slice(b",\"params\":");
        out.extend_from_slice(params);
    }
    out.push(b'}');
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    write_json(out, text);
}

/// Appends `value` as JSON. A value that cannot be written (a map with keys that are no strings) becomes `null`.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// Appends a whole number.
pub(crate) fn write_integer(out: &mut Vec<u8>, number: i64) {
    write_json(out, &number);
}

/// Makes JSON text safe for one line of an event stream (P47).
///
/// Line breaks that stand between tokens become blanks. U+0085, U+2028 and U+2029 are legal in JSON
/// strings, but several clients split lines at them; they are written as escapes. They can stand only in
/// strings, so the text keeps its meaning.
pub(crate) fn one_line(text: Vec<u8>) -> Vec<u8> {
    let suspicious = [memchr::memchr2(b'\n', b'\r', &text), memchr::memchr2(0xC2, 0xE2, &text)];
    let Some(first) = suspicious.into_iter().flatten().min() else { return text };
    let mut out = Vec::with_capacity(text.len() + 16);
    out.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    loop {
        rest = match rest {
            [] => return out,
            [b'\n' | b'\r', rest @ ..] => {
                out.push(b' ');
                rest
            }
            [0xC2, 0x85, rest @ ..] => {
                out.extend_from_slice(b"\\u0085");
                rest
            }
            [0xE2, 0x80, last @ (0xA8 | 0xA9), rest @ ..] => {
                out.extend_from_slice(if *last == 0xA8 { b"\\u2028" } else { b"\\u2029" });
                rest
            }
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g13_g14_ids_come_back_with_their_type_and_digits_and_others_are_refused() {
        for id in ["0", "1", "-7", "\"1\"", "\"\"", "9223372036854775807", "123456789012345678901234567890", "-0"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            let Ok(Body::One(Message::Request { id: read, .. })) = parse(text.as_bytes(), 1) else { panic!("{id}") };
            assert_eq!(read.to_string(), id);
        }
        for id in ["null", "1.5", "1e3", "{}", "[]", "true"] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            assert_eq!(parse(text.as_bytes(), 1).expect_err(id).code, INVALID_REQUEST, "{id}");
        }
        let long = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#, "9".repeat(1 << 20));
        assert_eq!(parse(long.as_bytes(), 1).expect_err("long").code, INVALID_REQUEST);
    }

    #[test]
    fn x41_p55_depth_and_twin_keys_are_refused_and_nothing_else() {
        let with = |members: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a",{members}}}"#);
        let deep = |n: usize| with(&format!(r#""params":{{"a":{}{}}}"#, "[".repeat(n), "]".repeat(n)));
        let wide = |n: usize| (0..n).map(|i| format!("\"k{i}\":0")).collect::<Vec<_>>().join(",");
        let refused = |words: &'static str| Err((INVALID_REQUEST, words));
        for (text, verdict) in [
            (deep(62), Ok(())),
            (deep(63), Err((PARSE_ERROR, "64 levels"))),
            (with(r#""id":2"#), refused("\"id\"")),
            (with(r#""\u006dethod":"b""#), refused("\"method\"")),
            (with(r#""params":{},"params":{}"#), refused("\"params\"")),
            (with(r#""x":1,"y":2,"x":3"#), refused("\"x\"")),
            (with(r#""params":{"name":1,"\u006eame":2}"#), refused("\"name\"")),
            (with(r#""params":{"_meta":{"a":1,"b":{},"a":2}}"#), refused("\"a\"")),
            (with(r#""params":{"_meta":7}"#), Ok(())),
            (with(r#""params":{"arguments":{"a":1,"a":2}}"#), Ok(())),
            (with(r#""result":{"a":1,"a":2}"#), Ok(())),
            (with(r#""x":"{\"id\":1,","y":"]]]""#), Ok(())),
            (with(&wide(61)), Ok(())),
            (with(&wide(62)), refused("more than 64")),
            (with(&wide(1000)), refused("more than 64")),
            (with(&format!(r#""params":{{{}}}"#, wide(64))), Ok(())),
            (with(&format!(r#""params":{{{}}}"#, wide(65))), refused("more than 64")),
            (with(&format!(r#""params":{{"_meta":{{{}}}}}"#, wide(65))), refused("more than 64")),
        ] {
            for text in [text.clone(), format!("[{text}]")] {
                let deeper = usize::from(text.starts_with('['));
                if deeper == 1 && (text.contains("[[[") || text.contains("]]]")) {
                    continue; // one level more
                }
                let read = parse(text.as_bytes(), 1).map(drop).map_err(|error| (error.code, error.message));
                match (&read, verdict) {
                    (Ok(()), Ok(())) => {}
                    (Err((code, message)), Err((expected, words))) if *code == expected && message.contains(words) => {}
                    _ => panic!("{text}: {read:?}, expected {verdict:?}"),
                }
            }
        }
    }

    #[test]
    fn t24_a_meta_that_was_seen_before_changes_nothing_in_what_is_read() {
        const META: &str = r#"{"a":{"b":[1,"}"]}}"#;
        let raw: &RawValue = serde_json::from_str(META).unwrap();
        let plain = |id: &str, more: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a","params":{{"name":"x"{more},"_meta":{META}}}}}"#)
        };
        let first = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"_meta":{META},"name":"x"}}}}"#);
        let cut = |text: &str, at: usize| [&text[..at], &text[at + 1..]].concat();
        let mut texts = vec![
            (plain("1", ""), true),
            (plain("10", ""), true),
            (plain("1", r#","y":"longer""#), true),
            (plain("\"no\"", r#","_meta":1"#), false),
            (plain("1", "").replace(r#""name":"x""#, &format!(r#""arguments":{{"_meta":{META}}}"#)), true),
            (plain("1", "").replace("\"_meta\"", "\"meta\""), true),
            (plain("1", "").replace("\"params\"", "\"param\""), true),
            (plain("1", "").replace("\"_meta\":", "\"_meta\":1"), false),
            (plain("1", "").replace("\"_meta\":", "\"_meta\":\""), false),
            (plain("1", "").replace("\"]}}}}", "\"]}}.5}}"), false),
            (plain("1", "").replace("\"name\":\"x\"", r#""name":"\""#), false),
            (first.clone(), true),
            (first.replace("\"id\":1", "\"id\":123"), true),
            (format!("[{first}]"), true),
            (format!(" {first} "), true),
            (format!("{first}x"), false),
            (META.to_owned(), false),
        ];
        texts.extend((0..first.len()).map(|at| (cut(&first, at), parse(cut(&first, at).as_bytes(), 1).is_ok())));
        for before in [plain("1", ""), first] {
            for (text, good) in &texts {
                let (seen, mut room) = (SeenMeta::new(raw), Vec::new());
                parse_again(before.as_bytes(), 1, Some(&seen), &mut Vec::new()).expect("the one before");
                let (expected, read) =
                    (parse(text.as_bytes(), 1), parse_again(text.as_bytes(), 1, Some(&seen), &mut room));
                assert_eq!(format!("{read:?}"), format!("{expected:?}"), "{text}");
                assert_eq!(read.is_ok(), *good, "{text}");
            }
        }
        // It is there to save work, and does.
        let (seen, text) = (SeenMeta::new(raw), plain("1", ""));
        for is_short in [false, true, true] {
            let mut room = Vec::new();
            parse_again(text.as_bytes(), 1, Some(&seen), &mut room).expect("a message");
            assert_eq!(!room.is_empty(), is_short);
        }
    }

    #[test]
    fn bodies_that_are_no_message_are_refused_with_the_right_code() {
        for (text, code) in [
            ("", PARSE_ERROR),
            ("{", PARSE_ERROR),
            ("\u{feff}{}", PARSE_ERROR),
            ("nul", PARSE_ERROR),
            ("1e400", PARSE_ERROR),
            ("null", INVALID_REQUEST),
            ("\"x\"", INVALID_REQUEST),
            ("{}", INVALID_REQUEST),
            ("[]", INVALID_REQUEST),
            ("[1]", INVALID_REQUEST),
            (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a"} x"#, PARSE_ERROR),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a\ud800"}"#, INVALID_REQUEST),
        ] {
            assert_eq!(parse(text.as_bytes(), 4).expect_err(text).code, code, "{text}");
        }
        let batch = format!("[{}]", [r#"{"jsonrpc":"2.0","method":"a"}"#; 5].join(","));
        assert!(parse(batch.as_bytes(), 4).is_err(), "longer than the limit");
        assert!(matches!(parse(batch.as_bytes(), 5), Ok(Body::Batch(messages)) if messages.len() == 5));
    }

    #[test]
    fn p47_no_raw_line_separator_reaches_the_wire_and_the_text_means_the_same() {
        let text = "a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\u{1c}g é €";
        let mut json = Vec::new();
        write_string(&mut json, text);
        json.extend_from_slice(b"\r\n");
        let line = one_line(json);
        assert!(!String::from_utf8_lossy(&line).contains(['\u{2028}', '\u{2029}', '\u{85}', '\u{1c}', '\n', '\r']));
        assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), text);
    }
}
