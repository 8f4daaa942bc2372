//! A server's features as tests want them: tools that ask their client in every way, resources, prompts, completions.
//! Each handler is written once; what differs between revisions is the server's doing.

use std::time::Duration;

use portcullis::{
    Argument, Builder, CallError, CallResult, ClientCapability, Completion, CompletionRequest, Contents, Elicited,
    Field, Form, Icon, Prompt, PromptResult, ReadRequest, RequestContext, Resource, ResourceTemplate, Sampling, Tool,
};
use serde::Deserialize;
use serde_json::{Value, json};
use smol::future::zip;

use super::Sim;
use super::server::Server;
use super::tools::lax;

/// Starts a server with all of this besides the usual tools.
pub(crate) fn serve(sim: &Sim) -> Server {
    sim.serve_with(add)
}

pub(crate) fn add(builder: Builder) -> Builder {
    completions(prompts(resources(described(asking(builder)))))
}

// ---- tools that ask ----

fn reason() -> Form {
    Form::new("Open port 22?").field("reason", Field::text().title("Why?")).optional("hours", Field::integer())
}

fn word(answer: &Elicited) -> String {
    match answer.get("reason").and_then(Value::as_str) {
        Some(reason) => reason.to_owned(),
        None if answer.declined() => "declined".into(),
        None if answer.cancelled() => "cancelled".into(),
        None => "accepted".into(),
    }
}

/// So many questions, one after the other.
async fn ask_in_turn(cx: RequestContext, count: u64) -> Result<String, CallError> {
    let mut words = Vec::new();
    for n in 0..count {
        words.push(word(&cx.elicit(&format!("q{n}"), reason()).await?));
    }
    Ok(words.join(", "))
}

fn asking(builder: Builder) -> Builder {
    builder
        .tool(lax("ask_form"), async |cx: RequestContext, _: Value| Ok(word(&cx.elicit("form", reason()).await?)))
        .tool(lax("ask_form_too"), async |cx: RequestContext, _: Value| Ok(word(&cx.elicit("form", reason()).await?)))
        .tool(lax("ask_in_turn"), async |cx: RequestContext, args: Value| {
            ask_in_turn(cx, args["count"].as_u64().unwrap_or(2)).await
        })
        .tool(lax("ask_both"), async |cx: RequestContext, _: Value| {
            let (left, right) = zip(cx.elicit("left", reason()), cx.elicit("right", reason())).await;
            Ok(format!("{} and {}", word(&left?), word(&right?)))
        })
        .tool(lax("ask_url"), async |cx: RequestContext, _: Value| {
            let answer = cx.elicit_url("page", "Pay the toll.", "https://pay.example/toll").await?;
            cx.elicitation_complete(&answer);
            Ok(word(&answer))
        })
        .tool(lax("ask_model"), async |cx: RequestContext, _: Value| {
            let question = Sampling::new(50).system("Be brief.").user("What is a portcullis?");
            Ok(cx.sample("model", question).await?.text())
        })
        .tool(lax("ask_roots"), async |cx: RequestContext, _: Value| {
            let roots = cx.roots("roots").await?;
            Ok(roots.into_iter().map(|root| root.uri).collect::<Vec<_>>().join(" "))
        })
        .tool(lax("ask_late"), async |cx: RequestContext, args: Value| {
            cx.sleep(Duration::from_millis(args["ms"].as_u64().unwrap_or(1_000))).await;
            Ok(word(&cx.elicit("form", reason()).await?))
        })
        .tool(lax("ask_gently"), async |cx: RequestContext, _: Value| {
            // Without an answer it goes on with what it has.
            Ok(cx.elicit("form", reason()).await.map_or_else(|error| error.message().to_owned(), |a| word(&a)))
        })
        .tool(lax("needs_model").needs(ClientCapability::Sampling), async |_: RequestContext, _: Value| Ok("ran"))
}

// ---- tools with more to their description ----

fn routed(name: &str) -> Tool {
    let mirrored = |kind: &str, token: &str| json!({ "type": kind, "x-mcp-header": token });
    Tool::new(name).input_schema(json!({
        "type": "object",
        "properties": {
            "region": mirrored("string", "Region"),
            "count": mirrored("integer", "Count"),
            "dry": mirrored("boolean", "Dry-Run"),
            "at": { "type": "object", "properties": { "zone": mirrored("string", "Zone") } },
            "free": { "type": "string" },
        },
    }))
}

fn described(builder: Builder) -> Builder {
    let weather = json!({
        "type": "object", "properties": { "degrees": { "type": "number" } }, "required": ["degrees"],
    });
    let port = json!({
        "type": "object",
        "properties": { "port": { "type": "integer", "minimum": 1, "maximum": 65535 } },
        "required": ["port"],
        "additionalProperties": false,
    });
    let open_port = Tool::new("open_port")
        .title("Open a port")
        .description("Opens a TCP port.")
        .icon(Icon::new("https://fw.example/port.png").mime_type("image/png").size("48x48"))
        .meta("example.com/team", json!("gate"))
        .input_schema(port)
        .destructive(true)
        .idempotent()
        .open_world(false);
    builder
        .tool(open_port, async |_: RequestContext, args: Value| Ok(format!("opened {}", args["port"])))
        .tool(Tool::new("weather").output_schema(weather.clone()), async |_: RequestContext, _: Value| {
            Ok(CallResult::structured(json!({ "degrees": 21.5 })))
        })
        .tool(Tool::new("broken_weather").output_schema(weather.clone()), async |_: RequestContext, _: Value| {
            Ok(CallResult::structured(json!({ "degrees": "mild" })))
        })
        .tool(Tool::new("no_weather").output_schema(weather), async |_: RequestContext, _: Value| {
            Ok(CallResult::error("the station is silent"))
        })
        .tool(
            Tool::new("numbers").output_schema(json!({ "type": "array", "items": { "type": "integer" } })),
            async |_: RequestContext, _: Value| Ok(CallResult::structured(json!([1, 2, 3]))),
        )
        .tool(Tool::new("nothing").output_schema(json!({ "type": "null" })), async |_: RequestContext, _: Value| {
            Ok(CallResult::structured(Value::Null))
        })
        .tool(routed("routed"), async |_: RequestContext, args: Value| Ok(args.to_string()))
        .tool(routed("routed_model").needs(ClientCapability::Sampling), async |_: RequestContext, _: Value| Ok("ran"))
}

// ---- resources ----

fn resources(builder: Builder) -> Builder {
    let rules = Resource::new("fw://rules", "rules").title("The rule set").mime_type("text/plain").size(7);
    builder
        .resource(rules.cache(Duration::from_secs(5), true), async |_: RequestContext, _: ReadRequest| Ok("3 rules"))
        .resource(
            Resource::new("fw://logo", "logo").mime_type("image/png"),
            async |_: RequestContext, _: ReadRequest| Ok(Contents::bytes(b"\x89PNG\0\xff")),
        )
        .resource(Resource::new("fw://lost", "lost"), async |_: RequestContext, request: ReadRequest| {
            Err::<String, _>(CallError::not_found(request.uri()))
        })
        .resource(
            Resource::new("fw://guarded", "guarded").cache(Duration::from_secs(5), true),
            async |cx: RequestContext, _: ReadRequest| {
                Ok(format!("read because {}", word(&cx.elicit("form", reason()).await?)))
            },
        )
        .resource_template(
            ResourceTemplate::new("fw://chains/{name}", "chain").mime_type("application/json"),
            async |_: RequestContext, request: ReadRequest| {
                let chain = request.get("name").unwrap_or_default().to_owned();
                Ok(vec![
                    Contents::text(json!({ "chain": chain }).to_string()),
                    Contents::text("0 packets").at("fw://counters").mime_type("text/plain"),
                ])
            },
        )
        .resource_template(
            ResourceTemplate::new("file:///etc/fw/{+path}", "file"),
            async |_: RequestContext, request: ReadRequest| {
                Ok(format!("the file {}", request.get("path").unwrap_or_default()))
            },
        )
}

// ---- prompts ----

#[derive(Deserialize)]
struct Explain {
    source: String,
    style: Option<String>,
}

fn prompts(builder: Builder) -> Builder {
    let explain = Prompt::new("explain")
        .title("Explain a drop")
        .description("Why was a packet dropped?")
        .argument(Argument::new("source").title("Source").description("its address").required())
        .argument(Argument::new("style"));
    builder
        .prompt(explain, async |_: RequestContext, args: Explain| {
            let style = args.style.unwrap_or_else(|| "plain".into());
            let words = format!("Why was a packet from {} dropped? Answer in {style} words.", args.source);
            Ok(PromptResult::user(words).and_assistant("Let me look.").description("A question."))
        })
        .prompt(Prompt::new("survey"), async |cx: RequestContext, _: Value| {
            Ok(format!("The reason is {}.", word(&cx.elicit("form", reason()).await?)))
        })
}

fn completions(builder: Builder) -> Builder {
    let chains = async |_: RequestContext, request: CompletionRequest| {
        let all = ["input", "forward", "output"];
        Ok(all.into_iter().filter(|chain| chain.starts_with(&request.value)).collect::<Vec<_>>())
    };
    builder
        .complete_resource("fw://chains/{name}", "name", chains)
        .complete_prompt("explain", "source", async |_: RequestContext, request: CompletionRequest| {
            let style = request.arguments.get("style").cloned().unwrap_or_default();
            Ok(vec![format!("10.0.0.1 {style}")])
        })
        .complete_prompt("explain", "style", async |_: RequestContext, _: CompletionRequest| {
            let words: Vec<_> = (0..130).map(|n| format!("style {n}")).collect();
            Ok(Completion::from(words))
        })
}
