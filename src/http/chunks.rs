//! A body in chunks (RFC 9112, 7.1), as they arrive.

use super::body::too_large;
use super::head;
use super::response::Rejection;

/// What has been read of a chunked body. Extensions and trailers are read and dropped.
#[derive(Default)]
pub(super) struct Chunks {
    /// How far the buffer has been read.
    pub(super) at: usize,
    /// Bytes that remain of the current chunk.
    left: usize,
    expects: Expects,
    trailers: usize,
    /// Bytes that were framing and not body.
    framing: usize,
    pub(super) body: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum Expects {
    #[default]
    Size,
    Data,
    DataEnd,
    Trailer,
}

/// So many bytes of chunk sizes, extensions and trailers are always taken; then eight for each byte of body, which is
/// enough for chunks of one byte.
const FRAMING_MAX: usize = 16 * 1024;
/// Longest chunk-size line with its extensions, and the most bytes of trailers.
const LINE_MAX: usize = 1024;

impl Chunks {
    /// Of a body that begins behind a head of so many bytes.
    pub(super) fn behind(head: usize) -> Chunks {
        Chunks { at: head, ..Chunks::default() }
    }

    /// Reads on; true when the body is complete.
    pub(super) fn read(&mut self, buffer: &[u8], body_bytes_max: usize) -> Result<bool, Rejection> {
        let bad = |message: &'static str| Rejection::new(400, message).closing();
        loop {
            match self.expects {
                Expects::Size => {
                    let Some(line) = self.line(buffer)? else { return Ok(false) };
                    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
                    let extension = line[digits..].trim_ascii_start();
                    if digits == 0 || !(extension.is_empty() || extension[0] == b';') {
                        return Err(bad("a chunk begins with its size in hexadecimal digits"));
                    }
                    if has_control(&line[digits..]) {
                        return Err(bad("a chunk extension has a control byte"));
                    }
                    self.left = hexadecimal(&line[..digits]).unwrap_or(usize::MAX);
                    if self.left > body_bytes_max - self.body.len() {
                        return Err(too_large(body_bytes_max));
                    }
                    self.expects = if self.left == 0 { Expects::Trailer } else { Expects::Data };
                }
                Expects::Data => {
                    let have = self.left.min(buffer.len() - self.at);
                    self.body.extend_from_slice(&buffer[self.at..self.at + have]);
                    self.at += have;
                    self.left -= have;
                    if self.left > 0 {
                        return Ok(false);
                    }
                    self.expects = Expects::DataEnd;
                }
                Expects::DataEnd => match buffer.get(self.at..self.at + 2) {
                    None if buffer.get(self.at).is_none_or(|&byte| byte == b'\r') => return Ok(false),
                    Some(b"\r\n") => {
                        self.at += 2;
                        self.expects = Expects::Size;
                    }
                    _ => return Err(bad("a chunk is longer than its size says")),
                },
                Expects::Trailer => {
                    let Some(line) = self.line(buffer)? else { return Ok(false) };
                    if line.is_empty() {
                        return Ok(true);
                    }
                    if !is_field(line) {
                        return Err(bad("a trailer is malformed; expected a name, a colon and a value"));
                    }
                    self.trailers += line.len();
                    if self.trailers > LINE_MAX {
                        return Err(bad("more than 1024 bytes of trailers"));
                    }
                }
            }
        }
    }

    /// The next line without its end, if it is all here.
    fn line<'b>(&mut self, buffer: &'b [u8]) -> Result<Option<&'b [u8]>, Rejection> {
        let rest = &buffer[self.at..];
        let Some(end) = rest.iter().take(LINE_MAX + 2).position(|&byte| byte == b'\n') else {
            let too_long = rest.len() > LINE_MAX + 1;
            return if too_long {
                Err(Rejection::new(400, "a chunk-size line over 1024 bytes").closing())
            } else {
                Ok(None)
            };
        };
        let Some(line) = rest[..end].strip_suffix(b"\r").filter(|line| !line.contains(&b'\r')) else {
            return Err(Rejection::new(400, "a line of a chunked body must end in CR LF").closing());
        };
        self.at += end + 1;
        self.framing += end + 1;
        if self.framing > FRAMING_MAX.max(8 * self.body.len()) {
            return Err(
                Rejection::new(400, "more framing than body: larger chunks, and no extensions, please").closing()
            );
        }
        Ok(Some(line))
    }
}

/// Is it a header line? Trailers are dropped, but what is none may be the next request to another reader.
fn is_field(line: &[u8]) -> bool {
    let name = line.iter().position(|&byte| byte == b':').unwrap_or(0);
    name > 0 && line[..name].iter().all(|&byte| head::is_token(byte)) && !has_control(&line[name..])
}

fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|&byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    usize::from_str_radix(text, 16).ok()
}
