//! Calls as fast as they are answered: CPU of the server per call, and how long each took.
//!
//! One thread with epoll, on another core than the server. Every answer's number and text are checked; a wrong one fails
//! the run, and nothing is sent twice. A call's time ends with the last byte of its answer; over HTTP+SSE with the 202
//! and the event, whichever comes later.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::Outcome;
use crate::client::{Client, answer_length};
use crate::machine::{self, Server};
use crate::options::{Options, Target};
use crate::report::{Calls, Report};

/// Part of the time that passes before anything counts.
const WARM_UP: f64 = 0.1;
/// The longest that an answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

pub(crate) fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    let cores = machine::cores()?;
    machine::pin(0, &cores);
    let mut running: Vec<(usize, Server)> = Vec::new();
    for (at, target) in options.targets.iter().enumerate() {
        match Server::start(&target.command).and_then(|server| server.connect().map(|_| server)) {
            Ok(server) => running.push((at, server)),
            Err(error) if at >= report.own() => eprintln!("{} is left out: {error}", target.server),
            Err(error) => return Err(error),
        }
    }
    machine::pin(1, &cores);
    for round in 0..options.rounds {
        for (at, server) in &running {
            let target = &options.targets[*at];
            eprintln!("round {}: {}, {}", round + 1, target.server, target.kind.title());
            for connections in [options.connections, 1] {
                let calls = one(server, target, connections, options.seconds)?;
                report.calls(target, connections, calls);
            }
        }
    }
    Ok(())
}

fn one(server: &Server, target: &Target, connections: usize, seconds: f64) -> Outcome<Calls> {
    let fault = |error| format!("{}, {}: {error}", target.server, target.kind.title());
    let mut load = Load::open(server, target, connections).map_err(fault)?;
    load.run(seconds * WARM_UP).map_err(fault)?;
    load.times.clear();
    let (begin, cpu) = (Instant::now(), server.cpu()?);
    load.run(seconds).map_err(fault)?;
    let (took, cpu) = (begin.elapsed(), server.cpu()? - cpu);
    Ok(Calls::new(std::mem::take(&mut load.times), took, cpu))
}

/// A client and what it waits for.
struct Caller {
    client: Client,
    sent: Instant,
    /// What has come of the answer to the POST, and of the stream.
    answer: Vec<u8>,
    stream: Vec<u8>,
    accepted: bool,
    answered: bool,
}

struct Load {
    poller: std::os::fd::OwnedFd,
    callers: Vec<Caller>,
    next: u64,
    /// Nanoseconds of every call.
    times: Vec<u32>,
    scratch: Vec<u8>,
}

impl Load {
    fn open(server: &Server, target: &Target, connections: usize) -> Outcome<Load> {
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut callers = Vec::new();
        for at in 0..connections {
            let client = Client::open(target.kind, &mut || server.connect())?;
            for (which, stream) in [Some(&client.calls), client.events.as_ref()].into_iter().flatten().enumerate() {
                stream.set_nonblocking(true)?;
                let key = epoll::EventData::new_u64((at * 2 + which) as u64);
                epoll::add(&poller, stream, key, epoll::EventFlags::IN)?;
            }
            let (answer, stream) = (Vec::new(), Vec::new());
            callers.push(Caller { client, sent: Instant::now(), answer, stream, accepted: false, answered: false });
        }
        Ok(Load { poller, callers, next: 0, times: Vec::new(), scratch: vec![0; 64 * 1024] })
    }

    /// Calls for so long, and waits for the last answers.
    fn run(&mut self, seconds: f64) -> Outcome<()> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut open = self.callers.len();
        for at in 0..open {
            self.send(at)?;
        }
        let mut events = Vec::with_capacity(256);
        let patience = rustix::event::Timespec { tv_sec: ANSWER_WAIT.as_secs() as i64, tv_nsec: 0 };
        while open > 0 {
            events.clear();
            if epoll::wait(&self.poller, spare_capacity(&mut events), Some(&patience))? == 0 {
                return Err(format!("{open} answers did not come within {ANSWER_WAIT:?}").into());
            }
            for event in &events {
                let key = event.data.u64() as usize;
                if self.read(key / 2, key % 2 == 1)? {
                    if Instant::now() < end { self.send(key / 2)? } else { open -= 1 }
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, at: usize) -> Outcome<()> {
        let caller = &mut self.callers[at];
        self.next += 1;
        (caller.accepted, caller.answered) = (false, false);
        caller.sent = Instant::now();
        let request = caller.client.request(self.next).to_vec();
        Ok((&caller.client.calls).write_all(&request)?)
    }

    /// Reads what has come; true if a call is complete by it.
    fn read(&mut self, at: usize, from_stream: bool) -> Outcome<bool> {
        let caller = &mut self.callers[at];
        let over_stream = caller.client.events.is_some();
        let (mut source, kept): (&TcpStream, _) = match &caller.client.events {
            Some(events) if from_stream => (events, &mut caller.stream),
            _ => (&caller.client.calls, &mut caller.answer),
        };
        match source.read(&mut self.scratch) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(n) => kept.extend_from_slice(&self.scratch[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if from_stream {
            // Comments may come before; an answer that is whole ends with an empty line.
            let whole = caller.stream.ends_with(b"\n\n") || caller.stream.ends_with(b"\n\r\n");
            if whole && caller.client.is_answer(&caller.stream) {
                caller.answered = true;
                caller.stream.clear();
            }
        } else if let Some(length) = answer_length(&caller.answer) {
            if length < caller.answer.len() {
                return Err("more came than was asked for".into());
            }
            caller.accepted = true;
            caller.answered = caller.answered || (!over_stream && caller.client.is_answer(&caller.answer));
            if !over_stream && !caller.answered {
                return Err(format!("a wrong answer: {}", String::from_utf8_lossy(&caller.answer)).into());
            }
            caller.answer.clear();
        }
        let done = caller.accepted && caller.answered;
        if done {
            self.times.push(u32::try_from(caller.sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
            (caller.accepted, caller.answered) = (false, false);
        }
        Ok(done)
    }
}
