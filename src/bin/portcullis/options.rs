//! The command line: what a person may say, and what it means.
//!
//! Decided here: one table drives both parsing and `--help`; an option that stands for one value is refused
//! when it is given twice (never "last wins"); an address that others can reach is refused unless the caller
//! is asked for a token or the operator says in so many words that nobody is. A file may give the same options
//! ([`Given`]); the command line wins over it, option by option. Nothing here opens a file or a socket: who reads
//! one is [`Program::config`]. The example `echo` uses the same options (it includes this file by its path).

use crate::bounds::{self, BOUNDS, Setting};
use crate::help::{help, is_command};
use lexopt::{Arg, Parser};
use log::LevelFilter;
use portcullis::{Builder, Cidr, Handle, Limits, Toolset};
use std::ffi::OsString;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

/// Who uses these options: the program, or an example.
pub(crate) struct Program {
    /// Its name, as typed and as told to clients.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// One line that says what it is.
    pub(crate) about: &'static str,
    /// The first word of the command line may be one of its commands.
    pub(crate) has_commands: bool,
    /// Where it shows its sessions unless told otherwise.
    pub(crate) debug_listen: Debug,
    /// Adds its own tools: those that are put together anew when a file is read again.
    pub(crate) tools: fn(Toolset, &Limits) -> Toolset,
    /// Reads the file of `--config`; without it there is no such option.
    pub(crate) config: Option<ReadConfig>,
}

/// Reads a file of `--config`.
type ReadConfig = fn(&Path, &Program) -> Result<Loaded, String>;

/// What a file of `--config` gives.
pub(crate) struct Loaded {
    /// Its options, in their order.
    pub(crate) settings: Vec<Given>,
    /// Whether it says who may ask, so that others may reach the server.
    pub(crate) has_tokens: bool,
    /// Adds its tools.
    pub(crate) tools: Box<dyn Fn(Toolset) -> Toolset + Send>,
    /// Lets in those whom it names from now on, and nobody else.
    pub(crate) admit: Box<dyn FnOnce() + Send>,
    /// Makes a server ask who is let in.
    pub(crate) guard: fn(Builder) -> Builder,
    /// Tells a server when somebody's time has run out.
    pub(crate) watch: fn(&Handle) -> Watch<'_>,
    /// What a person should know, and what is no fault.
    pub(crate) warnings: Vec<String>,
}

/// Never ends.
pub(crate) type Watch<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// An option that stands in a file, and was checked.
#[derive(Debug)]
pub(crate) struct Given {
    /// Its name as on the command line, without the dashes.
    pub(crate) name: &'static str,
    /// Its value as on the command line.
    pub(crate) text: String,
    /// File, line and column, for a person.
    pub(crate) place: String,
}

/// Where sessions are shown to whoever runs the machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Debug {
    /// Nowhere.
    Off,
    /// On a loopback address.
    Tcp(SocketAddr),
    /// On a Unix socket that only its owner may open.
    Unix(PathBuf),
}

/// Everything the command line said.
pub(crate) struct Options {
    /// Addresses to serve on; the defaults if `listen_given` is false.
    pub(crate) listen: Vec<SocketAddr>,
    /// Whether the addresses were asked for, so that a missing one is an error.
    pub(crate) listen_given: bool,
    /// Unix sockets to serve on.
    pub(crate) listen_unix: Vec<PathBuf>,
    /// Where sessions are shown.
    pub(crate) debug_listen: Debug,
    /// Whether that was asked for.
    pub(crate) debug_given: bool,
    /// The file of bearer tokens.
    pub(crate) token_file: Option<PathBuf>,
    /// Host names accepted besides the usual ones.
    pub(crate) allow_host: Vec<String>,
    /// Origins accepted besides the usual ones.
    pub(crate) allow_origin: Vec<String>,
    /// Proxies whose `X-Forwarded-*` is believed.
    pub(crate) trust_proxy: Vec<Cidr>,
    /// Path under which everything is served.
    pub(crate) base_path: Option<String>,
    /// Whether the endpoint of HTTP+SSE is told as a relative one.
    pub(crate) relative_endpoint: bool,
    /// How much is logged, if it was said.
    pub(crate) log_level: Option<LevelFilter>,
    /// How long running calls may take to finish at the end.
    pub(crate) grace: Duration,
    /// The library's bounds.
    pub(crate) limits: Limits,
    /// The file that holds more of this.
    pub(crate) config: Option<PathBuf>,
    /// What that file says.
    pub(crate) loaded: Option<Loaded>,
    insecure_listen: bool,
    /// Whether callers are asked who they are, or somebody said that they need not be.
    is_guarded: bool,
    /// Tokens of the file say who may ask.
    pub(crate) has_tokens: bool,
    memory: Option<usize>,
    settings: Vec<Setting>,
}

/// What a command line asks for.
pub(crate) enum Wish {
    /// To run.
    Run(Box<Options>),
    /// To print this and end well.
    Print(String),
}

/// Reads an option's value into the draft, or says what was expected.
type Set = fn(&mut Options, &str) -> Result<(), String>;

pub(crate) struct Opt {
    pub(crate) name: &'static str,
    /// What stands behind it in the help; an empty one marks a switch.
    pub(crate) value: &'static str,
    pub(crate) repeatable: bool,
    pub(crate) help: &'static str,
    set: Set,
}

/// Where the program serves unless told otherwise.
const LISTEN: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8001), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 8001)];

/// Time for running calls at the end: under the 90 s after which systemd kills, and short for a person.
const GRACE: Duration = Duration::from_secs(10);

const LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

#[rustfmt::skip] // a table: one option, one line
pub(crate) const OPTIONS: &[Opt] = &[
    Opt { name: "config", value: "FILE", repeatable: false, help: "read options, tools, roles and tokens from this TOML file", set: config },
    Opt { name: "listen", value: "ADDR:PORT", repeatable: true, help: "serve here or on unix:/path [127.0.0.1:8001, [::1]:8001]", set: listen },
    Opt { name: "debug-listen", value: "ADDR:PORT", repeatable: false, help: "show sessions here: loopback, unix:/path or off", set: debug_listen },
    Opt { name: "token-file", value: "FILE", repeatable: false, help: "ask for a bearer token; the file has one a line", set: token_file },
    Opt { name: "insecure-listen", value: "", repeatable: false, help: "serve beyond loopback without asking who it is", set: insecure_listen },
    Opt { name: "allow-host", value: "NAME", repeatable: true, help: "accept this Host as well; repeatable", set: allow_host },
    Opt { name: "allow-origin", value: "URL", repeatable: true, help: "accept this Origin as well; repeatable", set: allow_origin },
    Opt { name: "trust-proxy", value: "CIDR", repeatable: true, help: "believe X-Forwarded-* from here; repeatable [nobody]", set: trust_proxy },
    Opt { name: "base-path", value: "/PATH", repeatable: false, help: "serve everything under this path", set: base_path },
    Opt { name: "relative-endpoint", value: "", repeatable: false, help: "HTTP+SSE: tell the endpoint relative to /sse", set: relative_endpoint },
    Opt { name: "log-level", value: "LEVEL", repeatable: false, help: "error, warn, info, debug or trace [$PORTCULLIS_LOG or info]", set: log_level },
    Opt { name: "grace", value: "SECONDS", repeatable: false, help: "time for running calls after SIGTERM or SIGINT [10]", set: grace },
    Opt { name: "memory", value: "BYTES", repeatable: false, help: "derive all limits below from the memory there is", set: memory },
];

fn config(o: &mut Options, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("expected the path of a TOML file".into());
    }
    o.config = Some(text.into());
    Ok(())
}

fn listen(o: &mut Options, text: &str) -> Result<(), String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') || o.listen_unix.iter().any(|known| known.as_os_str() == path) {
            return Err("expected an absolute path after `unix:`, and each socket once".into());
        }
        if !std::mem::replace(&mut o.listen_given, true) {
            o.listen.clear();
        }
        o.listen_unix.push(path.into());
        return Ok(());
    }
    let address = address(text)?;
    if o.listen_given && o.listen.contains(&address) && address.port() != 0 {
        return Err("expected each address once".into());
    }
    if !std::mem::replace(&mut o.listen_given, true) {
        o.listen.clear();
    }
    o.listen.push(address);
    Ok(())
}

fn debug_listen(o: &mut Options, text: &str) -> Result<(), String> {
    o.debug_given = true;
    o.debug_listen = match text.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Debug::Unix(path.into()),
        Some(_) => return Err("expected an absolute path after `unix:`, such as unix:/run/portcullis.sock".into()),
        None if text == "off" => Debug::Off,
        None => match address(text) {
            Ok(address) if is_loopback(&address) => Debug::Tcp(address),
            Ok(_) => {
                return Err(
                    "expected a loopback address or unix:/path, because whoever reaches it sees every session; \
                            from elsewhere use `ssh -L 8002:127.0.0.1:8002`"
                        .into(),
                );
            }
            Err(_) => return Err("expected an address such as 127.0.0.1:8002, unix:/path, or off".into()),
        },
    };
    Ok(())
}

fn token_file(o: &mut Options, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("expected the path of a file with one token a line".into());
    }
    o.token_file = Some(text.into());
    Ok(())
}

fn insecure_listen(o: &mut Options, _: &str) -> Result<(), String> {
    o.insecure_listen = true;
    Ok(())
}

fn allow_host(o: &mut Options, text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains(['/', '@', '?', '#', '*', ',']) || !is_visible(text) {
        return Err("expected one host name or address without scheme and path, such as fw.example".into());
    }
    o.allow_host.push(text.to_owned());
    Ok(())
}

fn allow_origin(o: &mut Options, text: &str) -> Result<(), String> {
    let host = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, host)| host);
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '*', ',']) && is_visible(text) => {
            o.allow_origin.push(text.to_owned());
            Ok(())
        }
        _ => Err("expected scheme and host without a path, such as https://app.example".into()),
    }
}

fn trust_proxy(o: &mut Options, text: &str) -> Result<(), String> {
    let range = text.parse::<Cidr>();
    o.trust_proxy.push(range.map_err(|_| "expected a range of addresses such as 192.0.2.7/32 or fd00::/8")?);
    Ok(())
}

fn base_path(o: &mut Options, text: &str) -> Result<(), String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b));
    let mut parts = text.strip_suffix('/').unwrap_or(text).split('/');
    let absolute = parts.next() == Some("");
    let mut parts = parts.peekable();
    if !plain || !absolute || parts.peek().is_none() || parts.any(|part| matches!(part, "" | "." | "..")) {
        return Err("expected a path such as /fw, of letters, digits and -._~".into());
    }
    o.base_path = Some(text.trim_end_matches('/').to_owned());
    Ok(())
}

fn relative_endpoint(o: &mut Options, _: &str) -> Result<(), String> {
    o.relative_endpoint = true;
    Ok(())
}

fn log_level(o: &mut Options, text: &str) -> Result<(), String> {
    o.log_level = Some(level(text)?);
    Ok(())
}

fn grace(o: &mut Options, text: &str) -> Result<(), String> {
    o.grace = bounds::seconds(text)?;
    Ok(())
}

fn memory(o: &mut Options, text: &str) -> Result<(), String> {
    o.memory = Some(bounds::bytes(text, 1 << 20, (1 << 36).min(usize::MAX as u64))?);
    Ok(())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and a port, such as 127.0.0.1:8001 or [::1]:8001".into())
}

/// Reads a log level; the environment variable has the same words.
pub(crate) fn level(text: &str) -> Result<LevelFilter, String> {
    let known = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    known.map(|(_, level)| *level).ok_or_else(|| "expected error, warn, info, debug or trace".into())
}

/// Whether only this machine can reach an address; `::ffff:127.0.0.1` is 127.0.0.1.
pub(crate) fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// Reads a command line, without the program's own name.
///
/// # Errors
/// A sentence that names the option, the value, what was expected, and where it helps the remedy.
pub(crate) fn parse(program: &Program, args: Vec<OsString>) -> Result<Wish, String> {
    let mut options = Options::of(program);
    let mut seen: Vec<&'static str> = Vec::new();
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        let name = match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Wish::Print(help(program))),
            Arg::Short('V') | Arg::Long("version") => {
                return Ok(Wish::Print(format!("{} {}\n", program.name, program.version)));
            }
            Arg::Long(name) => name.to_owned(),
            Arg::Short(short) => return Err(unknown(program, &format!("-{short}"))),
            Arg::Value(value) => return Err(unknown(program, &value.to_string_lossy())),
        };
        read(program, &mut options, &mut parser, &name, &mut seen)?;
    }
    let mut has_tokens = false;
    if let (Some(path), Some(load)) = (&options.config, program.config) {
        let mut loaded = load(path, program)?;
        loaded.settings.retain(|given| !seen.contains(&given.name));
        for given in &loaded.settings {
            options.set(given.name, &given.text).map_err(|why| format!("{}: {why}", given.place))?;
        }
        has_tokens = loaded.has_tokens;
        options.loaded = Some(loaded);
    }
    finish(options, has_tokens).map(|options| Wish::Run(Box::new(options)))
}

impl Options {
    /// What holds where nothing is said.
    pub(crate) fn of(program: &Program) -> Options {
        Options {
            listen: LISTEN.to_vec(),
            listen_given: false,
            listen_unix: Vec::new(),
            debug_listen: program.debug_listen.clone(),
            debug_given: false,
            token_file: None,
            insecure_listen: false,
            is_guarded: false,
            has_tokens: false,
            allow_host: Vec::new(),
            allow_origin: Vec::new(),
            trust_proxy: Vec::new(),
            base_path: None,
            relative_endpoint: false,
            log_level: None,
            grace: GRACE,
            memory: None,
            limits: Limits::default(),
            config: None,
            loaded: None,
            settings: Vec::new(),
        }
    }

    /// The bounds, to be taken away.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.clone()
    }

    /// Sets the option `name`, which there is; the error says what was expected instead of `text`.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        if let Some(opt) = OPTIONS.iter().find(|opt| opt.name == name) {
            return (opt.set)(self, text);
        }
        match BOUNDS.iter().find(|bound| bound.name == name) {
            Some(bound) => bound.parse(text).map(|setting| self.settings.push(setting)),
            None => Err("expected an option's name".into()),
        }
    }
}

/// Reads one option and its value.
fn read(
    program: &Program,
    options: &mut Options,
    parser: &mut Parser,
    name: &str,
    seen: &mut Vec<&'static str>,
) -> Result<(), String> {
    let opt = OPTIONS.iter().find(|opt| opt.name == name && (opt.name != "config" || program.config.is_some()));
    let bound = BOUNDS.iter().find(|bound| bound.name == name);
    let (known, unit, repeatable) = match (opt, bound) {
        (Some(opt), _) => (opt.name, opt.value, opt.repeatable),
        (None, Some(bound)) => (bound.name, bound.unit(), false),
        (None, None) => return Err(unknown(program, &format!("--{name}"))),
    };
    if !repeatable && seen.contains(&known) {
        return Err(format!("`--{name}` is given twice: expected it once, because it stands for one value"));
    }
    seen.push(known);
    let value = match parser.optional_value() {
        Some(value) if unit.is_empty() => {
            return Err(format!("`--{name}`: got the value {value:?}, expected none, because it is a switch"));
        }
        Some(value) => value,
        None if unit.is_empty() => OsString::new(),
        None => parser.value().map_err(|_| format!("`--{name}`: no value, expected `--{name} {unit}`"))?,
    };
    let text = value.into_string().map_err(|raw| format!("`--{name}`: {raw:?} is not UTF-8 text"))?;
    options.set(known, &text).map_err(|expected| format!("`--{name}`: got {text:?}, {expected}"))
}

/// What to say of a word that means nothing here.
pub(crate) fn unknown(program: &Program, what: &str) -> String {
    let name = program.name;
    if is_command(what) {
        return format!("{what:?} is a command, and comes first: `{name} {what} …`");
    }
    if cfg!(not(feature = "config")) && ["--config", "check-config", "tools", "call"].contains(&what) {
        return format!(
            "{what:?}: this program reads no files of tools; `cargo build --release --features config` makes one that does"
        );
    }
    format!("unknown argument {what:?}: `{name} --help` lists what there is")
}

/// What can only be judged once everything was read.
fn finish(mut options: Options, has_tokens: bool) -> Result<Options, String> {
    if let Some(memory) = options.memory {
        options.limits = Limits::for_memory(memory);
    }
    for setting in std::mem::take(&mut options.settings) {
        setting.apply(&mut options.limits);
    }
    if let Some(why) = bounds::contradiction(&options.limits) {
        return Err(why);
    }
    if has_tokens && options.token_file.is_some() {
        return Err("`--token-file` and `[[token]]` both say who may ask: keep one of them".into());
    }
    options.has_tokens = has_tokens;
    options.is_guarded = options.token_file.is_some() || has_tokens || options.insecure_listen;
    options.listen.iter().try_for_each(|address| options.check_address(address))?;
    Ok(options)
}

impl Options {
    /// Refuses an address that others can reach where nobody asks them who they are.
    pub(crate) fn check_address(&self, address: &SocketAddr) -> Result<(), String> {
        if self.is_guarded || is_loopback(address) {
            return Ok(());
        }
        Err(format!(
            "`--listen`: {address} can be reached by others, and nobody would be asked who they are: add \
             `--token-file FILE` (one bearer token a line), listen on 127.0.0.1 behind an SSH tunnel or a proxy that \
             asks, or say `--insecure-listen` if everyone who reaches it may use every tool"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Program = Program {
        name: "portcullis",
        version: "0.0.0",
        about: "a test",
        has_commands: true,
        debug_listen: Debug::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8002)),
        tools: |tools, _| tools,
        config: Some(|_, _| {
            Ok(Loaded {
                settings: Vec::new(),
                has_tokens: false,
                tools: Box::new(|tools| tools),
                admit: Box::new(|| ()),
                guard: |builder| builder,
                watch: |_| Box::pin(std::future::pending()),
                warnings: Vec::new(),
            })
        }),
    };

    fn wish(line: &str) -> Result<Wish, String> {
        parse(&PROGRAM, line.split_whitespace().map(OsString::from).collect())
    }

    fn options(line: &str) -> Options {
        match wish(line) {
            Ok(Wish::Run(options)) => *options,
            Ok(Wish::Print(text)) => panic!("{line}: printed {text}"),
            Err(why) => panic!("{line}: {why}"),
        }
    }

    #[test]
    fn without_options_it_serves_on_loopback_only() {
        let options = options("");
        assert_eq!(options.listen, LISTEN);
        assert!(options.listen.iter().all(is_loopback) && !options.listen_given);
        assert_eq!(options.debug_listen, Debug::Tcp("127.0.0.1:8002".parse().unwrap()));
        assert_eq!(options.limits, Limits::default());
    }

    #[test]
    fn options_mean_what_they_say() {
        let options = options(
            "--listen 127.0.0.2:1 --listen=[::ffff:127.0.0.1]:2 --debug-listen unix:/run/p.sock --token-file /t --allow-host fw.example \
             --allow-origin https://app.example --base-path /fw/ --relative-endpoint --log-level DEBUG --session-idle 0.25 --grace 2",
        );
        assert_eq!(options.listen, ["127.0.0.2:1".parse().unwrap(), "[::ffff:127.0.0.1]:2".parse().unwrap()]);
        assert_eq!(options.debug_listen, Debug::Unix("/run/p.sock".into()));
        assert_eq!(
            (options.allow_host, options.allow_origin),
            (vec!["fw.example".into()], vec!["https://app.example".into()])
        );
        assert_eq!((options.base_path.as_deref(), options.relative_endpoint), (Some("/fw"), true));
        assert_eq!((options.log_level, options.grace), (Some(LevelFilter::Debug), Duration::from_secs(2)));
        assert_eq!(options.limits.session_idle, Duration::from_millis(250));
    }

    #[test]
    fn a_limit_of_its_own_wins_over_the_one_derived_from_memory_in_any_order() {
        for line in ["--memory 8M --sessions-max 7", "--sessions-max 7 --memory 8M"] {
            let expected = Limits { sessions_max: 7, ..Limits::for_memory(8 << 20) };
            assert_eq!(options(line).limits, expected, "{line}");
        }
    }

    #[test]
    fn an_address_that_others_reach_needs_a_token_or_a_plain_word() {
        for address in ["192.0.2.1:80", "0.0.0.0:80", "[::]:80", "[::ffff:192.0.2.1]:80"] {
            let why = wish(&format!("--listen {address}")).err().unwrap();
            assert!(why.contains("--token-file") && why.contains("--insecure-listen"), "{why}");
            options(&format!("--listen {address} --token-file /t"));
            options(&format!("--insecure-listen --listen {address}"));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name_value_and_expectation() {
        let cases = [
            ("--listen localhost:80", r#"`--listen`: got "localhost:80", expected an address and a port"#),
            ("--listen", "`--listen`: no value, expected `--listen ADDR:PORT`"),
            ("--listen 127.0.0.1:1 --listen 127.0.0.1:1", "expected each address once"),
            ("--debug-listen 192.0.2.1:1", "expected a loopback address or unix:/path"),
            ("--debug-listen unix:p", "expected an absolute path"),
            ("--debug-listen here", "expected an address such as"),
            ("--session-idle 0", r#"`--session-idle`: got "0", expected seconds from 0.001"#),
            ("--session-idle -5", r#"`--session-idle`: got "-5", expected seconds"#),
            ("--sessions-max 99999999999999999999", "expected a number from 1 to 1000000"),
            ("--grace 0", r#"`--grace`: got "0", expected seconds"#),
            ("--memory 1K", "expected a number of bytes from 1048576"),
            ("--allow-host http://x", "without scheme and path"),
            ("--allow-host *", "without scheme and path"),
            ("--allow-origin x", "expected scheme and host"),
            ("--allow-origin https://x/y", "expected scheme and host"),
            ("--trust-proxy here", "expected a range of addresses"),
            ("--base-path fw", "expected a path such as /fw"),
            ("--base-path /", "expected a path such as /fw"),
            ("--base-path /a//b", "expected a path such as /fw"),
            ("--base-path /a/../b", "expected a path such as /fw"),
            ("--log-level loud", "expected error, warn, info, debug or trace"),
            ("--log-level off", "expected error, warn, info, debug or trace"),
            ("--grace 1 --grace 2", "`--grace` is given twice"),
            ("--relative-endpoint=yes", "expected none, because it is a switch"),
            ("--sesion-idle 5", r#"unknown argument "--sesion-idle": `portcullis --help`"#),
            ("-x", r#"unknown argument "-x""#),
            ("word", r#"unknown argument "word""#),
            ("--relative-endpoint serve", r#""serve" is a command, and comes first: `portcullis serve …`"#),
            ("--buffered-bytes-max 1M", "`--body-bytes-max` is 4M"),
        ];
        for (line, expected) in cases {
            let why = wish(line).err().unwrap_or_else(|| panic!("{line}: accepted"));
            assert!(why.contains(expected), "{line}: {why}");
        }
    }

    #[test]
    fn help_shows_every_option_with_its_default_in_a_terminals_width() {
        let Ok(Wish::Print(text)) = wish("--help") else { panic!("no help") };
        for name in OPTIONS.iter().map(|opt| opt.name).chain(BOUNDS.iter().map(|bound| bound.name)) {
            assert!(text.contains(&format!("  --{name}")), "{name}");
        }
        for command in ["serve", "stdio", "sessions", "check-config", "tools", "call"] {
            assert!(is_command(command) && text.contains(&format!("\n  {command} ")), "{command}");
        }
        assert!(text.contains("[127.0.0.1:8002]") && text.contains("[1800]") && text.contains("[4M]"), "{text}");
        assert_eq!(text.lines().find(|line| line.chars().count() > 100), None);
    }
}
