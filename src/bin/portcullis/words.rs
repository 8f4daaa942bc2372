//! A command line, taken apart: what is an option there, and what is not.
//!
//! What the words mean is not known here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A command line, word by word.
pub(crate) struct Words {
    rest: std::vec::IntoIter<OsString>,
    /// Behind a `--` nothing is an option.
    is_over: bool,
}

/// One word of it.
pub(crate) enum Word {
    /// `-h`, and what may follow the letter.
    Short(char),
    /// `--name` or `--name=value`.
    Long(String, Option<OsString>),
    /// Anything else, `-` too.
    Other(OsString),
}

impl Words {
    pub(crate) fn new(words: Vec<OsString>) -> Words {
        Words { rest: words.into_iter(), is_over: false }
    }

    pub(crate) fn next(&mut self) -> Option<Word> {
        let word = self.rest.next()?;
        match word.as_bytes() {
            b"--" if !self.is_over => {
                self.is_over = true;
                self.rest.next().map(Word::Other)
            }
            [b'-', b'-', long @ ..] if !self.is_over => {
                let end = long.iter().position(|byte| *byte == b'=').unwrap_or(long.len());
                let value = long.get(end + 1..).map(|value| OsStr::from_bytes(value).to_owned());
                Some(Word::Long(String::from_utf8_lossy(&long[..end]).into_owned(), value))
            }
            [b'-', _, ..] if !self.is_over => Some(Word::Short(word.to_string_lossy().chars().nth(1)?)),
            _ => Some(Word::Other(word)),
        }
    }

    /// The next word as a value, whatever it looks like.
    pub(crate) fn value(&mut self) -> Option<OsString> {
        self.rest.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_an_option_by_its_dashes_until_two_of_them_stand_alone() {
        let line = ["-h", "-xyz", "--name", "--name=a=b", "--name=", "-", "word", "--", "--name", "-h"];
        let mut words = Words::new(line.map(OsString::from).into());
        let mut shown = Vec::new();
        while let Some(word) = words.next() {
            shown.push(match word {
                Word::Short(letter) => format!("-{letter}"),
                Word::Long(name, None) => format!("--{name}"),
                Word::Long(name, Some(value)) => format!("--{name} {}", value.display()),
                Word::Other(word) => word.into_string().unwrap(),
            });
        }
        assert_eq!(shown, ["-h", "-x", "--name", "--name a=b", "--name ", "-", "word", "--name", "-h"]);
    }

    #[test]
    fn a_value_is_the_next_word_whatever_it_looks_like() {
        let mut words = Words::new(vec!["--name".into(), "--help".into()]);
        assert!(matches!(words.next(), Some(Word::Long(name, None)) if name == "name"));
        assert_eq!(words.value(), Some("--help".into()));
        assert!(words.value().is_none() && words.next().is_none());
    }
}
