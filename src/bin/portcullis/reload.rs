//! Reading everything again while the server runs: the file of `--config` with those beside it, and the token file.
//!
//! Decided here: all of it at once or not at all. Everything is read and checked as at the start; with a fault it is
//! said where and what helps, and nothing has changed. Then tools, roles and tokens are exchanged between two turns of
//! the loop: sessions stay, clients that listen are told, and what belongs to a token that is gone ends. Addresses,
//! limits and the other options stay as they were at the start, and it is said which of them wait for the next.

use crate::options::{self, Given, Options, Program, Wish};
use crate::serve;
use log::{error, info, warn};
use portcullis::{Handle, Limits, Tokens, Toolset};
use std::ffi::OsString;
use std::sync::Arc;

/// What a server was started with, to start from again.
pub(crate) struct Reload<'a> {
    program: &'a Program,
    args: Vec<OsString>,
    limits: Arc<Limits>,
    /// The options of the file that the server was started with.
    given: Vec<Given>,
    has_token_file: bool,
}

impl<'a> Reload<'a> {
    /// None if there is no file that could be read again.
    pub(crate) fn of(program: &'a Program, args: Vec<OsString>, options: &mut Options) -> Option<Reload<'a>> {
        let has_token_file = options.token_file.is_some();
        if !has_token_file && options.loaded.is_none() {
            return None;
        }
        let given = options.loaded.as_mut().map(|loaded| std::mem::take(&mut loaded.settings));
        Some(Reload {
            program,
            args,
            limits: Arc::new(options.limits()),
            given: given.unwrap_or_default(),
            has_token_file,
        })
    }

    /// Reads everything again. What came of it is in the log.
    pub(crate) async fn again(&self, handle: &Handle) {
        match self.try_again(handle).await {
            Ok(()) => info!("reloaded"),
            Err(faults) => {
                faults.lines().for_each(|fault| error!("{fault}"));
                error!("not reloaded: everything stays as it was");
            }
        }
    }

    async fn try_again(&self, handle: &Handle) -> Result<(), String> {
        let (change, warnings) = self.read(handle)?;
        match change {
            Change::Tokens(tokens) => tokens.into_iter().for_each(|tokens| handle.set_tokens(tokens)),
            Change::All(make) => handle.replace_tools(make).await.map_err(|fault| fault.to_string())?,
        }
        warnings.iter().for_each(|warning| warn!("{warning}"));
        Ok(())
    }

    /// Reads and checks everything: what is to be done then, and what a person should know.
    fn read(&self, handle: &Handle) -> Result<(Change, Vec<String>), String> {
        let mut options = match options::parse(self.program, self.args.clone())? {
            Wish::Run(options) => *options,
            Wish::Print(_) => return Err("the command line asks for help".into()),
        };
        if options.token_file.is_some() != self.has_token_file {
            let (file, table) = ("`token_file`", "`[[token]]`");
            let (before, now) = if self.has_token_file { (file, table) } else { (table, file) };
            return Err(format!("who may ask was said by {before}, and now by {now}: restart to change that"));
        }
        let tokens = options.token_file.as_deref().map(serve::tokens).transpose()?;
        let Some(loaded) = options.loaded.take() else { return Ok((Change::Tokens(tokens), Vec::new())) };
        let (own, of_file, limits) = (self.program.tools, loaded.tools, self.limits.clone());
        let tools = move || of_file(own(Toolset::new(), &limits));
        tools().check().map_err(|fault| fault.to_string())?;
        let (admit, remote) = (loaded.admit, handle.clone());
        // Everything was checked: from here on nothing can go wrong, and all of it happens in one turn of the loop.
        let make = move || {
            admit();
            tokens.into_iter().for_each(|tokens| remote.set_tokens(tokens));
            remote.access_changed();
            tools()
        };
        let mut warnings = loaded.warnings;
        at_next_start(&self.given, &loaded.settings, &mut warnings);
        Ok((Change::All(Box::new(make)), warnings))
    }
}

/// What is to be done, once everything was read.
enum Change {
    Tokens(Option<Tokens>),
    All(Box<dyn FnOnce() -> Toolset + Send>),
}

/// What is said of options that have changed: they wait.
fn at_next_start(before: &[Given], now: &[Given], words: &mut Vec<String>) {
    // The token file is read again, wherever it is.
    for given in now.iter().filter(|given| given.name != "token-file") {
        if !before.iter().any(|other| (other.name, &other.text) == (given.name, &given.text)) {
            words.push(format!("{}: `{}` takes effect at the next start", given.place, key(given)));
        }
    }
    for given in before.iter().filter(|given| given.name != "token-file") {
        if !now.iter().any(|other| other.name == given.name) {
            words.push(format!("`{}` is not there any more: that takes effect at the next start", key(given)));
        }
    }
}

/// An option's name as it stands in a file.
fn key(given: &Given) -> String {
    given.name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_have_changed_are_named_with_their_place() {
        let given = |list: &[(&'static str, &str)]| -> Vec<Given> {
            let one = |(at, (name, text)): (usize, &(&'static str, &str))| Given {
                name,
                text: (*text).to_owned(),
                place: format!("f.toml:{}:1", at + 1),
            };
            list.iter().enumerate().map(one).collect()
        };
        let before = given(&[("listen", "127.0.0.1:1"), ("grace", "5"), ("token-file", "a"), ("allow-host", "fw")]);
        let now = given(&[("listen", "127.0.0.1:1"), ("listen", "127.0.0.1:2"), ("grace", "6"), ("token-file", "b")]);
        let (mut words, mut none) = (Vec::new(), Vec::new());
        at_next_start(&before, &now, &mut words);
        assert_eq!(words.len(), 3, "{words:?}");
        assert_eq!(words[0], "f.toml:2:1: `listen` takes effect at the next start");
        assert_eq!(words[1], "f.toml:3:1: `grace` takes effect at the next start");
        assert_eq!(words[2], "`allow_host` is not there any more: that takes effect at the next start");
        at_next_start(&now, &now, &mut none);
        assert!(none.is_empty());
    }
}
