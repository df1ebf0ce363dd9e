//! Which operation fails, and how often.

use std::io;

/// A kind of disk operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening, creating, listing, taking a lock, asking for lengths and times.
    Open,
    /// Reading bytes.
    Read,
    /// Writing bytes or setting a length.
    Write,
    /// Making content durable.
    Sync,
    /// Creating, renaming and removing names.
    Name,
    /// Making names durable.
    SyncDir,
}

impl Operation {
    fn is_change(self) -> bool {
        !matches!(self, Operation::Open | Operation::Read)
    }
}

/// Operations to fail.
#[derive(Clone, Debug)]
pub struct Fault {
    /// How many matching operations still succeed.
    pub after: u64,
    /// The kinds that match; empty for all.
    pub operations: Vec<Operation>,
    /// The error they fail with.
    pub error: io::ErrorKind,
    /// Whether all later matching operations fail too, or only one.
    pub lasting: bool,
}

/// What was asked of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All operations.
    pub all: u64,
    /// Operations that change something: writes, lengths, names, syncs.
    pub changes: u64,
    /// Syncs of content.
    pub syncs: u64,
    /// Syncs of names.
    pub dir_syncs: u64,
    /// Reads of bytes.
    pub reads: u64,
    /// The bytes that they gave.
    pub read_bytes: u64,
}

/// What [`Faults::pass`] lets an operation do.
pub(super) enum Pass {
    Whole,
    /// The power fails within this write: its first half happens.
    Torn,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    counts: Counts,
    fault: Option<Fault>,
    stop: Option<Stop>,
}

#[derive(Debug)]
struct Stop {
    changes_left: u64,
    tear: bool,
    stopped: bool,
}

impl Faults {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    pub(super) fn stop_after(&mut self, changes: u64, tear: bool) {
        self.stop = Some(Stop { changes_left: changes, tear, stopped: false });
    }

    pub(super) fn clear(&mut self) {
        self.fault = None;
        self.stop = None;
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.stopped)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn has_read(&mut self, bytes: usize) {
        self.counts.read_bytes += bytes as u64;
    }

    /// Counts an operation and says whether it may happen.
    pub(super) fn pass(&mut self, operation: Operation) -> io::Result<Pass> {
        self.counts.all += 1;
        self.counts.changes += u64::from(operation.is_change());
        match operation {
            Operation::Sync => self.counts.syncs += 1,
            Operation::SyncDir => self.counts.dir_syncs += 1,
            Operation::Read => self.counts.reads += 1,
            _ => {}
        }
        if let Some(stop) = &mut self.stop {
            if stop.stopped {
                return Err(power_is_off());
            }
            if operation.is_change() {
                if stop.changes_left == 0 {
                    stop.stopped = true;
                    return match operation {
                        Operation::Write if stop.tear => Ok(Pass::Torn),
                        _ => Err(power_is_off()),
                    };
                }
                stop.changes_left -= 1;
            }
        }
        let Some(fault) = &mut self.fault else { return Ok(Pass::Whole) };
        if !fault.operations.is_empty() && !fault.operations.contains(&operation) {
            return Ok(Pass::Whole);
        }
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(Pass::Whole);
        }
        let error = io::Error::new(fault.error, "injected");
        if !fault.lasting {
            self.fault = None;
        }
        Err(error)
    }
}

pub(super) fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}
