//! One partition's log on local disk and the directory of many, in Kafka's own file layout.
//!
//! Synchronous and embeddable alone: no runtime, no network, no thread unless asked.

mod config;
mod directory;
pub mod disk;
mod epochs;
mod index;
mod log;
mod name;
mod positions;
mod producer;
mod quarantine;
mod reader;
mod recovery;
mod segment;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;

pub use config::{LogConfig, Watermark};
pub use directory::{
    CheckpointError, CloseReport, DeleteLogError, DirOptions, LogDir, Offline, OpenDirError, OpenReport,
};
pub use epochs::{EpochStart, LeaderEpochs};
pub use log::{
    AppendError, Appended, ChangeError, CommitDone, CommitError, CommitJob, CreateLogError, Deleted, Log,
    OpenLogError, SealedSegment, SegmentParts, StartReason,
};
pub use name::{InvalidLogName, LogName};
pub use positions::Positions;
pub use producer::ProducerState;
pub use quarantine::Quarantined;
pub use reader::{LogRange, LogReader, ReadError};
pub use recovery::{Cut, RecoveryReport};
