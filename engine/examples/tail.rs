//! `tail -f`: prints the last records of a log and follows it. With two arguments, a directory and a log's name, it
//! copies standard input into the log while another thread prints what arrives; with none it shows itself.
//!
//! `cargo run -p highwater-engine --example tail -- DIRECTORY NAME`
#![expect(clippy::disallowed_methods, reason = "a program reads its arguments")]

use std::{
    error::Error,
    io::{BufRead, Write},
    path::Path,
};

use highwater_engine::embed::{Logs, SharedLog, Tail};

/// The last `lines` records and all that follow, until the log is closed.
fn last(log: &SharedLog, lines: usize) -> Result<Tail, Box<dyn Error>> {
    let now = log.snapshot()?;
    let from = match now.backwards().take(lines).last() {
        Some(record) => record?.offset,
        None => now.end(),
    };
    Ok(log.tail(from))
}

fn print(records: Tail, mut out: impl Write) -> Result<(), Box<dyn Error>> {
    for record in records {
        let record = record?;
        writeln!(out, "{}\t{}", record.offset, String::from_utf8_lossy(record.bytes()))?;
    }
    Ok(())
}

/// Appends every line of `input` while somebody follows.
fn run(
    directory: &Path,
    name: &str,
    input: impl BufRead,
    mut out: impl Write + Send,
) -> Result<(), Box<dyn Error>> {
    let logs = Logs::open(directory)?;
    let log = logs.log(name)?;
    // Before anybody can close the log.
    let records = last(&log, 10)?;
    std::thread::scope(|scope| {
        // Errors of threads have to be text: they cross one.
        let follower = scope.spawn(|| print(records, &mut out).map_err(|error| error.to_string()));
        let copied = (|| -> Result<(), Box<dyn Error>> {
            for line in input.lines() {
                log.append(&line?)?;
            }
            Ok(())
        })();
        logs.close()?;
        follower.join().map_err(|_| "the follower panicked")??;
        copied
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [directory, name] => run(Path::new(directory), name, std::io::stdin().lock(), std::io::stdout()),
        [] => {
            let place = tempfile::tempdir()?;
            let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
            run(place.path(), "lines", lines.as_bytes(), Vec::new())?;
            // The last ten once more, and the first of the next hundred.
            run(place.path(), "lines", &b"one more\n"[..], std::io::stdout())
        }
        _ => Err("usage: tail [DIRECTORY NAME]".into()),
    }
}

#[test]
fn it_follows() {
    let place = tempfile::tempdir().unwrap();
    let lines: String = (0..30).map(|n| format!("line {n}\n")).collect();
    run(place.path(), "lines", lines.as_bytes(), Vec::new()).unwrap();
    let mut shown = Vec::new();
    run(place.path(), "lines", &b"one more\n"[..], &mut shown).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    let last: String = (20..30).map(|n| format!("{n}\tline {n}\n")).collect();
    assert_eq!(shown, format!("{last}30\tone more\n"));
}
