//! Every example that shows how to embed, as the program it is, used from outside.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::client::{Place, get, messages, post, rpc};
use crate::turn;

/// A running example, killed if the test fails.
struct Example {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Example {
    fn start(name: &str, args: &[&str]) -> Example {
        let here = std::env::current_exe().unwrap();
        let path = here.parent().and_then(Path::parent).unwrap().join("examples").join(name);
        assert!(path.exists(), "{path:?} is not there: `cargo test` builds it, or `cargo build --example {name}`");
        let mut child = Command::new(path).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Example { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The address in a line like `MCP on http://127.0.0.1:4321/mcp`.
    fn place(line: &str) -> Place {
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        Place::Tcp(address.parse().unwrap_or_else(|_| panic!("no address in {line:?}")))
    }

    /// Its exit code, and the rest of what it says.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

/// A folder of the test's own, taken away at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("portcullis-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads what a stream brings until the message in which `word` stands is complete.
fn wait_for(stream: &mut dyn Read, word: &str) -> Value {
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.split(word).nth(1).is_some_and(|rest| rest.contains("\n\n")) {
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} before {word:?}: {text}"));
        text.push(byte[0].into());
    }
    messages(&text).pop().unwrap_or_else(|| panic!("no message in {text:?}"))
}

#[test]
fn embed_thread_is_a_daemon_of_threads_that_asks_its_server_tells_it_changes_and_ends_it() {
    let _turn = turn();
    let mut daemon = Example::start("embed_thread", &["127.0.0.1:0", "127.0.0.1:0"]);
    let line = daemon.line();
    let (place, control) = (Example::place(&line), line.rsplit(' ').next().unwrap().parse::<SocketAddr>().unwrap());
    let command = |line: &str| {
        let mut stream = TcpStream::connect(control).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said.trim_end().to_owned()
    };
    assert_eq!(command("status"), "0 sessions");
    let session = place.open(json!({}));
    assert_eq!(command("status"), "1 sessions");

    let header = format!("Host: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n");
    let (mut stream, _) = place.begin(&get("/mcp", &header), "\r\n\r\n");
    let blocked = json!({ "uri": "fw://blocked" });
    place.ask(&post(Some(&session), &rpc(1, "notifications/initialized", json!({})).replace("\"id\":1,", "")));
    assert_eq!(
        place.ask(&post(Some(&session), &rpc(2, "resources/subscribe", blocked.clone()))).messages()[0]["id"],
        2
    );
    assert_eq!(command("block 192.0.2.7"), "192.0.2.7: done");
    assert_eq!(wait_for(&mut stream, "notifications/resources/updated")["params"], blocked);
    let read = place.ask(&post(Some(&session), &rpc(3, "resources/read", blocked)));
    assert_eq!(read.messages()[0]["result"]["contents"][0]["text"], "192.0.2.7");
    assert_eq!(command("block 192.0.2.7"), "192.0.2.7: nothing to do");
    assert_eq!(command("allow 192.0.2.7"), "192.0.2.7: done");
    assert_eq!(command("block nobody"), "\"nobody\" is no address");
    assert!(command("flush everything").starts_with("expected: "));
    assert_eq!(command("stop"), "stopping");
    assert_eq!(daemon.end(), (Some(0), "ended\n".into()));
}

#[test]
fn embed_tokio_is_a_daemon_on_tokio_whose_handlers_await_tokios_timers() {
    let _turn = turn();
    let mut daemon = Example::start("embed_tokio", &["127.0.0.1:0"]);
    let place = Example::place(&daemon.line());
    let session = place.open(json!({}));
    assert_eq!(place.call(&session, "wait", json!({ "ms": 0 })), "waited 0 ms");
    // Longer than an answer in JSON is waited for: the server's own timer and tokio's, side by side.
    let begin = Instant::now();
    let call = rpc(1, "tools/call", json!({ "name": "wait", "arguments": { "ms": 400 } }));
    let answer = place.ask(&post(Some(&session), &call));
    assert!(answer.0.contains("text/event-stream") && begin.elapsed() >= Duration::from_millis(400), "{answer:?}");
    assert_eq!(answer.messages().pop().unwrap()["result"]["content"][0]["text"], "waited 400 ms");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), (Some(0), "ending with 1 sessions\nended\n".into()));
}

#[test]
fn unix_socket_serves_on_a_socket_for_its_owner_and_on_one_whose_peers_the_host_looks_at() {
    let _turn = turn();
    let folder = Folder::new("unix");
    let path = folder.0.join("mcp.sock");
    let mut server = Example::start("unix_socket", &[path.to_str().unwrap()]);
    assert!(server.line().ends_with("mcp.screened"));
    let places = [Place::unix(&path), Place::unix(&path.with_extension("screened"))];
    let session = places[0].open(json!({}));
    for place in &places {
        assert_eq!(place.call(&session, "who", json!({})), "You are embedding.", "they share their sessions");
    }
    for place in [&path, &path.with_extension("screened")] {
        assert_eq!(fs::metadata(place).unwrap().permissions().mode() & 0o777, 0o600, "{place:?}");
    }
    drop(server);
    // What a killed one leaves behind is in nobody's way.
    let mut again = Example::start("unix_socket", &[path.to_str().unwrap()]);
    again.line();
    assert_eq!(places[1].ask(&get("/healthz", "")).status(), "200");
}

/// Something that says what it was asked instead of doing it, and fails as it is told to.
const NFT: &str = "#!/bin/sh
echo \"$@\" >>FOLDER/asked
case $1 in -t) echo 'table inet fw {}'; exit;; esac
cat >>FOLDER/scripts
[ ! -e FOLDER/denied ] || { echo 'Operation not permitted (you must be root)' >&2; exit 1; }
";

#[test]
fn firewall_checks_then_asks_then_acts_and_says_what_is_missing() {
    let _turn = turn();
    let folder = Folder::new("firewall");
    let at = |name: &str| folder.0.join(name);
    fs::write(at("nft"), NFT.replace("FOLDER", folder.0.to_str().unwrap())).unwrap();
    fs::set_permissions(at("nft"), PermissionsExt::from_mode(0o755)).unwrap();
    let mut server = Example::start("firewall", &["127.0.0.1:0", at("nft").to_str().unwrap()]);
    let place = Example::place(&server.line());
    let asked = || std::mem::take(&mut fs::read_to_string(at("asked")).unwrap_or_default());
    let session = place.open(json!({ "elicitation": {} }));
    assert_eq!(place.call(&session, "rules", json!({})), "table inet fw {}\n");

    let block = |answer: Value| {
        let arguments = json!({ "address": "192.0.2.7", "minutes": 30 });
        let call = rpc(1, "tools/call", json!({ "name": "block", "arguments": arguments }));
        let mut stream = place.connect();
        stream.write_all(&post(Some(&session), &call)).unwrap();
        let question = wait_for(&mut stream, "elicitation/create");
        assert!(question["params"]["message"].as_str().unwrap().contains("192.0.2.7 for 30 minutes"), "{question}");
        let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }).to_string();
        assert_eq!(place.ask(&post(Some(&session), &reply)).status(), "202");
        let said = wait_for(&mut stream, "\"result\"");
        said["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(block(json!({ "action": "decline" })), "192.0.2.7 is not blocked: the user said no.");
    assert_eq!(asked(), "-t list ruleset\n-c -f -\n", "checked, and nothing done");
    let yes = json!({ "action": "accept", "content": { "reason": "it scans" } });
    assert_eq!(block(yes), "192.0.2.7 is blocked for 30 minutes: it scans");
    assert_eq!(asked(), "-t list ruleset\n-c -f -\n-c -f -\n-f -\n", "checked, asked, done");
    let script = fs::read_to_string(at("scripts")).unwrap();
    assert!(script.contains("add element inet portcullis blocked4 { 192.0.2.7 timeout 30m }"), "{script}");
    assert_eq!(place.call(&session, "unblock", json!({ "address": "2001:db8::7" })), "2001:db8::7 is not blocked.");

    for (arguments, fault) in [
        (json!({ "address": "192.0.2.7; flush ruleset" }), "invalid IP address"),
        (json!({ "address": "127.0.0.1" }), "no single machine's"),
        (json!({ "address": "192.0.2.7", "minutes": 0 }), "minutes"),
        (json!({ "address": "192.0.2.7", "port": 1 }), "port"),
    ] {
        let said = place.call(&session, "block", arguments);
        assert!(said.contains(fault), "{said}");
    }
    fs::write(at("denied"), "").unwrap();
    let said = place.call(&session, "block", json!({ "address": "192.0.2.7" }));
    assert!(said.contains("AmbientCapabilities=CAP_NET_ADMIN"), "before anybody is asked: {said}");
    fs::remove_file(at("nft")).unwrap();
    let said = place.call(&session, "rules", json!({}));
    assert!(said.contains("apt-get install nftables"), "{said}");
}
