//! One child process of a tool: started without a shell, bounded, and gone when its call is gone.
//!
//! Decided here: a child gets an absolute path, an environment of what is said and no more, no stdin, and a process
//! group of its own; its output is read up to a size, its life is bounded by a deadline, its memory by a limit. However the call ends, by an
//! answer, an error, the deadline or because the future was dropped (a cancel), no process of the group
//! stays: the deadline asks first (TERM, then KILL), a drop cannot wait and kills at once. Reaping is left to
//! the `async-process` thread that `smol` starts with the first child, so that no zombie stays either.
//! The limit on memory is set right after the start, by the system call that does it from outside: to set it before
//! would need a shell, a helper or `unsafe`. What a child takes in its first moments is under it all the same, as
//! soon as it wants more. What is not here: anything that writes to a child.

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use smol::future;
use smol::io::{AsyncRead, AsyncReadExt};
use smol::process::{Child, Command};
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

/// Where a command is looked for first: what the system installed, before what somebody put into `PATH`.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Bytes of stderr that are kept, its end: the last lines say what went wrong.
const STDERR_BYTES_MAX: usize = 2048;

/// Between the question to end and the end. A child that only reads needs no time to clean up.
const TERM_WAIT: Duration = Duration::from_millis(200);

/// A command to run.
pub(crate) struct Run<'a> {
    /// Its name, or its path from the root.
    pub(crate) program: &'a str,
    /// Its arguments; what came from a client has been checked.
    pub(crate) args: &'a [&'a str],
    /// Its environment, besides `LC_ALL=C`.
    pub(crate) env: &'a [(String, String)],
    /// How long it may take.
    pub(crate) wait: Duration,
    /// How long it may take to end when it was asked to (TERM), before it is made to (KILL).
    pub(crate) kill_after: Duration,
    /// How much of its stdout is kept; a command that prints more is ended.
    pub(crate) stdout_bytes_max: usize,
    /// What it prints beyond that is read and thrown away instead.
    pub(crate) truncates: bool,
    /// How much memory it may have, in bytes of addresses.
    pub(crate) address_space: Option<u64>,
}

impl Default for Run<'_> {
    fn default() -> Self {
        Run {
            program: "",
            args: &[],
            env: &[],
            wait: Duration::ZERO,
            kill_after: TERM_WAIT,
            stdout_bytes_max: 0,
            truncates: false,
            address_space: None,
        }
    }
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it printed, as far as it was kept.
    pub(crate) stdout: String,
    /// How much it printed, in bytes.
    pub(crate) stdout_bytes: usize,
    /// The end of what it complained about.
    pub(crate) stderr: String,
}

/// Why a command has no result.
#[derive(Debug)]
pub(crate) enum RunError {
    /// It is not installed.
    Missing(String),
    /// It could not be started, or its output not be read.
    Start(String, io::Error),
    /// It took longer than it may.
    Late(String, Duration),
    /// It printed more than it may.
    Long(String, usize),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Missing(program) if program.starts_with('/') => {
                write!(f, "`{program}` is not there, or is no program: install it, or name its place")
            }
            RunError::Missing(program) => {
                write!(f, "`{program}` was not found in {} or $PATH", DIRECTORIES.join(", "))
            }
            RunError::Start(program, error) => write!(f, "`{program}` cannot be run: {error}"),
            RunError::Late(program, wait) => {
                write!(f, "`{program}` took longer than {} s and was ended", wait.as_secs_f64())
            }
            RunError::Long(program, max) => {
                write!(
                    f,
                    "`{program}` printed more than {max} bytes and was ended; the rest is unknown, so nothing is shown"
                )
            }
        }
    }
}

impl std::error::Error for RunError {}

impl Run<'_> {
    /// Runs it to its end; `line` sees each line of stdout as it comes, without its line end.
    ///
    /// # Errors
    /// See [`RunError`]. A command that ran and failed is no error here: ask its status.
    pub(crate) async fn finish(self, line: &mut dyn FnMut(&str)) -> Result<Finished, RunError> {
        let fault = |error| RunError::Start(self.program.to_owned(), error);
        let path = find(self.program).ok_or_else(|| RunError::Missing(self.program.to_owned()))?;
        let mut command = std::process::Command::new(path);
        command.args(self.args).env_clear().env("LC_ALL", "C").current_dir("/").process_group(0);
        for (name, value) in self.env {
            command.env(name, value);
        }
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Group::new(command.spawn().map_err(fault)?);
        if let Some(bytes) = self.address_space {
            child.limit(bytes).map_err(fault)?;
        }
        let keep = Keep { bytes_max: self.stdout_bytes_max, truncates: self.truncates };
        let ended = future::or(async { Some(child.read(keep, line).await) }, async {
            smol::Timer::after(self.wait).await;
            None
        });
        match ended.await {
            Some(Ok(finished)) => Ok(finished),
            Some(Err(Stop::TooMuch)) => Err(RunError::Long(self.program.to_owned(), self.stdout_bytes_max)),
            Some(Err(Stop::Io(error))) => Err(fault(error)),
            None => {
                child.end(self.kill_after).await;
                Err(RunError::Late(self.program.to_owned(), self.wait))
            }
        }
    }
}

/// How much of an output is kept, and what happens to the rest.
#[derive(Clone, Copy)]
struct Keep {
    bytes_max: usize,
    truncates: bool,
}

/// Why reading ended early.
enum Stop {
    TooMuch,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
    }
}

/// A child and everything it started. Dropped while it runs, it is killed.
struct Group {
    child: Child,
    /// The group, until the child was reaped: then its number may be somebody else's.
    group: Option<Pid>,
}

impl Group {
    fn new(child: Child) -> Group {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Group { child, group }
    }

    /// Bounds the memory of the child, and of those that it starts from now on.
    fn limit(&self, bytes: u64) -> io::Result<()> {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        match prlimit(self.group, Resource::As, limit) {
            // It has gone already.
            Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads both outputs and waits for the end.
    async fn read(&mut self, keep: Keep, line: &mut dyn FnMut(&str)) -> Result<Finished, Stop> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let ((stdout, stdout_bytes), stderr) = future::try_zip(lines(stdout, keep, line), tail(stderr)).await?;
        let status = self.child.status().await?;
        self.group = None;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Finished { status, stdout: text(stdout), stdout_bytes, stderr: text(stderr) })
    }

    /// Asks the group to end, and makes it.
    async fn end(&mut self, kill_after: Duration) {
        self.signal(Signal::TERM);
        let ended = async { self.child.status().await.is_ok() };
        let late = async {
            smol::Timer::after(kill_after).await;
            false
        };
        future::or(ended, late).await;
        // Also if the leader has gone: while one of its group lives, the number is nobody else's.
        self.signal(Signal::KILL);
        self.group = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails if all have gone, which is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Reads to the end and shows each line: what is kept, and how much there was. A line that is cut is not shown.
async fn lines(
    from: Option<impl AsyncRead + Unpin>,
    keep: Keep,
    line: &mut dyn FnMut(&str),
) -> Result<(Vec<u8>, usize), Stop> {
    let (mut all, mut shown, mut chunk, mut total) = (Vec::new(), 0, vec![0; 4096], 0);
    let Some(mut from) = from else { return Ok((all, total)) };
    loop {
        let n = from.read(&mut chunk).await?;
        if n == 0 {
            return Ok((all, total));
        }
        total += n;
        if total > keep.bytes_max && !keep.truncates {
            return Err(Stop::TooMuch);
        }
        let mut looked = all.len();
        all.extend_from_slice(&chunk[..n.min(keep.bytes_max - looked)]);
        while let Some(end) = all[looked..].iter().position(|b| *b == b'\n') {
            line(String::from_utf8_lossy(&all[shown..looked + end]).trim_end());
            looked += end + 1;
            shown = looked;
        }
    }
}

/// Reads to the end and keeps the last [`STDERR_BYTES_MAX`] bytes.
async fn tail(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Stop> {
    let (mut kept, mut chunk) = (Vec::new(), vec![0; 1024]);
    let Some(mut from) = from else { return Ok(kept) };
    loop {
        let n = from.read(&mut chunk).await?;
        if n == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&chunk[..n]);
        kept.drain(..kept.len().saturating_sub(STDERR_BYTES_MAX));
    }
}

/// The absolute path of a command, if it can be run. A relative directory in `PATH` would depend on where we were started.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return Some(PathBuf::from(program)).filter(|file| runs(file));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = DIRECTORIES.iter().map(PathBuf::from);
    let others = std::env::split_paths(&path).filter(|directory| directory.is_absolute());
    usual.chain(others).map(|directory| directory.join(program)).find(|file| runs(file))
}

fn runs(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
pub(crate) use tests::is_gone;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn sh(script: &str, wait_ms: u64, stdout_bytes_max: usize) -> (Result<Finished, RunError>, Vec<String>) {
        let mut seen = Vec::new();
        let args = ["-c", script];
        let run = Run {
            program: "sh",
            args: &args,
            wait: Duration::from_millis(wait_ms),
            stdout_bytes_max,
            ..Run::default()
        };
        let result = smol::block_on(run.finish(&mut |line| seen.push(line.to_owned())));
        (result, seen)
    }

    /// Whether a process with this text in its command line lives (a zombie has none).
    fn lives(mark: &str) -> bool {
        std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let is_me = entry.file_name().to_str() == Some(&std::process::id().to_string());
            !is_me && line.windows(mark.len()).any(|part| part == mark.as_bytes())
        })
    }

    /// A kill is asynchronous; how long until it is seen is the kernel's choice, and not what is tested.
    pub(crate) fn is_gone(mark: &str) -> bool {
        let start = Instant::now();
        while lives(mark) {
            if start.elapsed() > Duration::from_secs(10) {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    #[test]
    fn a_child_has_its_own_group_an_empty_environment_and_no_stdin() {
        let script =
            "echo $$; cut -d' ' -f5 /proc/$$/stat; pwd; env | grep -v ^_= | sort; cat; echo end; echo why >&2; exit 3";
        let (result, lines) = sh(script, 10_000, 4096);
        let finished = result.unwrap();
        assert_eq!(lines[0].trim(), lines[1].trim(), "the child leads its group");
        assert_eq!(lines[2..].iter().filter(|l| !l.starts_with("PWD=")).collect::<Vec<_>>(), ["/", "LC_ALL=C", "end"]);
        assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(3), "why\n"));
    }

    #[test]
    fn output_over_the_bound_ends_the_command_and_says_so() {
        let (result, _) = sh("yes portcullis-long-mark-1", 10_000, 10_000);
        assert!(matches!(&result, Err(RunError::Long(_, 10_000))), "{result:?}");
        assert!(result.unwrap_err().to_string().contains("more than 10000 bytes"));
        assert!(is_gone("portcullis-long-mark-1"));
    }

    #[test]
    fn only_the_end_of_stderr_is_kept() {
        let (result, _) = sh("i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done", 10_000, 10);
        let stderr = result.unwrap().stderr;
        assert!(stderr.len() <= STDERR_BYTES_MAX && stderr.ends_with("line 1999\n"), "{stderr}");
    }

    #[test]
    fn the_deadline_ends_the_whole_group_even_one_that_ignores_term() {
        let (result, lines) = sh("trap '' TERM; echo up; sleep 98761 & sleep 98761", 300, 100);
        assert!(matches!(result, Err(RunError::Late(..))), "{result:?}");
        assert_eq!(lines, ["up"]);
        assert!(is_gone("98761"));
    }

    #[test]
    fn a_dropped_run_leaves_no_process_and_no_zombie() {
        let args = ["-c", "echo up; sleep 98762 & sleep 98762"];
        let run =
            Run { program: "sh", args: &args, wait: Duration::from_secs(60), stdout_bytes_max: 100, ..Run::default() };
        let (up, is_up) = async_channel::bounded(1);
        smol::block_on(future::or(
            async {
                let _ = run.finish(&mut |_| assert!(up.try_send(()).is_ok())).await;
            },
            async {
                let _ = is_up.recv().await;
            },
        ));
        assert!(is_gone("98762"));
        let start = Instant::now();
        while zombies() > 0 && start.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        assert_eq!(zombies(), 0);
    }

    /// Dead `sh` children of this process that nobody has reaped; tests beside this one reap theirs too.
    fn zombies() -> usize {
        let me = std::process::id().to_string();
        let is_mine = |stat: &str| {
            let rest = stat.rsplit(") ").next().unwrap_or_default();
            stat.contains("(sh)") && rest.starts_with("Z ") && rest.split(' ').nth(1) == Some(me.as_str())
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries.filter(|entry| std::fs::read_to_string(entry.path().join("stat")).is_ok_and(|s| is_mine(&s))).count()
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let run = Run { program: "no-such-command", wait: Duration::from_secs(1), ..Run::default() };
        let why = smol::block_on(run.finish(&mut |_| ())).unwrap_err().to_string();
        assert!(why.starts_with("`no-such-command` was not found in /usr/sbin"), "{why}");
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
    }
}
