//! The answer to a POST whose calls take time: JSON if they end soon and quietly, else a stream (S-9).

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::connection::{Link, Lost};
use super::shell::Wait;
use crate::http::response::{self, Manner, Rejection};
use crate::observe::Sessions;
use crate::stream::{Frame, Settled, join_answers};
use crate::transport::{Events, Exchange, First, Form};

/// What became of the wait.
enum Turn {
    Json,
    Stream,
    Ended,
    Lost,
}

impl Link {
    /// Waits for the answers of an exchange and writes them; false if the connection is to end.
    pub(super) async fn answer(&mut self, exchange: Exchange, manner: Manner) -> Result<bool, Lost> {
        self.shell.wait_for(&self.presence, Wait::Answer, self.shell.now());
        let mut out = self.shell.buffer();
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
                let cause = "the session ended before the answer; send initialize to begin a new one";
                response::rejection(&mut out, &Rejection::new(404, cause), &manner);
                self.flush(&mut out).await?;
            }
            Turn::Stream => return Box::pin(self.answer_as_stream(exchange, manner)).await,
            Turn::Lost => {
                exchange.reply.abandon();
                return Err(Lost);
            }
        }
        self.shell.wait_for(&self.presence, Wait::Request, self.shell.now());
        Ok(!manner.close)
    }

    async fn settle(&mut self, exchange: &Exchange) -> Turn {
        let shell = self.shell.clone();
        let mut silence = match exchange.form {
            Form::Either => Some(shell.clock().sleep_until(shell.now() + shell.limits().stream_after)),
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
            if self.presence.poll_cut(cx.waker()).is_some() || self.poll_peer(cx).is_err() {
                return Poll::Ready(Turn::Lost);
            }
            match &mut silence {
                Some(silence) => Pin::new(silence).poll(cx).map(|()| Turn::Stream),
                None => Poll::Pending,
            }
        })
        .await
    }

    async fn answer_as_stream(&mut self, exchange: Exchange, manner: Manner) -> Result<bool, Lost> {
        let Exchange { reply, session, session_header, primes, .. } = exchange;
        if session_header.is_none() {
            reply.number((self.shell.ids)() as u64);
        }
        let attachment = reply.attach(None);
        {
            let (mut table, now) = (self.shell.table.borrow_mut(), self.shell.now());
            table.stream_opened(session);
            if reply.nonce().is_some() {
                table.keep_reply(session, &reply, now);
            }
        }
        let first = if primes { First::Priming } else { First::Comment };
        let header = session_header.map(|id| ("mcp-session-id", id));
        let opened = self.open(Events { attachment, session, first, header }, &manner);
        self.stream(opened, !manner.close && !manner.http_1_0).await
    }

    /// Writes what the operator wants to see, and lets others run between its pieces.
    pub(super) async fn show_sessions(&mut self, manner: Manner) -> Result<bool, Lost> {
        let mut out = Vec::new();
        response::chunked_head(&mut out, "application/json", &manner);
        let (mut sessions, mut piece) = (Sessions::new(), Vec::new());
        while !manner.head_only && sessions.write_piece(&self.shell, &mut piece) {
            if !piece.is_empty() {
                response::chunk(&mut out, &piece, manner.http_1_0);
            }
            piece.clear();
            self.flush(&mut out).await?;
            smol::future::yield_now().await;
        }
        if !manner.http_1_0 && !manner.head_only {
            out.extend_from_slice(response::LAST_CHUNK);
        }
        self.flush(&mut out).await?;
        Ok(!manner.close && !manner.http_1_0)
    }
}

/// Writes the answers of an exchange as one JSON body.
pub(super) fn write_answers(out: &mut Vec<u8>, exchange: &Exchange, answers: &[Rc<Frame>], manner: &Manner) {
    let mut body = Vec::new();
    let session = exchange.session_header.as_deref().map(|id| ("mcp-session-id", id));
    let headers = session.as_slice();
    if let ([answer], false) = (answers, exchange.batch) {
        return response::whole(out, 200, "application/json", headers, &answer.text(), manner);
    }
    join_answers(&mut body, answers);
    response::whole(out, 200, "application/json", headers, &body, manner);
}
