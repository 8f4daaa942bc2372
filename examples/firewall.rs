//! A firewall that a model may change, if the user agrees: typed tools over `nft`.
//!
//! `block` checks its change with `nft -c`, asks, and only then acts. Addresses are `IpAddr`, so that nothing a model
//! writes reaches the text that `nft` reads but numbers. All of it lives in a table of its own, which one command takes
//! away: `nft delete table inet portcullis`.
//!
//! ```text
//! firewall 127.0.0.1:8001 /usr/sbin/nft
//! ```
//!
//! It runs as anybody; without CAP_NET_ADMIN or without `nft` each tool says what is missing and how to give it.

use std::io;
use std::net::IpAddr;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use portcullis::{CallError, Field, Form, RequestContext, Server, Tool};
use serde::Deserialize;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::process::Command;

/// Seconds that `nft` may take. It is killed then, and what it was given happens whole or not at all.
const NFT_WAIT: Duration = Duration::from_secs(10);
/// Bytes of what it prints.
const OUTPUT_BYTES_MAX: u64 = 256 * 1024;
/// Minutes: a week.
const MINUTES_MAX: u32 = 7 * 24 * 60;

/// What is in the table, made anew with every change, so that nobody has to set it up. A transaction: all or nothing.
const TABLE: &str = "\
add table inet portcullis
add set inet portcullis blocked4 { type ipv4_addr; flags timeout; }
add set inet portcullis blocked6 { type ipv6_addr; flags timeout; }
add chain inet portcullis guard { type filter hook prerouting priority -150; policy accept; }
flush chain inet portcullis guard
add rule inet portcullis guard ip saddr @blocked4 counter drop
add rule inet portcullis guard ip6 saddr @blocked6 counter drop
";

#[derive(Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Block {
    /// IPv4 or IPv6 address whose packets are dropped.
    address: IpAddr,
    /// For how many minutes, 1 to 10080; an hour if left out.
    minutes: Option<u32>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Unblock {
    /// The address to let in again.
    address: IpAddr,
}

#[derive(Deserialize)]
struct Consent {
    reason: String,
}

/// The arguments of `block`; with the feature `schemars` the type itself says what they are.
#[cfg(not(feature = "schemars"))]
const BLOCK: &str = r#"{
    "address": { "type": "string", "description": "IPv4 or IPv6 address whose packets are dropped." },
    "minutes": { "type": "integer", "minimum": 1, "maximum": 10080, "description": "An hour if left out." }
}"#;
#[cfg(not(feature = "schemars"))]
const UNBLOCK: &str = r#"{ "address": { "type": "string", "description": "The address to let in again." } }"#;

#[cfg(not(feature = "schemars"))]
fn arguments(properties: &str) -> serde_json::Value {
    let properties: serde_json::Value = serde_json::from_str(properties).expect("the constants above are JSON");
    serde_json::json!({
        "type": "object", "properties": properties, "required": ["address"], "additionalProperties": false
    })
}

/// Runs `nft`; dropping the future kills it. What it printed, or why it failed and what helps.
async fn nft(cx: &RequestContext, program: &str, args: &[&str], script: &str) -> Result<String, CallError> {
    let run = async {
        // No shell, no environment, and an absolute path: nobody else says what runs here.
        let (input, output) = (Stdio::piped(), Stdio::piped());
        let mut command = Command::new(program);
        command.args(args).env_clear().stdin(input).stdout(output).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends before it has read everything says why on stderr.
            let _ = stdin.write_all(script.as_bytes()).await;
        }
        let (mut told, mut fault) = (String::new(), String::new());
        if let Some(stdout) = child.stdout.take() {
            stdout.take(OUTPUT_BYTES_MAX + 1).read_to_string(&mut told).await?;
        }
        if told.len() as u64 > OUTPUT_BYTES_MAX {
            return Err(io::Error::other(format!("it printed more than {OUTPUT_BYTES_MAX} bytes")));
        }
        if let Some(stderr) = child.stderr.take() {
            stderr.take(OUTPUT_BYTES_MAX).read_to_string(&mut fault).await?;
        }
        if child.status().await?.success() { Ok(told) } else { Err(io::Error::other(fault)) }
    };
    let late = async {
        cx.sleep(NFT_WAIT).await;
        Err(io::Error::other(format!("it took more than {} s", NFT_WAIT.as_secs())))
    };
    run.or(late).await.map_err(|error| CallError::new(with_remedy(program, &error)))
}

/// Adds what helps where a program or a right is missing.
fn with_remedy(program: &str, error: &io::Error) -> String {
    let fault = error.to_string();
    let remedy = if error.kind() == io::ErrorKind::NotFound {
        "it is not there: apt-get install nftables, or name its path as the second argument"
    } else if fault.contains("Operation not permitted") {
        "the right CAP_NET_ADMIN is missing: AmbientCapabilities=CAP_NET_ADMIN in the unit, or run as root"
    } else {
        return format!("{program}: {}", fault.trim());
    };
    format!("{program}: {}\n{remedy}", fault.trim())
}

/// The change that makes `address` blocked, from now on and for so long. Adding it twice around a deletion is how an
/// entry gets a new time whether or not it was there.
fn blocking(address: IpAddr, minutes: u32) -> String {
    let set = set(address);
    format!(
        "{TABLE}add element {set} {{ {address} }}\ndelete element {set} {{ {address} }}\n\
         add element {set} {{ {address} timeout {minutes}m }}\n"
    )
}

fn set(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "inet portcullis blocked4" } else { "inet portcullis blocked6" }
}

/// Checks, asks, acts, in this order: in 2026-07-28 everything above the question runs again with its answer, and a
/// check does no harm twice.
async fn block(nft_path: Rc<str>, cx: RequestContext, args: Block) -> Result<String, CallError> {
    let (address, minutes) = (args.address.to_canonical(), args.minutes.unwrap_or(60));
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        return Err(CallError::new(format!("`address`: {address} is no single machine's; expected another's address")));
    }
    if !(1..=MINUTES_MAX).contains(&minutes) {
        return Err(CallError::new(format!("`minutes`: got {minutes}, expected 1 to {MINUTES_MAX}")));
    }
    let script = blocking(address, minutes);
    nft(&cx, &nft_path, &["-c", "-f", "-"], &script).await?;

    let form = Form::new(format!("Drop everything from {address} for {minutes} minutes?"))
        .field("reason", Field::text().title("Why?").min_length(1).max_length(200));
    let answer = cx.elicit("consent", form).await?;
    if !answer.accepted() {
        return Ok(format!("{address} is not blocked: the user said no."));
    }
    let consent: Consent = answer.read()?;

    nft(&cx, &nft_path, &["-f", "-"], &script).await?;
    Ok(format!("{address} is blocked for {minutes} minutes: {}", consent.reason))
}

async fn unblock(nft_path: Rc<str>, cx: RequestContext, args: Unblock) -> Result<String, CallError> {
    let address = args.address.to_canonical();
    let set = set(address);
    let script = format!("{TABLE}add element {set} {{ {address} }}\ndelete element {set} {{ {address} }}\n");
    nft(&cx, &nft_path, &["-f", "-"], &script).await?;
    Ok(format!("{address} is not blocked."))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8001".into());
    let path: Rc<str> = args.next().unwrap_or_else(|| "/usr/sbin/nft".into()).into();
    let (for_rules, for_block, for_unblock) = (path.clone(), path.clone(), path);

    let rules = Tool::new("rules").description("The rules of this firewall, without the elements of sets.").read_only();
    let asks = Tool::new("block").description("Drops what an address sends, for a time, if the user agrees.");
    let lets = Tool::new("unblock").description("Lets a blocked address in again.").idempotent();
    #[cfg(feature = "schemars")]
    let (asks, lets) = (asks.input::<Block>(), lets.input::<Unblock>());
    #[cfg(not(feature = "schemars"))]
    let (asks, lets) = (asks.input_schema(arguments(BLOCK)), lets.input_schema(arguments(UNBLOCK)));
    let server = Server::builder("firewall", "1.0.0")
        .tool(rules, move |cx: RequestContext, _: serde_json::Value| {
            let path = for_rules.clone();
            async move { nft(&cx, &path, &["-t", "list", "ruleset"], "").await }
        })
        .tool(asks.destructive(true), move |cx, args| block(for_block.clone(), cx, args))
        .tool(lets, move |cx, args| unblock(for_unblock.clone(), cx, args))
        .build()?;
    let listener = std::net::TcpListener::bind(address)?;
    println!("MCP on http://{}/mcp", listener.local_addr()?);
    Ok(smol::block_on(server.serve(vec![portcullis::Listener::tcp(listener)?]))?)
}
