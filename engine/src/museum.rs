//! Known bugs of logs, built in again on request to prove that the engine's own tests catch them; which test catches
//! which is said in `docs/engine-checks.md`.
//!
//! Without the feature `museum` there is nothing here but a constant: no bug can be switched on.

highwater_records::museum! {
    for a thread;
    /// Leader epochs of the tail stay when it is truncated (KAFKA-10706).
    EpochsOutliveTruncation,
    /// The first unstable offset stays when its transaction is truncated (KAFKA-12153).
    UnstableOutlivesTruncation,
    /// Aborted transactions of the tail stay in the index when it is truncated.
    AbortsOutliveTruncation,
    /// Producer snapshots above the log end stay, and count once the log has grown over them.
    SnapshotsOutliveTruncation,
    /// Retention deletes what replication has not committed (KAFKA-5634).
    RetentionAboveWatermark,
    /// The log start is written down after what it hides was deleted (KAFKA-15352).
    DeletedBeforeStartIsWritten,
    /// A restart takes the log start from the first segment (KAFKA-16146).
    StartForgotten,
    /// Sequence numbers do not wrap (KAFKA-7692).
    SequencesDoNotWrap,
    /// Four batches of a producer are remembered, not five (Redpanda #3039).
    ShortWindow,
    /// A batch is taken for a duplicate of one of an older producer epoch (Redpanda #5026).
    DuplicateOfOlderEpoch,
    /// A transaction whose marker is not committed yet counts as decided.
    EndedIsStable,
    /// A commit syncs nothing (NATS JetStream: lazy fsync).
    LazySync,
    /// After a sync has failed the next one is believed (fsyncgate).
    FailedSyncForgiven,
    /// The name of a new segment is not made durable (KAFKA-3968).
    NameNotSynced,
    /// A commit covers what was appended while it ran.
    CommitCoversLaterAppends,
    /// The recovery point is where the log ends, not what was synced.
    RecoveryPointAhead,
    /// A batch that does not read ends the log, promised or not (Kafka's loader).
    DamageEndsLog,
    /// What nobody can identify is an orphan, and is removed (NATS JetStream).
    UnreadableIsRemoved,
    /// The mark of a clean stop is still there when the directory is in use.
    MarkOutlivesOpening,
    /// After a crash no checksums are looked at.
    TornBatchBelieved,
    /// What recovery keeps is not synced before it is shown.
    RecoveredTailNotSynced,
    /// A truncation begins before the recovery point is lowered.
    TruncatedWhilePromised,
    /// A trusted point stays when other bytes take the place of those that it vouches for.
    PointsOutliveTruncation,
    /// A trusted point is written before what it vouches for is durable.
    PointBeforeCommit,
    /// A replay of the journal brings back what was truncated.
    ReplayForgetsTruncation,
    /// A replay goes on with groups of an earlier lap.
    StaleGroupsReplayed,
    /// A group is believed once it is durable, whatever became of those before it.
    GroupCountsByItself,
    /// A group behind a gap proves damage, though it was in flight together with what is missing.
    GapTakenForDamage,
    /// What lies behind the group that empties the journal is read, once that has filled the gap before it.
    VoidGroupReplayed,
    /// An extent is used again while the logs still need it.
    ExtentFreedTooEarly,
    /// Settling lets go of what is in the journal and not in its segment yet.
    FloorCoversAhead,
    /// The parts of an append to several logs are written one after the other.
    PartsApart,
    /// Whoever waits for a commit looks for news from the moment on at which it begins to wait: a lost wake-up.
    WakeUpLost,
    /// A commit believes that the group which is being written has its batches.
    GroupInFlightBelieved,
    /// A truncation does not wait for a compaction that is replacing files.
    GateIgnored,
    /// An append to several logs is shown in one before the next is locked.
    ShownApart,
    /// Readers are not told that a truncation changed what they look at.
    TruncationUnseen,
    /// A marker of a transaction coordinator that another one has followed is taken. The simulation of clusters catches it.
    FormerCoordinatorEnds,
}
