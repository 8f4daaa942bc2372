//! The program as a process, and SIGHUP: what it reads again, what it refuses, and whom it lets go on.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::sim::client::*;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program, with a folder of its own that goes with it.
struct Program {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
    log: Receiver<String>,
}

impl Program {
    fn start(name: &str, files: &[(&str, &str)], options: &[&str]) -> Program {
        let folder = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|(file, text)| write(&folder.join(file), text));
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["--listen", "127.0.0.1:0", "--debug-listen", "off"])
            .args(options.iter().map(|word| word.replace('@', folder.to_str().unwrap())))
            .env_remove("PORTCULLIS_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line).ok()));
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = said.find(|line| line.contains("/mcp ")).expect("it says where it serves");
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Program { child, folder, address, log }
    }

    fn write(&self, file: &str, text: &str) {
        write(&self.folder.join(file), text);
    }

    /// Sends SIGHUP; the lines of the log up to the word on what came of it.
    fn hup(&self) -> Vec<String> {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.contains("reloaded")) {
            lines.push(self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no word on the reload: {lines:?}")));
        }
        lines
    }

    fn connect(&self, request: &[u8]) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        BufReader::new(stream)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Writes a file as an editor does: there is never half of it.
fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, path).unwrap();
}

/// A session of somebody's.
struct Client<'a> {
    program: &'a Program,
    token: &'static str,
    id: String,
}

impl Client<'_> {
    fn open<'a>(program: &'a Program, token: &'static str) -> Client<'a> {
        let mut client = Client { program, token, id: String::new() };
        let (status, head, _) = client.post(&initialize(LATEST));
        assert_eq!(status, 200, "{head}");
        let id = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
        client.id = id.trim().to_owned();
        client
    }

    fn request(&self, method: &str, accept: &str, body: &str) -> Vec<u8> {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("Authorization", bearer.as_str()), ("Accept", accept), ("Connection", "close")];
        if !self.id.is_empty() {
            headers.extend([("Mcp-Session-Id", self.id.as_str()), ("MCP-Protocol-Version", LATEST)]);
        }
        request(method, "/mcp", &headers, body)
    }

    /// Status, head and body of the answer.
    fn post(&self, body: &str) -> (u16, String, Value) {
        let mut text = String::new();
        self.program.connect(&self.request("POST", JSON, body)).read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), serde_json::from_str(body).unwrap_or_default())
    }

    fn tools(&self) -> Vec<String> {
        let (status, _, listed) = self.post(&rpc(1, "tools/list", json!({})));
        assert_eq!(status, 200, "the session is kept");
        let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    fn says(&self, tool: &str) -> String {
        let (_, _, answer) = self.post(&call(1, tool, json!({})));
        answer["result"]["content"][0]["text"]
            .as_str()
            .map_or_else(|| answer.to_string(), |text| text.trim().to_owned())
    }

    fn listen(&self) -> BufReader<TcpStream> {
        let mut stream = self.program.connect(&self.request("GET", SSE, ""));
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        stream
    }
}

/// The method of the next message on a stream; none at its end.
fn told(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    while stream.read_line(&mut line).expect("something within the time") > 0 {
        if let Some(message) = line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok()) {
            return message["method"].as_str().map(str::to_owned);
        }
        line.clear();
    }
    None
}

fn token(name: &str, secret: &str, role: &str, more: &str) -> String {
    let digest: String = Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[token]]\nname = \"{name}\"\nsha256 = \"{digest}\"\nrole = \"{role}\"\n{more}\n")
}

fn tool(name: &str, says: &str) -> String {
    format!("[[tool]]\nname = \"{name}\"\ndescription = \"Says it.\"\nargv = [\"echo\", \"{says}\"]\n")
}

const ROLES: &str = "[[role]]\nname = \"all\"\ntools = [\"*\"]\n[[role]]\nname = \"some\"\ntools = [\"greet\"]\n";
const OPS: &str = "ops-has-this-token";
const EVE: &str = "eve-has-another-token";

#[test]
fn sighup_exchanges_tools_roles_and_tokens_at_once_or_not_at_all_and_keeps_the_sessions() {
    let (ops, eve) = (token("ops", OPS, "all", ""), token("eve", EVE, "some", ""));
    let first = format!("{ROLES}{ops}{eve}{}{}", tool("greet", "hello"), tool("gone", "x"));
    let program = Program::start("hup", &[("fw.toml", &first)], &["--config", "@/fw.toml"]);
    let (ops_in, eve_in) = (Client::open(&program, OPS), Client::open(&program, EVE));
    let (mut hers, mut his) = (eve_in.listen(), ops_in.listen());
    assert_eq!(eve_in.tools(), ["greet"]);
    assert!(eve_in.says("gone").contains("unknown tool"), "{}", eve_in.says("gone"));
    let before = ops_in.tools();
    assert!(before.iter().any(|name| name == "gone") && before.len() > 3, "{before:?}");
    assert_eq!(ops_in.says("greet"), "hello");

    // Faults first: each is named with its place, and nothing changes.
    for (text, fault) in [
        (format!("{first}\n[[tool]]\nnme = \"x\"\n"), "unknown key `nme`"),
        (format!("{ROLES}{ops}{}{}", tool("greet", "hi"), tool("greet", "ho")), "`greet` is there already"),
        (format!("{ROLES}{ops}{}", tool("system_info", "hi")), "system_info"),
        ("not toml at all [".to_owned(), "fw.toml:1:"),
    ] {
        program.write("fw.toml", &text);
        let log = program.hup().join("\n");
        assert!(log.contains(fault) && log.contains("not reloaded: everything stays as it was"), "{fault}: {log}");
        assert_eq!((ops_in.tools(), eve_in.tools()), (before.clone(), vec!["greet".to_owned()]));
        assert_eq!(ops_in.says("greet"), "hello");
    }

    let second = format!("[server]\ngrace = 3\n{ROLES}{ops}{}{}", tool("greet", "hi"), tool("fresh", "new"));
    program.write("fw.toml", &second);
    let log = program.hup().join("\n");
    assert!(log.contains("`grace` takes effect at the next start"), "{log}");
    assert_eq!(told(&mut his).as_deref(), Some("notifications/tools/list_changed"));
    assert_eq!(told(&mut hers), None, "the session of a token that is gone ends");
    assert_eq!(eve_in.post(&ping(1)).0, 401);
    let after = ops_in.tools();
    assert!(after.iter().any(|name| name == "fresh") && !after.iter().any(|name| name == "gone"), "{after:?}");
    assert_eq!((ops_in.says("greet").as_str(), ops_in.says("fresh").as_str()), ("hi", "new"));
}

#[test]
fn a_token_that_runs_out_ends_what_it_began_at_that_moment() {
    let end = SystemTime::now() + Duration::from_secs(3);
    let seconds = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (day, of_day) = (seconds / 86_400, seconds % 86_400);
    // The day as a date by way of the program's own reader: days since 1970 need no calendar in a test.
    let date = civil(day as i64);
    let expires = format!("expires = {date}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60);
    let (ops, eve) = (token("ops", OPS, "all", ""), token("eve", EVE, "some", &expires));
    let text = format!("{ROLES}{ops}{eve}{}", tool("greet", "hello"));
    let program = Program::start("expiry", &[("fw.toml", &text)], &["--config", "@/fw.toml"]);
    let (eve_in, ops_in) = (Client::open(&program, EVE), Client::open(&program, OPS));
    let mut hers = eve_in.listen();
    let begin = Instant::now();
    while told(&mut hers).is_some() {}
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!((eve_in.post(&ping(1)).0, ops_in.post(&ping(1)).0), (401, 200));
}

/// The date of a day since 1970.
fn civil(days: i64) -> String {
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    format!("{:04}-{month:02}-{day:02}", yoe + era * 400 + i64::from(month <= 2))
}

#[test]
fn p12_a_token_file_is_read_again_and_a_bad_one_is_refused() {
    let both = format!("{OPS}\n{EVE}\n");
    let program = Program::start("tokens", &[("tokens", &both)], &["--token-file", "@/tokens"]);
    let (ops_in, eve_in) = (Client::open(&program, OPS), Client::open(&program, EVE));
    let mut hers = eve_in.listen();
    program.write("tokens", "short\n");
    let log = program.hup().join("\n");
    assert!(log.contains("tokens: line 1: expected") && log.contains("not reloaded"), "{log}");
    assert_eq!((ops_in.post(&ping(1)).0, eve_in.post(&ping(1)).0), (200, 200));
    program.write("tokens", &format!("{OPS}\n"));
    program.hup();
    while told(&mut hers).is_some() {}
    assert_eq!((ops_in.post(&ping(1)).0, eve_in.post(&ping(1)).0), (200, 401));
}

#[test]
fn without_a_file_to_read_again_sighup_ends_the_program_like_any_other() {
    use std::os::unix::process::ExitStatusExt;
    let mut program = Program::start("bare", &[], &[]);
    kill_process(Pid::from_child(&program.child), Signal::HUP).unwrap();
    assert_eq!(program.child.wait().unwrap().signal(), Some(1));
}
