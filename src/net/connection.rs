//! One connection: requests in, answers out, in order.
//!
//! A waiting connection holds no buffer. Bytes are read into the thread's own buffer, and requests are answered
//! straight out of it; only what is left of an incomplete one is copied. Whatever needs to wait (a call, a
//! stream) comes back as a [`Next`], so that nothing borrowed from the read buffer crosses an await.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::answer::{manner, write_answers, write_reply};
use super::calls::CallKey;
use super::next::{Next, Waiting};
use super::shell::{Cut, Presence, Shell, Wait};
use super::socket::{Socket, Wire};
use crate::budget::Charge;
use crate::call::Call;
use crate::counters::count;
use crate::http::body::{Framer, Gate, Step};
use crate::http::head::Head;
use crate::http::response::{self, Manner, Media, Rejection};
use crate::observe::{self, Shown};
use crate::session::SessionKey;
use crate::stream::{Frame, Settled, Stream};
use crate::transport::{self, Admission, Admitted, Exchange, Form, From, Route};

/// A connection and what has been read of it.
pub(crate) struct Link {
    pub(crate) shell: Rc<Shell>,
    pub(crate) wire: Wire,
    pub(crate) presence: Rc<Presence>,
    pub(super) framer: Framer<Admitted>,
    /// Bytes of an incomplete request, or of the ones behind a running call.
    pub(crate) pending: Vec<u8>,
    /// `pending` may hold a whole request.
    pub(crate) unexamined: bool,
    charge: Option<Charge>,
    /// The peer will send nothing more; it may still listen.
    pub(crate) half_closed: bool,
    /// Answers that are in a buffer and not on the wire yet.
    pub(super) unwritten: Vec<(Rc<Stream>, Rc<Frame>)>,
}

/// The peer is gone, or was cut.
pub(crate) struct Lost;

/// Requests that are answered in one go before others have their turn (D4).
const REQUESTS_PER_TURN: usize = 16;
/// From this size on the bytes of an incomplete request are counted in the server's budget.
const SMALL: usize = 16 * 1024;
/// How long a closed connection's last bytes are awaited, so that its answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Takes a new connection in: from now on it has a place among the connections.
pub(crate) fn welcome(shell: &Rc<Shell>, socket: Socket, from: From) {
    count(&shell.counters().connections_accepted);
    let wire = match Wire::new(socket, |socket| shell.watch_socket(socket)) {
        Ok(wire) => wire,
        Err(error) => {
            count(&shell.counters().accept_errors);
            return log::warn!(target: "portcullis", "a connection was closed at once: {error}");
        }
    };
    let presence = shell.arrives(from);
    let place = Place { shell: shell.clone(), presence: presence.clone() };
    let link = Link {
        shell: shell.clone(),
        wire,
        presence,
        framer: Framer::default(),
        pending: Vec::new(),
        unexamined: false,
        charge: None,
        half_closed: false,
        unwritten: Vec::new(),
    };
    if let Some(task) = shell.spawn(async move {
        let _place = place;
        link.run().await;
    }) {
        task.detach();
    }
}

/// A connection's place among the connections.
struct Place {
    shell: Rc<Shell>,
    presence: Rc<Presence>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shell.leaves(&self.presence);
    }
}

/// Decides about the requests of a connection by their heads.
struct Porter<'s> {
    shell: &'s Shell,
    from: From,
}

impl Gate for Porter<'_> {
    type Pass = Admitted;

    fn admit(&self, head: &Head) -> Result<Admitted, Rejection> {
        transport::check(head, self.from, &self.shell.policy)
    }

    fn still_holds(&self, admitted: &Admitted) -> bool {
        transport::still_holds(admitted, &self.shell.policy)
    }

    fn manner(&self, head: &Head, rejection: &Rejection) -> Manner {
        manner(head, rejection.status != 403, &self.shell.usual)
    }
}

impl Link {
    async fn run(mut self) {
        self.shell.wait_for(&self.presence, Wait::Request, self.shell.now());
        let mut out = Vec::new();
        loop {
            let Some(next) = self.turn(&mut out).await else { return };
            // A call that was admitted begins before anything else happens: a cancel, a revocation or the end must find it.
            if !out.is_empty() && matches!(next, Next::Continue | Next::More) {
                self.shell.in_step().await;
            }
            if !out.is_empty() && self.flush(&mut out).await.is_err() {
                self.unwritten.iter().for_each(|(stream, answer)| stream.undeliverable(answer));
                return self.forsake(next);
            }
            self.unwritten.clear();
            let done = match next {
                Next::Continue | Next::More => Ok(true),
                Next::Yield => {
                    smol::future::yield_now().await;
                    Ok(true)
                }
                Next::Close => return Box::pin(self.linger()).await,
                Next::Start { calls, session } => {
                    self.start(calls, session);
                    Ok(true)
                }
                Next::Wait(waiting) => self.wait(waiting).await,
            };
            match done {
                Ok(true) => self.unexamined = !self.pending.is_empty(),
                Ok(false) => return Box::pin(self.linger()).await,
                Err(Lost) => return,
            }
        }
    }

    /// Boxed: most connections never wait for a call, and none should carry the room for it.
    #[allow(clippy::boxed_local)] // taken apart by its owner it would be kept until the wait is over
    fn wait(&mut self, waiting: Box<Waiting>) -> Pin<Box<dyn Future<Output = Result<bool, Lost>> + '_>> {
        match *waiting {
            Waiting::Answer { exchange, manner, running } => Box::pin(self.answer(exchange, manner, running)),
            Waiting::Show { shown, manner } => Box::pin(self.show(shown, manner)),
            Waiting::Stream { events, manner } => {
                let opened = self.open(events, &manner);
                Box::pin(self.stream(opened, !manner.close && !manner.http_1_0))
            }
        }
    }

    /// The connection is gone before what was to come next: what has begun is ended as if it had come.
    fn forsake(&mut self, next: Next) {
        match next {
            Next::Start { calls, session } => self.start(calls, session),
            Next::Wait(waiting) => match *waiting {
                Waiting::Answer { exchange, running, .. } => self.abandon(&exchange, running),
                Waiting::Stream { events, manner } => drop(self.open(events, &manner)),
                Waiting::Show { .. } => {}
            },
            _ => {}
        }
    }

    fn start(&self, calls: Vec<Call>, session: SessionKey) {
        self.shell.now(); // the flush may have taken its time
        for call in calls {
            self.shell.begin(call, Some(session));
        }
    }

    /// The peer of an exchange is gone: nobody will read the answer here, and in 2026-07-28 that cancels the call.
    pub(super) fn abandon(&self, exchange: &Exchange, running: Option<CallKey>) {
        exchange.reply.abandon();
        if let Some(call) = running.filter(|_| exchange.revision.disconnect_cancels()) {
            self.shell.disconnected(call);
        }
    }

    /// Reads and answers until something is to be written or awaited; none when the connection is over.
    async fn turn(&mut self, out: &mut Vec<u8>) -> Option<Next> {
        let shell = self.shell.clone();
        std::future::poll_fn(|cx| {
            loop {
                if let Some(cut) = self.presence.poll_cut(cx.waker()) {
                    return Poll::Ready(self.cut_short(cut, out));
                }
                let next = if std::mem::take(&mut self.unexamined) {
                    self.serve_pending(out)
                } else if self.half_closed {
                    Next::Close
                } else {
                    let mut scratch = shell.scratch.borrow_mut();
                    match ready!(self.wire.poll_read(cx, &mut scratch)) {
                        Ok(0) | Err(_) => return Poll::Ready(None),
                        Ok(n) => self.serve_fresh(&scratch[..n], out),
                    }
                };
                match next {
                    Next::More if out.is_empty() => {}
                    next => return Poll::Ready(Some(next)),
                }
            }
        })
        .await
    }

    fn cut_short(&mut self, cut: Cut, out: &mut Vec<u8>) -> Option<Next> {
        let cause = match (cut, self.presence.waits_for.get()) {
            (Cut::TooLong, Wait::Head) => "the headers did not arrive in time (limit head_wait)",
            (Cut::TooLong, Wait::Body) => "the body did not arrive in time (limit body_wait)",
            _ => return None,
        };
        response::rejection(out, &Rejection::new(408, cause).closing(), &Manner::default());
        count(&self.shell.counters().requests_refused);
        Some(Next::Close)
    }

    /// Serves requests straight out of the thread's read buffer.
    fn serve_fresh(&mut self, fresh: &[u8], out: &mut Vec<u8>) -> Next {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(fresh);
            return self.serve_pending(out);
        }
        let (used, next) = self.serve(fresh, out);
        self.pending.extend_from_slice(&fresh[used..]);
        self.account(next, used > 0, out)
    }

    fn serve_pending(&mut self, out: &mut Vec<u8>) -> Next {
        let mut pending = std::mem::take(&mut self.pending);
        let (used, next) = self.serve(&pending, out);
        if used < pending.len() {
            pending.drain(..used);
            self.pending = pending;
        }
        self.account(next, used > 0, out)
    }

    /// Counts what the connection holds of later or incomplete requests, and says what it waits for. `anew` says
    /// that a request has ended, so that what is waited for is another one.
    fn account(&mut self, next: Next, anew: bool, out: &mut Vec<u8>) -> Next {
        let held = self.pending.len() + self.framer.held();
        if held <= SMALL {
            self.charge = None;
        } else {
            let budget = &self.shell.services.common.budget;
            let charge = self.charge.get_or_insert_with(|| budget.charge(0));
            if !charge.grow(held) && matches!(next, Next::More) {
                count(&self.shell.counters().over_budget);
                let cause = "the server's buffers are full (limit buffered_bytes_max); try again soon";
                response::rejection(out, &Rejection::new(503, cause).closing(), &Manner::default());
                return Next::Close;
            }
        }
        let waits_for = match (&next, self.framer.in_body(), self.framer.is_amid()) {
            (Next::More, true, _) => Wait::Body,
            (Next::More, false, true) => Wait::Head,
            _ => Wait::Request,
        };
        // A head or a body that trickles in does not get its time anew with every byte.
        if anew || waits_for == Wait::Request || self.presence.waits_for.get() != waits_for {
            self.shell.wait_for(&self.presence, waits_for, self.shell.clock().said());
        }
        next
    }

    /// Serves the requests at the front of `buffer`; returns how much of it they took.
    fn serve(&mut self, buffer: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        self.shell.has_read();
        // Lent for the time of a turn: a connection that only waits holds none.
        *out = self.shell.buffers.lend();
        let (used, next) = self.serve_into(buffer, out);
        if out.is_empty() {
            self.shell.buffers.take_back(std::mem::take(out));
        }
        (used, next)
    }

    fn serve_into(&mut self, buffer: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        let (shell, from) = (self.shell.clone(), self.presence.from);
        let gate = Porter { shell: &shell, from };
        let mut at = 0;
        for _ in 0..REQUESTS_PER_TURN {
            match self.framer.next(&buffer[at..], shell.limits(), &gate) {
                Step::More { go_on } => {
                    if go_on {
                        out.extend_from_slice(response::CONTINUE);
                    }
                    return (at, Next::More);
                }
                Step::Refused { rejection, manner, used } => {
                    at += used;
                    self.refuse(&rejection, &manner, out);
                    if rejection.close || manner.close {
                        return (at, Next::Close);
                    }
                }
                Step::Request { begun, body, used } => {
                    at += used;
                    match self.request(&begun.pass, &begun.head, &body, out) {
                        Next::Continue => {}
                        next => return (at, next),
                    }
                }
            }
        }
        self.unexamined = true;
        (at, Next::Yield)
    }

    fn refuse(&self, rejection: &Rejection, manner: &Manner, out: &mut Vec<u8>) {
        count(&self.shell.counters().requests_refused);
        // Who was not let in, and from where: told to whoever counts such lines and locks addresses out.
        let is_told = matches!(rejection.status, 401 | 403) && self.shell.may_tell();
        let level = if is_told { log::Level::Warn } else { log::Level::Debug };
        log::log!(
            target: "portcullis", level, "refused status={} address={} cause={:?}",
            rejection.status, self.presence.from.address.map(|ip| ip.to_string()).unwrap_or_default(), rejection.message,
        );
        response::rejection(out, rejection, manner);
    }

    fn request(&mut self, admitted: &Admitted, head: &Head, body: &[u8], out: &mut Vec<u8>) -> Next {
        count(&self.shell.counters().requests);
        let mut manner = manner(head, true, &self.shell.usual);
        manner.close |= self.shell.stopping.get();
        let after = |manner: &Manner| if manner.close { Next::Close } else { Next::Continue };
        let from = self.presence.from;
        log::debug!(target: "portcullis", "request {} {} body={}", head.method(), head.path(), body.len());
        let admission = match admitted.route {
            Route::Health => Ok(Admission::Reply(observe::health(&self.shell))),
            Route::Ready => Ok(Admission::Reply(observe::ready(&self.shell))),
            Route::Show(view) => match observe::show(&self.shell, view, head) {
                Ok(Shown::Reply(reply)) => Ok(Admission::Reply(reply)),
                Ok(shown) => return Next::wait(Waiting::Show { shown, manner }),
                Err(rejection) => Err(rejection),
            },
            _ => {
                self.shell.at_desk(self.shell.clock().said(), |desk| transport::admit(admitted, head, body, from, desk))
            }
        };
        match admission {
            Err(rejection) => {
                manner.close |= rejection.close;
                self.refuse(&rejection, &manner, out);
                after(&manner)
            }
            Ok(Admission::Reply(reply)) => {
                write_reply(out, &reply, &manner);
                after(&manner)
            }
            Ok(Admission::Accepted { calls, session }) => {
                response::whole(out, 202, Media::Text, &[], b"Accepted", &manner);
                match (calls.is_empty(), manner.close) {
                    (true, _) => after(&manner),
                    (false, true) => {
                        self.start(calls, session);
                        Next::Close
                    }
                    (false, false) => Next::Start { calls, session },
                }
            }
            Ok(Admission::Events(events)) => Next::wait(Waiting::Stream { events, manner }),
            Ok(Admission::Exchange(exchange)) => self.exchange(exchange, manner, out),
        }
    }

    /// Begins the calls of a POST. If all are ready, their answer is written at once.
    fn exchange(&mut self, mut exchange: Exchange, manner: Manner, out: &mut Vec<u8>) -> Next {
        let mut running = None;
        for call in std::mem::take(&mut exchange.calls) {
            running = self.shell.begin(call, exchange.session);
        }
        let settled = exchange.reply.poll_settled(&mut Context::from_waker(Waker::noop()));
        let is_json = exchange.form != Form::Events || exchange.reply.status() != 200;
        match settled {
            Poll::Ready(Settled::Answers) if is_json => {
                let answers = exchange.reply.take_answers();
                write_answers(out, &exchange, &answers, &manner);
                self.unwritten.extend(answers.into_iter().map(|answer| (exchange.reply.clone(), answer)));
                if manner.close { Next::Close } else { Next::Continue }
            }
            _ => Next::wait(Waiting::Answer { exchange, manner, running }),
        }
    }

    /// Writes all of `out` and gives its buffer back.
    pub(crate) async fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Lost> {
        let mut written = 0;
        let result = std::future::poll_fn(|cx| self.poll_flush(cx, out, &mut written)).await;
        self.shell.buffers.take_back(std::mem::take(out));
        result
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &[u8], written: &mut usize) -> Poll<Result<(), Lost>> {
        while *written < out.len() {
            match self.wire.poll_write(cx, &out[*written..]) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    *written += n;
                    if self.presence.waits_for.get() == Wait::Write {
                        // Every byte taken is a sign of life.
                        self.shell.wait_for(&self.presence, Wait::Write, self.shell.now());
                    }
                }
                Poll::Ready(Ok(_) | Err(_)) => return Poll::Ready(Err(Lost)),
                Poll::Pending => {
                    if self.presence.waits_for.get() != Wait::Write {
                        self.shell.wait_for(&self.presence, Wait::Write, self.shell.now());
                    }
                    if self.presence.poll_cut(cx.waker()).is_some() {
                        count(&self.shell.counters().slow_consumers);
                        log::info!(target: "portcullis", "slow_consumer: a connection took no byte in time (limit write_wait)");
                        return Poll::Ready(Err(Lost));
                    }
                    return Poll::Pending;
                }
            }
        }
        if self.presence.waits_for.get() == Wait::Write {
            self.shell.wait_for(&self.presence, Wait::Request, self.shell.now());
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection so that the peer can still read what it was sent.
    async fn linger(mut self) {
        self.pending = Vec::new();
        let shell = self.shell.clone();
        let mut time = shell.clock().sleep_until(shell.now() + LINGER);
        let mut finished = false;
        std::future::poll_fn(|cx| {
            if !std::mem::replace(&mut finished, true) {
                self.wire.finish(cx);
            }
            if std::pin::Pin::new(&mut time).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            for _ in 0..4 {
                let mut scratch = shell.scratch.borrow_mut();
                match ready!(self.wire.poll_read(cx, &mut scratch)) {
                    Ok(n) if n > 0 => {}
                    _ => return Poll::Ready(()),
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Has so much been read of later requests that the end of the connection would not be noticed? Where that end
    /// cancels a call, a client may not say so much before its answer.
    pub(super) fn is_deaf(&self) -> bool {
        self.pending.len() > SMALL
    }

    /// Watches the peer while something else is awaited. Bytes that come are the next requests.
    ///
    /// # Errors
    /// The connection is gone; not when the peer merely says that it will send nothing more.
    pub(crate) fn poll_peer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // With this much of later requests at hand, nothing more is read until the current one is answered.
        while !self.half_closed && !self.is_deaf() {
            let mut scratch = self.shell.scratch.borrow_mut();
            let room = SMALL.min(scratch.len());
            match self.wire.poll_read(cx, &mut scratch[..room]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.half_closed = true,
                Poll::Ready(Ok(n)) => self.pending.extend_from_slice(&scratch[..n]),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }
}
