//! One child process of a tool: started without a shell, bounded, and gone when its call is gone.
//!
//! Decided here: a child gets an absolute path, an empty environment, no stdin (or one text), a process group of its
//! own and a bound on its memory; its output is read up to a size, its life is bounded by a deadline. However the call ends, by
//! an answer, an error, the deadline or because the future was dropped (a cancel), no process of the group stays:
//! the deadline asks first (TERM, then KILL), everything else kills at once. The leader is reaped only after its
//! group was killed: until then the group's number is nobody else's. A killed child of a dropped call is awaited by a
//! thread that ends with it, so that no zombie stays and the loop waits for nobody.
//! A child that is given a text keeps an open stdin behind it, which ends when the call does, or when we do, even by
//! SIGKILL: that is how a child learns that it must undo what it did. It has a moment for it before it is killed.
//! What is not here: anything that talks with a child.

use crate::bounds::shown_seconds;
use async_io::{Async, Timer};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process_group, prlimit, waitid,
};
use smol::future;
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Where a command is looked for first: what the system installed, before what somebody put into `PATH`.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Bytes of stderr that are kept, its end: the last lines say what went wrong.
const STDERR_BYTES_MAX: usize = 2048;

/// How long a child whose stdin has ended may take to undo what it did: 5 s, looked at so often.
const UNDO_STEPS: u32 = 500;
const UNDO_STEP: Duration = Duration::from_millis(10);

/// A command to run.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// Its name, or its absolute path.
    pub(crate) program: &'a str,
    /// Its arguments; what came from a client has been checked.
    pub(crate) args: &'a [&'a str],
    /// Its environment, besides `LC_ALL=C`.
    pub(crate) env: &'a [(String, String)],
    /// What it reads from stdin, which then stays open until the call is over; at most what a pipe holds (4 KiB
    /// always). Empty: it has no stdin.
    pub(crate) input: &'a str,
    /// How long it may take.
    pub(crate) wait: Duration,
    /// Between the question to end and the end.
    pub(crate) kill_after: Duration,
    /// How much of its stdout is kept.
    pub(crate) stdout_bytes_max: usize,
    /// Whether what it prints beyond that is left out; else it is ended, and that is an error.
    pub(crate) truncates: bool,
    /// Whether its lines are only shown, not kept; the bound is then one for a line.
    pub(crate) streams: bool,
    /// The most memory (address space, in bytes) that each of its processes may have.
    pub(crate) address_space: Option<u64>,
}

impl Default for Run<'_> {
    /// What a command gets that only looks.
    fn default() -> Self {
        Run {
            program: "",
            args: &[],
            env: &[],
            input: "",
            wait: Duration::from_secs(20),
            // A child that only reads needs no time to clean up.
            kill_after: Duration::from_millis(200),
            stdout_bytes_max: 1 << 20,
            truncates: false,
            streams: false,
            // `nft -j` of a set of 200,000 addresses takes 268 MB, of its name alone 5: the former must not take the box
            // down. Much of an address space is never touched, hence not less.
            address_space: Some(128 << 20),
        }
    }
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it printed, up to the bound.
    pub(crate) stdout: String,
    /// How many bytes it printed in all.
    #[cfg_attr(not(feature = "config"), expect(dead_code, reason = "only declared tools cut what they show"))]
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
                write!(f, "`{program}` took longer than {} s and was ended", shown_seconds(*wait))
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

/// A command under way.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<Finished, RunError>> + 'a>>;

impl<'a> Run<'a> {
    /// Runs it to its end; `line` sees each line of stdout as it comes, without its line end.
    ///
    /// # Errors
    /// See [`RunError`]. A command that ran and failed is no error here: ask its status.
    pub(crate) fn finish(self, line: &'a mut dyn FnMut(&str)) -> Running<'a> {
        Box::pin(self.to_the_end(line))
    }

    async fn to_the_end(self, line: &mut dyn FnMut(&str)) -> Result<Finished, RunError> {
        let fault = |error| RunError::Start(self.program.to_owned(), error);
        let path = find(self.program).ok_or_else(|| RunError::Missing(self.program.to_owned()))?;
        let (mut group, stdout, stderr) = self.start(&path).map_err(fault)?;
        let (bytes_max, streams) = (self.stdout_bytes_max, self.streams);
        let (mut printed, mut complaint) =
            (Printed { text: Vec::new(), bytes: 0, shown: 0, bytes_max, streams }, Vec::new());
        let ended = async {
            let mut note = |bytes: &[u8]| printed.take(bytes, line) || self.truncates;
            let mut complain = |bytes: &[u8]| {
                complaint.extend_from_slice(bytes);
                complaint.drain(..complaint.len().saturating_sub(STDERR_BYTES_MAX));
                true
            };
            future::try_zip(drain(stdout, &mut note), drain(stderr, &mut complain)).await?;
            group.exited().await;
            Ok(())
        };
        let late = async {
            Timer::after(self.wait).await;
            Err(ErrorKind::TimedOut.into())
        };
        match future::or(ended, late).await.map_err(|error: io::Error| (error.kind(), error)) {
            Ok(()) => {}
            Err((ErrorKind::FileTooLarge, _)) => {
                return Err(RunError::Long(self.program.to_owned(), self.stdout_bytes_max));
            }
            Err((ErrorKind::TimedOut, _)) => {
                group.end(self.kill_after).await;
                return Err(RunError::Late(self.program.to_owned(), self.wait));
            }
            Err((_, error)) => return Err(fault(error)),
        }
        let status = group.reap().map_err(fault)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Finished { status, stdout_bytes: printed.bytes, stdout: text(printed.text), stderr: text(complaint) })
    }

    /// Starts it: the group, and where its outputs are read.
    fn start(&self, path: &Path) -> io::Result<(Group, OwnedFd, OwnedFd)> {
        let mut command = Command::new(path);
        command.args(self.args).env_clear().env("LC_ALL", "C").current_dir("/").process_group(0);
        for (name, value) in self.env {
            command.env(name, value);
        }
        let stdin = if self.input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let piped = "a child whose output was to be piped has a pipe";
        let (stdout, stderr) = (child.stdout.take().expect(piped), child.stderr.take().expect(piped));
        let group = Group { id: Pid::from_child(&child), child: Some(child) };
        if let Some(bytes) = self.address_space {
            group.limit(bytes);
        }
        if let Some(mut stdin) = group.child.as_ref().and_then(|child| child.stdin.as_ref()) {
            // A new pipe takes it at once. One who reads nothing and ends is told by its exit.
            let _ = stdin.write_all(self.input.as_bytes());
        }
        Ok((group, stdout.into(), stderr.into()))
    }
}

/// What a child has printed so far.
struct Printed {
    text: Vec<u8>,
    bytes: usize,
    /// Up to where lines have been shown.
    shown: usize,
    bytes_max: usize,
    streams: bool,
}

impl Printed {
    /// Keeps what fits and shows each line that is whole; false once something did not fit.
    fn take(&mut self, bytes: &[u8], line: &mut dyn FnMut(&str)) -> bool {
        let mut looked = self.text.len();
        let fits = bytes.len().min(self.bytes_max - looked);
        self.text.extend_from_slice(&bytes[..fits]);
        self.bytes += bytes.len();
        while let Some(end) = self.text[looked..].iter().position(|byte| *byte == b'\n') {
            line(String::from_utf8_lossy(&self.text[self.shown..looked + end]).trim_ascii_end());
            looked += end + 1;
            self.shown = looked;
        }
        if self.streams {
            self.text.drain(..std::mem::take(&mut self.shown));
        }
        fits == bytes.len()
    }
}

/// Reads to the end, unless `take` says that it was too much.
pub(crate) async fn drain(from: OwnedFd, take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let from = Async::new(from)?;
    let mut chunk = vec![0; 4096];
    loop {
        match from.read_with(|fd| Ok(rustix::io::read(fd, &mut chunk[..])?)).await? {
            0 => return Ok(()),
            n if !take(&chunk[..n]) => return Err(ErrorKind::FileTooLarge.into()),
            _ => {}
        }
    }
}

/// A child and everything it started. Dropped while it runs, it is killed.
struct Group {
    id: Pid,
    /// None once it was reaped.
    child: Option<Child>,
}

impl Group {
    /// Bounds its memory. It has begun to run already, but has no more than its libraries yet.
    fn limit(&self, bytes: u64) {
        let maximum = getrlimit(Resource::As).maximum;
        let bytes = maximum.map_or(bytes, |most| most.min(bytes));
        // Not permitted for one that has more rights than we have, such as a ping with a capability of its own.
        if let Err(error) = prlimit(Some(self.id), Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) })
        {
            log::debug!("the memory of child {} is not bounded: {error}", self.id.as_raw_nonzero());
        }
    }

    /// Waits until the leader has ended. Asked again and again: its outputs are closed, so that it mostly has.
    async fn exited(&self) {
        let has_not = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let mut pause = Duration::from_millis(1);
        while let Ok(None) = waitid(WaitId::Pid(self.id), has_not) {
            Timer::after(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Ends what is left of the group, and says how its leader ended, which it has.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        match self.child.take() {
            Some(mut child) => child.wait(),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Asks the group to end; what has not by then is killed when this is dropped.
    async fn end(&self, kill_after: Duration) {
        self.signal(Signal::TERM);
        let late = async {
            Timer::after(kill_after).await;
        };
        future::or(self.exited(), late).await;
    }

    fn signal(&self, signal: Signal) {
        // It fails if all have gone, which is what is wanted.
        let _ = kill_process_group(self.id, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let undoes = child.stdin.take().is_some();
        if !undoes {
            self.signal(Signal::KILL);
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
        }
        let id = self.id;
        // A kill takes its time. Without a thread it stays a zombie until we end, which is better than to wait here.
        let _ = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
            for _ in 0..UNDO_STEPS {
                if !undoes || !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(UNDO_STEP);
            }
            // Not reaped yet, or the group's number could be another's; of a reaped one nothing is left to end.
            if undoes && matches!(child.try_wait(), Ok(None)) {
                let _ = kill_process_group(id, Signal::KILL);
            }
            child.wait()
        });
    }
}

/// The absolute path of a command. A relative directory in `PATH` would depend on where we were started.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return Some(PathBuf::from(program)).filter(|file| runs(file));
    }
    let in_folder = |folder: &Path| Some(folder.join(program)).filter(|file| runs(file));
    let usual = DIRECTORIES.iter().find_map(|folder| in_folder(Path::new(folder)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    usual.or_else(|| std::env::split_paths(&path).find_map(|folder| in_folder(&folder)))
}

fn runs(file: &Path) -> bool {
    file.is_absolute()
        && std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(all(test, feature = "config"))]
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

    #[test]
    fn a_child_that_wants_too_much_memory_does_not_get_it() {
        // `dd` allocates one block, and says that it cannot. The bound comes right after the start, and what a child
        // starts inherits it: so not the first one has to fail, but soon one does.
        let script = "for n in 1 2 3 4 5 6 7 8 9; do dd if=/dev/zero of=/dev/null bs=512M count=1 || exit; done";
        let run = Run { program: "sh", args: &["-c", script], ..Run::default() };
        let finished = smol::block_on(run.finish(&mut |_| ())).unwrap();
        assert!(!finished.status.success() && finished.stderr.contains("memory"), "{finished:?}");
    }

    #[test]
    fn a_child_with_a_text_learns_from_the_end_of_its_stdin_that_the_call_is_over() {
        let mark = std::env::temp_dir().join(format!("portcullis-undone-{}", std::process::id()));
        let script = format!("read first; echo $first; cat >/dev/null; sleep 0.1; echo undone >{}", mark.display());
        let args = ["-c", script.as_str()];
        let run = Run { program: "sh", args: &args, input: "held\n", wait: Duration::from_secs(60), ..Run::default() };
        let (up, is_up) = async_channel::bounded(1);
        smol::block_on(future::or(
            async {
                let _ = run.finish(&mut |line| assert!(line == "held" && up.try_send(()).is_ok())).await;
            },
            async {
                let _ = is_up.recv().await;
            },
        ));
        let start = Instant::now();
        while !mark.exists() && start.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        assert!(mark.exists(), "it was not killed before it had undone what it did");
        std::fs::remove_file(mark).unwrap();
    }

    #[test]
    fn lines_that_are_only_shown_have_no_bound_together() {
        let args = ["-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"];
        let run = Run { program: "sh", args: &args, stdout_bytes_max: 8192, streams: true, ..Run::default() };
        let mut lines = 0;
        let finished = smol::block_on(run.finish(&mut |line| {
            assert_eq!(line, format!("line {lines}"));
            lines += 1;
        }));
        assert_eq!((lines, finished.unwrap().stdout.len()), (3000, 0));
    }

    #[test]
    fn what_a_command_leaves_behind_goes_with_it() {
        let (result, _) = sh("sleep 98763 >/dev/null 2>&1 </dev/null & echo done", 10_000, 100);
        assert_eq!(result.unwrap().stdout, "done\n");
        assert!(is_gone("98763"));
    }
}
