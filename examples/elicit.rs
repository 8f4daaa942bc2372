//! A tool that asks before it acts. Clients of every revision that has questions can use it, and it knows of none.

use portcullis::{CallError, CallResult, Field, Form, RequestContext, Server, Tool};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct OpenPort {
    port: u16,
}

#[derive(Deserialize)]
struct Consent {
    reason: String,
    hours: Option<u32>,
}

/// Asks first and acts after: in 2026-07-28 everything above the question runs again with the answer.
async fn open_port(cx: RequestContext, args: OpenPort) -> Result<CallResult, CallError> {
    let form = Form::new(format!("Open port {} to everyone?", args.port))
        .field("reason", Field::text().title("Why?").max_length(200))
        .optional("hours", Field::integer().title("For how many hours?").minimum(1.0).maximum(48.0).default_to(2));
    let answer = cx.elicit("consent", form).await?;
    if !answer.accepted() {
        return Ok(CallResult::structured(json!({ "port": args.port, "open": false })));
    }
    let consent: Consent = answer.read()?;
    // Here a firewall would be told.
    let hours = consent.hours.unwrap_or(2);
    Ok(CallResult::structured(json!({ "port": args.port, "open": true, "hours": hours, "reason": consent.reason })))
}

/// Serves on the address that is given, or on port 8001 of this machine.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = json!({
        "type": "object",
        "properties": { "port": { "type": "integer", "minimum": 1, "maximum": 65535 } },
        "required": ["port"],
        "additionalProperties": false
    });
    let result = json!({ "type": "object", "properties": { "open": { "type": "boolean" } }, "required": ["open"] });
    let tool = Tool::new("open_port")
        .description("Opens a TCP port to everyone, for some hours, if the user agrees.")
        .input_schema(arguments)
        .output_schema(result)
        .destructive(true);
    let server = Server::builder("elicit", "1.0.0").tool(tool, open_port).without_logging().build()?;
    Ok(server.run(std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8001".into()))?)
}
