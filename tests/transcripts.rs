//! What goes over the wire, as files to read: `tests/transcripts`.
//!
//! `PORTCULLIS_WRITE_TRANSCRIPTS=1` writes the answers of all files anew before it compares them ([`script`] says how);
//! the diff of it is to be read like any other change of what clients get.

use std::env;
use std::fs;
use std::path::Path;

use crate::sim::{self, script};

#[test]
fn every_transcript_is_what_goes_over_the_wire_and_two_runs_are_equal() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 6, "{paths:?}");
    for path in paths {
        let mut text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if env::var("PORTCULLIS_WRITE_TRANSCRIPTS").is_ok_and(|value| value == "1") {
            text = sim::run(|sim| script::play(sim, name, &text, true)).text;
            fs::write(&path, &text).unwrap();
        }
        let play = || sim::run(|sim| script::play(sim, name, &text, false)).record;
        let (first, second) = (play(), play());
        assert!(!first.is_empty() && first == second, "{name}: two runs differ");
    }
}
