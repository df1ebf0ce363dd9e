//! Known bugs of brokers, built in again on request to prove that the simulation catches them.

highwater_records::museum! {
    for the process;
    /// The older of two processes with one broker's number goes on as if it were the broker.
    SupersededGoesOn,
}
