//! The public name of a session. Its id is a secret; this is not.

use std::fmt;

/// A session's public name: it correlates everything that happened in a session and opens nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    /// Do both look alike to who reads them? Forty bits are shown.
    pub(crate) fn is_shown_like(self, other: Fingerprint) -> bool {
        self.0 & SHOWN == other.0 & SHOWN
    }

    /// Reads what [`Fingerprint`] looks like: ten hexadecimal digits.
    pub(crate) fn read(text: &str) -> Option<Fingerprint> {
        let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| plain).map(Fingerprint)
    }
}

/// The bits of a fingerprint that are shown.
const SHOWN: u64 = 0xff_ffff_ffff;

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010x}", self.0 & SHOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back_and_nothing_else_is() {
        let print = Fingerprint(0xffff_ff01_2345_6789);
        assert_eq!(print.to_string(), "0123456789");
        assert!(Fingerprint::read("0123456789").is_some_and(|read| read.is_shown_like(print)));
        for text in ["", "123456789", "00123456789", "+123456789", "0x23456789", "012345678g", "01234567é"] {
            assert_eq!(Fingerprint::read(text), None, "{text}");
        }
    }
}
