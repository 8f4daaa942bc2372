//! Tools that answer by themselves: every kind of content, errors, structured results, progress, log messages,
//! arguments in headers, and streams that break.

use std::time::Duration;

use portcullis::{Builder, CallError, CallResult, ClientCapability, Content, Contents, Level, RequestContext};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{PNG, tool};

/// Sound: a thousandth of a second of silence.
const WAV: &[u8] = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0\
    data\x08\0\0\0\x80\x80\x80\x80\x80\x80\x80\x80";

/// How long the fixtures wait between two messages.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn register(builder: Builder) -> Builder {
    let slow = json!({
        "type": "object",
        "properties": { "ms": { "type": "integer", "minimum": 0, "maximum": MS_MAX } },
        "required": ["ms"],
        "additionalProperties": false
    });
    builder
        .tool(tool("test_simple_text", "Returns a text."), simple_text)
        .tool(tool("test_image_content", "Returns a picture."), image_content)
        .tool(tool("test_audio_content", "Returns a sound."), audio_content)
        .tool(tool("test_embedded_resource", "Returns a resource."), embedded_resource)
        .tool(tool("test_multiple_content_types", "Returns text, a picture and a resource."), multiple_content_types)
        .tool(tool("test_error_handling", "Fails always."), error_handling)
        .tool(tool("test_structured", "Returns structured content.").output_schema(weather_schema()), structured)
        .tool(tool("test_tool_with_progress", "Reports progress three times."), tool_with_progress)
        .tool(tool("test_tool_with_logging", "Sends three log messages."), tool_with_logging)
        .tool(tool("test_logging_tool", "Sends log messages to whoever wants them."), logging_tool)
        .tool(tool("test_slow", "Waits so many milliseconds and reports progress.").input_schema(slow), slow_tool)
        .tool(tool("test_reconnection", "Closes its stream before the answer is there."), reconnection)
        .tool(
            tool("test_missing_capability", "Cannot do without a model to ask.").needs(ClientCapability::Sampling),
            missing_capability,
        )
        .tool(tool("test_custom_header", "Returns its arguments.").input_schema(header_schema()), custom_header)
        .tool(
            tool("json_schema_2020_12_tool", "Has a schema with the keywords of 2020-12.").input_schema(rich_schema()),
            json_schema_2020_12,
        )
}

/// A result can be a plain text.
async fn simple_text(_: RequestContext, _: Value) -> Result<&'static str, CallError> {
    Ok("This is a simple text response for testing.")
}

/// Or a picture: the library encodes the bytes.
async fn image_content(_: RequestContext, _: Value) -> Result<Content, CallError> {
    Ok(Content::image(PNG, "image/png"))
}

/// Or a sound, which clients of 2024-11-05 do not know: they get a note.
async fn audio_content(_: RequestContext, _: Value) -> Result<Content, CallError> {
    Ok(Content::audio(WAV, "audio/wav"))
}

/// Or what a resource holds.
async fn embedded_resource(_: RequestContext, _: Value) -> Result<Content, CallError> {
    let text = Contents::text("This is an embedded resource content.");
    Ok(Content::resource(text.at("test://embedded-resource").mime_type("text/plain")))
}

/// Or several of them.
async fn multiple_content_types(_: RequestContext, _: Value) -> Result<Vec<Content>, CallError> {
    let data = Contents::text(r#"{"test":"data","value":123}"#);
    Ok(vec![
        Content::text("Multiple content types test:"),
        Content::image(PNG, "image/png"),
        Content::resource(data.at("test://mixed-content-resource").mime_type("application/json")),
    ])
}

/// An error is a result that the model reads; any standard error becomes one with `?`.
async fn error_handling(_: RequestContext, _: Value) -> Result<String, CallError> {
    Err(CallError::new("This tool intentionally returns an error for testing"))
}

/// Data with a schema: checked before it is sent, and given as text too.
async fn structured(_: RequestContext, _: Value) -> Result<CallResult, CallError> {
    Ok(CallResult::structured(json!({ "temperature": 22.5, "conditions": "partly cloudy", "humidity": 65 })))
}

fn weather_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "temperature": { "type": "number", "description": "in degrees Celsius" },
            "conditions": { "type": "string" },
            "humidity": { "type": "integer", "minimum": 0, "maximum": 100 }
        },
        "required": ["temperature", "conditions", "humidity"]
    })
}

/// Progress goes to clients that asked to be told; for all others it costs nothing.
async fn tool_with_progress(cx: RequestContext, _: Value) -> Result<&'static str, CallError> {
    cx.progress(0.0, Some(100.0), Some("Completed step 0 of 100"));
    cx.sleep(PAUSE).await;
    cx.progress(50.0, Some(100.0), Some("Completed step 50 of 100"));
    cx.sleep(PAUSE).await;
    cx.progress(100.0, Some(100.0), Some("Completed step 100 of 100"));
    Ok("Tool with progress executed successfully")
}

/// Log messages go to clients that want this level.
async fn tool_with_logging(cx: RequestContext, _: Value) -> Result<&'static str, CallError> {
    cx.log(Level::Info, "conformance", &"Tool execution started");
    cx.sleep(PAUSE).await;
    cx.log(Level::Info, "conformance", &"Tool processing data");
    cx.sleep(PAUSE).await;
    cx.log(Level::Info, "conformance", &"Tool execution completed");
    Ok("Tool with logging executed successfully")
}

/// In 2026-07-28 a client says with each request whether it wants any; what is logged can be any data.
async fn logging_tool(cx: RequestContext, _: Value) -> Result<&'static str, CallError> {
    cx.log(Level::Info, "conformance", &json!({ "event": "called", "tool": "test_logging_tool" }));
    cx.log(Level::Error, "conformance", &"Nothing is wrong; this is a test");
    Ok("Logged for whoever wanted it")
}

/// Longest `test_slow`, in milliseconds: ten minutes, more than any test waits.
const MS_MAX: u64 = 600_000;

#[derive(Deserialize)]
struct Slow {
    ms: u64,
}

/// A call that takes its time; if it is cancelled, its future is dropped at the `await`.
async fn slow_tool(cx: RequestContext, args: Slow) -> Result<String, CallError> {
    let (mut done, total) = (Duration::ZERO, Duration::from_millis(args.ms));
    while done < total {
        let step = PAUSE.min(total - done);
        cx.sleep(step).await;
        done += step;
        cx.progress(done.as_millis() as f64, Some(args.ms as f64), None);
    }
    Ok(format!("Waited {} ms", args.ms))
}

/// A long call can let its connection go: a client that knows how comes back for the answer.
async fn reconnection(cx: RequestContext, _: Value) -> Result<&'static str, CallError> {
    cx.sleep(2 * PAUSE).await;
    cx.close_stream(Duration::from_millis(500));
    cx.sleep(2 * PAUSE).await;
    Ok("Reconnection test completed successfully. If you received this, the client reconnected.")
}

/// Runs only for clients that declared what the tool needs.
async fn missing_capability(_: RequestContext, _: Value) -> Result<&'static str, CallError> {
    Ok("This client has a model to ask")
}

#[derive(Deserialize)]
struct Mirrored {
    s: String,
    n: Option<i64>,
    b: Option<bool>,
}

/// Arguments that proxies can route by: clients of 2026-07-28 say them in `Mcp-Param-…` headers too.
async fn custom_header(_: RequestContext, args: Mirrored) -> Result<String, CallError> {
    let (n, b) = (args.n.map(|n| format!(", n={n}")), args.b.map(|b| format!(", b={b}")));
    Ok(format!("s={}{}{}", args.s, n.unwrap_or_default(), b.unwrap_or_default()))
}

fn header_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "s": { "type": "string", "x-mcp-header": "S" },
            "n": { "type": "integer", "x-mcp-header": "N" },
            "b": { "type": "boolean", "x-mcp-header": "B" }
        },
        "required": ["s"],
        "additionalProperties": false
    })
}

/// Arguments are checked against the whole schema before the handler runs; clients see all of it in the list.
async fn json_schema_2020_12(_: RequestContext, args: Value) -> Result<String, CallError> {
    Ok(format!("These arguments fit: {args}"))
}

fn rich_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
            }
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" }
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false
    })
}
