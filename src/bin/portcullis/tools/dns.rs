//! Messages of the DNS (RFC 1035), as few as a lookup needs: one question out, its answer in.
//!
//! Pure: bytes in, facts out. What comes in may have been made by anybody, so every length is checked, a name's
//! pointers may only go back (they end by themselves), and an answer says at most [`TEXT_BYTES_MAX`]. Names and data
//! are written as in a zone file, which is how `dig` prints them. Left out: EDNS (so a long answer comes by TCP),
//! the sections for authority and additions, and whether DNSSEC signed it.

use super::shape::{object, put};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What can be asked for, with its number; others are only shown.
const TYPES: [(&str, u16); 9] =
    [("A", 1), ("NS", 2), ("CNAME", 5), ("SOA", 6), ("PTR", 12), ("MX", 15), ("TXT", 16), ("AAAA", 28), ("SRV", 33)];

/// How an answer ends (RFC 1035, 4.1.1).
const STATUSES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/// A name on the wire, its last empty label included (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 255;

/// All records of an answer in words: 64 KiB of message name the same name again and again.
const TEXT_BYTES_MAX: usize = 128 * 1024;

/// What a record costs beside its words.
const RECORD_BYTES: usize = 64;

const INTERNET: u16 = 1;

/// A question as it goes out, to which an answer must fit.
pub(super) struct Question {
    /// The whole message.
    pub(super) bytes: Vec<u8>,
    name: String,
    kind: u16,
}

/// What a message was.
pub(super) enum Reply {
    /// No answer to this question: another's, or somebody who guesses.
    Foreign,
    /// The start of one; the whole comes by TCP.
    Truncated,
    /// The answer.
    Whole { status: String, answers: Vec<Value> },
}

/// The number of a type.
pub(super) fn kind(name: &str) -> Option<u16> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

impl Question {
    /// # Errors
    /// The name has a label that is empty or longer than 63 bytes, or is too long as a whole.
    pub(super) fn new(id: u16, name: &str, kind: u16) -> Result<Question, String> {
        let mut bytes = Vec::with_capacity(64);
        // One question, to be looked up by the server for us.
        for word in [id, 0x0100, 1, 0, 0, 0] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        let head = bytes.len();
        for label in name.strip_suffix('.').unwrap_or(name).split('.').filter(|_| name != ".") {
            match u8::try_from(label.len()) {
                Ok(n @ 1..=63) => bytes.push(n),
                _ => return Err(format!("`name`: got {name:?}, expected labels of 1 to 63 bytes between its dots")),
            }
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        if bytes.len() - head > NAME_BYTES_MAX {
            return Err(format!("`name`: got {} bytes, expected at most 253", name.len()));
        }
        let mut reader = Reader { bytes: &bytes, at: head };
        let name = reader.name().ok_or("`name`: expected a host name")?;
        for word in [kind, INTERNET] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        Ok(Question { bytes, name, kind })
    }

    /// Reads what a server sent.
    ///
    /// # Errors
    /// It answers this question, and makes no sense.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Reply, String> {
        let mut reader = Reader { bytes, at: 0 };
        let Some((flags, answers)) = self.answered(&mut reader) else { return Ok(Reply::Foreign) };
        if flags & 0x0200 != 0 {
            return Ok(Reply::Truncated);
        }
        let code = usize::from(flags & 0x000f);
        let status = STATUSES.get(code).map_or_else(|| format!("RCODE{code}"), |name| (*name).to_owned());
        let (mut rows, mut text) = (Vec::new(), 0);
        for _ in 0..answers {
            let (row, length) = reader.record().ok_or("the server's answer is broken")?;
            text += length + RECORD_BYTES;
            if text > TEXT_BYTES_MAX {
                return Err(format!("the server's answer says more than {TEXT_BYTES_MAX} bytes, so nothing is shown"));
            }
            rows.push(row);
        }
        Ok(Reply::Whole { status, answers: rows })
    }

    /// Flags and the number of answers, if this is an answer to the question.
    fn answered(&self, reader: &mut Reader<'_>) -> Option<(u16, u16)> {
        let (id, flags, questions, answers) = (reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?);
        reader.take(4)?;
        let sent = u16::from_be_bytes([self.bytes[0], self.bytes[1]]);
        // A response (the first bit) to a usual query (the four after it).
        if id != sent || flags & 0xf800 != 0x8000 || questions != 1 {
            return None;
        }
        let same = reader.name()?.eq_ignore_ascii_case(&self.name);
        (same && reader.u16()? == self.kind && reader.u16()? == INTERNET).then_some((flags, answers))
    }
}

/// A place in a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A name (RFC 1035, 4.1.4). A pointer leads to before the part that it ends, so that none leads round.
    fn name(&mut self) -> Option<String> {
        let (mut name, mut length, mut after, mut part) = (String::new(), 0, None, self.at);
        loop {
            let n = self.u8()?;
            match n {
                0 => break,
                1..=63 => {
                    length += usize::from(n) + 1;
                    if length >= NAME_BYTES_MAX {
                        return None;
                    }
                    escape(&mut name, self.take(n.into())?, b"\"().;@$\\");
                    name.push('.');
                }
                0xc0.. => {
                    let to = usize::from(u16::from_be_bytes([n & 0x3f, self.u8()?]));
                    after.get_or_insert(self.at);
                    if to >= part {
                        return None;
                    }
                    (self.at, part) = (to, to);
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(self.at);
        Some(if name.is_empty() { ".".to_owned() } else { name })
    }

    /// A record of the answer, and how long its words are.
    fn record(&mut self) -> Option<(Value, usize)> {
        let name = self.name()?;
        let (kind, _class, ttl, length) = (self.u16()?, self.u16()?, self.u32()?, usize::from(self.u16()?));
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let data = self.data(kind, end)?;
        // What a type needs is all there is: neither less nor more.
        if self.at != end {
            return None;
        }
        let known = TYPES.iter().find(|(_, number)| *number == kind);
        let kind = known.map_or_else(|| format!("TYPE{kind}"), |(name, _)| (*name).to_owned());
        let mut row = object(&[("name", &name), ("type", &kind), ("data", &data)]);
        put(&mut row, "ttl", ttl.into());
        Some((Value::Object(row), name.len() + data.len()))
    }

    /// The data of a record that ends at `end`, as a zone file has it.
    fn data(&mut self, kind: u16, end: usize) -> Option<String> {
        let mut text = String::new();
        // Writing into a String cannot fail.
        match TYPES.iter().find(|(_, number)| *number == kind).map_or("", |(name, _)| name) {
            "A" => text = Ipv4Addr::from(self.u32()?).to_string(),
            "AAAA" => text = Ipv6Addr::from(<[u8; 16]>::try_from(self.take(16)?).ok()?).to_string(),
            "NS" | "CNAME" | "PTR" => text = self.name()?,
            "MX" => {
                let _ = write!(text, "{} {}", self.u16()?, self.name()?);
            }
            "SRV" => {
                let _ = write!(text, "{} {} {} {}", self.u16()?, self.u16()?, self.u16()?, self.name()?);
            }
            "SOA" => {
                let _ = write!(text, "{} {}", self.name()?, self.name()?);
                for _ in 0..5 {
                    let _ = write!(text, " {}", self.u32()?);
                }
            }
            "TXT" => {
                while text.is_empty() || self.at < end {
                    text.push_str(if text.is_empty() { "\"" } else { " \"" });
                    let n = self.u8()?;
                    escape(&mut text, self.take(n.into())?, b"\"\\");
                    text.push('"');
                }
            }
            // RFC 3597: a type that nobody here knows.
            _ => {
                let bytes = self.take(end.checked_sub(self.at)?)?;
                let _ = write!(text, "\\# {} ", bytes.len());
                bytes.iter().for_each(|byte| {
                    let _ = write!(text, "{byte:02X}");
                });
            }
        }
        Some(text)
    }
}

/// Adds bytes as a zone file has them: what could be misread behind a backslash, what cannot be read as a number.
fn escape(text: &mut String, bytes: &[u8], special: &[u8]) {
    for &byte in bytes {
        match byte {
            _ if special.contains(&byte) => text.extend(['\\', char::from(byte)]),
            b'!'..=b'~' => text.push(char::from(byte)),
            // A blank in quotes is one; in a name it is a number.
            b' ' if !special.contains(&b'.') => text.push(' '),
            _ => {
                let _ = write!(text, "\\{byte:03}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn question(name: &str, kind: &str) -> Question {
        Question::new(0x1234, name, super::kind(kind).unwrap()).unwrap()
    }

    /// An answer to it: flags, how many records, and their bytes.
    fn answer(question: &Question, flags: u16, count: u16, records: &[u8]) -> Vec<u8> {
        let mut bytes = question.bytes.clone();
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(records);
        bytes
    }

    /// A record of the name that was asked for.
    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xc0, 12];
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        bytes.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn data(kind: u16, data: &[u8]) -> Option<String> {
        let question = question("fw.example", "A");
        match question.read(&answer(&question, 0x8180, 1, &record(kind, data))) {
            Ok(Reply::Whole { answers, .. }) => {
                assert_eq!((&answers[0]["name"], &answers[0]["ttl"]), (&json!("fw.example."), &json!(60)));
                Some(answers[0]["data"].as_str().unwrap().to_owned())
            }
            Ok(_) => panic!("the answer was not recognised"),
            Err(why) => {
                assert_eq!(why, "the server's answer is broken");
                None
            }
        }
    }

    #[test]
    fn a_question_is_one_name_and_one_type() {
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02fw\x07example\0\0\x1c\0\x01";
        assert_eq!(question("fw.example", "AAAA").bytes, expected);
        assert_eq!(question("fw.example.", "AAAA").bytes, expected);
        assert_eq!(question(".", "NS").bytes[12..], *b"\0\0\x02\0\x01");
        let long = format!("{}.{}", "a.".repeat(126), "bb");
        for name in ["", "..", "a..b", ".a", "a..", &"x".repeat(64), &long] {
            assert!(Question::new(1, name, 1).is_err_and(|why| why.starts_with("`name`")), "{name}");
        }
        assert!(Question::new(1, &format!("{}b", "a.".repeat(126)), 1).is_ok());
        assert_eq!((kind("TXT"), kind("ANY"), kind("")), (Some(16), None, None));
    }

    #[test]
    fn data_is_written_as_in_a_zone_file() {
        let cases: [(u16, &[u8], &str); 11] = [
            (1, &[192, 0, 2, 1], "192.0.2.1"),
            (28, b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", "2001:db8::1"),
            (2, b"\x02ns\xc0\x0f", "ns.example."),
            (5, b"\0", "."),
            (12, b"\x04a.b \xc0\x0c", "a\\.b\\032.fw.example."),
            (15, b"\0\x0a\x04mail\xc0\x0f", "10 mail.example."),
            (33, b"\0\x01\0\x02\x01\xbb\x03web\0", "1 2 443 web."),
            (
                6,
                b"\xc0\x0c\xc0\x0c\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05",
                "fw.example. fw.example. 1 2 3 4 5",
            ),
            (16, b"\x05v=\"1\\\x00\x03a \xff", "\"v=\\\"1\\\\\" \"\" \"a \\255\""),
            (99, b"\x01\xab", "\\# 2 01AB"),
            (65280, b"", "\\# 0 "),
        ];
        for (kind, bytes, expected) in cases {
            assert_eq!(data(kind, bytes).as_deref(), Some(expected), "{kind}");
        }
    }

    #[test]
    fn data_that_ends_early_late_or_leads_round_is_refused() {
        let cases: [(u16, &[u8]); 15] = [
            (1, &[192, 0, 2]),
            (1, &[192, 0, 2, 1, 0]),
            (28, &[0; 15]),
            (2, b""),
            (2, b"\x02ns"),
            (2, b"\x40a\0"),
            (2, b"\x80\0"),
            (2, b"\xc0"),
            // To itself, forward, and to a name that leads back here.
            (2, b"\xc0\x28"),
            (2, b"\xc0\xff"),
            (2, b"\x01a\xc0\x28"),
            (15, b"\0\x0a"),
            (16, b""),
            (16, b"\x05abc"),
            (6, b"\0\0\0"),
        ];
        for (kind, bytes) in cases {
            assert_eq!(data(kind, bytes), None, "{kind} {bytes:?}");
        }
        // Labels that pointers add up to more than a name may have.
        let mut bytes = Vec::new();
        for at in 0..5_u16 {
            bytes.push(60);
            bytes.extend_from_slice(&[b'x'; 60]);
            let to = if at == 0 { 12 } else { 40 + (at - 1) * 63 };
            bytes.extend_from_slice(&(0xc000 | to).to_be_bytes());
        }
        assert_eq!(data(10, &bytes).map(|text| text.len()), Some(bytes.len() * 2 + 7));
        let question = question("fw.example", "A");
        let mut records = record(10, &bytes);
        let last = 40 + 4 * 63;
        records.extend_from_slice(&[0xc0 | (last >> 8) as u8, (last & 0xff) as u8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert!(question.read(&answer(&question, 0x8180, 2, &records)).is_err());
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let question = question("Fw.example", "A");
        let good = answer(&question, 0x8180, 0, &[]);
        assert!(matches!(question.read(&good), Ok(Reply::Whole { .. })));
        for (at, byte) in [(0, 0x13), (2, 0x01), (2, 0x89), (5, 2), (5, 0), (13, b'x'), (25, 2), (27, 3)] {
            let mut other = good.clone();
            other[at] = byte;
            assert!(matches!(question.read(&other), Ok(Reply::Foreign)), "byte {at}");
        }
        let mut small = good.clone();
        small[13] = b'f';
        assert!(matches!(question.read(&small), Ok(Reply::Whole { .. })), "case is no difference");
        for end in 0..good.len() {
            assert!(matches!(question.read(&good[..end]), Ok(Reply::Foreign)), "{end} bytes");
        }
        assert!(matches!(question.read(&answer(&question, 0x8380, 9, &[])), Ok(Reply::Truncated)));
        assert!(question.read(&answer(&question, 0x8180, 1, &[])).is_err());
    }

    #[test]
    fn how_it_ended_has_a_name() {
        let question = question("fw.example", "A");
        for (flags, expected) in [(0x8180, "NOERROR"), (0x8183, "NXDOMAIN"), (0x8185, "REFUSED"), (0x8186, "RCODE6")] {
            let Ok(Reply::Whole { status, answers }) = question.read(&answer(&question, flags, 0, b"more")) else {
                panic!("{expected}")
            };
            assert_eq!((status.as_str(), answers.len()), (expected, 0));
        }
    }

    #[test]
    fn an_answer_that_says_too_much_is_refused() {
        let question = question("fw.example", "A");
        let (one, count) = (record(1, &[192, 0, 2, 1]), 4000);
        let why = question.read(&answer(&question, 0x8180, count, &one.repeat(count.into()))).err();
        assert!(why.is_some_and(|why| why.contains("more than 131072 bytes")));
    }

    #[test]
    fn no_bytes_make_it_fall() {
        let question = question("fw.example", "A");
        let good = answer(
            &question,
            0x8180,
            1,
            &record(6, b"\xc0\x0c\xc0\x0c\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05"),
        );
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let _ = question.read(&bytes);
                let _ = question.read(&bytes[..at]);
            }
        }
    }
}
