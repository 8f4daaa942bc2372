//! `sockets`: TCP and UDP sockets of this machine's network namespace, from the kernel's own tables.
//!
//! `ss` speaks no JSON and is missing where space is scarce; `/proc/self/net` is always there, also in a unit with
//! `ProcSubset=pid`, and needs no child and no right. States have the names that `ss` gives them. Left out: which
//! process holds a socket (that needs a look into every process), and Unix and raw sockets.

use super::shape::{Arguments, How, Rows, Shape, Told, object, put};
use crate::bounds::digits;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};

pub(super) static SOCKETS: Shape = Shape {
    name: "sockets",
    description: "TCP and UDP sockets, in the words of `ss`.",
    input: r#""properties":{
        "protocol":{"type":"string","enum":["tcp","udp","all"],"default":"all"},
        "state":{"type":"string","enum":["listening","established","all"],"default":"listening"},
        "limit":{"type":"integer","minimum":1,"maximum":1000,"default":100}}"#,
    output: "",
    open_world: false,
    how: How::Steps(|call| Box::pin(look(&call.args))),
};

/// Where the kernel lists them. A machine without IPv6 has two of them.
const TABLES: [(&str, &str); 4] = [
    ("tcp", "/proc/self/net/tcp"),
    ("tcp", "/proc/self/net/tcp6"),
    ("udp", "/proc/self/net/udp"),
    ("udp", "/proc/self/net/udp6"),
];

/// Other calls get their turn after this much of a table: some 400 sockets, less than a millisecond.
const TURN_BYTES: usize = 64 * 1024;

/// The kernel gives a page at a time.
const READ_BYTES: usize = 4096;

/// States by the kernel's numbers (`include/net/tcp_states.h`), as `ss` names them.
const STATES: [&str; 12] = [
    "ESTAB",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "UNCONN",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
    "SYN-RECV",
];

async fn look(args: &Arguments) -> Told {
    let protocol = args.text("protocol").unwrap_or("all");
    let state = args.text("state").unwrap_or("listening");
    let (mut rows, mut tables) = (args.rows(), 0);
    for (name, path) in TABLES.into_iter().filter(|(name, _)| protocol == "all" || protocol == *name) {
        // Without IPv6 its tables are not there.
        let Ok(mut file) = File::open(path) else { continue };
        tables += 1;
        // The rest of a line that the next read goes on with, and what was read in this turn.
        let (mut kept, mut turn) = (Vec::new(), 0);
        loop {
            let start = kept.len();
            kept.resize(start + READ_BYTES, 0);
            let n = file.read(&mut kept[start..]).map_err(|error| format!("{path}: {error}"))?;
            kept.truncate(start + n);
            if n == 0 {
                break;
            }
            let whole = kept.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for line in String::from_utf8_lossy(&kept[..whole]).lines() {
                add(&mut rows, name, state, line);
            }
            kept.drain(..whole);
            turn += n;
            if turn >= TURN_BYTES {
                turn = 0;
                smol::future::yield_now().await;
            }
        }
    }
    if tables == 0 {
        return Err("the kernel's tables in /proc/self/net cannot be read; is /proc mounted?".into());
    }
    Ok(rows.answer("sockets"))
}

/// Adds a line's socket, if its state is asked for. The heading is no socket.
fn add(rows: &mut Rows, protocol: &str, wanted: &str, line: &str) {
    let Some(socket) = socket(line) else { return };
    let asked = match wanted {
        // What waits for somebody: `ss -l` too counts UDP sockets without a peer.
        "listening" => socket.state == if protocol == "tcp" { "LISTEN" } else { "UNCONN" },
        "established" => socket.state == "ESTAB",
        _ => true,
    };
    if asked {
        rows.push(&mut || {
            let mut row = object(&[
                ("protocol", protocol),
                ("state", socket.state),
                ("local", &socket.local.to_string()),
                ("remote", &socket.remote.to_string()),
            ]);
            put(&mut row, "uid", socket.uid.into());
            Value::Object(row)
        });
    }
}

struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: &'static str,
    uid: u64,
}

/// `0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 …`
fn socket(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
    let state = hex(fields.next()?)?.checked_sub(1)?;
    // Queues, timer and retransmissions stand between the state and the owner.
    let uid = digits(fields.nth(3)?)?;
    Some(Socket { local, remote, state: STATES.get(state as usize)?, uid })
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// An address in the kernel's words of 32 bits, each in the byte order of this machine, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::try_from(hex(port)?).ok()?;
    let word = |at: usize| Some(hex(words.get(at..at + 8)?)?.to_ne_bytes());
    let ip: IpAddr = match words.len() {
        8 => word(0)?.into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_mut(4).enumerate() {
                part.copy_from_slice(&word(at * 8)?);
            }
            bytes.into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A word as this machine's kernel prints it.
    fn word(bytes: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(bytes))
    }

    #[test]
    fn addresses_are_read_in_this_machines_byte_order() {
        let v4 = format!("{}:1F90", word([192, 0, 2, 1]));
        assert_eq!(address(&v4), Some("192.0.2.1:8080".parse().unwrap()));
        let zero = word([0; 4]);
        let v6 = format!("{}{zero}{zero}{}:0035", word([0x20, 1, 0xd, 0xb8]), word([0, 0, 0, 1]));
        assert_eq!(address(&v6), Some("[2001:db8::1]:53".parse().unwrap()));
        for text in ["", ":", "0:0", "0000000:0050", "0000000G:0050", "00000000:10000", "00000000", "é0000000:0050"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_of_the_table_is_a_socket_and_its_heading_is_none() {
        let (one, none) = (word([127, 0, 0, 1]), word([0; 4]));
        let line = |state: &str| {
            format!(
                "   0: {one}:0050 {none}:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 123 1 0"
            )
        };
        let found = |protocol: &str, wanted: &str, line: &str| {
            let mut rows = Arguments(json!({})).rows();
            add(&mut rows, protocol, wanted, line);
            rows.answer("sockets")["sockets"].clone()
        };
        let row = json!({
            "protocol": "tcp", "state": "LISTEN", "local": "127.0.0.1:80", "remote": "0.0.0.0:0", "uid": 1000
        });
        assert_eq!(found("tcp", "listening", &line("0A")), json!([row]));
        for (protocol, wanted, state, there) in [
            ("tcp", "listening", "01", 0),
            ("tcp", "established", "01", 1),
            ("tcp", "all", "06", 1),
            ("udp", "listening", "07", 1),
            ("udp", "established", "07", 0),
            ("tcp", "all", "00", 0),
            ("tcp", "all", "FF", 0),
        ] {
            assert_eq!(found(protocol, wanted, &line(state)).as_array().unwrap().len(), there, "{protocol} {state}");
        }
        let heading =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        for line in ["", heading, "0: 0100007F:0050", "\u{fffd}"] {
            assert_eq!(found("tcp", "all", line), json!([]), "{line}");
        }
    }

    #[test]
    fn a_listener_of_this_process_is_among_the_sockets() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap().to_string();
        let args = Arguments(json!({ "protocol": "tcp", "limit": 1000 }));
        let answer = smol::block_on(look(&args)).unwrap();
        let rows = answer["sockets"].as_array().unwrap();
        assert!(rows.iter().any(|row| row["local"] == local && row["state"] == "LISTEN"), "{answer:?}");
    }
}
