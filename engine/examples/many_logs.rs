//! Many small logs: one for each of a hundred devices (or as many as the argument says), written by four threads, of which each is read, and closed when
//! it is done with, on its own.
//!
//! `cargo run -p highwater-engine --example many_logs [DEVICES]`
#![expect(clippy::disallowed_methods, reason = "a program reads its arguments")]

use std::{error::Error, path::Path};

use highwater_engine::embed::{Logs, Options};
use highwater_records::Durability;

const WRITERS: usize = 4;

fn name(device: usize) -> String {
    format!("device-{device}")
}

/// A measurement now and then is worth no sync each: they are read at once, survive the end of the process, and are made
/// durable together.
fn options() -> Options {
    let mut options = Options::default();
    options.config.durability = Durability::Replicated;
    options.config.retention_ms = Some(30 * 24 * 3_600_000);
    options
}

fn write(logs: &Logs, writer: usize, devices: usize) -> Result<(), Box<dyn Error>> {
    for device in (writer..devices).step_by(WRITERS) {
        let log = logs.log(&name(device))?;
        for reading in 0..3 {
            log.append(&format!("{device}:{reading}"))?;
        }
        // Gives back what an open log holds; the next use opens it again.
        logs.close_log(&name(device))?;
    }
    Ok(())
}

fn run(directory: &Path, devices: usize) -> Result<(), Box<dyn Error>> {
    let logs = Logs::open_with(directory, options())?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let logs = &logs;
                scope.spawn(move || write(logs, writer, devices).map_err(|error| error.to_string()))
            })
            .collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().map_err(|_| "a writer panicked".to_owned())?)
    })?;
    let done = logs.maintain()?;
    logs.close()?;

    let logs = Logs::open_with(directory, options())?;
    let names = logs.names();
    let last = name(devices - 1);
    let newest = logs.log(&last)?.snapshot()?.backwards().next().ok_or("it is empty")??;
    println!("{} logs, {done:?}; the newest of {last} is {:?}", names.len(), newest.text());
    assert_eq!(names.len(), devices);
    assert_eq!(newest.text(), Some(format!("{}:2", devices - 1).as_str()));
    logs.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let devices = std::env::args().nth(1).map_or(Ok(100), |devices| devices.parse())?;
    run(tempfile::tempdir()?.path(), devices.max(1))
}

#[test]
fn it_runs() {
    run(tempfile::tempdir().unwrap().path(), 12).unwrap();
}
