//! DescribeGroups: classic groups and their members.

use bytes::Bytes;

declare! {
    /// Asks about groups.
    request DescribeGroupsRequest -> DescribeGroupsResponse = 15, [0-6], flexible [5+] {
        groups: Vec<String>, [0+];
        include_authorized_operations: bool, [3+];
    }

    /// The groups.
    response DescribeGroupsResponse = 15, [0-6], flexible [5+] {
        throttle_time_ms: i32, [1+];
        groups: Vec<DescribedGroup>, [0+];
    }

    /// One group; `protocol_data` is the name of the chosen protocol.
    struct DescribedGroup {
        error_code: i16, [0+];
        error_message: Option<String>, [6+], null [6+];
        group_id: String, [0+];
        group_state: String, [0+];
        protocol_type: String, [0+];
        protocol_data: String, [0+];
        members: Vec<DescribedGroupMember>, [0+];
        authorized_operations: i32, [3+], default i32::MIN;
    }

    /// One member.
    struct DescribedGroupMember {
        member_id: String, [0+];
        group_instance_id: Option<String>, [4+], null [4+];
        client_id: String, [0+];
        client_host: String, [0+];
        member_metadata: Bytes, [0+];
        member_assignment: Bytes, [0+];
    }
}
