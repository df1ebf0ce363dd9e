//! Known bugs of controllers, built in again on request to prove that the simulation catches them.
//!
//! Without the feature `museum` there is nothing here but a constant: no bug can be switched on.

highwater_records::museum! {
    for the process;
    /// Members of an in-sync set are taken without asking in which life they fetched (before KIP-903).
    AnyBrokerEpoch,
    /// A broker that stopped uncleanly stays in sync (before KIP-966: last replica standing).
    LossyStopForgiven,
    /// A broker that comes back with an empty disk stays in sync.
    EmptyDiskTrusted,
}
