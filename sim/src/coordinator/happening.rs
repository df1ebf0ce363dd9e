//! What members and producers asked and were told: the events that every invariant of coordinators reads. Their order
//! is real time, and an event that says that something is asked comes before the request leaves.

use std::collections::BTreeSet;

/// A member of a group from its join to its end, as its own client sees it. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u64);

/// An attempt to commit an offset. It travels in the offset's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit(pub u64);

/// A transactional producer from its beginning to its end, as its own client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// One transaction of one incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txn(pub u64);

/// A batch of a transaction. Its records carry the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Write(pub u64);

/// A question for a committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question(pub u64);

/// Numbers of groups.
pub type GroupNumber = u32;
/// Numbers of partitions.
pub type Part = u32;

/// What was told of a committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// This one.
    Offset(u64, Commit),
    /// That there is none.
    Nothing,
    /// That a transaction has not decided it.
    Unstable,
}

/// Input that a transaction used up: of a group's partition, from an offset up to another one, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Used {
    /// The group.
    pub group: GroupNumber,
    /// The partition.
    pub part: Part,
    /// From.
    pub from: u64,
    /// To, exclusive.
    pub to: u64,
}

/// A batch in a partition's log, control batches included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogBatch {
    /// Its first offset.
    pub base: u64,
    /// Its producer.
    pub producer: i64,
    /// Its producer's epoch.
    pub epoch: i16,
    /// What it holds.
    pub content: Content,
}

/// What a batch in a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Records of a transaction.
    Transactional(Write),
    /// The end of a transaction.
    Marker {
        /// Whether it was committed.
        committed: bool,
    },
    /// Something else.
    Other,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// There has been none since the producer began.
    Empty,
    /// It goes on.
    Ongoing,
    /// It was decided to commit it.
    PrepareCommit,
    /// It was decided to abort it.
    PrepareAbort,
    /// It is committed everywhere.
    CompleteCommit,
    /// It is aborted everywhere.
    CompleteAbort,
}

impl Stage {
    /// Whether nothing is open.
    pub fn is_at_rest(self) -> bool {
        matches!(self, Stage::Empty | Stage::CompleteCommit | Stage::CompleteAbort)
    }
}

/// What a coordinator knows of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// The producer.
    pub producer: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Where its transaction stands.
    pub stage: Stage,
    /// The partitions in it, by topic and index.
    pub partitions: BTreeSet<(String, i32)>,
}

impl Standing {
    /// Of two under one transactional id the later one has the larger pair.
    pub fn identity(&self) -> (i64, i16) {
        (self.producer, self.epoch)
    }
}

/// A record of the log of transactions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateRecord {
    /// Its offset.
    pub offset: u64,
    /// The transactional id.
    pub id: String,
    /// What it says; `None` that the id is forgotten.
    pub standing: Option<Standing>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// A client begins as a member. Until it is told so it is none.
    Joins {
        /// The group.
        group: GroupNumber,
        /// The member.
        owner: Owner,
        /// How long it may be silent, in nanoseconds.
        session: u64,
        /// Its instance, if it is a static member: whoever had it before may be sent away.
        instance: Option<u64>,
    },
    /// The coordinator answered a request of the member that was sent at that instant as one of a member.
    Heard {
        /// The member.
        owner: Owner,
        /// In nanoseconds.
        sent: u64,
    },
    /// The member was told what it has, all of it.
    Assigned {
        /// The member.
        owner: Owner,
        /// The generation, or the member's epoch.
        generation: i32,
        /// What it has.
        parts: BTreeSet<Part>,
    },
    /// The member gives partitions up and is about to say so.
    GivesUp {
        /// The member.
        owner: Owner,
        /// What is left to it.
        keeps: BTreeSet<Part>,
    },
    /// The member is none any more, because it was told so or because it leaves.
    Gone {
        /// The member.
        owner: Owner,
    },
    /// An offset is about to be committed, or to be made part of a transaction.
    CommitAsked {
        /// The attempt.
        commit: Commit,
        /// Of this group.
        group: GroupNumber,
        /// Of this partition.
        part: Part,
        /// The next offset to process.
        offset: u64,
        /// As this member.
        owner: Owner,
        /// In this transaction.
        txn: Option<Txn>,
    },
    /// It was.
    CommitAnswered {
        /// The attempt.
        commit: Commit,
    },
    /// Somebody is about to ask for a committed offset.
    OffsetAsked {
        /// The question.
        question: Question,
        /// Of this group.
        group: GroupNumber,
        /// Of this partition.
        part: Part,
        /// Whether undecided ones are to be refused.
        stable: bool,
    },
    /// The answer.
    OffsetTold {
        /// The question.
        question: Question,
        /// The answer.
        told: Told,
    },
    /// A member was given these records, to process them.
    Polled {
        /// The group.
        group: GroupNumber,
        /// The partition.
        part: Part,
        /// The first offset.
        from: u64,
        /// The one after the last.
        to: u64,
    },
    /// A producer is about to begin under a transactional id.
    ProducerAsks {
        /// The producer.
        incarnation: Incarnation,
        /// The number of its transactional id.
        id: u64,
    },
    /// It was given an identity: every lower one of its id is fenced.
    ProducerBegan {
        /// The producer.
        incarnation: Incarnation,
        /// Its producer id and epoch: of two under one transactional id the later one has the larger pair.
        identity: (u64, u16),
    },
    /// A transaction begins, in its producer's head.
    TxnBegins {
        /// The transaction.
        txn: Txn,
        /// Its producer.
        incarnation: Incarnation,
        /// How long it goes on at least, in nanoseconds, unless somebody ends it.
        timeout: u64,
    },
    /// A batch of a transaction is about to be sent.
    WriteAsked {
        /// The batch.
        write: Write,
        /// Its transaction.
        txn: Txn,
        /// Its partition.
        part: Part,
        /// The input it stands for.
        used: Option<Used>,
    },
    /// It was acknowledged.
    WriteAnswered {
        /// The batch.
        write: Write,
        /// Where it lies.
        base: u64,
    },
    /// The end of a transaction is about to be asked for.
    EndAsked {
        /// The transaction.
        txn: Txn,
        /// Commit, or abort.
        committed: bool,
    },
    /// It was decided as asked.
    EndAnswered {
        /// The transaction.
        txn: Txn,
    },
    /// A reader of committed records saw a batch.
    Read {
        /// The batch.
        write: Write,
        /// Where.
        part: Part,
    },
    /// Everything is over and was read from the beginning to the end by a reader of committed records: nothing that
    /// it did not see is there.
    AllRead,
    /// The whole log of a partition, at the end.
    Log {
        /// The partition.
        part: Part,
        /// Its batches, in order.
        batches: Vec<LogBatch>,
    },
    /// Somebody read records that count from the log of transactions, in order; what lies between them is not there.
    StateLog {
        /// The partition of that log.
        shard: Part,
        /// The records.
        records: Vec<StateRecord>,
    },
    /// A coordinator told what it knows of a transactional id, and all its records were read before and none came since.
    StateTold {
        /// The partition of the log that its records are in.
        shard: Part,
        /// The transactional id.
        id: String,
        /// What it told.
        standing: Standing,
    },
}
