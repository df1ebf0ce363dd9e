//! SyncGroup: the leader says who does what, the others learn it.

use bytes::Bytes;

declare! {
    /// Asks for this member's assignment; the leader brings everybody's.
    request SyncGroupRequest -> SyncGroupResponse = 14, [0-5], flexible [4+] {
        group_id: String, [0+];
        generation_id: i32, [0+];
        member_id: String, [0+];
        group_instance_id: Option<String>, [3+], null [3+];
        protocol_type: Option<String>, [5+], null [5+];
        protocol_name: Option<String>, [5+], null [5+];
        assignments: Vec<SyncGroupRequestAssignment>, [0+];
    }

    /// What one member is to do.
    struct SyncGroupRequestAssignment {
        member_id: String, [0+];
        assignment: Bytes, [0+];
    }

    /// What this member is to do.
    response SyncGroupResponse = 14, [0-5], flexible [4+] {
        throttle_time_ms: i32, [1+];
        error_code: i16, [0+];
        protocol_type: Option<String>, [5+], null [5+];
        protocol_name: Option<String>, [5+], null [5+];
        assignment: Bytes, [0+];
    }
}
