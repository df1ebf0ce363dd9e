//! The simple interface on a disk in memory, with a clock that is told the time.

mod batches;
mod damage;
mod reading;
mod waiting;
mod writing;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use highwater_records::{Offset, TimestampMs};

use super::{Logs, OpenError, Options, SharedLog};
use crate::{
    LogConfig,
    disk::{
        Host,
        memory::{Fault, MemoryDisk, Operation},
    },
};

#[derive(Debug, Default)]
struct TestHost {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl Host for TestHost {
    fn now(&self) -> TimestampMs {
        TimestampMs(self.now.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        self.drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// The next operation of this kind fails, once.
fn failing(operation: Operation, error: io::ErrorKind) -> Fault {
    Fault { after: 0, operations: vec![operation], error, lasting: false }
}

fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

/// Small segments with dense indexes.
fn options(disk: &MemoryDisk) -> Options {
    let config = LogConfig { segment_bytes: 2000, index_interval_bytes: 200, ..Options::default().config };
    Options {
        config,
        disk: Arc::new(disk.clone()),
        host: Arc::new(TestHost::default()),
        ..Options::default()
    }
}

fn open(disk: &MemoryDisk) -> Logs {
    try_open(disk).unwrap()
}

fn try_open(disk: &MemoryDisk) -> Result<Logs, OpenError> {
    Logs::open_with(Path::new("/data"), options(disk))
}

fn texts(log: &SharedLog) -> Vec<String> {
    log.snapshot().unwrap().records().map(|record| record.unwrap().text().unwrap().to_owned()).collect()
}
