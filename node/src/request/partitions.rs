use highwater_metadata::decide;
use highwater_records::{LeaderEpoch, Offset, ProducerId, TimestampMs};

use super::TopicRef;

/// A partition as a request names it, and what is asked of it.
#[derive(Clone, Debug)]
pub struct OfPartition<T> {
    /// The topic.
    pub topic: TopicRef,
    /// The partition as the client named it; negative ones are unknown.
    pub partition: i32,
    /// What is asked.
    pub asked: T,
}

/// Why partitions were not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    /// The wish cannot be fulfilled.
    #[error(transparent)]
    Refused(#[from] decide::CreatePartitionsError),
    /// Coordinators find their way by the number of partitions, which therefore stays.
    #[error(
        "what coordinators write to does not grow: most groups and transactions would not be found any more"
    )]
    Internal,
    /// The decision's fate is unknown or it could not be made now. Retry.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a partition did not do what was asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// No such topic or partition here: refresh metadata.
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    /// Another broker leads: refresh metadata.
    #[error("not the leader")]
    NotLeader,
    /// The client's leader epoch is older than ours: refresh metadata.
    #[error("fenced leader epoch: ours is {ours}")]
    FencedLeaderEpoch {
        /// The epoch in force.
        ours: LeaderEpoch,
    },
    /// The client's leader epoch is newer than ours: retry.
    #[error("unknown leader epoch: ours is {ours}")]
    UnknownLeaderEpoch {
        /// The epoch in force.
        ours: LeaderEpoch,
    },
    /// The offset is negative or above the high watermark.
    #[error("offset {0} is out of range")]
    OffsetOutOfRange(i64),
    /// The topic is only compacted, and never loses records for another reason.
    #[error("the topic is compacted and deletes nothing")]
    OnlyCompacted,
    /// The topic is the broker's own.
    #[error("the topic is internal")]
    InternalTopic,
    /// Done here, but not every live replica has followed in time: a later leader might not have done it. Asking again
    /// waits for them.
    #[error("not every live replica has followed in time")]
    TimedOut {
        /// Where the log starts that has come least far.
        log_start: Offset,
    },
    /// The disk or the bucket failed, or is not known well enough yet. Retry.
    #[error("storage: {0}")]
    Storage(String),
}

/// Which leader epoch is looked for.
#[derive(Clone, Copy, Debug)]
pub struct EpochQuestion {
    /// The leader epoch the client believes in, if it says.
    pub current_leader_epoch: Option<i32>,
    /// The epoch whose end is wanted, as the client sent it.
    pub leader_epoch: i32,
}

/// Where a leader epoch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch not above the one asked for; the one asked for itself where all known ones are above.
    pub epoch: i32,
    /// Where it ended: the first offset of the next epoch, or the log end. Exclusive.
    pub end: Offset,
}

/// The data directory of a broker.
#[derive(Clone, Debug)]
pub struct LogDirectory {
    /// Its path as it was configured.
    pub path: String,
    /// Bytes of its file system and how many of them may still be used, where the disk can tell.
    pub space: Option<(u64, u64)>,
    /// The logs in it, by topic and partition.
    pub logs: Vec<LogSize>,
}

/// One log and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Bytes of its local segments.
    pub bytes: u64,
}

/// A producer that a log remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub id: ProducerId,
    /// Its newest epoch.
    pub epoch: i16,
    /// The sequence of its last record, if a batch of this epoch is known.
    pub last_sequence: Option<i32>,
    /// The timestamp of its last batch.
    pub last_timestamp: TimestampMs,
    /// The epoch of the coordinator that ended its last transaction, if any.
    pub coordinator_epoch: Option<u32>,
    /// Where its open transaction began, if one is open.
    pub transaction_start: Option<Offset>,
}
