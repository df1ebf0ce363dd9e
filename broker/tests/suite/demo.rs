//! `highwater demo` on a small input, from its first line to its table.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// The demo's output on these bytes, run in `directory`.
fn show(directory: &Path, input: &[u8]) -> Output {
    let path = directory.join("input");
    fs::write(&path, input).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.arg("demo").arg("--input").arg(&path).env("TMPDIR", directory).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn every_line_of_a_file_goes_the_whole_way_and_comes_back() {
    let directory = TempDir::new().unwrap();
    let lines: String = (0..5_000).map(|line| format!("line {line} of the demo's test\n")).collect();
    let shown = show(directory.path(), lines.as_bytes());
    let (out, err) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(shown.status.success(), "{out}\n{err}");
    assert!(out.contains("5,000 in 6 partitions"), "{out}");
    assert!(out.contains("2 x 5,000 records, no difference"), "{out}");
    assert!(out.contains("0.0 MB now"), "the local copies are gone: {out}");
    let left = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["input"], "nothing is left behind");
}

#[test]
fn an_input_without_lines_is_a_failure() {
    let directory = TempDir::new().unwrap();
    let shown = show(directory.path(), b"");
    assert_eq!(shown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&shown.stderr).contains("has no lines"));
}
