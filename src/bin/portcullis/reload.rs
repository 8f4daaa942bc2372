//! Reading everything again while the server runs: the file of `--config` with those beside it, and the token file.
//!
//! Decided here: all of it at once or not at all. Everything is read and checked as at the start; with a fault it is
//! said where and what helps, and nothing has changed. Then tools, roles and tokens are exchanged between two turns of
//! the loop: sessions stay, clients that listen are told, and what belongs to a token that is gone ends. Addresses,
//! limits and the other options stay as they were at the start, and it is said which of them wait for the next.

use crate::options::{self, Given, Options, Program, Wish};
use crate::serve;
use log::{error, info, warn};
use portcullis::{Handle, Limits, Toolset};
use std::ffi::OsString;

/// What a server was started with, to start from again.
pub(crate) struct Reload<'a> {
    program: &'a Program,
    args: Vec<OsString>,
    limits: Limits,
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
        Some(Reload { program, args, limits: options.limits(), given: given.unwrap_or_default(), has_token_file })
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
        let Some(loaded) = options.loaded.take() else {
            tokens.into_iter().for_each(|tokens| handle.set_tokens(tokens));
            return Ok(());
        };
        let (own, of_file, limits) = (self.program.tools, loaded.tools, self.limits.clone());
        let tools = move || of_file(own(Toolset::new(), &limits));
        tools().check().map_err(|fault| fault.to_string())?;
        let (admit, remote) = (loaded.admit, handle.clone());
        // Everything was checked: from here on nothing can go wrong, and all of it happens in one turn of the loop.
        let replaced = handle.replace_tools(move || {
            admit();
            tokens.into_iter().for_each(|tokens| remote.set_tokens(tokens));
            remote.access_changed();
            tools()
        });
        replaced.await.map_err(|fault| fault.to_string())?;
        loaded.warnings.iter().for_each(|warning| warn!("{warning}"));
        for words in at_next_start(&self.given, &loaded.settings) {
            warn!("{words}");
        }
        Ok(())
    }
}

/// What is said of options that have changed: they wait.
fn at_next_start(before: &[Given], now: &[Given]) -> Vec<String> {
    let is_in = |given: &Given, others: &[Given]| {
        // The token file is read again, wherever it is.
        given.name == "token-file" || others.iter().any(|other| (other.name, &other.text) == (given.name, &given.text))
    };
    let changed = now.iter().filter(|given| !is_in(given, before));
    let changed = changed.map(|given| format!("{}: `{}` takes effect at the next start", given.place, key(given)));
    let gone =
        before.iter().filter(|given| !now.iter().any(|other| other.name == given.name) && given.name != "token-file");
    let gone = gone.map(|given| format!("`{}` is not there any more: that takes effect at the next start", key(given)));
    changed.chain(gone).collect()
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
        let words = at_next_start(&before, &now);
        assert_eq!(words.len(), 3, "{words:?}");
        assert_eq!(words[0], "f.toml:2:1: `listen` takes effect at the next start");
        assert_eq!(words[1], "f.toml:3:1: `grace` takes effect at the next start");
        assert_eq!(words[2], "`allow_host` is not there any more: that takes effect at the next start");
        assert!(at_next_start(&now, &now).is_empty());
    }
}
