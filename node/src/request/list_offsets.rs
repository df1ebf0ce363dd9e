use highwater_records::{LeaderEpoch, Offset, TimestampMs};

use super::{Isolation, TopicRef};

/// One offset to look up.
#[derive(Clone, Debug)]
pub struct ListOffset {
    /// The topic.
    pub topic: TopicRef,
    /// The partition as the client named it; negative ones are unknown.
    pub partition: i32,
    /// The leader epoch the client believes in, if it says.
    pub current_leader_epoch: Option<i32>,
    /// Which records count.
    pub isolation: Isolation,
    /// What to look up.
    pub spec: OffsetSpec,
}

/// What [`ListOffset`] looks up. The numbers are Kafka's sentinels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// -1: where the next visible record will be: the high watermark, or the last stable offset.
    Latest,
    /// -2: the log start.
    Earliest,
    /// -3: the record with the largest timestamp; of several the first.
    MaxTimestamp,
    /// -4: the lowest offset on local disk.
    EarliestLocal,
    /// -5: the last offset in the bucket.
    LatestTiered,
    /// -6: the lowest offset not yet in the bucket.
    EarliestPendingUpload,
    /// The first record with a timestamp at or after this one.
    At(TimestampMs),
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ListedOffset {
    /// The offset; `None` where no record fits.
    pub offset: Option<Offset>,
    /// The record's timestamp, where a record was looked for.
    pub timestamp: Option<TimestampMs>,
    /// The leader epoch of the record at that offset, or of the log's end.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Why an offset could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListOffsetsError {
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
    /// This broker leads since a moment ago and does not know yet what its predecessor may have shown. Retry.
    #[error("the offset is not available yet")]
    NotAvailable,
    /// The disk or the bucket failed. Retry.
    #[error("storage: {0}")]
    Storage(String),
}
