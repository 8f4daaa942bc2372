//! What goes over the wire, as files to read: `tests/transcripts`.

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
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let play = || sim::run(|sim| script::play(sim, name, &text));
        let (first, second) = (play(), play());
        assert!(!first.is_empty() && first == second, "{name}: two runs differ");
    }
}
