//! Known bugs of controllers, built in again on request to prove that the simulation catches them.
//!
//! Without the feature `museum` there is nothing here but a constant: no bug can be switched on.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Bug {
    /// Members of an in-sync set are taken without asking in which life they fetched (before KIP-903).
    AnyBrokerEpoch = 0,
    /// A broker that stopped uncleanly stays in sync (before KIP-966: last replica standing).
    LossyStopForgiven,
    /// A broker that comes back with an empty disk stays in sync.
    EmptyDiskTrusted,
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
