//! `dhcp_leases`: who got which address, from the files that the common DHCP servers keep.
//!
//! Read are those of dnsmasq, odhcpd, ISC dhcpd and Kea (memfile) in their usual places, all that exist. dnsmasq and
//! odhcpd write what holds now. ISC and Kea write a journal: the last entry of an address counts, and what has been
//! released or has run out is not told. Left out: systemd-networkd's server, which shows its leases on D-Bus only, and
//! ISC's leases of IPv6.

use super::shape::{Arguments, How, Shape, Told, object, put};
use crate::bounds::digits;
use crate::serve::contents;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::ErrorKind;
use std::time::SystemTime;

pub(super) static DHCP_LEASES: Shape = Shape {
    name: "dhcp_leases",
    description: "Leases of dnsmasq, odhcpd, ISC dhcpd or Kea; `expires` in Unix time, absent: never.",
    input: r#""properties":{"limit":{"type":"integer","minimum":1,"maximum":1000,"default":100}}"#,
    output: "",
    open_world: false,
    how: How::Now(|call| look(&call.args, &FILES, now())),
};

/// The places that Debian, Fedora, OpenWrt and Pi-hole have chosen.
const FILES: [(&str, Format); 10] = [
    ("/tmp/dhcp.leases", Format::Dnsmasq),
    ("/var/lib/misc/dnsmasq.leases", Format::Dnsmasq),
    ("/var/lib/dnsmasq/dnsmasq.leases", Format::Dnsmasq),
    ("/etc/pihole/dhcp.leases", Format::Dnsmasq),
    ("/tmp/odhcpd.leases", Format::Odhcpd),
    ("/tmp/hosts/odhcpd", Format::Odhcpd),
    ("/var/lib/dhcp/dhcpd.leases", Format::Isc),
    ("/var/lib/dhcpd/dhcpd.leases", Format::Isc),
    ("/var/lib/kea/kea-leases4.csv", Format::Kea),
    ("/var/lib/kea/kea-leases6.csv", Format::Kea),
];

/// Some 20,000 leases. It is read in one turn of the loop.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// What a field of a lease may have; names come from the clients.
const FIELD_BYTES_MAX: usize = 300;

#[derive(Clone, Copy)]
enum Format {
    Dnsmasq,
    Odhcpd,
    Isc,
    Kea,
}

/// A lease as its line has it; what is not known is empty.
#[derive(Default)]
struct Lease<'a> {
    address: &'a str,
    mac: &'a str,
    hostname: &'a str,
    /// The client's own name for itself, or its DUID.
    client_id: &'a str,
    interface: &'a str,
    /// Unix time in seconds.
    expires: Option<u64>,
    /// Not given back, and not told anew further down.
    is_last: bool,
}

/// The leases of one file.
#[derive(Default)]
struct Leases<'a> {
    all: Vec<Lease<'a>>,
    /// Where the last of an address is. (A map of this type is in the program already; one more is 4 KiB.)
    last: Map<String, Value>,
}

impl<'a> Leases<'a> {
    /// Notes an entry, which is in place of those of its address above it.
    fn add(&mut self, mut lease: Lease<'a>, is_used: bool) {
        let fields = [lease.address, lease.mac, lease.hostname, lease.client_id, lease.interface];
        if fields.iter().any(|field| field.len() > FIELD_BYTES_MAX) {
            return;
        }
        let before = self.last.insert(lease.address.into(), self.all.len().into()).and_then(|at| at.as_u64());
        if let Some(before) = before.and_then(|at| self.all.get_mut(at as usize)) {
            before.is_last = false;
        }
        lease.is_last = is_used;
        self.all.push(lease);
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn look(args: &Arguments, files: &[(&str, Format)], now: u64) -> Told {
    let (mut rows, mut read, mut faults) = (args.rows(), Vec::new(), Vec::new());
    for (path, format) in files {
        match texts(path, *format) {
            Ok(None) => {}
            Ok(Some(text)) => {
                for lease in leases(*format, &text).iter().filter(|lease| holds(lease, *format, now)) {
                    rows.push(&mut || row(lease, path, now));
                }
                read.push(Value::from(*path));
            }
            Err(why) => faults.push(why),
        }
    }
    if read.is_empty() {
        let looked: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        return Err(match faults.is_empty() {
            true => format!("no DHCP server keeps leases here: there is none of {}", looked.join(", ")),
            false => faults.join("\n"),
        });
    }
    let mut answer = rows.answer("leases");
    put(&mut answer, "files", Value::Array(read));
    if !faults.is_empty() {
        put(&mut answer, "unread", faults.into());
    }
    Ok(answer)
}

/// The text of a server's file, or files. Kea now and then begins its journal anew: then what held before is in the
/// file `.2`, while that is being made in `.1`, and the journal goes on after them.
fn texts(path: &str, format: Format) -> Result<Option<String>, String> {
    let Some(journal) = text(path)? else { return Ok(None) };
    let mut all = String::new();
    for before in [".2", ".1"].into_iter().filter(|_| matches!(format, Format::Kea)) {
        all += &text(&format!("{path}{before}"))?.unwrap_or_default();
    }
    Ok(Some(all + &journal))
}

/// A file's text; none if there is no file.
fn text(path: &str) -> Result<Option<String>, String> {
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let remedy =
                "give the server's unit the file's group with `SupplementaryGroups=`, or run the server as root";
            return Err(format!("{path}: {error}; {remedy}"));
        }
        file => file.map_err(|error| format!("{path}: {error}"))?,
    };
    // A pipe in its place would never end.
    if !file.metadata().is_ok_and(|file| file.is_file()) {
        return Err(format!("{path}: expected a file"));
    }
    let bytes = contents(file, FILE_BYTES_MAX).map_err(|error| format!("{path}: {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{path}: longer than {FILE_BYTES_MAX} bytes"));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether somebody has the address now. dnsmasq and odhcpd strike out by their own clock what has run out.
fn holds(lease: &Lease<'_>, format: Format, now: u64) -> bool {
    let is_late = match format {
        Format::Dnsmasq => false,
        Format::Odhcpd => lease.expires == Some(0),
        Format::Isc | Format::Kea => lease.expires.is_some_and(|time| time <= now),
    };
    lease.is_last && !is_late
}

fn row(lease: &Lease<'_>, path: &str, now: u64) -> Value {
    let mut row = object(&[
        ("address", lease.address),
        ("mac", lease.mac),
        ("hostname", lease.hostname),
        ("client_id", lease.client_id),
        ("interface", lease.interface),
        ("file", path),
    ]);
    if let Some(expires) = lease.expires {
        put(&mut row, "expires", expires.into());
        put(&mut row, "seconds_left", expires.saturating_sub(now).into());
    }
    Value::Object(row)
}

/// The entries of a file. A line that is none is passed over: a server may be in the middle of writing it.
fn leases(format: Format, text: &str) -> Vec<Lease<'_>> {
    let mut leases = Leases::default();
    match format {
        Format::Dnsmasq => text.lines().filter_map(dnsmasq).for_each(|lease| leases.add(lease, true)),
        Format::Odhcpd => text.lines().for_each(|line| odhcpd(&mut leases, line)),
        Format::Isc => isc(&mut leases, text),
        Format::Kea => kea(&mut leases, text),
    }
    leases.all
}

/// `1795457287 7a:31:ed:e4:29:e3 192.0.2.114 laptop 01:7a:31:ed:e4:29:e3`; 0 is for ever, `*` is not known.
fn dnsmasq(line: &str) -> Option<Lease<'_>> {
    let mut words = line.split(' ').map(|word| if word == "*" { "" } else { word });
    let expires = digits(words.next()?)?;
    // `duid 00:01:…` is the server's own name, and no number stands before it.
    let (mac, address, hostname, client_id) = (words.next()?, words.next()?, words.next()?, words.next()?);
    // The leases of IPv6 have the association's number where the others have the MAC.
    let mac = if address.contains(':') { "" } else { mac };
    let expires = Some(expires).filter(|time| *time > 0);
    Some(Lease { address, mac, hostname, client_id, expires, ..Lease::default() })
}

/// `# lan 00010001… 1 laptop 1795457287 2a 128 fd00::2a/128 …`: a lease for each address; -1 is for ever.
fn odhcpd<'a>(leases: &mut Leases<'a>, line: &'a str) {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    // The number and the length of what was given stand before the addresses.
    let ["#", interface, id, kind, hostname, expires, _, _, addresses @ ..] = &*words else { return };
    let Ok(expires) = expires.parse::<i64>() else { return };
    // A name that no host may have is marked so.
    let hostname = hostname.strip_prefix("broken\\x20").unwrap_or(hostname);
    let hostname = if hostname == "-" { "" } else { hostname };
    let (mac, client_id) = if *kind == "ipv4" { (*id, "") } else { ("", *id) };
    for address in addresses {
        let address = address.strip_suffix("/32").or(address.strip_suffix("/128")).unwrap_or(address);
        let expires = u64::try_from(expires).ok();
        leases.add(Lease { address, mac, hostname, client_id, interface, expires, is_last: true }, true);
    }
}

/// `lease 192.0.2.10 {` and a statement a line; see dhcpd.leases(5).
fn isc<'a>(leases: &mut Leases<'a>, text: &'a str) {
    let (mut lease, mut is_active) = (Lease::default(), false);
    for whole in text.lines() {
        let line = whole.trim_ascii().trim_end_matches(';');
        if let Some(address) = line.strip_prefix("lease ").and_then(|rest| rest.strip_suffix(" {")) {
            (lease, is_active) = (Lease { address, ..Lease::default() }, false);
        } else if line == "binding state active" {
            is_active = true;
        } else if let Some(mac) = line.strip_prefix("hardware ethernet ") {
            lease.mac = mac;
        } else if let Some(name) = line.strip_prefix("client-hostname ") {
            lease.hostname = name.trim_matches('"');
        } else if let Some(time) = line.strip_prefix("ends ").filter(|time| *time != "never") {
            // A time that nobody understands is long ago.
            lease.expires = Some(date(time).unwrap_or(0));
        } else if whole == "}" && !lease.address.is_empty() {
            // One that stands at the margin: statements may have blocks of their own.
            leases.add(std::mem::take(&mut lease), is_active);
        }
    }
}

/// `4 2023/11/30 12:00:00` in UTC (a weekday first), or `epoch 1701345600; # …`.
fn date(text: &str) -> Option<u64> {
    if let Some(rest) = text.strip_prefix("epoch ") {
        return digits(rest.split(';').next()?);
    }
    let mut numbers = text.split([' ', '/', ':']).skip(1);
    let mut next = || digits(numbers.next()?).filter(|number| *number < 1 << 32);
    let (year, month, day) = (next()?, next()?, next()?);
    let seconds = next()? * 3600 + next()? * 60 + next()?;
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    Some(days.checked_sub(719_469)? * 86_400 + seconds)
}

/// A table with a heading (Kea's administrator manual, "memfile"); which columns there are depends on the version.
fn kea<'a>(leases: &mut Leases<'a>, text: &'a str) {
    let mut heading = "";
    for line in text.lines() {
        if line.starts_with("address,") {
            heading = line;
            continue;
        }
        let field = |name: &str| {
            let mut columns = heading.split(',').zip(line.split(','));
            columns.find(|(column, _)| *column == name).map_or("", |(_, field)| field)
        };
        let Some(expires) = digits(field("expire")) else { continue };
        // A lease for ever has the largest lifetime there is, one that was released has 0.
        let lifetime = field("valid_lifetime");
        let lease = Lease {
            address: field("address"),
            mac: field("hwaddr"),
            hostname: field("hostname"),
            // That of IPv6 is called so.
            client_id: if field("duid").is_empty() { field("client_id") } else { field("duid") },
            expires: Some(expires).filter(|_| lifetime != "4294967295"),
            ..Lease::default()
        };
        // 0 is the state of a lease in use, and columns that are not there are empty.
        leases.add(lease, lifetime != "0" && matches!(field("state"), "0" | ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_700_000_000;

    /// Address, MAC, name, identifier, interface and end of each lease, in a line.
    fn told(format: Format, text: &str) -> Vec<String> {
        let all = leases(format, text);
        let told = all.iter().filter(|lease| holds(lease, format, NOW));
        let words = |lease: &Lease<'_>| {
            let Lease { address, mac, hostname, client_id, interface, expires, .. } = *lease;
            let expires = expires.map_or("never".to_owned(), |time| time.to_string());
            [address, mac, hostname, client_id, interface, &expires].join("|")
        };
        told.map(words).collect()
    }

    #[test]
    fn lines_of_dnsmasq_are_leases() {
        let text = "1795457287 7a:31:ed:e4:29:e3 192.0.2.114 laptop 01:7a:31:ed:e4:29:e3\n\
                    0 7a:31:ed:e4:29:e4 192.0.2.115 * *\n\
                    duid 00:01:00:01:2c:11:22:33\n\
                    1795457288 15216 2001:db8::10 phone 00:01:00:01:2c:aa\n\
                    \n17954 7a:31\nx y z a b\n\u{fffd}";
        let expected = [
            "192.0.2.114|7a:31:ed:e4:29:e3|laptop|01:7a:31:ed:e4:29:e3||1795457287",
            "192.0.2.115|7a:31:ed:e4:29:e4||||never",
            "2001:db8::10||phone|00:01:00:01:2c:aa||1795457288",
        ];
        assert_eq!(told(Format::Dnsmasq, text), expected);
    }

    #[test]
    fn lines_of_odhcpd_are_leases_of_several_addresses() {
        let text = "# br-lan 000100011234 1 laptop 1795457287 2a 128 fd00::2a/128 2001:db8::2a/128 \n\
                    fd00::2a\tlaptop\n\
                    # br-lan 7a31ede429e3 ipv4 broken\\x20pc 1795457288 c0000272 32 192.0.2.114/32\n\
                    # br-lan 00030001 2 - -1 10 62 2001:db8:0:10::/62 \n\
                    # br-lan 00030002 2 old 0 11 128 fd00::11/128\n# br-lan\n#\n# a b c d e";
        let expected = [
            "fd00::2a||laptop|000100011234|br-lan|1795457287",
            "2001:db8::2a||laptop|000100011234|br-lan|1795457287",
            "192.0.2.114|7a31ede429e3|pc||br-lan|1795457288",
            "2001:db8:0:10::/62|||00030001|br-lan|never",
        ];
        assert_eq!(told(Format::Odhcpd, text), expected);
    }

    #[test]
    fn the_last_entry_of_an_address_counts_in_iscs_journal() {
        let entry = |address: &str, state: &str, ends: &str, more: &str| {
            format!(
                "lease {address} {{\n  starts 4 2023/01/01 00:00:00;\n  ends {ends};\n  binding state {state};\n  \
                 next binding state free;\n  hardware ethernet 00:11:22:33:44:55;\n{more}}}\n"
            )
        };
        let text = [
            "# The format of this file is documented in the dhcpd.leases(5) manual page.\nauthoring-byte-order little-endian;\n",
            &entry("192.0.2.10", "active", "4 2030/01/01 00:00:00", "  client-hostname \"old\";\n"),
            &entry("192.0.2.11", "active", "4 2030/01/01 00:00:00", ""),
            &entry("192.0.2.10", "active", "4 2033/05/18 03:33:20", "  on expiry {\n  }\n  client-hostname \"new\";\n"),
            &entry("192.0.2.11", "free", "4 2030/01/01 00:00:00", ""),
            &entry("192.0.2.12", "active", "2 2023/11/14 22:13:20", ""),
            &entry("192.0.2.13", "active", "never", ""),
            &entry("192.0.2.14", "active", "epoch 1700000001; # later", ""),
            &entry("192.0.2.15", "active", "4 x", ""),
            "lease 192.0.2.16 {\n  binding state active;\n",
        ]
        .concat();
        let expected = [
            "192.0.2.10|00:11:22:33:44:55|new|||2000000000",
            "192.0.2.13|00:11:22:33:44:55||||never",
            "192.0.2.14|00:11:22:33:44:55||||1700000001",
        ];
        assert_eq!(told(Format::Isc, &text), expected);
    }

    #[test]
    fn dates_are_counted_from_1970() {
        let cases = [
            ("4 1970/01/01 00:00:00", Some(0)),
            ("2 2023/11/14 22:13:20", Some(1_700_000_000)),
            ("4 2024/02/29 23:59:59", Some(1_709_251_199)),
            ("5 2024/03/01 00:00:00", Some(1_709_251_200)),
            ("1 2100/03/01 00:00:00", Some(4_107_542_400)),
            ("epoch 1701345600; # Thu", Some(1_701_345_600)),
            ("4 1970/00/01 00:00:00", None),
            ("4 99999999999/01/01 00:00:00", None),
            ("4 2023/11/14 99999999999999999999:0:0", None),
            ("4 4294967295/4294967295/4294967295 4294967295:4294967295:4294967295", None),
            ("", None),
            ("epoch", None),
        ];
        for (text, expected) in cases {
            assert_eq!(date(text), expected, "{text}");
        }
        assert!(date("4 2023/01/4294967295 4294967295:4294967295:4294967295").is_some(), "no sum is too large");
    }

    #[test]
    fn columns_of_kea_are_found_by_their_heading() {
        let text = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n\
                    192.0.2.10,00:11:22:33:44:55,01:00,3600,1800000000,1,0,0,old,0,\n\
                    192.0.2.11,00:11:22:33:44:56,,3600,1800000000,1,0,0,gone,0,\n\
                    192.0.2.12,00:11:22:33:44:57,,3600,1600000000,1,0,0,late,0,\n\
                    192.0.2.13,,,3600,1800000000,1,0,0,,1,\n\
                    192.0.2.14,00:11:22:33:44:58,,4294967295,1600000000,1,0,0,ever,0,\n\
                    address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n\
                    192.0.2.10,00:11:22:33:44:55,01:00,3600,1800000001,1,0,0,new,0,,0\n\
                    192.0.2.11,00:11:22:33:44:56,,0,1800000000,1,0,0,gone,0,,0\n\
                    192.0.2.15,00:11\n,,,,\n\n\
                    address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state\n\
                    2001:db8::10,00:01:00:01,3600,1800000002,1,3000,0,7,128,0,0,six,,0\n";
        let expected = [
            "192.0.2.14|00:11:22:33:44:58|ever|||never",
            "192.0.2.10|00:11:22:33:44:55|new|01:00||1800000001",
            "2001:db8::10||six|00:01:00:01||1800000002",
        ];
        assert_eq!(told(Format::Kea, text), expected);
        assert_eq!(told(Format::Kea, "192.0.2.10,a,b\n"), [""; 0]);
    }

    #[test]
    fn a_field_that_is_too_long_is_no_lease() {
        let line = format!("1795457287 7a:31:ed:e4:29:e3 192.0.2.114 {} *", "x".repeat(FIELD_BYTES_MAX + 1));
        assert_eq!(told(Format::Dnsmasq, &line), [""; 0]);
    }

    #[test]
    fn files_that_are_not_there_are_named_and_those_that_cannot_be_read_say_why() {
        let directory = std::env::temp_dir().join(format!("portcullis-leases-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let (kea, large, none) = (path("kea.csv"), path("large"), path("none"));
        let heading = "address,hwaddr,valid_lifetime,expire,hostname\n";
        let line = |address: &str, name: &str| format!("{address},a,60,1700000060,{name}\n");
        std::fs::write(format!("{kea}.2"), format!("{heading}{}", line("192.0.2.10", "old"))).unwrap();
        let journal = [heading, &line("192.0.2.10", "new"), &line("192.0.2.11", "")].concat();
        std::fs::write(&kea, journal).unwrap();
        std::fs::write(&large, vec![b'x'; FILE_BYTES_MAX as usize + 1]).unwrap();

        let args = Arguments(json!({ "limit": 1 }));
        let why = look(&args, &[(&none, Format::Isc)], NOW).unwrap_err();
        assert!(why.starts_with("no DHCP server keeps leases here") && why.ends_with(&none), "{why}");
        let why = look(&args, &[(&large, Format::Dnsmasq)], NOW).unwrap_err();
        assert_eq!(why, format!("{large}: longer than 2097152 bytes"));
        let why = look(&args, &[(&path("."), Format::Dnsmasq)], NOW).unwrap_err();
        assert!(why.ends_with("expected a file"), "{why}");
        let found = look(&args, &[(&large, Format::Dnsmasq), (&none, Format::Isc), (&kea, Format::Kea)], NOW).unwrap();
        let row = json!({
            "address": "192.0.2.10", "mac": "a", "hostname": "new", "file": kea, "expires": NOW + 60, "seconds_left": 60
        });
        let expected = json!({
            "leases": [row], "shown": 1, "total": 2, "files": [kea],
            "unread": [format!("{large}: longer than 2097152 bytes")]
        });
        assert_eq!(Value::Object(found), expected);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
