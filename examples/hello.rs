//! The smallest server: one tool, one line to run it.

use portcullis::{CallError, RequestContext, Server, Tool};
use serde_json::json;

#[derive(serde::Deserialize)]
struct Hello {
    name: String,
}

async fn hello(_cx: RequestContext, args: Hello) -> Result<String, CallError> {
    Ok(format!("Hello, {}!", args.name))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
    let tool = Tool::new("hello").description("Greets somebody.").input_schema(schema).read_only();
    let server = Server::builder("hello", "1.0.0").tool(tool, hello).build()?;
    Ok(server.run("127.0.0.1:8001")?)
}
