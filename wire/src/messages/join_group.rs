//! JoinGroup: become a member of a classic group, or stay one through a rebalance.

use bytes::Bytes;

declare! {
    /// Asks to be a member. `rebalance_timeout_ms` is the session timeout below version 1; an empty `member_id`
    /// asks for one.
    request JoinGroupRequest -> JoinGroupResponse = 11, [0-9], flexible [6+] {
        group_id: String, [0+];
        session_timeout_ms: i32, [0+];
        rebalance_timeout_ms: i32, [1+], default -1;
        member_id: String, [0+];
        group_instance_id: Option<String>, [5+], null [5+];
        protocol_type: String, [0+];
        protocols: Vec<JoinGroupRequestProtocol>, [0+];
        reason: Option<String>, [8+], null [8+];
    }

    /// A way of dividing the work that the member knows, the preferred one first.
    struct JoinGroupRequestProtocol {
        name: String, [0+];
        metadata: Bytes, [0+];
    }

    /// The generation that has begun. Only the leader gets the members.
    response JoinGroupResponse = 11, [0-9], flexible [6+] {
        throttle_time_ms: i32, [2+];
        error_code: i16, [0+];
        generation_id: i32, [0+], default -1;
        protocol_type: Option<String>, [7+], null [7+];
        protocol_name: Option<String>, [0+], null [7+];
        leader: String, [0+];
        skip_assignment: bool, [9+], default false;
        member_id: String, [0+];
        members: Vec<JoinGroupResponseMember>, [0+];
    }

    /// A member and what it told.
    struct JoinGroupResponseMember {
        member_id: String, [0+];
        group_instance_id: Option<String>, [5+], null [5+];
        metadata: Bytes, [0+];
    }
}
