//! What the system says of a process, and how one is started and ended: on a core of its own, killed when it is dropped.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Outcome;

/// The longest that any server may take to listen.
const START_WAIT: Duration = Duration::from_secs(20);

/// Puts this thread, and what it starts from now on, on the core with this number among those it may use. With one core
/// only, or where that is forbidden, everything stays where it is.
pub(crate) fn pin(which: usize, all: &CpuSet) {
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
    if cores.len() < 2 {
        return;
    }
    let mut one = CpuSet::new();
    one.set(cores[which % cores.len()]);
    let _ = sched_setaffinity(None, &one);
}

pub(crate) fn cores() -> io::Result<CpuSet> {
    Ok(sched_getaffinity(None)?)
}

/// As many descriptors as the system gives; how many that are.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A server that is being measured.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Server {
    /// Starts a program, `{port}` in its command being where it is to listen. It does not listen yet.
    pub(crate) fn start(command: &[String]) -> Outcome<Server> {
        let port = free_port()?;
        let words: Vec<_> = command.iter().map(|word| word.replace("{port}", &port.to_string())).collect();
        let (program, args) = words.split_first().ok_or("a peer without a command")?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        Ok(Server { child, port })
    }

    /// Connects as soon as somebody listens.
    pub(crate) fn connect(&self) -> Outcome<TcpStream> {
        let begin = Instant::now();
        loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(START_WAIT))?;
                    return Ok(stream);
                }
                Err(_) if begin.elapsed() < START_WAIT => thread::sleep(Duration::from_micros(50)),
                Err(error) => return Err(format!("nothing listens on port {}: {error}", self.port).into()),
            }
        }
    }

    /// Nanoseconds that all its threads have been on a core, in the kernel too.
    pub(crate) fn cpu(&self) -> Outcome<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(sum)
    }

    /// Bytes of its resident memory.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().split(' ').next().unwrap_or_default().parse::<u64>()? * 1024)
    }
}
