//! Known bugs of controllers, built in again on request to prove that the simulation catches them.

highwater_records::museum! {
    for the process;
    /// Members of an in-sync set are taken without asking in which life they fetched (before KIP-903).
    AnyBrokerEpoch,
    /// A broker that stopped uncleanly stays a candidate (before KIP-966: last replica standing).
    LossyStopForgiven,
    /// A broker that comes back with an empty disk stays a candidate.
    EmptyDiskTrusted,
    /// Eligible leaders stay eligible while enough replicas are in sync, and the watermark moves without them (KIP-966).
    EligibleForEver,
    /// Whoever is alive leads if nobody else can, although nobody asked for that.
    UncleanUnasked,
    /// A proposal of an in-sync set is taken whichever version of the partition it was made for (KIP-497).
    AnyVersion,
    /// A new leader leads in the old leader epoch.
    LeaderWithoutEpoch,
    /// The end of a reassignment is no new leader epoch: a replica taken away and added again is what it was (6.5.4).
    ReassignmentWithoutEpoch,
    /// A decision takes effect although the image it was made on is an older one.
    StaleDecisionCounts,
}
