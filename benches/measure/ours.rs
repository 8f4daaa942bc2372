//! Our server, embedded as anybody would, with the one tool that is called.

use std::net::Ipv4Addr;

use portcullis::{CallError, Limits, Listener, RequestContext, Server, Tool};
use serde::Deserialize;
use serde_json::json;

use crate::Outcome;

#[derive(Deserialize)]
struct Echo {
    text: String,
}

async fn echo(_cx: RequestContext, args: Echo) -> Result<String, CallError> {
    Ok(args.text)
}

/// Serves until it is killed. The limits are the usual ones but for the number of sessions.
pub(crate) fn serve(port: u16) -> Outcome<()> {
    let text = json!({ "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"], "additionalProperties": false });
    let limits = Limits { sessions_max: 100_000, connections_max: 100_000, ..Limits::default() };
    let tool = Tool::new("echo").description("Returns the text.").input_schema(text).read_only();
    let server = Server::builder("measured", "1").limits(limits).tool(tool, echo).build()?;
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(smol::block_on(server.serve(vec![listener]))?)
}
