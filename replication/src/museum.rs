//! Known bugs of replication protocols, built in again on request to prove that the simulation catches them.

highwater_records::museum! {
    for the process;
    /// A follower cuts its log to its own watermark when it begins to follow, instead of asking where it diverges (before
    /// KIP-101).
    TruncateToWatermark,
    /// A leader counts fetches of other leader epochs, without comparing (KIP-320 without fencing).
    FetchIgnoresLeaderEpoch,
    /// A leader counts the position of a follower without comparing epochs (KIP-279).
    FetchIgnoresDivergence,
    /// A follower that missed a leader epoch goes on without comparing (KAFKA-7164).
    MissedEpochNotCompared,
    /// A replica joins at the watermark although the leader has not yet reached where its epoch started (6.5.3).
    JoinBelowEpochStart,
    /// A replica joins before it has reached the watermark.
    JoinBelowWatermark,
    /// A replica that is proposed for joining does not count before that is committed (6.5.2).
    JoiningNotCounted,
    /// A replica that is proposed for leaving does not count any more (6.5.2).
    LeavingNotCounted,
    /// A refused proposal is taken for one that can never be committed.
    RefusedMeansNever,
    /// The watermark moves although too few are in sync (before KIP-966).
    WatermarkIgnoresMinimum,
    /// On a synced topic the log end counts.
    LogEndIsDurable,
    /// An answer is applied although the follower follows somebody else by now (KAFKA-13207).
    AnswerOfFormerLeader,
    /// What a follower had before it restarted counts after it (KIP-903, the leader's half).
    PositionOfFormerLife,
    /// A proposal to let a replica join is sent again in the name of whichever life of its broker fetched last (KIP-903).
    JoinsInAnyLife,
    /// A new leader tells its watermark before it has reached where its epoch started (before KIP-207).
    WatermarkToldTooSoon,
}
