//! What a handler can ask its client: the user, the model, the folders it works in.

use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use serde_json::{Value, json};

use super::RequestContext;
use crate::asking::Asking;
use crate::counters::count;
use crate::jsonrpc::{self, RequestId};
use crate::mcp::capability::ClientCapability;
use crate::mcp::elicit::{Elicited, Form};
use crate::mcp::result::CallError;
use crate::mcp::sample::{Root, Sampled, Sampling};
use crate::questions::{Answer, Asked, Questions};

/// Asking the client. **Ask first and act after:** a client of 2026-07-28 answers by sending the request again, so the
/// handler runs from its top once more for every round of questions. Each question has a `key`, unique in its handler;
/// questions that are asked at the same time (joined futures) are one round.
///
/// ```
/// use portcullis::{CallError, Field, Form, RequestContext};
///
/// async fn open_port(cx: RequestContext, _: serde_json::Value) -> Result<String, CallError> {
///     let form = Form::new("Open port 22 to everyone?").field("reason", Field::text().title("Why?"));
///     let answer = cx.elicit("confirm", form).await?; // may end the call here
///     if !answer.accepted() {
///         return Ok("left closed".into());
///     }
///     Ok(format!("opened, because {}", answer.get("reason").unwrap_or_default()))
/// }
/// ```
impl RequestContext {
    /// Can the client do this? In 2026-07-28 it says so with every request.
    pub fn can(&self, capability: ClientCapability) -> bool {
        let peer = &self.0.peer;
        peer.capabilities.have(capability, peer.revision)
    }

    /// The client's settings of an extension, if it has it.
    pub fn extension(&self, id: &str) -> Option<Value> {
        self.0.peer.capabilities.extension(id)
    }

    /// Asks the user to fill in a form. Nothing secret belongs in one.
    ///
    /// # Errors
    /// If the client cannot ask its user, does not answer within [`Limits::ask_wait`](crate::Limits::ask_wait), or
    /// answers something else than the form asks for.
    pub async fn elicit(&self, key: &str, form: Form) -> Result<Elicited, CallError> {
        self.require(ClientCapability::Elicitation)?;
        let schema = form.schema(self.0.peer.revision)?;
        let params = format!("{{\"message\":{},\"requestedSchema\":{schema}}}", json!(form.message));
        let answer = self.ask(key, "elicitation/create", params).await?;
        form.read(&answer, &schema).map_err(|fault| self.bad_answer(key, &fault))
    }

    /// Asks the user to open a page: for secrets, payments, or the consent of somebody else. That the user accepted
    /// says that he agreed to open it; how he fared there, your page knows. The page must make sure that whoever
    /// opens it is the user who was asked, and `url` must not let anybody in by itself (F-124).
    ///
    /// # Errors
    /// As for [`RequestContext::elicit`]; for a client that knows no pages, the error's text has the address.
    pub async fn elicit_url(&self, key: &str, message: &str, url: &str) -> Result<Elicited, CallError> {
        let revision = self.0.peer.revision;
        if !self.can(ClientCapability::UrlElicitation) && !revision.is_stateless() {
            return Err(CallError::new(format!("{message} Open {url} and then try again.")));
        }
        self.require(ClientCapability::UrlElicitation)?;
        let mut params = json!({ "mode": "url", "message": message, "url": url });
        let id = revision.has_elicitation_ids().then(|| format!("{:032x}", (self.0.services.ids)()));
        if let Some(id) = &id {
            params["elicitationId"] = id.as_str().into();
        }
        let answer = self.ask(key, "elicitation/create", params.to_string()).await?;
        let mut elicited = Elicited::from_client(&answer).map_err(|fault| self.bad_answer(key, &fault))?;
        elicited.elicitation = id;
        Ok(elicited)
    }

    /// Tells the client that the user is done on the page he was sent to. Only 2025-11-25 has a word for it.
    pub fn elicitation_complete(&self, elicited: &Elicited) {
        if let Some(id) = &elicited.elicitation {
            let params = json!({ "elicitationId": id }).to_string();
            self.0.stream.notice(super::notification("notifications/elicitation/complete", params.as_bytes()));
        }
    }

    /// Asks the client's model.
    ///
    /// # Errors
    /// If the client has no model to ask, refuses, or does not answer in time.
    pub async fn sample(&self, key: &str, question: Sampling) -> Result<Sampled, CallError> {
        let capability =
            if question.has_tools() { ClientCapability::SamplingTools } else { ClientCapability::Sampling };
        self.require(capability)?;
        let answer = self.ask(key, "sampling/createMessage", question.params().to_string()).await?;
        Sampled::from_client(&answer).map_err(|fault| self.bad_answer(key, &fault))
    }

    /// Asks in which folders the client works.
    ///
    /// # Errors
    /// If the client does not say, or does not answer in time.
    pub async fn roots(&self, key: &str) -> Result<Vec<Root>, CallError> {
        self.require(ClientCapability::Roots)?;
        let answer = self.ask(key, "roots/list", "{}".into()).await?;
        Root::from_client(&answer).map_err(|fault| self.bad_answer(key, &fault))
    }

    fn bad_answer(&self, key: &str, fault: &str) -> CallError {
        if self.0.peer.revision.is_stateless() {
            return CallError::params(format!("inputResponses.{key}: {fault}"));
        }
        CallError::new(format!("the client's answer to {key:?} cannot be used: {fault}"))
    }

    /// Tells the client that nobody waits for its answer any more.
    pub(super) fn withdraw(&self, id: &RequestId) {
        let mut params = b"{\"requestId\":".to_vec();
        id.write(&mut params);
        params.extend_from_slice(b",\"reason\":\"the call that asked has ended\"}");
        self.0.stream.notice(super::notification("notifications/cancelled", &params));
    }

    fn require(&self, capability: ClientCapability) -> Result<(), CallError> {
        if self.can(capability) { Ok(()) } else { Err(CallError::missing(capability)) }
    }

    /// Asks the client; `params` is JSON.
    async fn ask(&self, key: &str, method: &str, params: String) -> Result<Value, CallError> {
        match self.0.asking.get() {
            Some(Asking::Rounds(rounds)) => match rounds.answer(key) {
                Some(answer) => Ok(answer),
                None => {
                    rounds.want(key, method, &params);
                    // The call ends with the question; nothing behind it runs in this round.
                    pending().await
                }
            },
            Some(Asking::Session(questions)) => self.ask_in_session(questions, method, &params).await,
            None => Err(CallError::new("this request has no client that could be asked")),
        }
    }

    /// A request of ours on the call's own stream, with a deadline of its own (P41, X-18).
    async fn ask_in_session(&self, questions: &Rc<Questions>, method: &str, params: &str) -> Result<Value, CallError> {
        let services = &self.0.services;
        // 53 bits: every client can read such a number and send it back.
        let id = RequestId::Integer(((services.ids)() as u64 >> 11) as i64);
        let mut text = Vec::with_capacity(256);
        jsonrpc::write_request(&mut text, &id, method, params.as_bytes());
        let mut question = Question { asked: questions.ask(id.clone()), id: id.clone(), cx: self.clone() };
        if !self.0.stream.ask(jsonrpc::one_line(text)) {
            let words =
                "the client cannot be asked: it takes no stream for this answer, or does not read the one it has";
            return Err(CallError::new(words));
        }
        self.0.asked.borrow_mut().push(id);
        count(&services.common.counters.questions_asked);
        let wait = services.common.limits.ask_wait;
        let mut late = pin!(services.clock.sleep_until(services.clock.now() + wait));
        let answer = std::future::poll_fn(|task| {
            if let Poll::Ready(answer) = pin!(&mut question.asked).poll(task) {
                return Poll::Ready(Some(answer));
            }
            late.as_mut().poll(task).map(|()| None)
        });
        match answer.await {
            Some(Answer::Result(value)) => Ok(value),
            Some(Answer::Error(words)) => Err(CallError::new(format!("the client refused: {words}"))),
            Some(Answer::Ended) => Err(CallError::new("the session ended before the client answered")),
            None => {
                let words = format!("the client did not answer {method} within {} s (limit ask_wait)", wait.as_secs());
                Err(CallError::new(words))
            }
        }
    }
}

/// A question on its way. If its handler stops waiting, the client is told (F-91).
struct Question {
    asked: Asked,
    id: RequestId,
    cx: RequestContext,
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut asked = self.cx.0.asked.borrow_mut();
        let is_open = asked.contains(&self.id);
        asked.retain(|id| *id != self.id);
        drop(asked);
        if is_open && !self.asked.is_answered() {
            self.cx.withdraw(&self.id);
        }
    }
}
