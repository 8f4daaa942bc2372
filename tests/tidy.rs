//! Tests of the source itself: the floors, where time and chance come in, lengths, and no stubs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file without its tests, with comments and strings blanked out.
struct Source {
    /// Below `src/`, for example `net/pump.rs`.
    path: String,
    text: String,
    code: Vec<String>,
}

impl Source {
    fn is_library(&self) -> bool {
        !self.path.starts_with("bin/")
    }

    /// The module at the top: `net` for `net/pump.rs`.
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    files(&root().join("src"), &mut found);
    found.iter().map(|path| source(path)).collect()
}

fn source(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split_once("\n#[cfg(test)]\nmod tests {").map_or(&*text, |(before, _)| before).to_owned();
    let code = text.lines().map(bare).collect();
    let path = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
    Source { path, text, code }
}

/// A line without its comment and without what stands in its strings.
fn bare(line: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    let mut letters = line.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '\'' if !in_string && letters.peek() == Some(&'"') => {
                letters.next();
            }
            '"' => {
                in_string = !in_string;
                out.push(c);
            }
            _ if in_string => {}
            '/' if letters.peek() == Some(&'/') => break,
            _ => out.push(c),
        }
    }
    out
}

/// The floors as `lib.rs` lists them.
fn floors() -> BTreeMap<String, u32> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut floors = BTreeMap::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("//! ")) {
        if let Some((number, rest)) = line.split_once(". ")
            && let Ok(number) = number.parse::<u32>()
        {
            let names = rest.split('`').skip(1).step_by(2);
            floors.extend(names.map(|name| (name.to_owned(), number)));
        }
    }
    assert!(floors.len() > 15, "the list of floors in lib.rs: {floors:?}");
    floors
}

#[test]
fn imports_go_to_the_same_floor_or_down_and_every_module_has_a_floor() {
    let floors = floors();
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.is_library() && source.path != "lib.rs") {
        let Some(own) = floors.get(source.module()) else { panic!("{} is on no floor in lib.rs", source.path) };
        for line in &source.code {
            for reached in line.split("crate::").skip(1) {
                let name: String = reached.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                match floors.get(&name) {
                    Some(floor) if floor <= own => {}
                    Some(floor) => faults.push(format!("{}, floor {own}: {name} is on floor {floor}", source.path)),
                    None if name.is_empty() || name.starts_with(char::is_uppercase) => {}
                    None => faults.push(format!("{}: {name} is on no floor", source.path)),
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn only_the_shell_touches_sockets_clocks_and_chance_and_nobody_writes_vectored() {
    let shell = ["net", "observe", "handle", "server"];
    let rules: [(&[&str], &[&str]); 8] = [
        (
            &["TcpListener", "TcpStream", "UnixListener", "UnixStream", "UdpSocket", "ToSocketAddrs", "rustix::net"],
            &shell,
        ),
        (&["async_io"], &["clock", "net", "observe", "handle", "server"]),
        (&["Clock::real", "Uuid::", "getrandom", "rand::"], &["server"]),
        (&["time::Instant::now", "SystemTime", "Instant::now"], &["clock"]),
        (&["std::fs", "File::open"], &["net"]),
        (&["thread::spawn", "thread::sleep", "process::Command"], &[]),
        (&["std::process"], &["process"]),
        (&["write_vectored", "writev", "IoSlice"], &[]),
    ];
    for source in sources().iter().filter(|source| source.is_library()) {
        for (words, allowed) in rules {
            for word in words {
                let found = source.code.iter().any(|line| line.contains(word));
                assert!(!found || allowed.contains(&source.module()), "{} has {word}", source.path);
            }
        }
    }
}

#[test]
fn revisions_are_compared_in_one_file() {
    for source in sources().iter().filter(|source| source.path != "revision.rs") {
        for line in &source.code {
            let names_one = line.contains("Revision::V20");
            let compares =
                ["==", "!=", " < ", " > ", "<=", ">=", "=>", "matches!"].iter().any(|sign| line.contains(sign));
            assert!(!(names_one && compares), "{}: {line}", source.path);
            let compares_it =
                ["revision ==", "revision !=", "revision >", "revision <", "== revision", "match revision"];
            assert!(!compares_it.iter().any(|words| line.contains(words)), "{}: {line}", source.path);
        }
        for line in source.text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let dated = ["== \"202", "!= \"202", "\"202"].iter().take(2).any(|words| line.contains(words));
            assert!(!dated, "{}: {line}", source.path);
        }
    }
}

#[test]
fn no_file_is_over_500_lines_and_no_function_over_70() {
    let mut faults = Vec::new();
    let mut found = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        if root().join(folder).is_dir() {
            files(&root().join(folder), &mut found);
        }
    }
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split_once("\n#[cfg(test)]\nmod tests {").map_or(&*text, |(before, _)| before);
        let shown = path.strip_prefix(root()).unwrap().display();
        let lines: Vec<_> = text.lines().collect();
        if lines.len() > 500 {
            faults.push(format!("{shown}: {} lines", lines.len()));
        }
        // Source is formatted: a function ends with the brace below its first letter.
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let begins = ["fn ", "async fn ", "const fn "].iter().any(|word| {
                let rest = line
                    .trim_start()
                    .trim_start_matches("pub(crate) ")
                    .trim_start_matches("pub(super) ")
                    .trim_start_matches("pub ");
                rest.starts_with(word)
            });
            let end = || lines[at..].iter().position(|end| *end == format!("{}}}", " ".repeat(indent)));
            if begins
                && !line.ends_with(';')
                && let Some(length) = end().filter(|length| *length + 1 > 70)
            {
                faults.push(format!("{shown}: {} has {} lines", line.trim(), length + 1));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn there_are_no_stubs_no_ignored_tests_and_no_unsafe() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        if root().join(folder).is_dir() {
            files(&root().join(folder), &mut found);
        }
    }
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        // Written in two halves, so that this file does not find itself.
        for word in [
            ["to", "do!("],
            ["unimple", "mented!("],
            ["db", "g!("],
            ["#[ig", "nore"],
            ["FIX", "ME"],
            ["XX", "X "],
            ["unsa", "fe {"],
        ] {
            assert!(!text.contains(&word.concat()), "{} has {}", path.display(), word.concat());
        }
    }
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(lib.contains("#![forbid(unsafe_code)]"));
}

/// Name and version of every package in `Cargo.lock`.
fn locked() -> Vec<(String, String)> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")));
        line.and_then(|line| line.strip_suffix('"')).unwrap_or_default().to_owned()
    };
    lock.split("[[package]]").skip(1).map(|package| (field(package, "name"), field(package, "version"))).collect()
}

/// A version as three numbers.
fn number(version: &str) -> [u32; 3] {
    let mut parts = version.split(['.', '-', '+']).map_while(|part| part.parse().ok());
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[test]
fn d20_the_executor_is_one_without_the_use_after_free() {
    let versions: Vec<_> = locked().into_iter().filter(|(name, _)| name == "async-executor").collect();
    assert_eq!(versions.len(), 1);
    assert!(number(&versions[0].1) >= [1, 14, 1], "{versions:?}");
}

#[test]
fn rust_version_is_the_highest_of_the_dependencies() {
    let stated = |manifest: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""))?;
        Some(number(line.split('"').next()?))
    };
    let ours = stated(&fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registry = home.map(|home| home.join("registry/src")).and_then(|folder| fs::read_dir(folder).ok());
    // Vendored sources have no such folder; then CI's build with that toolchain is the proof.
    let indexes: Vec<_> = registry.into_iter().flatten().flatten().map(|index| index.path()).collect();
    for (name, version) in locked() {
        let manifests = indexes.iter().map(|index| index.join(format!("{name}-{version}/Cargo.toml")));
        for needs in manifests.filter_map(|path| fs::read_to_string(path).ok()).filter_map(|text| stated(&text)) {
            assert!(needs <= ours, "{name} {version} needs {needs:?}, Cargo.toml says {ours:?}");
        }
    }
}

/// The names of all tests in a file.
fn tests_in(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let names = text.split("#[test]").skip(1).filter_map(|after| after.split_once("fn ")?.1.split('(').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_table_of_what_is_tested_names_tests_that_exist() {
    let table = fs::read_to_string(root().join("docs/TESTED.md")).unwrap();
    let pains = fs::read_to_string(root().join(".ci/pains/pains.py")).ok();
    for line in table.lines().filter(|line| line.starts_with('|')) {
        for (at, name) in line.split('`').skip(1).step_by(2).enumerate() {
            if let Some((place, start)) = name.split_once("::") {
                let path = if place.starts_with("src/") {
                    root().join(place)
                } else {
                    root().join(format!("tests/{place}.rs"))
                };
                assert!(tests_in(&path).iter().any(|test| test.starts_with(start)), "{name} finds no test: {line}");
            } else if name.len() == 3 && name[1..].bytes().all(|byte| byte.is_ascii_digit()) {
                // The packaged crate is without `.ci`.
                let found = pains.as_ref().is_none_or(|text| text.contains(&format!("async def {name}_")));
                assert!(found, "{name} finds no check: {line}");
            } else if line.contains(&format!("transcript `{name}`")) || line.contains(&format!("transcripts `{name}`"))
            {
                assert!(
                    root().join(format!("tests/transcripts/{name}.txt")).exists(),
                    "no transcript {name} ({at}): {line}"
                );
            }
        }
    }
}
