//! Resources that are read, proposed and watched: a counter that another thread counts, and chains by their names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use portcullis::{
    CallError, Completion, CompletionRequest, Handle, ReadRequest, RequestContext, Resource, ResourceTemplate, Server,
};

const DROPPED: &str = "fw://counters/dropped";
const CHAIN: &str = "fw://chains/{name}";
const CHAINS: [(&str, &str); 3] =
    [("input", "ct state established accept; tcp dport 22 accept; drop"), ("forward", "drop"), ("output", "accept")];

/// What a chain holds. A name that is none of ours is a resource that is not there.
async fn chain(_: RequestContext, request: ReadRequest) -> Result<&'static str, CallError> {
    let name = request.get("name").unwrap_or_default();
    let found = CHAINS.iter().find(|(known, _)| *known == name);
    found.map(|(_, rules)| *rules).ok_or_else(|| CallError::not_found(request.uri()))
}

/// The names that begin like what the user has typed.
async fn chain_names(_: RequestContext, typed: CompletionRequest) -> Result<Completion, CallError> {
    let names = CHAINS.iter().map(|(name, _)| *name).filter(|name| name.starts_with(&typed.value));
    Ok(names.collect::<Vec<_>>().into())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (handle, dropped) = (Handle::new(), Arc::new(AtomicU64::new(0)));
    let (firewall, count) = (handle.clone(), dropped.clone());
    // Handles are for other threads: whoever subscribed is told to read again.
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(2));
            count.fetch_add(1, Ordering::Relaxed);
            firewall.resource_updated(DROPPED);
        }
    });

    let counter = Resource::new(DROPPED, "dropped").description("Packets dropped since the start.");
    let chains = ResourceTemplate::new(CHAIN, "chain").description("The rules of a chain.");
    let server = Server::builder("resources", "1.0.0")
        .handle(&handle)
        .resource(counter.mime_type("text/plain"), move |_, _| {
            let now = dropped.load(Ordering::Relaxed).to_string();
            async move { Ok(now) }
        })
        .resource_template(chains.mime_type("text/plain"), chain)
        .complete_resource(CHAIN, "name", chain_names)
        .build()?;
    Ok(server.run("127.0.0.1:8001")?)
}
