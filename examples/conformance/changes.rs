//! Lists that change: one tool, one prompt and one resource come and go, and whoever listens is told.
//!
//! What is offered is fixed when a server is built; what is *shown*, its access policy decides with every request.
//! A policy that looks at switches makes lists that change.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::rc::Rc;

use portcullis::{
    Access, Builder, CallError, Credentials, Denied, Handle, Item, Principal, Prompt, ReadRequest, RequestContext,
    Resource, Tool,
};
use serde_json::Value;

use crate::{resources, tool};

const EXTRA_TOOL: &str = "test_extra_tool";
const EXTRA_PROMPT: &str = "test_extra_prompt";
const EXTRA_RESOURCE: &str = "test://extra-resource";

/// What is shown at the moment. Handlers run on one thread: plain cells will do.
#[derive(Clone, Default)]
struct Shown {
    tool: Rc<Cell<bool>>,
    prompt: Rc<Cell<bool>>,
    resource: Rc<Cell<bool>>,
}

impl Access for Shown {
    /// Asked only if there is no token file.
    fn principal(&self, _: &Credentials<'_>) -> Result<Principal, Denied> {
        Ok(Principal::Anonymous)
    }

    fn may_use(&self, _: &Principal, item: Item<'_>) -> bool {
        match item {
            Item::Tool(EXTRA_TOOL) => self.tool.get(),
            Item::Prompt(EXTRA_PROMPT) => self.prompt.get(),
            Item::Resource(EXTRA_RESOURCE) => self.resource.get(),
            _ => true,
        }
    }
}

pub(crate) fn register(builder: Builder, handle: &Handle) -> Builder {
    let shown = Shown::default();
    let changing = |name: &str, what: &str| Tool::new(name).description(what).destructive(false).open_world(false);
    let updated = {
        let handle = handle.clone();
        told(move || handle.resource_updated(resources::WATCHED))
    };
    let builder = builder
        .access(shown.clone())
        .tool(
            changing("test_trigger_tool_change", "Shows or hides a tool."),
            flipped(&shown.tool, handle, Handle::tools_list_changed),
        )
        .tool(
            changing("test_trigger_prompt_change", "Shows or hides a prompt."),
            flipped(&shown.prompt, handle, Handle::prompts_list_changed),
        )
        .tool(
            changing("test_trigger_resource_change", "Shows or hides a resource."),
            flipped(&shown.resource, handle, Handle::resources_list_changed),
        )
        .tool(changing("test_update_watched_resource", "Says that the watched resource has changed."), updated);
    let resource = Resource::new(EXTRA_RESOURCE, "extra-resource").description("It comes and goes.");
    builder
        .tool(tool(EXTRA_TOOL, "It comes and goes."), extra)
        .prompt(Prompt::new(EXTRA_PROMPT).description("It comes and goes."), extra)
        .resource(resource.mime_type("text/plain"), extra_resource)
}

/// A handler that flips a switch and says so.
fn flipped(
    switch: &Rc<Cell<bool>>,
    handle: &Handle,
    changed: fn(&Handle),
) -> impl Fn(RequestContext, Value) -> Ready<Result<String, CallError>> + use<> {
    let (switch, handle) = (switch.clone(), handle.clone());
    told(move || {
        switch.set(!switch.get());
        changed(&handle);
    })
}

/// A handler that needs no waiting: its future is ready.
fn told(change: impl Fn()) -> impl Fn(RequestContext, Value) -> Ready<Result<String, CallError>> {
    move |_, _| {
        change();
        ready(Ok("Changed, and said so to whoever listens".to_owned()))
    }
}

/// Tools and prompts can share a handler where both give text.
async fn extra(_: RequestContext, _: Value) -> Result<String, CallError> {
    Ok("Here today, gone tomorrow".into())
}

async fn extra_resource(_: RequestContext, _: ReadRequest) -> Result<&'static str, CallError> {
    Ok("Here today, gone tomorrow")
}
