//! The answer to a POST whose calls take time: JSON if they end soon and quietly, else a stream (S-9).

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::calls::CallKey;
use super::connection::{Link, Lost};
use super::shell::Wait;
use crate::http::head::{Field, Head};
use crate::http::response::{self, Manner, Media, Rejection, Usual};
use crate::stream::{Frame, Settled, join_answers};
use crate::transport::{Events, Exchange, First, Form, Reply};

/// What became of the wait.
enum Turn {
    Json,
    Stream,
    Ended,
    Lost,
}

impl Link {
    /// Waits for the answers of an exchange and writes them; false if the connection is to end.
    pub(super) async fn answer(
        &mut self,
        exchange: Exchange,
        manner: Manner,
        running: Option<CallKey>,
    ) -> Result<bool, Lost> {
        self.shell.wait_for(&self.presence, Wait::Answer, self.shell.now());
        let mut out = self.shell.buffers.lend();
        match self.settle(&exchange).await {
            Turn::Json => {
                let answers = exchange.reply.take_answers();
                write_answers(&mut out, &exchange, &answers, &manner);
                if self.flush(&mut out).await.is_err() {
                    answers.iter().for_each(|answer| exchange.reply.undeliverable(answer));
                    return Err(Lost);
                }
            }
            Turn::Ended => {
                // the session ended while its request waited, and no head is out yet.
                let rejection = match exchange.session {
                    Some(_) => {
                        Rejection::new(404, "the session ended before the answer; send initialize to begin a new one")
                    }
                    None => {
                        Rejection::new(503, "the server ended this call: it is shutting down, or the token was revoked")
                    }
                };
                response::rejection(&mut out, &rejection, &manner);
                self.flush(&mut out).await?;
            }
            Turn::Stream => return Box::pin(self.answer_as_stream(exchange, manner, running)).await,
            Turn::Lost => {
                self.abandon(&exchange, running);
                return Err(Lost);
            }
        }
        self.shell.wait_for(&self.presence, Wait::Request, self.shell.now());
        Ok(!manner.close)
    }

    async fn settle(&mut self, exchange: &Exchange) -> Turn {
        let shell = self.shell.clone();
        let cancels = exchange.revision.disconnect_cancels();
        let limits = shell.limits();
        let patience =
            if exchange.revision.is_stateless() { limits.stateless_stream_after } else { limits.stream_after };
        let mut silence = match exchange.form {
            Form::Either => Some(shell.clock().sleep_until(shell.now() + patience)),
            Form::Json => None,
            Form::Events => return Turn::Stream,
        };
        std::future::poll_fn(|cx| {
            match exchange.reply.poll_settled(cx) {
                Poll::Ready(Settled::Answers) => return Poll::Ready(Turn::Json),
                Poll::Ready(Settled::Messages) => return Poll::Ready(Turn::Stream),
                Poll::Ready(Settled::Ended) => return Poll::Ready(Turn::Ended),
                Poll::Pending => {}
            }
            // A cut means that the server stops for good; until then calls may finish.
            let gone = self.presence.poll_cut(cx.waker()).is_some() || self.poll_peer(cx).is_err();
            if gone || (cancels && (self.half_closed || self.is_deaf())) {
                return Poll::Ready(Turn::Lost);
            }
            match &mut silence {
                Some(silence) => Pin::new(silence).poll(cx).map(|()| Turn::Stream),
                None => Poll::Pending,
            }
        })
        .await
    }

    async fn answer_as_stream(
        &mut self,
        exchange: Exchange,
        manner: Manner,
        running: Option<CallKey>,
    ) -> Result<bool, Lost> {
        let Exchange { reply, session, session_header, revision, .. } = exchange;
        if session_header.is_none() && revision.numbers_events() {
            reply.number((self.shell.services.ids)() as u64);
        }
        let attachment = reply.attach(None);
        if let Some(session) = session {
            let (mut table, now) = (self.shell.table.borrow_mut(), self.shell.now());
            table.stream_opened(session);
            if reply.nonce().is_some() {
                table.keep_reply(session, &reply, now);
            }
        }
        let first = if revision.primes_streams() && session_header.is_none() { First::Priming } else { First::Comment };
        let header = session_header.map(|id| ("mcp-session-id", id));
        let opened = self.open(Events { attachment, session, revision, first, header }, &manner);
        let ended = self.stream(opened, !manner.close && !manner.http_1_0).await;
        if let (Err(Lost), Some(call), true) = (&ended, running, revision.disconnect_cancels()) {
            self.shell.disconnected(call);
        }
        ended
    }
}

/// Writes the answers of an exchange as one JSON body.
pub(super) fn write_answers(out: &mut Vec<u8>, exchange: &Exchange, answers: &[Rc<Frame>], manner: &Manner) {
    let mut body = Vec::new();
    let session = exchange.session_header.as_deref().map(|id| ("mcp-session-id", id));
    let headers = session.as_slice();
    if let ([answer], false) = (answers, exchange.batch) {
        return response::whole(out, exchange.reply.status(), Media::Json, headers, &answer.text(), manner);
    }
    join_answers(&mut body, answers);
    response::whole(out, 200, Media::Json, headers, &body, manner);
}

/// How a request wants to be answered.
pub(super) fn manner(head: &Head, origin_is_good: bool, usual: &Rc<Usual>) -> Manner {
    Manner {
        usual: Some(usual.clone()),
        http_1_0: head.http_1_0,
        close: head.close,
        head_only: head.method() == "HEAD",
        origin: head.get(Field::Origin).filter(|_| origin_is_good).map(Into::into),
    }
}

pub(super) fn write_reply(out: &mut Vec<u8>, reply: &Reply, manner: &Manner) {
    let headers: Vec<_> = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    response::whole(out, reply.status, reply.media, &headers, &reply.body, manner);
}
