//! Known bugs of replication protocols, built in again on request to prove that the simulation catches them.
//!
//! Without the feature `museum` there is nothing here but a constant: no bug can be switched on.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Bug {
    /// A follower cuts its log to its own watermark instead of asking where it diverges (before KIP-101).
    TruncateToWatermark = 0,
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

#[cfg(feature = "museum")]
static BUILT_IN: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// Builds `bug` in, and no other; `None` for none. For a whole process: the bugs stand in the middle of pure functions.
#[cfg(feature = "museum")]
pub fn build_in(bug: Option<Bug>) {
    let bits = bug.map_or(0, |bug| 1 << bug as u32);
    BUILT_IN.store(bits, core::sync::atomic::Ordering::SeqCst);
}

/// Whether `bug` is built in.
#[cfg(feature = "museum")]
pub(crate) fn has(bug: Bug) -> bool {
    BUILT_IN.load(core::sync::atomic::Ordering::SeqCst) & (1 << bug as u32) != 0
}

/// Whether `bug` is built in: never.
#[cfg(not(feature = "museum"))]
pub(crate) const fn has(_: Bug) -> bool {
    false
}
