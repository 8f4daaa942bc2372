//! What a model can do here: look at the machine. Every tool only reads, and says so; but one, which adds a table to
//! the firewall for the time of its call.
//!
//! A tool's file declares it, runs it, and reads what the machine answers; the reading is pure and tested.
//! Arguments that reach a command are checked here first: no shell is involved, but `nft` reads its
//! arguments as one text in a language of its own, and every command reads a leading `-` as an option.

mod conntrack;
mod dhcp_leases;
mod dns;
mod dns_lookup;
mod firewall_ruleset;
mod firewall_sets;
mod firewall_trace;
mod ip;
mod ping_host;
mod shape;
mod sockets;
mod system_info;
mod traceroute;

use crate::serve::contents;
use portcullis::{Builder, CallError, CallResult, Handle, Limits, RequestContext, Tool, Toolset};
use serde_json::{Map, Value};
use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How long a command that answers from the kernel's tables may take. A set of 200,000 addresses takes 5 s.
const LOOK_WAIT: Duration = Duration::from_secs(20);

/// Says what this server is.
pub(crate) fn describe(builder: Builder, _: &Limits, _: &Handle) -> Builder {
    let instructions = "This machine's network, its nftables firewall, its load; and ping, traceroute, DNS. Tools that may change \
                        something are not marked read-only.";
    builder.title("Portcullis").instructions(instructions)
}

/// Adds every tool. What a command prints is read up to the size of the largest answer: more could not be sent.
pub(crate) fn register(tools: Toolset, limits: &Limits) -> Toolset {
    let answer_bytes_max = limits.result_bytes_max;
    let tools = TOOLS.iter().fold(tools, |tools, shape| shape.register(tools, answer_bytes_max, false));
    firewall_trace::FIREWALL_TRACE.register(tools, answer_bytes_max, true)
}

/// All that only read, in the order in which they are listed.
static TOOLS: [&shape::Shape; 15] = [
    &system_info::SYSTEM_INFO,
    &ip::INTERFACES,
    &ip::ROUTES,
    &ip::ROUTE_GET,
    &ip::NEIGHBOURS,
    &sockets::SOCKETS,
    &dhcp_leases::DHCP_LEASES,
    &dns_lookup::DNS_LOOKUP,
    &traceroute::TRACEROUTE,
    &firewall_ruleset::FIREWALL_RULESET,
    &firewall_sets::FIREWALL_COUNTERS,
    &firewall_sets::FIREWALL_SET_LOOKUP,
    &conntrack::CONNTRACK_SUMMARY,
    &conntrack::CONNTRACK_LIST,
    &ping_host::PING_HOST,
];

/// Is it the name of one of the program's own tools?
#[cfg(feature = "config")]
pub(crate) fn is_own(name: &str) -> bool {
    all().any(|shape| shape.name == name)
}

/// Every tool, as [`register`] adds them.
#[cfg(any(test, feature = "config"))]
fn all() -> impl Iterator<Item = &'static shape::Shape> {
    TOOLS.into_iter().chain([&firewall_trace::FIREWALL_TRACE])
}

/// What a call of a tool comes to.
pub(crate) type Called = Pin<Box<dyn Future<Output = Result<CallResult, CallError>>>>;

/// Adds a tool. Its handler is boxed, so that what surrounds one is compiled once.
pub(crate) fn add(tools: Toolset, tool: Tool, handler: Box<dyn Fn(RequestContext, Value) -> Called>) -> Toolset {
    tools.tool(tool, handler)
}

/// Adds a field to an object.
pub(crate) fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    object.insert(name.to_owned(), value);
}

/// Longest file of the kernel's that is read as a whole; `/proc/meminfo` is 1.5 KiB.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// What a small file of the kernel's says, if it is there.
fn kernel(path: &str) -> Option<String> {
    String::from_utf8(contents(File::open(path).ok()?, FILE_BYTES_MAX).ok()?).ok()
}

/// A schema from its text. Text, because `json!` builds each node in code: 25 KiB of it for these few.
fn schema(text: &str) -> Value {
    serde_json::from_str(text).expect("a literal of this program, which a test has read")
}

/// Refuses a name that a command could take for something else, by its argument's name.
///
/// Letters, digits and `extra`, at most `bytes_max` of them, the first of them no `-`.
fn checked<'a>(argument: &str, text: &'a str, bytes_max: usize, extra: &str) -> Result<&'a str, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    if text.is_empty() || text.len() > bytes_max || text.starts_with('-') || !text.chars().all(known) {
        let expected = format!("expected 1 to {bytes_max} letters, digits and any of {extra}, not starting with -");
        return Err(refusal(argument, text, &expected));
    }
    Ok(text)
}

/// Why a value is refused. What was sent is shown short and escaped: it goes to a model and into a log.
pub(crate) fn refusal(argument: &str, sent: &str, expected: &str) -> String {
    format!("`{argument}`: got {:?}, {expected}", short(sent))
}

/// The beginning of a text that may be long.
pub(crate) fn short(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_can_be_declared() {
        assert_eq!(register(Toolset::new(), &Limits::default()).check(), Ok(()));
    }

    /// A model reads the list of tools in every conversation. Tokenizers differ, so bytes are measured: 2,500 tokens are
    /// taken as 8,250 bytes, 3.3 a token.
    #[test]
    fn the_list_of_tools_is_under_2500_tokens() {
        let mut bytes = 0;
        for tool in all() {
            let mut listed = serde_json::json!({
                "name": tool.name, "description": tool.description, "inputSchema": schema(&tool.input_schema()),
                "annotations": { "readOnlyHint": true, "openWorldHint": false },
            });
            if !tool.output.is_empty() {
                listed["outputSchema"] = schema(tool.output);
            }
            bytes += listed.to_string().len() + 1;
        }
        assert!(bytes <= 8250, "{bytes} bytes");
    }

    #[test]
    fn a_name_that_a_command_could_misread_is_refused_by_its_argument() {
        let long = "x".repeat(65);
        for text in ["", "-f", "--help", "a b", "a;b", "a\0b", "a\nb", "a{b", "\"a\"", "é", "$(id)", long.as_str()] {
            let why = checked("host", text, 64, ".:-").unwrap_err();
            assert!(why.starts_with("`host`: got \"") && why.len() < 250, "{text:?}: {why}");
            assert!(!why.contains(['\0', '\n']), "{why:?}");
        }
        for text in ["a", "fw.example", "192.0.2.1", "fe80::1", "x-1"] {
            assert_eq!(checked("host", text, 64, ".:-"), Ok(text));
        }
    }
}
