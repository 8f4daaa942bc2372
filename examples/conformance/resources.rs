//! Resources: text, bytes, one that is watched, and many by a template.

use std::time::Duration;

use portcullis::{
    Builder, CallError, Completion, CompletionRequest, Contents, ReadRequest, RequestContext, Resource,
    ResourceTemplate,
};
use serde_json::json;

use crate::PNG;

/// The resource whose changes the suite subscribes to.
pub(crate) const WATCHED: &str = "test://watched-resource";
const TEMPLATE: &str = "test://template/{id}/data";
/// How long clients may keep what never changes.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn register(builder: Builder) -> Builder {
    let text = Resource::new("test://static-text", "static-text").description("A text.").mime_type("text/plain");
    let binary = Resource::new("test://static-binary", "static-binary").description("Bytes.").mime_type("image/png");
    let watched = Resource::new(WATCHED, "watched-resource").description("It changes.").mime_type("text/plain");
    let template = ResourceTemplate::new(TEMPLATE, "template").description("Data by its id.");
    builder
        .resource(text.cache(DAY, true), static_text)
        .resource(binary.cache(DAY, true).size(PNG.len() as u64), static_binary)
        .resource(watched, watched_resource)
        .resource_template(template.mime_type("application/json"), data)
        .complete_resource(TEMPLATE, "id", ids)
}

/// Address and type of the contents are those of the description.
async fn static_text(_: RequestContext, _: ReadRequest) -> Result<&'static str, CallError> {
    Ok("This is the content of the static text resource.")
}

/// Bytes travel as Base64.
async fn static_binary(_: RequestContext, _: ReadRequest) -> Result<Contents, CallError> {
    Ok(Contents::bytes(PNG))
}

/// `test_update_watched_resource` tells its subscribers that it has changed.
async fn watched_resource(_: RequestContext, _: ReadRequest) -> Result<&'static str, CallError> {
    Ok("Watched resource content.")
}

/// A template's handler reads the variables from the address.
async fn data(_: RequestContext, request: ReadRequest) -> Result<String, CallError> {
    let id = request.get("id").unwrap_or_default();
    Ok(json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }).to_string())
}

/// Proposals for a variable.
async fn ids(_: RequestContext, typed: CompletionRequest) -> Result<Completion, CallError> {
    Ok(["1", "12", "123"].into_iter().filter(|id| id.starts_with(&typed.value)).collect::<Vec<_>>().into())
}
