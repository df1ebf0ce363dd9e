//! Heartbeat: a member of a classic group is alive, and learns of rebalances.

declare! {
    /// A sign of life.
    request HeartbeatRequest -> HeartbeatResponse = 12, [0-4], flexible [4+] {
        group_id: String, [0+];
        generation_id: i32, [0+];
        member_id: String, [0+];
        group_instance_id: Option<String>, [3+], null [3+];
    }

    /// Whether to go on.
    response HeartbeatResponse = 12, [0-4], flexible [4+] {
        throttle_time_ms: i32, [1+];
        error_code: i16, [0+];
    }
}
