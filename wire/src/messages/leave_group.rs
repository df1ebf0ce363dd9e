//! LeaveGroup: members go, one up to version 2, several from 3 on.

declare! {
    /// Who goes.
    request LeaveGroupRequest -> LeaveGroupResponse = 13, [0-5], flexible [4+] {
        group_id: String, [0+];
        member_id: String, [0-2];
        members: Vec<MemberIdentity>, [3+];
    }

    /// A member, by its id, or by its instance alone when somebody else removes it.
    struct MemberIdentity {
        member_id: String, [3+];
        group_instance_id: Option<String>, [3+], null [3+];
        reason: Option<String>, [5+], null [5+];
    }

    /// Who is gone.
    response LeaveGroupResponse = 13, [0-5], flexible [4+] {
        throttle_time_ms: i32, [1+];
        error_code: i16, [0+];
        members: Vec<MemberResponse>, [3+];
    }

    /// The answer for one member.
    struct MemberResponse {
        member_id: String, [3+];
        group_instance_id: Option<String>, [3+], null [3+];
        error_code: i16, [3+];
    }
}
