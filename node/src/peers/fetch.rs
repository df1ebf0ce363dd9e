use std::time::Duration;

use bytes::Bytes;
use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, TopicIdPartition};
use highwater_replication::{EpochEnd, LocalPositions};

/// A follower's fetch of many partitions. It names only those whose position changed since the last fetch of the same
/// session: what idles costs nothing on either side.
#[derive(Clone, Debug)]
pub struct ReplicaFetch {
    /// Who asks.
    pub from: BrokerId,
    /// In which registration.
    pub broker_epoch: BrokerEpoch,
    /// The conversation this belongs to.
    pub session: FetchSession,
    /// Partitions that are new, or whose position changed.
    pub changed: Vec<ReplicaPosition>,
    /// Partitions that are followed no more.
    pub forgotten: Vec<TopicIdPartition>,
    /// How long the leader may wait for something to tell.
    pub max_wait: Duration,
    /// How many bytes of records to send at most; the first batch of an answer is sent whatever its size.
    pub max_bytes: usize,
}

/// Which conversation between follower and leader, and how far it is. The leader remembers the partitions; a fetch that
/// is not the next one of its session is refused, so that late and doubled ones mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchSession {
    /// Drawn at random by the follower; a new one replaces what the leader remembers.
    pub id: u64,
    /// Zero for the first fetch, which names every partition; one more with each answer.
    pub sequence: u64,
}

/// A follower's position in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaPosition {
    /// The partition.
    pub partition: TopicIdPartition,
    /// The leader epoch that it follows.
    pub leader_epoch: LeaderEpoch,
    /// The ends of its log.
    pub positions: LocalPositions,
    /// The leader epoch of its last record; `None` for an empty log.
    pub last_epoch: Option<LeaderEpoch>,
    /// Where its log starts (inclusive), on stable storage: whether what was deleted is gone there too.
    pub log_start: Offset,
}

/// What a leader has to tell; partitions without news are not named.
#[derive(Clone, Debug, Default)]
pub struct ReplicaFetched {
    /// News of partitions, each in the leader epoch and at the offset that the follower named.
    pub partitions: Vec<(TopicIdPartition, ReplicaAnswer)>,
}

/// News of one partition.
#[derive(Clone, Debug)]
pub enum ReplicaAnswer {
    /// The logs agree.
    Records {
        /// Whole batches from the follower's end on; may be empty.
        records: Bytes,
        /// The leader's watermark (exclusive).
        high_watermark: Offset,
        /// The leader's log start (inclusive).
        log_start: Offset,
        /// The end of what the bucket holds (exclusive); `None` if the leader does not know it or there is none.
        tiered_end: Option<Offset>,
    },
    /// The follower has what the leader has not: it cuts and asks again.
    Diverges(EpochEnd),
    /// The leader has nothing there: the follower begins again, empty, at the log start.
    OutOfRange {
        /// The leader's log start (inclusive).
        log_start: Offset,
    },
    /// The records are in the bucket only: the follower begins again, empty, at the tiered end, with epochs and producers
    /// from the bucket (OFFSET_MOVED_TO_TIERED_STORAGE). Where the bucket's part ends below what the leader has, as after
    /// an unclean election, what lies between is nowhere: the follower begins where the leader's disk does.
    MovedToTier {
        /// The leader's log start (inclusive).
        log_start: Offset,
        /// The first offset on the leader's disk (inclusive).
        local_start: Offset,
    },
    /// Nothing was looked at.
    Refused(ReplicaRefusal),
}

/// Why a leader answers nothing for a partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaRefusal {
    /// It does not lead, or does not know the partition: metadata will tell.
    #[error("not the leader")]
    NotLeader,
    /// The asker follows an older leader epoch: it will learn of this one.
    #[error("the leader epoch is {0} by now")]
    FencedLeaderEpoch(LeaderEpoch),
    /// The asker follows a newer leader epoch: this broker leads no more, or does not know it yet.
    #[error("the leader epoch is still {0} here")]
    UnknownLeaderEpoch(LeaderEpoch),
    /// The asker is no replica of the partition.
    #[error("broker {0} is no replica of it")]
    NotReplica(BrokerId),
    /// The asker has registered again since.
    #[error("broker {0} has registered again since")]
    StaleBroker(BrokerId),
    /// Its log cannot be read now.
    #[error("{0}")]
    Storage(String),
}

/// Why a whole fetch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaFetchError {
    /// Not the next fetch of a session that is remembered here: begin a new one.
    #[error("no such fetch session, or not its next fetch")]
    UnknownSession,
    /// The asker has registered again since.
    #[error("the broker epoch is not the current one")]
    StaleBroker,
    /// The asker's registration is not known here: it has none, or this broker has not heard of it yet.
    #[error("the broker epoch is not known here")]
    UnknownBroker,
    /// The node stops, or is no member of a cluster.
    #[error("this node serves no replicas, or not any more")]
    NotServing,
}
