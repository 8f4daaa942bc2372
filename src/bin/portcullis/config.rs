//! A file that says everything: options, tools, roles and tokens, in TOML.
//!
//! The interface is [`load`]: from a path to a [`Config`], which is plain data (`Send`, nothing open, nothing
//! started), or to every fault of the file and of those beside it, one a line, each with its place, what was expected
//! and the remedy. It is the same at the start, for `check-config`, and when a running server is told to read its
//! file again. [`program`] is how the command line uses it.
//!
//! Decided here: which files belong together. `conf.d/*.toml` beside the file are read after it, in the order of
//! their names; `conf_d` names another folder. What is said in two files is refused, with both places. A file that
//! everybody may write is refused: whoever writes it runs commands as this program.

mod date;
mod people;
mod reader;
#[cfg(test)]
pub(crate) mod refusals;
mod settings;
pub(crate) mod toml;
mod tool;

pub(crate) use self::people::{Role, Token, matches};
use self::reader::{Faults, Reader};
use self::toml::{Item, Node, Source, Table};
use crate::declared::{self, Spec, lanes::Lanes};
use crate::options::{Given, Loaded, Options, Program};
use crate::roles::{self, People};
use crate::serve::contents;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of one file. A thousand tools fit.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Files in a folder.
const FILES_MAX: usize = 256;
/// Tools, roles or tokens, each.
const TABLES_MAX: usize = 1024;

/// What a file says, together with those beside it. Checked; nothing in it can be wrong in itself.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// Options, as on the command line, which wins over them.
    pub(crate) settings: Vec<Given>,
    /// Tools that run a command.
    pub(crate) tools: Vec<Arc<Spec>>,
    /// What holders of tokens may use.
    pub(crate) roles: Vec<Role>,
    /// Who may ask. Each names a role that there is.
    pub(crate) tokens: Vec<Token>,
    /// What a person should know, and what is no fault.
    pub(crate) warnings: Vec<String>,
    /// The files it comes from, in the order in which they were read.
    pub(crate) files: Vec<PathBuf>,
}

/// Reads a file and those beside it.
///
/// # Errors
/// All faults, one a line, as `FILE:LINE:COLUMN: what is wrong, what was expected; what helps`.
pub(crate) fn load(path: &Path, program: &Program) -> Result<Config, String> {
    let faults = Faults::default();
    let mut draft = Draft { config: Config::default(), options: Options::of(program), places: Vec::new() };
    if let Some((source, root)) = open(path, &faults, &mut draft.config) {
        let folder = draft.file(&source, &faults, &root, true);
        let beside = path.parent().unwrap_or(Path::new("")).join(folder.as_deref().unwrap_or("conf.d"));
        // Only a folder that somebody named must be there.
        let files = match folder.as_deref() {
            Some("") => Vec::new(),
            named => self::beside(&beside, named.is_some(), &faults),
        };
        for file in files {
            if let Some((source, root)) = open(&file, &faults, &mut draft.config) {
                draft.file(&source, &faults, &root, false);
            }
        }
    }
    draft.together(&faults);
    match faults.all() {
        None => Ok(draft.config),
        Some(all) => Err(all),
    }
}

/// What the command line makes of a file: see [`Program::config`].
///
/// # Errors
/// Those of [`load`].
pub(crate) fn program(path: &Path, program: &Program) -> Result<Loaded, String> {
    let mut config = load(path, program)?;
    let settings = std::mem::take(&mut config.settings);
    let has_tokens = !config.tokens.is_empty();
    let Config { tools: specs, roles, tokens, warnings, .. } = config;
    let people = People { roles, tokens };
    Ok(Loaded {
        settings,
        has_tokens,
        tools: Box::new(move |tools| LANES.with(|lanes| declared::register(tools, &specs, lanes))),
        admit: Box::new(|| roles::admit(people)),
        guard: roles::guard,
        watch: roles::watch,
        warnings,
    })
}

thread_local! {
    /// Kept when the file is read again: a command that runs goes on holding its place.
    static LANES: Lanes = Lanes::default();
}

/// What has been read so far.
struct Draft {
    config: Config,
    /// Takes every option once, to see whether it may be said.
    options: Options,
    /// What has a name, and where: "tool `x`".
    places: Vec<(String, String)>,
}

impl Draft {
    /// Takes what one file says. Gives back what it says of the folder beside it.
    fn file(&mut self, source: &Source, faults: &Faults, root: &Table, is_first: bool) -> Option<String> {
        let mut reader = Reader::new(source, faults, "the file", 0, root);
        let mut folder = None;
        if is_first {
            match reader.take("conf_d") {
                Some(Node { item: Item::Text(text), .. }) => folder = Some(text.clone()),
                Some(node) => reader.wrong("conf_d", node, "expected the path of a folder, or \"\" for none"),
                None => {}
            }
        }
        for (key, header) in [("server", "[server]"), ("limits", "[limits]")] {
            if let Some((_, table)) = reader.table(key) {
                settings::read(&reader, header, table, &mut self.options, &mut self.config.settings);
            }
        }
        for (at, table) in reader.tables("tool") {
            let what = tool::header(table);
            if let Some((at, tool)) = tool::tool(Reader::new(source, faults, &what, at, table)) {
                let what = format!("tool `{}`", tool.name);
                if crate::tools::is_own(&tool.name) {
                    let why = format!("{what} is one of the program's own: give this one another name");
                    faults.note(&source.place(at), &why);
                } else if self.is_new(what, source.place(at), faults) {
                    self.config.tools.push(Arc::new(tool));
                }
            }
        }
        for (at, table) in reader.tables("role") {
            if let Some((at, role)) = people::role(Reader::new(source, faults, "[[role]]", at, table))
                && self.is_new(format!("role `{}`", role.name), source.place(at), faults)
            {
                self.config.roles.push(role);
            }
        }
        for (at, table) in reader.tables("token") {
            if let Some((at, role_at, token)) = people::token(Reader::new(source, faults, "[[token]]", at, table)) {
                let place = source.place(at);
                // The digest tells nothing, but a message is no place for it.
                let digest = self.config.tokens.iter().find(|other| other.sha256 == token.sha256);
                if let Some(other) = digest.filter(|other| other.name != token.name) {
                    faults
                        .note(&place, &format!("`sha256` is that of the token `{}`: one token, one name", other.name));
                }
                if self.is_new(format!("token `{}`", token.name), place, faults) {
                    self.places.push((format!("the role of `{}`", token.name), source.place(role_at)));
                    self.config.tokens.push(token);
                }
            }
        }
        reader.finish();
        folder
    }

    /// Notes what has a name; a second one of the same name is a fault that names both.
    fn is_new(&mut self, what: String, place: String, faults: &Faults) -> bool {
        if let Some((_, first)) = self.places.iter().find(|(name, _)| *name == what) {
            faults.note(&place, &format!("{what} is there already, at {first}: give one of them another name"));
            return false;
        }
        self.places.push((what, place));
        true
    }

    /// What can only be judged when everything was read.
    fn together(&mut self, faults: &Faults) {
        let Config { tools, roles, tokens, .. } = &self.config;
        for token in tokens {
            if roles.iter().all(|role| role.name != token.role) {
                let what = format!("the role of `{}`", token.name);
                let place = self.places.iter().find(|(name, _)| *name == what).map_or("", |(_, place)| place);
                let names: Vec<_> = roles.iter().map(|role| role.name.as_str()).collect();
                let why = format!(
                    "`role`: got {:?}, expected the name of a `[[role]]`; there are: {}",
                    token.role,
                    names.join(", ")
                );
                faults.note(place, &why);
            }
        }
        for (count, what) in [(tools.len(), "tools"), (roles.len(), "roles"), (tokens.len(), "tokens")] {
            if count > TABLES_MAX {
                faults.note(
                    &self.config.files[0].display().to_string(),
                    &format!("{count} {what}, expected at most {TABLES_MAX}"),
                );
            }
        }
    }
}

/// Reads and parses one file.
fn open(path: &Path, faults: &Faults, config: &mut Config) -> Option<(Source, Table)> {
    let name = path.display().to_string();
    let (text, mode) = match text(path) {
        Ok(read) => read,
        Err(why) => {
            faults.note(&name, &why);
            return None;
        }
    };
    config.files.push(path.to_owned());
    let source = Source { name, text };
    match source.parse() {
        Ok(root) => {
            // A group may have been given it: the user that systemd makes for a service owns nothing.
            if mode & 0o007 != 0 && root.has("token") {
                let why = "has tokens and can be read by everybody: chmod o= it";
                config.warnings.push(format!("{} {why}", source.name));
            }
            Some((source, root))
        }
        Err(fault) => {
            faults.note(&source.place(fault.at), &fault.why);
            None
        }
    }
}

/// The text of a file, and who may read it.
fn text(path: &Path) -> Result<(String, u32), String> {
    let open = || std::fs::File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (about, file) = open().map_err(|error| error.to_string())?;
    if about.is_dir() {
        return Err("is a folder, expected a TOML file".into());
    }
    if about.mode() & 0o002 != 0 {
        return Err("everybody may write it, and so run commands as this program: chmod o-w it".into());
    }
    let bytes = contents(file, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("longer than {FILE_BYTES_MAX} bytes: put some of it into conf.d"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        format!("byte {} is not UTF-8: save the file in that encoding", error.utf8_error().valid_up_to())
    })?;
    Ok((text, about.mode()))
}

/// The `*.toml` of a folder, by their names. Hidden files are none: editors leave them.
fn beside(folder: &Path, must_be_there: bool, faults: &Faults) -> Vec<PathBuf> {
    let note = |why: &str| faults.note(&folder.display().to_string(), why);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_be_there => return Vec::new(),
        Err(error) => {
            note(&error.to_string());
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => {
                let file = entry.path();
                // In order from the beginning: a sort is 6 KB of program, and there are few.
                files.insert(files.partition_point(|other: &PathBuf| other.as_os_str() < file.as_os_str()), file);
            }
            Err(error) => note(&error.to_string()),
        }
    }
    files.retain(|file| {
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        file.extension().is_some_and(|extension| extension == "toml") && !is_hidden
    });
    if files.len() > FILES_MAX {
        note(&format!("{} files, expected at most {FILES_MAX}", files.len()));
        files.truncate(FILES_MAX);
    }
    files
}
