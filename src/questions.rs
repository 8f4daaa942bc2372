//! Questions that a session's calls have put to its client, and who waits for the answers (S-8, X-43, X-44).
//!
//! Each session has its own; an answer counts only in the session that asked. Whoever waits holds an [`Asked`]; if he
//! goes, so does the question, and an answer that comes too late is nobody's.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde_json::Value;

use crate::jsonrpc::RequestId;

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Result(Value),
    /// The client's own words for why not.
    Error(String),
    /// The session ended first.
    Ended,
}

/// The open questions of one session.
#[derive(Default)]
pub(crate) struct Questions {
    open: RefCell<Vec<Rc<Question>>>,
    ended: Cell<bool>,
}

struct Question {
    id: RequestId,
    answer: RefCell<Option<Answer>>,
    waker: RefCell<Option<Waker>>,
}

impl Question {
    fn settle(&self, answer: Answer) {
        self.answer.borrow_mut().get_or_insert(answer);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// A question that waits for its answer.
pub(crate) struct Asked {
    questions: Rc<Questions>,
    question: Rc<Question>,
}

impl Questions {
    /// Notes a question before it is sent.
    pub(crate) fn ask(self: &Rc<Self>, id: RequestId) -> Asked {
        let question = Rc::new(Question { id, answer: RefCell::default(), waker: RefCell::default() });
        if self.ended.get() {
            question.settle(Answer::Ended);
        }
        self.open.borrow_mut().push(question.clone());
        Asked { questions: self.clone(), question }
    }

    /// Hands an answer to whoever asked; false if nobody did.
    pub(crate) fn answered(&self, id: &RequestId, answer: Answer) -> bool {
        let open = self.open.borrow();
        let asked = open.iter().find(|question| question.id == *id);
        asked.map(|question| question.settle(answer)).is_some()
    }

    /// Does anybody wait for this answer?
    pub(crate) fn expects(&self, id: &RequestId) -> bool {
        self.open.borrow().iter().any(|question| question.id == *id)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    /// Nobody will answer any more.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.open.borrow().iter().for_each(|question| question.settle(Answer::Ended));
    }
}

impl Asked {
    pub(crate) fn is_answered(&self) -> bool {
        self.question.answer.borrow().is_some()
    }
}

impl Future for Asked {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        if let Some(answer) = self.question.answer.borrow().clone() {
            return Poll::Ready(answer);
        }
        *self.question.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.questions.open.borrow_mut().retain(|question| !Rc::ptr_eq(question, &self.question));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::{block_on, poll_once};

    #[test]
    fn x43_x44_an_answer_reaches_who_asked_and_nobody_else() {
        let questions = Rc::new(Questions::default());
        let (one, two) = (RequestId::Integer(1), RequestId::Integer(2));
        let (mut first, second) = (questions.ask(one.clone()), questions.ask(two.clone()));
        assert!(block_on(poll_once(&mut first)).is_none());
        assert!(!questions.answered(&RequestId::String("1".into()), Answer::Ended), "\"1\" is not 1");
        assert!(questions.answered(&one, Answer::Result(Value::Null)));
        assert!(questions.answered(&one, Answer::Error("twice".into())), "the first answer counts");
        assert_eq!(block_on(first), Answer::Result(Value::Null));
        drop(second);
        assert!(!questions.answered(&two, Answer::Ended) && questions.len() == 0, "nobody waits any more");
        let third = questions.ask(two);
        questions.end();
        assert_eq!(block_on(third), Answer::Ended);
        assert_eq!(block_on(questions.ask(one)), Answer::Ended);
    }
}
