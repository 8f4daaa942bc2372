//! Prompts: with and without arguments, with other content than text, with proposals, and one that asks back.

use portcullis::{
    Argument, Builder, CallError, Completion, CompletionRequest, Content, Contents, Field, Form, Prompt, PromptResult,
    RequestContext,
};
use serde::Deserialize;
use serde_json::Value;

use crate::PNG;

pub(crate) fn register(builder: Builder) -> Builder {
    let prompt = |name: &str, what: &str| Prompt::new(name).description(what);
    let needed = |name: &str, what: &str| Argument::new(name).description(what).required();
    builder
        .prompt(prompt("test_simple_prompt", "A text."), simple)
        .prompt(
            prompt("test_prompt_with_arguments", "A text with two blanks.")
                .argument(needed("arg1", "First test argument"))
                .argument(needed("arg2", "Second test argument")),
            with_arguments,
        )
        .complete_prompt("test_prompt_with_arguments", "arg1", proposals)
        .prompt(
            prompt("test_prompt_with_embedded_resource", "A resource, and what to do with it.")
                .argument(needed("resourceUri", "URI of the resource to embed")),
            with_embedded_resource,
        )
        .prompt(prompt("test_prompt_with_image", "A picture, and what to do with it."), with_image)
        .prompt(prompt("test_input_required_result_prompt", "Asks what it is about."), that_asks)
}

/// A text is a message of the user.
async fn simple(_: RequestContext, _: Value) -> Result<String, CallError> {
    Ok("This is a simple prompt for testing.".into())
}

#[derive(Deserialize)]
struct Arguments {
    arg1: String,
    arg2: String,
}

/// Blanks are texts; required ones are there.
async fn with_arguments(_: RequestContext, args: Arguments) -> Result<String, CallError> {
    Ok(format!("Prompt with arguments: arg1='{}', arg2='{}'", args.arg1, args.arg2))
}

/// Proposals for a blank, from what has been typed so far.
async fn proposals(_: RequestContext, typed: CompletionRequest) -> Result<Completion, CallError> {
    let mut values = vec!["paris", "park", "party", "test", "testing", "testValue1"];
    values.retain(|value| value.starts_with(&typed.value));
    Ok(values.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Embedded {
    resource_uri: String,
}

/// Several messages, and the first is a resource.
async fn with_embedded_resource(_: RequestContext, args: Embedded) -> Result<PromptResult, CallError> {
    let contents = Contents::text("Embedded resource content for testing.");
    let resource = Content::resource(contents.at(args.resource_uri).mime_type("text/plain"));
    Ok(PromptResult::user(resource).and_user("Please process the embedded resource above."))
}

/// Or a picture.
async fn with_image(_: RequestContext, _: Value) -> Result<PromptResult, CallError> {
    Ok(PromptResult::user(Content::image(PNG, "image/png")).and_user("Please analyze the image above."))
}

/// Prompts can ask their client like tools can.
async fn that_asks(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let form = Form::new("What context should the prompt use?").field("context", Field::text());
    let answer = cx.elicit("user_context", form).await?;
    let context = answer.get("context").and_then(Value::as_str).unwrap_or("none");
    Ok(format!("Use the following context: {context}"))
}
