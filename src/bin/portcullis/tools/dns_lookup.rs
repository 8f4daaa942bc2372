//! `dns_lookup`: asks a name server one question, without a resolver's library and without `dig`.
//!
//! By UDP from a port that the system chooses by chance, with a number by chance; what does not answer the question
//! is not looked at any further. An answer that is too long for UDP is asked for again by TCP. A name is asked for
//! as it stands: no search domains, no `/etc/hosts`, no cache. "There is no such name" is an answer, not a fault.

use super::dns::{self, Question, Reply};
use super::shape::{self, Arguments, How, Shape, object, put};
use super::{checked, refusal};
use crate::serve::contents;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde_json::Value;
use smol::{Async, future};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

pub(super) static DNS_LOOKUP: Shape = Shape {
    name: "dns_lookup",
    description: "Asks this machine's name servers, or `server`; data as `dig` prints it.",
    input: r#""required":["name"],"properties":{
        "name":{"type":"string","description":"Whole name; for PTR an address too."},
        "type":{"type":"string","enum":["A","AAAA","PTR","MX","TXT","NS","CNAME","SOA","SRV"],"default":"A"},
        "server":{"type":"string","description":"IP or IP:port."}}"#,
    output: "",
    open_world: true,
    how: How::Steps(|call| Box::pin(look(&call.args))),
};

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// resolv.conf(5): as many as the C library asks.
const SERVERS_MAX: usize = 3;

/// Each server is asked so often: a packet may be lost.
const ROUNDS: usize = 2;

/// How long a server may take. With three servers and two rounds a call takes 15 s at most.
const SERVER_WAIT: Duration = Duration::from_millis(2500);

/// Messages that are no answer until we look no further: somebody guesses.
const FOREIGN_MAX: usize = 100;

const PORT: u16 = 53;

async fn look(args: &Arguments) -> shape::Told {
    let (id, _, _, _) = uuid::Uuid::new_v4().as_fields();
    let question = question(args, id as u16)?;
    let servers = servers(args.text("server"))?;
    let (mut refused, mut faults) = (None, String::new());
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        let late = async {
            smol::Timer::after(SERVER_WAIT).await;
            Err(ErrorKind::TimedOut.into())
        };
        match future::or(ask(*server, &question), late).await {
            Ok((transport, status, answers)) => {
                let is_last_word = !matches!(&*status, "SERVFAIL" | "REFUSED" | "NOTIMP");
                let text = server.to_string();
                let mut answer = object(&[("server", &text), ("transport", transport), ("status", &status)]);
                put(&mut answer, "answers", Value::Array(answers));
                refused = Some(answer);
                // One that will not or cannot: perhaps another does.
                if is_last_word {
                    break;
                }
            }
            Err(error) => faults = format!("{faults}{server}: {error}\n"),
        }
    }
    refused.ok_or_else(|| format!("no name server answered\n{}", faults.trim_ascii_end()))
}

/// What is asked for, from the arguments.
fn question(args: &Arguments, id: u16) -> Result<Question, String> {
    let (name, kind) = (args.text("name").unwrap_or_default(), args.text("type"));
    let kind_of =
        |usual| dns::kind(kind.unwrap_or(usual)).ok_or_else(|| "`type`: expected a type of the schema".to_owned());
    match name.parse::<IpAddr>() {
        Ok(_) if kind.is_some_and(|kind| kind != "PTR") => {
            Err("`name`: got an address, which has names of type PTR only; leave `type` out, or give a name".into())
        }
        Ok(address) => Question::new(id, &reverse(address), kind_of("PTR")?),
        Err(_) => Question::new(id, checked("name", name, 254, "-_.*")?, kind_of("A")?),
    }
}

/// The name under which an address has its names (RFC 1035, 3.5; RFC 3596, 2.5).
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let mut name = String::new();
            for digit in format!("{:032x}", v6.to_bits()).bytes().rev() {
                name.extend([char::from(digit), '.']);
            }
            name + "ip6.arpa"
        }
    }
}

/// `192.0.2.1`, `2001:db8::1`, `192.0.2.1:5353`, `[2001:db8::1]:5353`.
fn server(text: &str) -> Option<SocketAddr> {
    let usual = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
    usual().or_else(|| text.parse().ok())
}

/// The server that was named, or those that this machine uses.
fn servers(named: Option<&str>) -> Result<Vec<SocketAddr>, String> {
    if let Some(named) = named {
        let server = server(named);
        let why = || refusal("server", named, "expected an IP address, perhaps with a port");
        return server.map(|server| vec![server]).ok_or_else(why);
    }
    let bytes = std::fs::File::open(RESOLV_CONF)
        .and_then(|file| contents(file, 16 * 1024))
        .map_err(|error| format!("{RESOLV_CONF}: {error}; give a `server`"))?;
    let servers = nameservers(&String::from_utf8_lossy(&bytes));
    match servers.is_empty() {
        true => Err(format!("{RESOLV_CONF} names no server by an IP address; give a `server`")),
        false => Ok(servers),
    }
}

/// The `nameserver` lines; one with a zone (`fe80::1%eth0`) is not among them.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() == Some("nameserver") && servers.len() < SERVERS_MAX {
            servers.extend(words.next().and_then(server));
        }
    }
    servers
}

type Heard = (&'static str, String, Vec<Value>);

/// Asks one server, by UDP, and by TCP if the answer is too long for it. Whoever calls has the clock.
async fn ask(server: SocketAddr, question: &Question) -> io::Result<Heard> {
    let mut is_stream = false;
    loop {
        let (kind, transport) = if is_stream { (SocketType::STREAM, "tcp") } else { (SocketType::DGRAM, "udp") };
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = Async::new_nonblocking(net::socket_with(family, kind, flags, None)?)?;
        // Connected: what others than the server send does not come through, and the port is the system's choice.
        match net::connect(&socket, &server) {
            Err(Errno::INPROGRESS) => socket.writable().await?,
            result => result?,
        }
        // Both kinds take so little at once. On a stream a message has its length before it (RFC 1035, 4.2.2).
        let mut bytes = u16::try_from(question.bytes.len()).unwrap_or_default().to_be_bytes().to_vec();
        bytes.extend_from_slice(&question.bytes);
        net::send(&socket, if is_stream { &bytes } else { &question.bytes }, SendFlags::NOSIGNAL)?;
        match answer(&socket, question, is_stream).await? {
            Reply::Whole { status, answers } => return Ok((transport, status, answers)),
            _ if is_stream => return Err(io::Error::other("what came by TCP is no whole answer to the question")),
            _ => is_stream = true,
        }
    }
}

/// What comes: the first message that answers the question, on a stream the first of all.
async fn answer(socket: &Async<OwnedFd>, question: &Question, is_stream: bool) -> io::Result<Reply> {
    let (mut bytes, mut have, mut foreign) = (vec![0; 2 + usize::from(u16::MAX)], 0, 0);
    loop {
        let n = match net::recv(socket, &mut bytes[have..], RecvFlags::empty()) {
            Ok((n, _)) => n,
            Err(Errno::AGAIN) => {
                socket.readable().await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let message = if is_stream {
            have += n;
            let end = 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
            match bytes.get(2..end).filter(|_| have >= end) {
                None if n == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                None => continue,
                Some(message) => message,
            }
        } else {
            &bytes[..n]
        };
        match question.read(message).map_err(io::Error::other)? {
            Reply::Foreign if !is_stream && foreign < FOREIGN_MAX => foreign += 1,
            Reply::Foreign => return Err(io::Error::other("what came was no answer to the question")),
            reply => return Ok(reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};
    use std::io::{Read, Write};
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn an_address_is_asked_for_by_its_reverse_name() {
        assert_eq!(reverse("192.0.2.1".parse().unwrap()), "1.2.0.192.in-addr.arpa");
        let v6 = reverse("2001:db8::1".parse().unwrap());
        assert_eq!(v6, format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23)));
    }

    #[test]
    fn a_name_that_is_none_is_refused_by_its_argument() {
        let cases = [
            (json!({ "name": "" }), "`name`: got \"\""),
            (json!({ "name": "a b" }), "`name`: got \"a b\""),
            (json!({ "name": "-h" }), "`name`"),
            (json!({ "name": "a..b" }), "`name`: got \"a..b\""),
            (json!({ "name": "\0" }), "`name`: got \"\\0\""),
            (json!({ "name": "192.0.2.1", "type": "A" }), "`name`: got an address"),
        ];
        for (args, expected) in cases {
            let why = question(&Arguments(args), 1).err().unwrap();
            assert!(why.starts_with(expected), "{why}");
        }
        for args in [json!({ "name": "192.0.2.1" }), json!({ "name": "::1", "type": "PTR" }), json!({ "name": "." })] {
            assert!(question(&Arguments(args), 1).is_ok());
        }
    }

    #[test]
    fn servers_are_addresses_and_the_first_three() {
        let text = "# by hand\nsearch example\nnameserver 192.0.2.1\nnameserver\tfe80::1%eth0\n nameserver 2001:db8::1 x\n\
                    nameserver fw.example\nnameserver\nnameserver 192.0.2.3\nnameserver 192.0.2.4\noptions edns0";
        let told: Vec<_> = nameservers(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(told, ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53"]);
        assert_eq!(server("[::1]:5353"), "[::1]:5353".parse().ok());
        assert_eq!((server("fw.example"), server("192.0.2.1:"), server("")), (None, None, None));
    }

    /// A server that says by UDP what `says` makes of the question, one after the other, and by TCP the last of it.
    fn serve(says: fn(&[u8]) -> Vec<Vec<u8>>) -> (SocketAddr, std::thread::JoinHandle<()>) {
        // Another test may have the same port of the other protocol.
        let (tcp, udp) = std::iter::repeat_with(|| TcpListener::bind("127.0.0.1:0").unwrap())
            .find_map(|tcp| UdpSocket::bind(tcp.local_addr().unwrap()).ok().map(|udp| (tcp, udp)))
            .unwrap();
        let address = tcp.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            let (n, client) = udp.recv_from(&mut question).unwrap();
            let said = says(&question[..n]);
            said.iter().for_each(|bytes| assert!(udp.send_to(bytes, client).is_ok()));
            if said.last().unwrap()[2] & 2 != 0 {
                let mut stream = tcp.accept().unwrap().0;
                stream.read_exact(&mut question[..n + 2]).unwrap();
                assert_eq!(usize::from(question[1]), n);
                let mut bytes = said.last().unwrap().clone();
                bytes[2] = 0x81;
                stream.write_all(&[&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()).unwrap();
            }
        });
        (address, thread)
    }

    fn asked(says: fn(&[u8]) -> Vec<Vec<u8>>) -> Result<Map<String, Value>, String> {
        let (address, thread) = serve(says);
        let result = smol::block_on(look(&Arguments(json!({ "name": "fw.example", "server": address.to_string() }))));
        thread.join().unwrap();
        result
    }

    /// The answer with one address to the question, flags as given.
    fn answer(question: &[u8], flags: u8) -> Vec<u8> {
        let mut bytes = question.to_vec();
        (bytes[2], bytes[3], bytes[7]) = (flags, 0x80, 1);
        bytes.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
        bytes
    }

    #[test]
    fn foreign_messages_are_passed_over() {
        let told = asked(|question| {
            let mut guess = answer(question, 0x81);
            guess[0] ^= 1;
            vec![guess, b"x".to_vec(), Vec::new(), answer(question, 0x81)]
        });
        let told = told.unwrap();
        assert_eq!((&told["status"], &told["transport"]), (&json!("NOERROR"), &json!("udp")));
        let row = json!({ "name": "fw.example.", "type": "A", "ttl": 60, "data": "192.0.2.1" });
        assert_eq!(told["answers"], json!([row]));
    }

    #[test]
    fn a_flood_of_guesses_ends_the_question() {
        let why = asked(|question| {
            let mut guess = answer(question, 0x81);
            guess[0] ^= 1;
            vec![guess; FOREIGN_MAX + 1]
        });
        assert!(why.is_err_and(|why| why.contains("no answer to the question")));
    }

    #[test]
    fn a_server_that_cannot_is_asked_again_and_then_believed() {
        let told = asked(|question| {
            let mut cannot = answer(question, 0x81);
            cannot[3] |= 2;
            vec![cannot]
        });
        // Who answers only once is gone in the second round; what he said is told all the same.
        assert_eq!(told.unwrap()["status"], "SERVFAIL");
    }

    #[test]
    fn a_long_answer_comes_by_tcp() {
        let told = asked(|question| vec![answer(question, 0x83)]).unwrap();
        assert_eq!((&told["transport"], told["answers"].as_array().unwrap().len()), (&json!("tcp"), 1));
    }
}
