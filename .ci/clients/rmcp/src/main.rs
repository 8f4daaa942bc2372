//! The official Rust SDK's client against a running `conformance` example, in the era it is told.
//!
//! usage: rmcp-client modern|session URL
//!
//! Proves that the client lands on that era's newest revision by itself, lists, reads, calls, receives
//! progress, and answers one elicitation and one sampling request: as `input_required` rounds in the modern
//! era, as the server's own requests in a session. In the modern era also that a listen stream tells of a change.

// Sampling is deprecated, and still to be served.
#![allow(deprecated)]

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, GetPromptRequestParams, Implementation,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams, SamplingMessage, SubscriptionFilter,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt};
use serde_json::{Map, Value, json};
use std::sync::Mutex;
use std::time::Duration;

type Failure = Box<dyn std::error::Error>;

#[derive(Default)]
struct Client {
    asked: Mutex<Vec<&'static str>>,
    progress: Mutex<Vec<f64>>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let can: ClientCapabilities =
            serde_json::from_value(json!({ "elicitation": { "form": {} }, "sampling": {} })).expect("capabilities");
        ClientConfig::new(can, Implementation::new("ci-rmcp", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.asked.lock().expect("lock").push("elicitation");
        let ElicitRequestParams::FormElicitationParams { requested_schema, .. } = request else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        let names = requested_schema.properties.into_keys();
        let form: Map<String, Value> = names
            .map(|name| {
                let said = if name == "email" { "alice@example.com" } else { "Alice" };
                (name, said.into())
            })
            .collect();
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(form.into()))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.asked.lock().expect("lock").push("sampling");
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text("Paris"), "none".into()))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.progress.lock().expect("lock").push(params.progress);
    }
}

/// Calls a tool; its text, or what went wrong.
async fn call(
    client: &RunningService<RoleClient, Client>,
    name: &'static str,
    arguments: Value,
) -> Result<String, Failure> {
    let Value::Object(arguments) = arguments else { return Err("arguments must be an object".into()) };
    let result = client.call_tool(CallToolRequestParams::new(name).with_arguments(arguments)).await?;
    if result.is_error == Some(true) {
        return Err(format!("{name}: isError: {:?}", result.content).into());
    }
    let text = result.content.first().and_then(|block| block.as_text()).map(|text| text.text.clone());
    text.ok_or_else(|| format!("{name}: no text").into())
}

fn check(holds: bool, what: impl std::fmt::Debug) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(format!("{what:?}").into()) }
}

async fn whole(modern: bool, url: String) -> Result<String, Failure> {
    let (lifecycle, revision) = if modern {
        let auto =
            ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None };
        (auto, ProtocolVersion::V_2026_07_28)
    } else {
        (ClientLifecycleMode::Initialize, ProtocolVersion::V_2025_11_25)
    };
    let client =
        Client::default().serve_with_lifecycle(StreamableHttpClientTransport::from_uri(url), lifecycle).await?;
    let landed = client.peer_info().ok_or("no peer info")?.protocol_version.clone();
    check(landed == revision, format!("landed on {landed}, expected {revision}"))?;

    let tools = client.list_all_tools().await?;
    check(tools.iter().any(|tool| tool.name == "test_simple_text"), &tools)?;
    let resources = client.list_all_resources().await?;
    check(resources.iter().any(|resource| resource.uri == "test://static-text"), &resources)?;
    check(!client.list_all_resource_templates().await?.is_empty(), "no resource templates")?;
    check(client.list_all_prompts().await?.iter().any(|prompt| prompt.name == "test_simple_prompt"), "prompts/list")?;
    check(
        !client.read_resource(ReadResourceRequestParams::new("test://static-text")).await?.contents.is_empty(),
        "resources/read",
    )?;
    check(
        !client.get_prompt(GetPromptRequestParams::new("test_simple_prompt")).await?.messages.is_empty(),
        "prompts/get",
    )?;
    client.complete_prompt_simple("test_prompt_with_arguments", "arg1", "test").await?;
    call(&client, "test_simple_text", json!({})).await?;

    call(&client, "test_tool_with_progress", json!({})).await?;
    let seen = client.service().progress.lock().expect("lock").clone();
    check(seen.len() >= 2 && seen.windows(2).all(|two| two[0] < two[1]), ("progress must come and rise", seen))?;

    let said = if modern {
        call(&client, "test_input_required_result_sampling", json!({})).await?;
        call(&client, "test_input_required_result_elicitation", json!({})).await?
    } else {
        let said = call(&client, "test_sampling", json!({ "prompt": "capital of France?" })).await?;
        check(said.contains("Paris"), said)?;
        call(&client, "test_elicitation", json!({ "message": "Who?" })).await?
    };
    check(said.contains("Alice"), said)?;
    let asked = client.service().asked.lock().expect("lock").clone();
    check(asked == ["sampling", "elicitation"], &asked)?;

    if modern {
        let mut changes = client.listen(SubscriptionFilter::builder().tools_list_changed().build()).await?;
        call(&client, "test_trigger_tool_change", json!({})).await?;
        let told = tokio::time::timeout(Duration::from_secs(5), changes.next()).await??;
        check(told.is_some(), "the listen stream ended")?;
        changes.cancel().await?;
    }
    client.cancel().await?;
    Ok(revision.to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let (Some(era), Some(url)) = (words.next(), words.next()) else {
        return Err("usage: rmcp-client modern|session URL".into());
    };
    let revision = tokio::time::timeout(Duration::from_secs(90), whole(era == "modern", url)).await??;
    println!("ok: Rust SDK (rmcp), http, {era}: {revision}");
    Ok(())
}
