//! Who may speak to us at all: Host and Origin (G-1 … G-3, DNS rebinding), and which proxies are believed.
//!
//! Whole hosts are compared, never prefixes. The address a connection was accepted on is always a good host:
//! a page from elsewhere cannot name it without being refused for its Origin.

use std::net::IpAddr;
use std::str::FromStr;

use crate::http::head::{Field, Head};
use crate::http::response::Rejection;

/// The hosts and origins that are let in besides the usual.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    /// Lets in `host`: a name, a name with a port, or `*.domain`.
    pub(crate) fn allow_host(&mut self, host: &str) {
        self.hosts.push(host.trim_end_matches('.').to_ascii_lowercase());
    }

    /// Lets in pages of `origin`, for example `https://app.example`.
    pub(crate) fn allow_origin(&mut self, origin: &str) {
        self.origins.push(origin.trim_end_matches('/').to_ascii_lowercase());
    }

    /// Checks the request's hosts and its origin. `local` is the address the connection was accepted on.
    pub(crate) fn check(&self, head: &Head, local: Option<IpAddr>) -> Result<(), Rejection> {
        for host in [head.get(Field::Host), head.authority()].into_iter().flatten() {
            match split_host(host) {
                None => return Err(Rejection::new(400, "Host: expected a name or an address, perhaps with a port")),
                Some((name, _)) if self.is_our_host(name, host, local) => {}
                Some(_) => return Err(foreign("Host", host, "--allow-host", "allow_host")),
            }
        }
        match head.get(Field::Origin) {
            Some(origin) if !self.is_our_origin(origin, local) => {
                Err(foreign("Origin", origin, "--allow-origin", "allow_origin"))
            }
            _ => Ok(()),
        }
    }

    fn is_our_host(&self, name: &str, with_port: &str, local: Option<IpAddr>) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        if matches!(name, "localhost" | "127.0.0.1" | "[::1]") || name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        if let Some(local) = local
            && inside(name).unwrap_or(name).parse().is_ok_and(|ip: IpAddr| ip.to_canonical() == local)
        {
            return true;
        }
        self.hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
            Some(domain) => {
                let start = name.len().checked_sub(domain.len());
                let at = start.filter(|&at| at > 1 && name.as_bytes().get(at - 1) == Some(&b'.'));
                at.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(domain))
            }
            None => name.eq_ignore_ascii_case(allowed) || with_port.eq_ignore_ascii_case(allowed),
        })
    }

    fn is_our_origin(&self, origin: &str, local: Option<IpAddr>) -> bool {
        if self.origins.iter().any(|allowed| origin.eq_ignore_ascii_case(allowed)) {
            return true;
        }
        let host = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
        let host = host.filter(|host| !host.contains('/'));
        host.and_then(|host| Some((split_host(host)?.0, host)))
            .is_some_and(|(name, host)| self.is_our_host(name, host, local))
    }
}

fn foreign(what: &str, value: &str, option: &str, method: &str) -> Rejection {
    let mut shown = String::new();
    for letter in value.chars().filter(|letter| !letter.is_control()).take(100) {
        shown.push(letter);
    }
    Rejection::new(
        403,
        format!("{what} {shown:?} is not one of this server's; allow it with {option} (Builder::{method})"),
    )
}

/// What stands in the brackets of an IPv6 address.
fn inside(name: &str) -> Option<&str> {
    name.strip_prefix('[')?.strip_suffix(']')
}

/// Name and port of a Host value; none if it is not one.
fn split_host(value: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match value.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            (value.get(..end)?, value.get(end..)?)
        }
        None => value.split_at(value.bytes().position(|byte| byte == b':').unwrap_or(value.len())),
    };
    let legal = match inside(name) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    legal.then_some((name, port))
}

/// A range of addresses, as `192.0.2.0/24`, `2001:db8::/32` or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

/// Why a text is no [`Cidr`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrError(String);

impl std::fmt::Display for CidrError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: expected an address or a range like 192.0.2.0/24", self.0)
    }
}

impl std::error::Error for CidrError {}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let wrong = || CidrError(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let network: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if bits > most { Err(wrong()) } else { Ok(Cidr { network, bits }) }
    }
}

impl Cidr {
    /// Is `address` in the range? An IPv4 address in IPv6 form is looked at as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (u64::from(a.to_bits() ^ b.to_bits())) >> (32 - u32::from(self.bits)) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head;
    use crate::limits::Limits;

    fn status(lines: &str, guard: &Guard, local: &str) -> u16 {
        let target = lines.strip_prefix("> ").map_or("/mcp", |rest| rest.split('\n').next().unwrap());
        let lines = lines.split_once('\n').filter(|_| lines.starts_with('>')).map_or(lines, |(_, rest)| rest);
        let text = format!("GET {target} HTTP/1.1\r\n{}\r\n\r\n", lines.replace('\n', "\r\n"));
        let head = head::parse(text.as_bytes(), &Limits::default()).unwrap();
        guard.check(&head, local.parse().ok()).map_or_else(|rejection| rejection.status, |()| 200)
    }

    #[test]
    fn g1_g3_p62_hosts_and_origins_are_compared_whole() {
        let mut guard = Guard::default();
        ["fw.example", "*.lan", "port.example:8443"].iter().for_each(|host| guard.allow_host(host));
        guard.allow_origin("https://app.example");
        for (lines, expected) in [
            ("Host: localhost", 200),
            ("Host: LOCALHOST:8001", 200),
            ("Host: localhost.", 200),
            ("Host: 127.0.0.1:1", 200),
            ("Host: [::1]:8001", 200),
            ("Host: 192.0.2.1:8080", 200),
            ("Host: 192.0.2.2", 403),
            ("Host: fw.example:99", 200),
            ("Host: FW.example.", 200),
            ("Host: fw.example.evil", 403),
            ("Host: xfw.example", 403),
            ("Host: box.lan", 200),
            ("Host: lan", 403),
            ("Host: .lan", 403),
            ("Host: xlan", 403),
            ("Host: port.example:8443", 200),
            ("Host: port.example:1", 403),
            ("Host: localhost.evil.example", 403),
            ("Host: localhost:80:80", 400),
            ("Host: local host", 400),
            ("Host: [::1", 400),
            ("Host:", 400),
            ("> http://evil.example/mcp\nHost: localhost", 403),
            ("> http://localhost/mcp\nHost: localhost", 200),
            ("Host: localhost\nOrigin: http://localhost:3000", 200),
            ("Host: localhost\nOrigin: https://app.example", 200),
            ("Host: localhost\nOrigin: https://evil.example", 403),
            ("Host: localhost\nOrigin: null", 403),
            ("Host: localhost\nOrigin: http://localhost.evil.example", 403),
            ("Host: localhost\nOrigin: http://localhost/evil", 403),
            ("Host: localhost\nOrigin: file://localhost", 403),
        ] {
            assert_eq!(status(lines, &guard, "192.0.2.1"), expected, "{lines}");
        }
    }

    #[test]
    fn ranges_of_addresses_contain_what_they_say() {
        for (range, address, inside) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("::/0", "203.0.113.9", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("::/0", "2001:db8::1", true),
        ] {
            let range: Cidr = range.parse().unwrap();
            assert_eq!(range.contains(address.parse().unwrap()), inside, "{range:?} {address}");
        }
        for text in ["", "a", "192.0.2.0/33", "::/129", "1.2.3.4/", "1.2.3.4/x"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
