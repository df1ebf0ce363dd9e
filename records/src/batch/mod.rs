//! Kafka's record batch v2: parse in place, check, split, walk, build.
//!
//! A batch is byte-identical on the wire, on disk, on a follower and, decoded, in the bucket. Only its first 16
//! bytes change on the way: the log assigns base offset and leader epoch, which the checksum does not cover.

mod builder;
mod check;
mod control;
mod error;
mod header;
mod record;
mod split;
mod stream;
mod thin;
mod view;

pub use builder::{BatchBuilder, BuildError, Header, Record};
pub use check::{CheckPolicy, CheckedBatch, Origin};
pub use control::{ControlType, EndTxnMarker};
pub use error::BatchError;
pub use header::{Attributes, HEADER_LEN, LENGTH_OVERHEAD, MAGIC, TimestampType};
pub use record::{Headers, RecordIter, RecordOutline, RecordRef, RecordWalk};
pub use split::{Split, split};
pub use thin::{Thinned, emptied, filler, thin};
pub use view::{BatchView, Producer, peek_size};

#[cfg(test)]
mod tests;
