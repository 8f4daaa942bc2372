//! What the tours show: one small set of features, the same in all five revisions. A handler never sees a revision;
//! what differs between the files `tests/transcripts/tour-*.txt` is the server's doing.

use std::cell::Cell;
use std::time::Duration;

use portcullis::{
    Argument, Builder, CallError, CallResult, Content, Contents, Field, Form, Handle, Prompt, PromptResult,
    ReadRequest, RequestContext, Resource, ResourceTemplate, Tool,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Sim;
use super::server::Server;

/// Starts a server that has the tour's features and nothing else.
pub(crate) fn serve(sim: &Sim) -> (Server, Handle) {
    let handle = Handle::new();
    let builder = portcullis::Server::builder("tour", "1.0.0").clock(sim.clock()).ids(counted()).handle(&handle);
    // In place of the builder with the other tests' tools.
    (sim.serve_with(|_| features(builder)), handle)
}

/// Ids that are the same in every run, all different, and long enough to be told from everything else.
fn counted() -> impl Fn() -> u128 {
    let drawn = Cell::new(0u128);
    move || {
        drawn.set(drawn.get() + 1);
        drawn.get().wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
    }
}

#[derive(Deserialize)]
struct Sum {
    a: i64,
    b: i64,
}

#[derive(Deserialize)]
struct Drain {
    steps: u32,
}

#[derive(Deserialize)]
struct Port {
    port: u16,
}

#[derive(Deserialize)]
struct Review {
    chain: String,
}

fn object(properties: Value, required: Value) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

fn features(builder: Builder) -> Builder {
    let number = json!({ "type": "integer" });
    let numbers = object(json!({ "a": number, "b": number }), json!(["a", "b"]));
    builder
        .instructions("Ask before you open a port.")
        .tool(
            Tool::new("add")
                .title("Add")
                .description("Adds two numbers.")
                .read_only()
                .input_schema(numbers)
                .output_schema(object(json!({ "sum": number }), json!(["sum"]))),
            add,
        )
        .tool(
            Tool::new("drain")
                .description("Lets connections end, a second for each step.")
                .input_schema(object(json!({ "steps": { "type": "integer", "minimum": 1 } }), json!(["steps"]))),
            drain,
        )
        .tool(
            Tool::new("open_port")
                .description("Opens a port, if its owner agrees.")
                .input_schema(object(json!({ "port": { "type": "integer" } }), json!(["port"]))),
            open_port,
        )
        .resource(rules(), async |_: RequestContext, _: ReadRequest| Ok("pass from any to any\n"))
        .resource_template(
            ResourceTemplate::new("fw://chains/{name}", "chain").mime_type("application/json"),
            async |_: RequestContext, request: ReadRequest| match request.get("name") {
                Some("input") => Ok(Contents::text(r#"{"rules":3}"#)),
                _ => Err(CallError::not_found(request.uri())),
            },
        )
        .prompt(
            Prompt::new("review")
                .description("Looks a chain over.")
                .argument(Argument::new("chain").description("Its name.").required()),
            async |_: RequestContext, args: Review| {
                Ok(PromptResult::user(format!("Is the chain {} sound?", args.chain)).and_user(Content::link(&rules())))
            },
        )
}

fn rules() -> Resource {
    Resource::new("fw://rules", "rules").title("The rules").mime_type("text/plain")
}

async fn add(_: RequestContext, args: Sum) -> Result<CallResult, CallError> {
    let sum = args.a.checked_add(args.b).ok_or_else(|| CallError::new("the sum is too large"))?;
    Ok(CallResult::structured(json!({ "sum": sum })))
}

/// Slow, and says how far it is.
async fn drain(cx: RequestContext, args: Drain) -> Result<String, CallError> {
    for step in 1..=args.steps {
        cx.sleep(Duration::from_secs(1)).await;
        cx.progress(step.into(), Some(args.steps.into()), Some("draining"));
    }
    Ok("drained".into())
}

/// Asks first and acts after.
async fn open_port(cx: RequestContext, args: Port) -> Result<String, CallError> {
    let zones = Field::one_of_titled([("wan", "Everyone"), ("lan", "This house")]).title("For whom?");
    let form = Form::new(format!("Open port {}?", args.port)).field("zone", zones);
    let answer = cx.elicit("confirm", form).await?;
    if !answer.accepted() {
        return Ok("left closed".into());
    }
    let zone = answer.get("zone").and_then(Value::as_str).unwrap_or_default();
    Ok(format!("opened port {} for {zone}", args.port))
}
