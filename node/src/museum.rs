//! Known bugs of brokers, built in again on request to prove that the simulation catches them.

highwater_records::museum! {
    for the process;
    /// The older of two processes with one broker's number goes on as if it were the broker.
    SupersededGoesOn,
    /// A copy of a marker, or one that was overtaken, ends whatever is open by the time it comes.
    LateMarkersCount,
    /// The marker of a former transaction coordinator counts (with the engine's half, that of logs).
    FormerMarkersCount,
}
