//! Known bugs of coordinators, built in again on request to prove that the simulation catches them.
//!
//! Without the feature `museum` there is nothing here but a constant: no bug can be switched on.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Bug {
    /// Offsets are acknowledged before their records count.
    CommitsAnsweredEarly = 0,
    /// Whoever commits offsets is not asked who it is.
    CommitsNotFenced,
    /// A partition goes to its next owner before the last one has given it up (KIP-848 without revocation).
    RevocationNotAwaited,
    /// What a member has been asked to give up is free after a replay.
    ReplayForgetsRevocation,
    /// Offsets of a transaction show before it is committed.
    PendingOffsetsShow,
    /// Offsets of an aborted transaction show.
    AbortedOffsetsShow,
    /// A producer that begins does not fence the one before (KIP-98 without epochs).
    SuccessorDoesNotFence,
    /// A producer that begins leaves the transaction of the one before open.
    SuccessorDoesNotAbort,
    /// Whoever ends a transaction is not asked for its epoch.
    EndsNotFenced,
    /// Partitions join a transaction that is being ended (before KIP-890).
    JoinsWhileEnding,
    /// After a replay markers that were not all written are not written again.
    MarkersForgotten,
    /// After a replay no open transaction times out.
    TimeOutsForgotten,
    /// Offsets expire although members read the topic.
    OffsetsOfMembersExpire,
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
