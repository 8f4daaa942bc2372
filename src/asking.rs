//! How a handler asks its client: one API, two ways (F-140 … F-148, S-8).
//!
//! In a session the question is a request on the call's own stream, and the handler waits for the answer. In 2026-07-28
//! the call ends as `input_required`, and runs again from the top when the client comes back with the answers. What
//! was answered before travels in `requestState`: sealed, and bound to the principal, the method, its target and its
//! arguments, so that it opens nothing else.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::context::Services;
use crate::jsonrpc::{self, Error, read_string};
use crate::mcp::compat::Outcome;
use crate::mcp::object;
use crate::mcp::peer::Principal;
use crate::members::Members;
use crate::questions::Questions;

/// How the client of a call is asked.
pub(crate) enum Asking {
    /// By requests of a session.
    Session(Rc<Questions>),
    /// By ending the call and running it again.
    Rounds(Box<Rounds>),
}

/// One round of a request that may take several.
pub(crate) struct Rounds {
    about: About,
    round: usize,
    /// JSON, as it came: most are never looked at.
    answers: Texts,
    /// The answers that the handler has looked at in this round; only these go on to the next.
    used: RefCell<Vec<String>>,
    /// Key and question, as JSON.
    wanted: RefCell<Texts>,
    is_retry: bool,
}

/// Texts by their keys, sorted: a handful, for which a map would be 5 KB of program.
type Texts = Vec<(String, String)>;

fn place(texts: &Texts, key: &str) -> Result<usize, usize> {
    texts.binary_search_by(|(other, _)| other.as_str().cmp(key))
}

/// Puts a text in place of the one that has its key, if there is one.
fn set(texts: &mut Texts, key: &str, text: String) {
    match place(texts, key) {
        Ok(at) => texts[at].1 = text,
        Err(at) => texts.insert(at, (key.to_owned(), text)),
    }
}

/// What a request state belongs to.
struct About {
    method: &'static str,
    target: Rc<str>,
    /// As they came; compared as what they mean.
    arguments: Box<str>,
}

/// What is sealed in a request state.
struct State {
    round: usize,
    answers: Texts,
}

impl State {
    fn read(text: &[u8]) -> Option<State> {
        // From text, as all else: reading JSON from bytes would be 8 KB of its own.
        let members: Members<'_> = serde_json::from_str(std::str::from_utf8(text).ok()?).ok()?;
        let mut state = State { round: members.get("round")?.get().parse().ok()?, answers: Texts::new() };
        for (key, answer) in members.object("answers").ok()?.unwrap_or_default().iter() {
            set(&mut state.answers, key, read_string(answer)?.into_owned());
        }
        Some(state)
    }
}

impl Rounds {
    /// Reads what a request brings back, if it is a retry.
    ///
    /// # Errors
    /// −32602 for a state that is not ours, not this request's or too old, and for answers that are no object.
    pub(crate) fn read(
        services: &Services,
        principal: &Principal,
        method: &'static str,
        (target, arguments): (Rc<str>, Box<str>),
        params: &Members<'_>,
    ) -> Result<Rounds, Error> {
        let about = About { method, target, arguments };
        let mut rounds = Rounds {
            about,
            round: 0,
            answers: Texts::new(),
            used: RefCell::default(),
            wanted: RefCell::default(),
            is_retry: false,
        };
        if let Some(sealed) = params.text("requestState")? {
            let state = rounds.about.open(services, principal, &sealed).ok_or_else(|| {
                Error::invalid_params("Invalid or expired requestState; send the request again without it")
                    .with_data(object("reason", "invalid_request_state".into()).into())
            })?;
            (rounds.round, rounds.answers, rounds.is_retry) = (state.round, state.answers, true);
        }
        if let Some(answers) = params.object("inputResponses")? {
            for (key, answer) in answers.iter() {
                set(&mut rounds.answers, key, answer.get().to_owned());
            }
            rounds.is_retry = true;
        }
        Ok(rounds)
    }

    /// The answer to the question with this key, if the client has brought it.
    pub(crate) fn answer(&self, key: &str) -> Option<Value> {
        let (_, answer) = &self.answers[place(&self.answers, key).ok()?];
        self.used.borrow_mut().push(key.to_owned());
        serde_json::from_str(answer).ok()
    }

    /// Asks: the call will end with this question.
    pub(crate) fn want(&self, key: &str, method: &str, params: &str) {
        let question = format!("{{\"method\":{},\"params\":{params}}}", json!(method));
        set(&mut self.wanted.borrow_mut(), key, question);
    }

    /// Has the handler asked something that is not answered?
    pub(crate) fn wants_input(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    /// Does the result depend on answers (F-147)?
    pub(crate) fn is_retry(&self) -> bool {
        self.is_retry
    }

    /// The end of this round: what was asked, or that enough has been.
    pub(crate) fn required(&self, services: &Services, principal: &Principal) -> Outcome {
        if self.round >= services.common.limits.rounds_max {
            let words = format!("asked {} times already (limit rounds_max); send the request anew", self.round);
            return Outcome::Error(Error::invalid_params(words));
        }
        let used = self.used.borrow();
        let mut state = State { round: self.round + 1, answers: Texts::new() };
        for answer in self.answers.iter().filter(|(key, _)| used.contains(key)) {
            state.answers.push(answer.clone());
        }
        let state = self.about.seal(services, principal, &state);
        Outcome::InputRequired { requests: self.wanted.take(), state }
    }
}

const PURPOSE: &str = "requestState";

impl About {
    fn digest(&self) -> [u8; 32] {
        // Written anew from its meaning: a client may order and space its JSON differently the second time.
        let meaning: Value = serde_json::from_str(&self.arguments).unwrap_or_default();
        Sha256::digest(meaning.to_string().as_bytes()).into()
    }

    /// What a state is bound to, for sealing and for opening alike.
    fn bound<'a>(&'a self, owner: &'a str, digest: &'a [u8; 32]) -> [&'a [u8]; 4] {
        [owner.as_bytes(), self.method.as_bytes(), self.target.as_bytes(), digest]
    }

    fn seal(&self, services: &Services, principal: &Principal, state: &State) -> String {
        let mut text = b"{\"answers\":{".to_vec();
        for (at, (key, answer)) in state.answers.iter().enumerate() {
            text.extend_from_slice(if at > 0 { b"," } else { b"" });
            jsonrpc::write_string(&mut text, key);
            text.push(b':');
            jsonrpc::write_string(&mut text, answer);
        }
        text.extend_from_slice(b"},\"round\":");
        jsonrpc::write_integer(&mut text, state.round as i64);
        text.push(b'}');
        let (owner, digest) = (principal.binding(), self.digest());
        let expires = services.clock.wall_seconds().saturating_add(services.common.limits.state_wait.as_secs());
        services.seal.seal(PURPOSE, &self.bound(&owner, &digest), expires, &text, services.nonce())
    }

    fn open(&self, services: &Services, principal: &Principal, sealed: &str) -> Option<State> {
        let (owner, digest) = (principal.binding(), self.digest());
        let now = services.clock.wall_seconds();
        let text = services.seal.open(PURPOSE, &self.bound(&owner, &digest), now, sealed)?;
        State::read(&text)
    }
}
