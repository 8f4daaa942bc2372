//! Tools that ask their client before they answer: its user, its model, its folders.
//!
//! Each question has a key. In a session it is a request, and the handler waits for the answer; in 2026-07-28 the call
//! ends with the question and the handler runs again from its top once the answer is there. The code is the same.

use portcullis::{Builder, CallError, ClientCapability, Elicited, Field, Form, RequestContext, Sampling};
use serde::Deserialize;
use serde_json::{Value, json};
use smol::future::try_zip;

use crate::tool;

pub(crate) fn register(builder: Builder) -> Builder {
    let text = |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name], "additionalProperties": false });
    let builder = builder
        .tool(tool("test_sampling", "Asks the client's model.").input_schema(text("prompt")), sampling)
        .tool(tool("test_elicitation", "Asks the user.").input_schema(text("message")), elicitation)
        .tool(tool("test_elicitation_sep1034_defaults", "Asks with a form that is filled in already."), defaults)
        .tool(tool("test_elicitation_sep1330_enums", "Asks with every kind of choice."), enums)
        .tool(tool("test_url_elicitation", "Asks the user to open a page."), url_elicitation)
        .tool(tool("test_streaming_elicitation", "Asks the user, once."), streaming_elicitation);
    let rounds = |name: &str, what: &str| tool(&format!("test_input_required_result_{name}"), what);
    builder
        .tool(rounds("elicitation", "Asks the user's name."), user_name)
        .tool(rounds("sampling", "Asks the model for a capital."), capital)
        .tool(rounds("list_roots", "Asks for the client's folders."), list_roots)
        .tool(rounds("request_state", "Asks for a confirmation."), request_state)
        .tool(rounds("multiple_inputs", "Asks three questions at once."), multiple_inputs)
        .tool(rounds("multi_round", "Asks two questions, one after the other."), multi_round)
        .tool(rounds("tampered_state", "Asks; its state cannot be forged."), tampered_state)
        .tool(rounds("capabilities", "Asks only what the client can answer."), capabilities)
}

#[derive(Deserialize)]
struct Prompt {
    prompt: String,
}

/// The client's model is asked in the words of the caller.
async fn sampling(cx: RequestContext, args: Prompt) -> Result<String, CallError> {
    let answer = cx.sample("sampling", Sampling::new(100).user(args.prompt)).await?;
    Ok(format!("LLM response: {}", answer.text()))
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// A form has fields; the answer fits them, or the handler does not see it.
async fn elicitation(cx: RequestContext, args: Message) -> Result<String, CallError> {
    let form = Form::new(args.message)
        .field("username", Field::text().description("User's response"))
        .field("email", Field::email().description("User's email address"));
    Ok(format!("User response: {}", words(&cx.elicit("user", form).await?)))
}

/// Fields can be filled in beforehand.
async fn defaults(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let status = Field::one_of(["active", "inactive", "pending"]).description("User status").default_to("active");
    let form = Form::new("Please review and update the form fields with defaults")
        .optional("name", Field::text().description("User name").default_to("John Doe"))
        .optional("age", Field::integer().description("User age").default_to(30))
        .optional("score", Field::number().description("User score").default_to(95.5))
        .optional("status", status)
        .optional("verified", Field::boolean().description("Verification status").default_to(true));
    Ok(format!("Elicitation completed: {}", words(&cx.elicit("defaults", form).await?)))
}

/// One of several, some of several, with titles and without.
async fn enums(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let options = [("value1", "First Option"), ("value2", "Second Option"), ("value3", "Third Option")];
    let choices = [("value1", "First Choice"), ("value2", "Second Choice"), ("value3", "Third Choice")];
    let named = [("opt1", "Option One"), ("opt2", "Option Two"), ("opt3", "Option Three")];
    let form = Form::new("Please select options from the enum fields")
        .optional("untitledSingle", Field::one_of(["option1", "option2", "option3"]))
        .optional("titledSingle", Field::one_of_titled(options))
        .optional("legacyEnum", Field::one_of_named(named))
        .optional("untitledMulti", Field::some_of(["option1", "option2", "option3"]))
        .optional("titledMulti", Field::some_of_titled(choices));
    Ok(format!("Elicitation completed: {}", words(&cx.elicit("enums", form).await?)))
}

/// What is secret belongs on a page of one's own.
async fn url_elicitation(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let answer = cx.elicit_url("consent", "Please sign in on this page.", "https://example.com/sign-in").await?;
    cx.elicitation_complete(&answer);
    Ok(format!("Page: {}", words(&answer)))
}

/// In 2026-07-28 the call ends with its question: no request of ours ever stands on its stream.
async fn streaming_elicitation(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let answer = cx.elicit("confirm", confirmation()).await?;
    Ok(format!("Answered: {}", words(&answer)))
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// The key that a client finds in `inputRequests` is the one given here.
async fn user_name(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let answer = cx.elicit("user_name", name_form()).await?;
    greeting(&answer)
}

/// What the model says is text that came from outside: it is passed on, not obeyed.
async fn capital(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let answer = cx.sample("capital_question", Sampling::new(100).user("What is the capital of France?")).await?;
    Ok(format!("LLM response: {}", answer.text()))
}

/// The folders that the client works in.
async fn list_roots(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let roots = cx.roots("client_roots").await?;
    let uris: Vec<_> = roots.into_iter().map(|root| root.uri).collect();
    Ok(format!("{} roots: {}", uris.len(), uris.join(", ")))
}

/// The handler keeps no state; the library gives the client what it needs to come back with.
async fn request_state(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let answer = cx.elicit("confirm", confirmation()).await?;
    Ok(format!("state-ok: {}", words(&answer)))
}

/// Questions that are asked at the same time are one round.
async fn multiple_inputs(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let name = cx.elicit("user_name", name_form());
    let greeting = cx.sample("greeting", Sampling::new(50).user("Generate a greeting"));
    let roots = cx.roots("client_roots");
    let ((name, greeting), roots) = try_zip(try_zip(name, greeting), roots).await?;
    Ok(format!("{}; {}; {} roots", words(&name), greeting.text(), roots.len()))
}

/// Questions that are asked one after the other are several rounds; what was answered before is not asked again.
async fn multi_round(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let name = cx.elicit("step1", Form::new("Step 1: What is your name?").field("name", Field::text())).await?;
    let form = Form::new("Step 2: What is your favorite color?").field("color", Field::text());
    let color = cx.elicit("step2", form).await?;
    Ok(format!("step1: {}, step2: {}", words(&name), words(&color)))
}

/// A state that the client has changed is refused before the handler runs.
async fn tampered_state(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let answer = cx.elicit("confirm", confirmation()).await?;
    Ok(format!("Answered: {}", words(&answer)))
}

/// Asks the user and the model, or whichever of them there is.
async fn capabilities(cx: RequestContext, _: Value) -> Result<String, CallError> {
    let name = async {
        let can = cx.can(ClientCapability::Elicitation);
        if can { cx.elicit("user_name", name_form()).await.map(Some) } else { Ok(None) }
    };
    let greeting = async {
        let can = cx.can(ClientCapability::Sampling);
        let question = Sampling::new(50).user("Generate a greeting");
        if can { cx.sample("greeting", question).await.map(Some) } else { Ok(None) }
    };
    let (name, greeting) = try_zip(name, greeting).await?;
    let name = name.map_or_else(|| "nobody to ask".into(), |name| words(&name));
    Ok(format!("{name}; {}", greeting.map_or_else(|| "no model to ask".into(), |greeting| greeting.text())))
}

fn name_form() -> Form {
    Form::new("What is your name?").field("name", Field::text())
}

fn confirmation() -> Form {
    Form::new("Please confirm").field("ok", Field::boolean())
}

/// What was filled in can be read as a type; nobody is a stranger who declined.
fn greeting(answer: &Elicited) -> Result<String, CallError> {
    if !answer.accepted() {
        return Ok("Hello, stranger!".into());
    }
    Ok(format!("Hello, {}!", answer.read::<Named>()?.name))
}

/// What the user did with a question, in the protocol's words.
fn words(answer: &Elicited) -> String {
    let action = match () {
        () if answer.accepted() => "accept",
        () if answer.declined() => "decline",
        () => "cancel",
    };
    format!("action={action}, content={}", json!(answer.content()))
}
