use std::time::Duration;

use bytes::Bytes;
use highwater_engine::AbortedTransaction;
use highwater_records::{BrokerId, LeaderEpoch, Offset};

use super::TopicRef;

/// Read record batches, waiting for them if there are none.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// How long to wait for [`Fetch::min_bytes`].
    pub max_wait: Duration,
    /// Answer once this many bytes are ready; zero and one answer differently only on empty partitions.
    pub min_bytes: usize,
    /// Stop adding batches after this many bytes. The first batch of the answer is sent however large it is.
    pub max_bytes: usize,
    /// Which records may be shown.
    pub isolation: Isolation,
    /// Where the consumer stands, or empty if it does not say; for one that may be sent to another replica, and may read
    /// from one that does not lead (KIP-392). `None` for one that reads from leaders only.
    pub rack: Option<String>,
    /// Where to read, answered in this order.
    pub partitions: Vec<FetchPartition>,
}

/// Which records a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Everything below the high watermark.
    #[default]
    ReadUncommitted,
    /// Everything below the last stable offset, with aborted transactions named.
    ReadCommitted,
}

/// Where to read in one partition.
#[derive(Clone, Debug)]
pub struct FetchPartition {
    /// The topic.
    pub topic: TopicRef,
    /// The partition as the client named it; negative ones are unknown.
    pub partition: i32,
    /// The first offset wanted, inclusive, as the client sent it: a negative one is out of range.
    pub offset: i64,
    /// Stop after this many bytes of this partition.
    pub max_bytes: usize,
    /// The leader epoch the client believes in, if it says.
    pub current_leader_epoch: Option<i32>,
}

/// The session that a client keeps, if any.
#[derive(Clone, Debug, Default)]
pub struct FetchSession {
    /// Its id; zero for none.
    pub id: i32,
    /// How many requests it has had; 0 asks for a new session, -1 for none.
    pub epoch: i32,
    /// Partitions that the client reads no longer.
    pub forgotten: Vec<(TopicRef, i32)>,
    /// Whether topics are named by id.
    pub uses_ids: bool,
}

/// What a client with a session is told.
#[derive(Clone, Debug)]
pub struct SessionFetched {
    /// The id of its session; zero where it has none.
    pub id: i32,
    /// Topic, partition and answer, in the order in which they were read.
    pub partitions: Vec<(TopicRef, i32, FetchedPartition)>,
    /// For how long the client is held up because it read more than its quota; nothing is told then.
    pub pause: Duration,
}

/// Why a session does not go on. The client begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchSessionError {
    /// There is no such session, or no more.
    #[error("unknown fetch session")]
    UnknownId,
    /// A request was lost, or came twice.
    #[error("unexpected epoch of fetch session {id}")]
    InvalidEpoch {
        /// The session, where it is to be told.
        id: i32,
    },
    /// Its topics were named by id and are named by name now, or the other way round.
    #[error("the session names topics in another way")]
    TopicIds,
}

/// The answer for one partition.
#[derive(Clone, Debug)]
pub struct FetchedPartition {
    /// Batches, or why there are none.
    pub result: Result<Fetched, FetchError>,
}

/// Batches of one partition and its positions when they were read.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Everything below is replicated as the topic asks; exclusive bound of what is shown.
    pub high_watermark: Offset,
    /// Everything below is decided; exclusive.
    pub last_stable: Offset,
    /// The lowest offset a client may read, inclusive.
    pub log_start: Offset,
    /// With [`Isolation::ReadCommitted`]: the aborted transactions that have records among the batches; the reader skips
    /// each one's transactional records from its first offset to its marker.
    pub aborted: Vec<AbortedTransaction>,
    /// The replica to read from instead: nearer than this leader, and it has the offset. Nothing was read here then.
    pub preferred_replica: Option<BrokerId>,
    /// Whether this broker does not lead. Its positions may be older than what the leader tells, never newer.
    pub by_follower: bool,
    /// Whole batches, in order, in pieces that follow one another; the first batch contains the offset asked for.
    pub records: Vec<Bytes>,
}

impl Fetched {
    /// How many bytes of batches there are.
    pub fn len(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }

    /// Whether there are no batches.
    pub fn is_empty(&self) -> bool {
        self.records.iter().all(Bytes::is_empty)
    }
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No such topic or partition here: refresh metadata.
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    /// No topic has this id: refresh metadata.
    #[error("unknown topic id")]
    UnknownTopicId,
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
    /// The offset is below the log start or above the high watermark.
    #[error("offset out of range: [{log_start}, {high_watermark}]")]
    OffsetOutOfRange {
        /// The lowest readable offset, inclusive.
        log_start: Offset,
        /// The end of what is readable; asking for it is allowed and yields nothing yet.
        high_watermark: Offset,
    },
    /// This broker leads since a moment ago and does not know yet what its predecessor may have shown. Retry.
    #[error("the offset is not available yet")]
    NotAvailable,
    /// The disk or the bucket failed, or holds something else than what was written. Retry.
    #[error("storage: {0}")]
    Storage(String),
}
