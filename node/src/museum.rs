//! Known bugs of brokers, built in again on request to prove that the simulation catches them.

highwater_records::museum! {
    for the process;
    /// The older of two processes with one broker's number goes on as if it were the broker.
    SupersededGoesOn,
    /// A marker counts whenever it comes: a copy of the last one, or one that a later attempt has overtaken, ends what the
    /// producer has open by then.
    LateMarkersCount,
    /// A marker counts whoever sends it: of a coordinator that another one has followed, too. The engine has a rule of its
    /// own against those, and a bug of the same name.
    FormerCoordinatorEnds,
    /// A leader answers a follower's fetch at once, whether there is anything new for it or not.
    FetchNotKept,
    /// A follower asks again at once after what failed.
    NoPauseAfterFailure,
    /// What a copy that was cut short left in the bucket stays there.
    OrphansStay,
}
