//! One partition's log on local disk and the directory of many, in Kafka's own file layout.
//!
//! Synchronous and embeddable alone: no runtime, no network, no thread unless asked, and the time is passed in.
//! Everything goes through the [`disk::Disk`] trait, so that the same code runs on real files and, in tests, on a
//! disk that loses what was not synced.
//!
//! [`embed`] is the short way: open a directory, append records, read them back, follow them. Under it:
//!
//! - [`LogDir`] is a directory of logs: one lock, one set of checkpoints, any number of logs, each opened when it is
//!   needed.
//! - [`Log`] is the writer's side of one log. The caller keeps a lock around it. [`Log::append`] writes the page
//!   cache; a commit ([`Log::begin_commit`], [`CommitJob::run`], [`Log::finish_commit`]) makes durable what was
//!   appended, without the lock.
//! - [`LogReader`] is an immutable picture of a log for any number of readers.
//!
//! A batch is accepted as a `CheckedBatch` of `highwater_records` and stored as it is: the log writes its base offset
//! and leader epoch, which its checksum does not cover, and nothing else. The layout, what each crash leaves behind
//! and who cleans it up: `docs/format/local.md`.
//!
//! # Promises
//!
//! - What a finished commit covers survives a power cut; what comes back after one is always a prefix of what was
//!   appended.
//! - A batch that was promised and cannot be read is an error where it lies, never an early end of the log; nothing
//!   is removed because it could not be read.
//! - A failed append leaves the log as it was. A failed sync takes the whole directory offline.
//! - The order of a log's [`Positions`] is checked on every mutation, in release builds too.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use highwater_engine::{DirOptions, LogConfig, LogDir, LogName, disk::RealDisk};
//! use highwater_records::{
//!     BrokerId, LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId,
//!     batch::{BatchBuilder, CheckPolicy, CheckedBatch, Record},
//!     compression::Codec,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let place = tempfile::tempdir()?;
//! let now = TimestampMs(1_700_000_000_000);
//! let options = DirOptions {
//!     cluster_id: "example".to_owned(),
//!     node_id: BrokerId(1),
//!     new_directory_id: TopicId::from_random(1, 2),
//! };
//! let (dir, _) = LogDir::open(Arc::new(RealDisk), place.path(), options, now)?;
//! let name = LogName::new("events", PartitionIndex(0));
//! let mut log = dir.create_log(name, TopicId::from_random(3, 4), LogConfig::default(), now)?;
//!
//! let mut batch = BatchBuilder::new(Codec::None);
//! batch.push(Record { timestamp: now, key: None, value: Some(b"hello"), headers: &[] })?;
//! let batch = CheckedBatch::check(batch.build(Offset::ZERO, None)?, &CheckPolicy::client(1 << 20))?;
//! let appended = log.append(batch, LeaderEpoch(0), now)?;
//!
//! assert_eq!(log.commit()?, Offset::new(1).unwrap());
//! let range = log.reader().read(appended.base_offset, 4096, log.positions().log_end, true)?;
//! assert_eq!(range.next_offset(), Offset::new(1).unwrap());
//!
//! log.close(now)?;
//! assert!(dir.close(now)?.clean);
//! # Ok(())
//! # }
//! ```

mod compact;
mod config;
mod directory;
pub mod disk;
pub mod embed;
mod epochs;
mod gaps;
mod index;
pub mod inspect;
mod journal;
mod little_endian;
mod log;
pub mod museum;
mod name;
mod points;
mod positions;
mod producer;
mod quarantine;
mod reader;
mod recovery;
mod segment;
mod sync;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;

pub use compact::{
    CompactError, Compacted, CompactedGroup, CompactionDebt, CompactionPass, Learned, Repair, RepairError,
    Repaired, SwapJob,
};
pub use config::{Compaction, LogConfig, Watermark};
pub use directory::{
    CheckpointError, CloseReport, DeleteLogError, DirOptions, LogDir, OPEN_FILES, Offline, OpenDirError,
    OpenReport,
};
pub use epochs::{EpochStart, LeaderEpochs};
pub use gaps::{SparseSegment, write_gaps};
pub use index::{AbortedTransaction, decode_transaction_index, find_aborted};
pub use journal::JournalOptions;
pub use log::{
    AppendError, AppendIfError, Appended, BatchesError, BatchesJob, ChangeError, CommitDone, CommitError,
    CommitJob, CreateLogError, Deleted, HeadDone, HeadJob, Log, OpenLogError, OpenTransaction, PrepareError,
    PreparedBatch, SealedSegment, SegmentParts, StartReason, WrittenBatch,
};
pub use name::{InvalidLogName, LogName};
pub use positions::Positions;
pub use producer::{MarkerEpoch, ProducerState};
pub use quarantine::Quarantined;
pub use reader::{LogRange, LogReader, ReadError};
pub use recovery::{Cut, RecoveryReport};
