//! What a file may not say: a table of texts, each with the line and the words of its refusal.

use super::*;

pub(crate) const PROGRAM: Program = Program {
    name: "portcullis",
    version: "0.0.0",
    about: "a test",
    has_commands: false,
    debug_listen: crate::options::Debug::Off,
    tools: |tools, _| tools,
    config: Some(program),
};

/// Reads a text as if it were the only file.
pub(crate) fn read(text: &str) -> Result<Config, String> {
    let faults = Faults::default();
    let mut draft = Draft { config: Config::default(), options: Options::of(&PROGRAM), places: Vec::new() };
    let source = Source { name: "f.toml".into(), text: text.into() };
    match source.parse() {
        Ok(root) => drop(draft.file(&source, &faults, &root, true)),
        Err(fault) => faults.note(&source.place(fault.at), &fault.why),
    }
    draft.together(&faults);
    faults.all().map_or(Ok(draft.config), Err)
}

/// Each text is refused with one fault that begins with this line and column, and holds these words.
fn refused(cases: &[(&str, &str, &str)]) {
    for (text, place, words) in cases {
        let why = read(text).err().unwrap_or_else(|| panic!("accepted:\n{text}"));
        assert!(why.starts_with(&format!("f.toml:{place}: ")), "{text}\n{why}");
        assert!(why.contains(words), "{text}\n{why}");
        assert_eq!(why.lines().count(), 1, "{text}\n{why}");
    }
}

#[test]
fn what_is_no_toml_is_refused_at_its_line() {
    refused(&[
        ("x", "1:2", "expected `=`"),
        ("[server", "1:8", "expected `]`"),
        ("[server]\ngrace = ", "2:9", "string values must be quoted"),
        ("[server]\ngrace = 1 2", "2:9", "string values must be quoted"),
        ("[server]\ngrace = 'x", "2:11", "expected `'`"),
        ("[server]\ngrace = \"\\q\"", "2:11", "escape"),
        ("[server]\ngrace = 1__0", "2:10", "`_` may only go between digits"),
        ("[server]\ngrace = 01", "2:9", "leading"),
        ("# a\rb", "1:4", "a control character, U+000D: write \\u000d in a string"),
        ("[server]\n# \0", "2:3", "a control character, U+0000"),
        ("[server]\ngrace = nan", "2:9", "expected a finite number"),
        ("[server]\ngrace = 99999999999999999999", "2:9", "expected an integer of at most 64 bits"),
        ("[server]\n\"grace = 1", "2:11", "expected `=`"),
        ("[server]\ngrace = 1\n[server]\n", "3:2", "`server` is there already, in line 1: say it once"),
        ("[server]\ngrace = 1\ngrace = 2", "3:1", "`grace` is there already, in line 2: say it once"),
        ("server.grace = 1\n[server]\n", "2:2", "`server` is there already, in line 1"),
        ("server = { grace = 1 }\nserver.memory = 2", "2:1", "`server` is there already, in line 1"),
        ("[[tool]]\n[tool]\n", "2:2", "`tool` is there already, in line 1"),
        ("tool = []\n[[tool]]\n", "2:3", "`tool` is there already, in line 1"),
        ("a = [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", "1:21", "recursion"),
    ]);
}

#[test]
fn options_are_refused_as_on_the_command_line_and_by_their_place() {
    refused(&[
        (
            "[sever]\n",
            "1:2",
            "unknown key `sever` in the file: it has `conf_d`, `server`, `limits`, `tool`, `role`, `token`",
        ),
        ("server = 1", "1:10", "`server`: got 1, expected a table"),
        ("[server]\nlisten = \"127.0.0.1:1\"", "2:10", "`listen`: got \"127.0.0.1:1\", expected an array of strings"),
        ("[server]\nlisten = [\"localhost\"]", "2:11", "expected an address and a port, such as 127.0.0.1:8001"),
        ("[server]\nlisten = [\"127.0.0.1:1\",\n \"127.0.0.1:1\"]", "3:2", "expected each address once"),
        ("[server]\nlisten = [[]]", "2:11", "expected a string or a number, and not an array"),
        ("[server]\nallow-host = [\"x\"]", "2:1", "unknown key `allow-host`: write `allow_host`"),
        ("[server]\nsessions_max = 5", "2:1", "unknown key `sessions_max` in [server]: it belongs into [limits]"),
        ("[limits]\ngrace = 5", "2:1", "unknown key `grace` in [limits]: it belongs into [server]"),
        ("[limits]\nsesions_max = 5", "2:1", "unknown key `sesions_max` in [limits]: it has sessions_max, "),
        ("[limits]\nsessions_max = 0", "2:16", "`sessions_max`: got 0, expected a number from 1 to 1000000"),
        ("[limits]\nbody_bytes_max = \"4T\"", "2:18", "expected a number of bytes from 256"),
        ("[limits]\nsession_idle = -5", "2:16", "expected seconds from 0.001"),
        ("[server]\nconfig = \"x\"", "2:1", "unknown key `config` in [server]"),
        ("[server]\ngrace = 0", "2:9", "`grace`: got 0, expected seconds"),
        ("[server]\ngrace = true", "2:9", "expected a string or a number, and not a boolean"),
        ("[server]\nrelative_endpoint = \"yes\"", "2:21", "`relative_endpoint`: got \"yes\", expected true or false"),
        ("[server]\nlog_level = \"loud\"", "2:13", "expected error, warn, info, debug or trace"),
        ("[server]\ndebug_listen = \"0.0.0.0:1\"", "2:16", "expected a loopback address"),
        ("conf_d = 5", "1:10", "expected the path of a folder"),
    ]);
}

/// A tool with these lines in it, its arguments' tables last; the first of `lines` is line 5.
fn tool(lines: &str) -> String {
    format!("[[tool]]\nname = \"t\"\ndescription = \"d\"\nargv = [\"true\"]\n{lines}")
}

/// A tool with one argument `x`, which is used; the first of `lines` is line 6.
fn arg(lines: &str) -> String {
    format!(
        "[[tool]]\nname = \"t\"\ndescription = \"d\"\nargv = [\"true\", [\"{{x}}\", \"{{x?}}\"]]\n[tool.args.x]\n{lines}"
    )
}

#[test]
fn a_tool_that_cannot_be_meant_is_refused() {
    for (lines, place, words) in [
        ("nam = 1", "5:1", "unknown key `nam` in the tool `t`: it has `name`, `title`, `description`, `args`, `argv`"),
        ("kill-after = 1", "5:1", "unknown key `kill-after`: write `kill_after`"),
        ("timeout = 0", "5:11", "`timeout`: got 0, expected seconds, at most 3600"),
        ("timeout = 3601", "5:11", "`timeout`: got 3601, expected seconds, at most 3600"),
        ("timeout = \"5s\"", "5:11", "`timeout`: got \"5s\", expected seconds"),
        ("kill_after = 61", "5:14", "expected seconds, at most 60"),
        ("max_output = 10", "5:14", "`max_output`: got 10, expected a number of bytes from 256"),
        ("output = \"xml\"", "5:10", "`output`: got \"xml\", expected one of `text`, `json`, `lines`"),
        ("overflow = \"cut\"", "5:12", "expected one of `error`, `truncate`"),
        ("ok_exit = 0", "5:11", "`ok_exit`: got 0, expected an array"),
        ("ok_exit = [256]", "5:12", "expected exit codes from 0 to 255"),
        ("ok_exit = []", "5:11", "expected at least one exit code"),
        ("concurrency = 0", "5:15", "`concurrency`: got 0, expected a number from 1 to 64"),
        ("queue = -1", "5:9", "expected a number from 0 to 1024"),
        ("group = \"\"", "5:9", "`group`: got \"\", expected a string that is not empty"),
        ("address_space = \"1K\"", "5:17", "expected a number of bytes from 1048576"),
        ("env = { \"A=B\" = \"c\" }", "5:9", "\"A=B\" is no name of a variable"),
        ("env = { A = 5 }", "5:13", "`env.A`: got 5, expected a string"),
        ("title = 5", "5:9", "`title`: got 5, expected a string"),
        ("annotations = { readonly = true }", "5:17", "unknown key `readonly` in `annotations`: it has `read_only`"),
        ("annotations = { read_only = \"yes\" }", "5:29", "expected true or false"),
        ("annotations = { read_only = true, destructive = true }", "5:15", "what is read_only is not destructive"),
        ("args = 5", "5:8", "`args`: got 5, expected a table"),
        ("[tool.args.\"a-b\"]\ntype = \"string\"", "5:12", "\"a-b\" is no name of an argument"),
        (
            "[tool.args.x]\ntype = \"string\"",
            "4:8",
            "the argument `x` is not used in `argv`: use it as `{x}`, or take it away",
        ),
        (
            "[[tool]]\nname = \"t\"\ndescription = \"e\"\nargv = [\"true\"]",
            "6:8",
            "tool `t` is there already, at f.toml:2:8",
        ),
        (
            "[[tool]]\nname = \"ping_host\"\ndescription = \"e\"\nargv = [\"true\"]",
            "6:8",
            "tool `ping_host` is one of the program's own: give this one another name",
        ),
    ] {
        refused(&[(&tool(lines), place, words)]);
    }
    refused(&[
        ("[[tool]]\ndescription = \"d\"\nargv = [\"true\"]", "1:3", "[[tool]] has no `name`: add one"),
        ("[[tool]]\nname = \"t\"\nargv = [\"true\"]", "1:3", "the tool `t` has no `description`: add one"),
        ("[[tool]]\nname = \"t\"\ndescription = \"d\"", "1:3", "the tool `t` has no `argv`: add one"),
        (
            "[[tool]]\nname = \"a b\"\ndescription = \"d\"\nargv = [\"true\"]",
            "2:8",
            "expected 1 to 128 of A-Z a-z 0-9 _ - .",
        ),
        ("tool = [5]", "1:9", "expected tables, each under a header `[[tool]]`"),
        ("[tool]\nname = \"t\"", "1:2", "expected tables, each under a header `[[tool]]`"),
        (
            "[[tool]]\nname = \"t\"\ndescription = \"d\"\nargv = [\"true\"]\noutput = \"json\"\noverflow = \"truncate\"",
            "6:12",
            "would cut JSON in two",
        ),
    ]);
}

#[test]
fn an_argv_that_cannot_be_meant_is_refused() {
    let line = |argv: &str, args: &str| format!("[[tool]]\nname = \"t\"\ndescription = \"d\"\nargv = {argv}\n{args}");
    let always = "[tool.args.a]\ntype = \"string\"\n";
    let maybe = "[tool.args.a]\ntype = \"string\"\nrequired = false\n";
    for (argv, args, place, words) in [
        ("\"df -h\"", "", "4:8", "`argv`: got \"df -h\", expected an array"),
        ("[]", "", "4:8", "`argv` is empty: its first text is the program"),
        ("[\"\"]", "", "4:9", "expected the program's path from the root, or its name without any `/`"),
        ("[\"./x\"]", "", "4:9", "expected the program's path from the root"),
        ("[\"bin/x\"]", "", "4:9", "expected the program's path from the root"),
        ("[\"{a}\"]", always, "4:9", "expected a program, and not one that a client chooses"),
        ("[\"x\", 5]", "", "4:14", "`argv`: got 5, expected a string; write numbers in quotes"),
        ("[\"x\", \"a\\u0000\"]", "", "4:14", "expected a text without NUL"),
        ("[\"x\", \"{b}\"]", "", "4:14", "`{b}` is no argument: declare it under `[tool.args.b]`, or write `{{`"),
        ("[\"x\", \"{a\"]", "", "4:14", "a brace without its other"),
        ("[\"x\", \"a}\"]", "", "4:14", "a brace without its other"),
        ("[\"x\", \"{}\"]", "", "4:14", "`{}` is no argument"),
        ("[\"x\", \"{a?}\"]", maybe, "4:14", "`{…?}` belongs into an inner array"),
        ("[\"x\", [\"-{a?}\", \"{a}\"]]", maybe, "4:15", "`{a?}` stands alone in an inner array"),
        ("[\"x\", \"{a}\"]", maybe, "4:14", "`{a}` may be missing: put it into an inner array"),
        (
            "[\"x\", [\"-a\", \"{a}\"]]",
            always,
            "4:14",
            "an inner array is left out with an argument that may be missing",
        ),
        ("[\"x\", [\"-a\"]]", "", "4:14", "write its words without the inner brackets"),
        ("[\"x\", [\"{a?}\"]]", maybe, "4:14", "this inner array adds no word"),
        ("[[\"x\"]]", "", "4:9", "expected a string"),
        ("[\"x\", [[\"{a}\"]]]", "", "4:15", "expected a string"),
    ] {
        refused(&[(&line(argv, args), place, words)]);
    }
}

#[test]
fn an_argument_that_cannot_be_meant_is_refused() {
    for (lines, place, words) in [
        ("", "5:12", "`args.x` has no `type`: add one of string, integer, number, boolean"),
        ("type = \"text\"", "6:8", "`type`: got \"text\", expected one of string, integer, number, boolean"),
        ("type = \"string\"\nrequired = false\nminlength = 1", "8:1", "unknown key `minlength` in `args.x`"),
        (
            "type = \"string\"\nminimum = 1\nrequired = false",
            "7:11",
            "`minimum` is for arguments of type integer or number: take it away",
        ),
        ("type = \"integer\"\npattern = \"x\"\nrequired = false", "7:11", "`pattern` is for arguments of type string"),
        (
            "type = \"integer\"\nmin_length = 1\nrequired = false",
            "7:14",
            "`min_length` is for arguments of type string",
        ),
        (
            "type = \"boolean\"\nallow_newline = true\nrequired = false",
            "7:17",
            "`allow_newline` is for arguments of type string",
        ),
        ("type = \"integer\"\nminimum = 1.5\nrequired = false", "7:11", "expected a number of the argument's type"),
        ("type = \"number\"\nminimum = 2\nmaximum = 1.5\nrequired = false", "8:11", "expected at least the minimum"),
        (
            "type = \"string\"\nmin_length = 5\nmax_length = 4\nrequired = false",
            "8:14",
            "expected at least `min_length`, which is 5",
        ),
        ("type = \"string\"\nmax_length = 32001\nrequired = false", "7:14", "expected a number from 0 to 32000"),
        ("type = \"string\"\npattern = \"(\"\nrequired = false", "7:11", "`pattern`: "),
        ("type = \"string\"\npattern = \"(?=a)\"\nrequired = false", "7:11", "look-around is not supported"),
        (
            "type = \"string\"\nenum = [1]\nrequired = false",
            "7:9",
            "`enum`: got 1, expected the argument's type, string",
        ),
        ("type = \"string\"\nenum = []\nrequired = false", "7:8", "expected an array with at least one value"),
        ("type = \"string\"\nenum = [\"a\", \"a\"]\nrequired = false", "7:14", "expected each value once"),
        ("type = \"string\"\nenum = [\"-a\"]\nrequired = false", "7:9", "expected a value that does not begin with -"),
        (
            "type = \"integer\"\nmaximum = 3\ndefault = 4",
            "8:11",
            "expected a value within the limits of its own argument",
        ),
        (
            "type = \"string\"\npattern = \"[a-z]+\"\ndefault = \"A\"",
            "8:11",
            "expected a value that matches the argument's own `pattern`",
        ),
        ("type = \"string\"\nenum = [\"a\"]\ndefault = \"b\"", "8:11", "expected one of the values of `enum`"),
        ("type = \"string\"\ndefault = \"a\\nb\"", "7:11", "expected a value without a line end in it"),
        ("type = \"string\"\nrequired = true\ndefault = \"a\"", "5:12", "`args.x` is required and has a default"),
        ("type = \"string\"\nallow_dash = 1\nrequired = false", "7:14", "`allow_dash`: got 1, expected true or false"),
    ] {
        refused(&[(&arg(lines), place, words)]);
    }
}

#[test]
fn roles_and_tokens_that_cannot_be_meant_are_refused_and_no_token_is_shown() {
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let token = |lines: &str| format!("[[role]]\nname = \"ops\"\ntools = [\"*\"]\n[[token]]\n{lines}");
    for (lines, place, words) in [
        ("name = \"a\"\nrole = \"ops\"", "4:3", "[[token]] has no `sha256`: add one"),
        (
            "name = \"a\"\nsha256 = \"hunter2\"\nrole = \"ops\"",
            "6:10",
            "`sha256`: expected the 64 hex digits of the token's digest; `printf %s TOKEN | sha256sum`",
        ),
        (
            "name = \"a\"\nsha256 = \"DIGEST\"\nrole = \"opps\"",
            "7:8",
            "`role`: got \"opps\", expected the name of a `[[role]]`; there are: ops",
        ),
        (
            "name = \"a\"\nsha256 = \"DIGEST\"\nrole = \"ops\"\nexpires = \"tomorrow\"",
            "8:11",
            "expected a date such as 2027-01-31",
        ),
        (
            "name = \"a\"\nsha256 = \"DIGEST\"\nrole = \"ops\"\nexpires = 2027-01-31T12:00:00",
            "8:11",
            "got 2027-01-31T12:00:00, expected a date",
        ),
        ("name = \"a b\"\nsha256 = \"DIGEST\"\nrole = \"ops\"", "5:8", "expected 1 to 64 of A-Z a-z 0-9 _ - . @"),
        (
            "name = \"a\"\nsha256 = \"DIGEST\"\nrole = \"ops\"\n[[token]]\nname = \"b\"\nsha256 = \"DIGEST\"\nrole = \"ops\"",
            "9:8",
            "`sha256` is that of the token `a`",
        ),
        (
            "name = \"a\"\nsha256 = \"DIGEST\"\nrole = \"ops\"\nrate = 5",
            "8:1",
            "unknown key `rate` in [[token]]: it has `name`, `sha256`, `role`, `expires`",
        ),
    ] {
        let text = token(&lines.replace("DIGEST", digest));
        refused(&[(&text, place, words)]);
        assert!(!read(&text).unwrap_err().contains("hunter2"));
    }
    refused(&[
        ("[[role]]\nname = \"ops\"", "1:3", "[[role]] has no `tools`: add one"),
        ("[[role]]\nname = \"ops\"\ntools = \"*\"", "3:9", "`tools`: got \"*\", expected an array"),
        (
            "[[role]]\nname = \"ops\"\ntools = [\"fw ?\"]",
            "3:10",
            "expected the name of a tool, in which * stands for any letters",
        ),
        (
            "[[role]]\nname = \"a\"\ntools = []\n[[role]]\nname = \"a\"\ntools = []",
            "5:8",
            "role `a` is there already, at f.toml:2:8",
        ),
    ]);
}

#[test]
fn all_faults_are_told_at_once_but_not_more_than_a_screen() {
    let why = read("[server]\ngrace = 0\nx = 1\n[[tool]]\nname = \"t\"\n").unwrap_err();
    let places: Vec<_> = why.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["f.toml:2:9", "f.toml:3:1", "f.toml:4:3", "f.toml:4:3"]);
    assert_eq!(read(&"[[tool]]\n".repeat(100)).unwrap_err().lines().count(), 20);
}

/// A folder of its own for files that are really there.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("portcullis-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("conf.d")).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        path
    }

    /// Without the folder in it.
    fn load(&self, path: &Path) -> Result<Config, String> {
        load(path, &PROGRAM).map_err(|why| why.replace(&format!("{}/", self.0.display()), ""))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const TOOL: &str = "[[tool]]\nname = \"NAME\"\ndescription = \"d\"\nargv = [\"true\"]\n";

#[test]
fn files_in_conf_d_are_read_by_their_names_and_what_is_said_twice_is_refused_with_both_places() {
    let folder = Folder::new("beside");
    let main = folder.write("main.toml", &format!("{}[server]\ngrace = 5\n", TOOL.replace("NAME", "a")));
    folder.write("conf.d/20.toml", &TOOL.replace("NAME", "c"));
    folder.write("conf.d/10.toml", &format!("{}[server]\nbase_path = \"/fw\"\n", TOOL.replace("NAME", "b")));
    folder.write("conf.d/.hidden.toml", "x");
    folder.write("conf.d/10.toml~", "x");
    let config = folder.load(&main).unwrap();
    assert_eq!(config.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(config.settings.iter().map(|given| given.name).collect::<Vec<_>>(), ["grace", "base-path"]);
    assert_eq!(config.files.len(), 3);

    folder.write("conf.d/20.toml", &format!("{}[server]\ngrace = 6\n", TOOL.replace("NAME", "a")));
    folder.write("conf.d/30.toml", "conf_d = \"x\"\n[[role]]\nname = \"r\"\ntools = [\"*\"]\n");
    let why = folder.load(&main).unwrap_err();
    let expected = [
        "conf.d/20.toml:6:1: `grace` is there already, at main.toml:6:1: say it once",
        "conf.d/20.toml:2:8: tool `a` is there already, at main.toml:2:8: give one of them another name",
        "conf.d/30.toml:1:1: unknown key `conf_d` in the file: it has `server`, `limits`, `tool`, `role`, `token`",
    ];
    assert_eq!(why.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn another_folder_can_be_named_and_must_be_there() {
    let folder = Folder::new("named");
    folder.write("conf.d/x.toml", &TOOL.replace("NAME", "x"));
    for (line, tools) in [("", 1), ("conf_d = \"\"", 0), ("conf_d = \"conf.d\"", 1)] {
        let main = folder.write("main.toml", line);
        assert_eq!(folder.load(&main).unwrap().tools.len(), tools, "{line}");
    }
    let main = folder.write("main.toml", "conf_d = \"nowhere\"");
    assert!(folder.load(&main).unwrap_err().starts_with("nowhere: No such file"));
}

#[test]
fn a_file_that_cannot_be_trusted_or_read_is_refused_and_one_with_tokens_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("trust");
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let tokens = format!(
        "[[role]]\nname = \"r\"\ntools = [\"*\"]\n[[token]]\nname = \"a\"\nrole = \"r\"\nsha256 = \"{digest}\"\n"
    );
    let main = folder.write("main.toml", &tokens);
    let mode = |mode| std::fs::set_permissions(&main, PermissionsExt::from_mode(mode)).unwrap();
    assert!(folder.load(&main).unwrap().warnings[0].ends_with("can be read by everybody: chmod o= it"));
    mode(0o640);
    let config = folder.load(&main).unwrap();
    assert_eq!((config.warnings.len(), config.tokens[0].sha256[0], config.roles[0].allows("x")), (0, 0xe3, true));
    mode(0o666);
    assert!(folder.load(&main).unwrap_err().contains("everybody may write it"));
    assert!(folder.load(&folder.0.join("none.toml")).unwrap_err().starts_with("none.toml: No such file"));
    assert!(folder.load(&folder.0.join("conf.d")).unwrap_err().contains("is a folder, expected a TOML file"));
    let large = folder.write("large.toml", &"#".repeat((1 << 20) + 1));
    assert!(folder.load(&large).unwrap_err().contains("longer than 1048576 bytes"));
    std::fs::write(&large, b"# \xff").unwrap();
    assert!(folder.load(&large).unwrap_err().contains("byte 2 is not UTF-8"));
}

#[test]
fn the_command_line_wins_over_the_file_option_by_option() {
    let folder = Folder::new("wins");
    let main = folder.write(
        "main.toml",
        "[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ngrace = 5\nrelative_endpoint = true\n\
         insecure_listen = false\n[limits]\nsessions_max = 7\nsession_idle = 0.5\n",
    );
    let parse = |line: &str| {
        let words = line.split_whitespace().map(std::ffi::OsString::from);
        let file = ["--config".into(), main.clone().into_os_string()];
        match crate::options::parse(&PROGRAM, file.into_iter().chain(words).collect()) {
            Ok(crate::options::Wish::Run(options)) => Ok(*options),
            Ok(crate::options::Wish::Print(text)) => Err(text),
            Err(why) => Err(why),
        }
    };
    let options = parse("").unwrap();
    assert_eq!((options.listen.len(), options.grace.as_secs(), options.relative_endpoint), (2, 5, true));
    assert_eq!((options.limits.sessions_max, options.limits.session_idle.as_millis()), (7, 500));
    let options = parse("--listen 127.0.0.1:3 --grace 6 --sessions-max 8").unwrap();
    assert_eq!((options.listen[0].port(), options.listen.len(), options.grace.as_secs()), (3, 1, 6));
    assert_eq!((options.limits.sessions_max, options.limits.session_idle.as_millis()), (8, 500));
    // What only shows when all is put together is told as on the command line.
    assert!(parse("--listen 192.0.2.1:1").err().unwrap().contains("nobody would be asked who they are"));
    assert!(parse("--config x").err().unwrap().contains("`--config` is given twice"));
}

#[test]
fn no_file_panics_whatever_was_cut_off_or_mistyped() {
    let example = include_str!("../../../../examples/appliance.toml");
    let mut faults = 0;
    for at in (0..example.len()).filter(|at| example.is_char_boundary(*at)).step_by(23) {
        // Half the time something is missing behind it, half the time there is something else in its place.
        faults += usize::from(read(&example[..at]).is_err());
        let wrong = ["\"", "[", "]", "{", "}", "=", "'", "\n", "\\", ".", "#", "9", "\0", "é", "\"\"\"", ","];
        let mut text = example.to_owned();
        text.replace_range(at..at + example[at..].chars().next().map_or(0, char::len_utf8), wrong[at % wrong.len()]);
        faults += usize::from(read(&text).is_err());
    }
    assert!(faults > 200, "{faults}");
}
