//! Known bugs of replication protocols, built in again on request to prove that the simulation catches them.
//!
//! Without the feature `museum` there is nothing here but a constant: no bug can be switched on.

highwater_records::museum! {
    for the process;
    /// A follower cuts its log to its own watermark instead of asking where it diverges (before KIP-101).
    TruncateToWatermark,
    /// A leader counts fetches of other leader epochs (KIP-320 without fencing).
    FetchIgnoresLeaderEpoch,
    /// A leader counts the position of a follower without comparing epochs (KIP-279).
    FetchIgnoresDivergence,
    /// A replica joins at the watermark although the leader has not yet reached where its epoch started.
    JoinBelowEpochStart,
    /// The watermark reads the committed set only, not the one that is proposed.
    CommittedIsrDecides,
    /// A refused proposal is taken for one that can never be committed.
    RefusedMeansNever,
    /// The watermark moves although too few are in sync (before KIP-966).
    WatermarkIgnoresMinimum,
    /// On a synced topic the log end counts.
    LogEndIsDurable,
    /// An answer is applied although the follower follows somebody else by now (KAFKA-13207).
    AnswerOfFormerLeader,
}
