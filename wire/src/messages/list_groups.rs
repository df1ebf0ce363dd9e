//! ListGroups: the groups that this broker coordinates.

declare! {
    /// Asks for groups, of certain states and types if any are named.
    request ListGroupsRequest -> ListGroupsResponse = 16, [0-5], flexible [3+] {
        states_filter: Vec<String>, [4+];
        types_filter: Vec<String>, [5+];
    }

    /// The groups.
    response ListGroupsResponse = 16, [0-5], flexible [3+] {
        throttle_time_ms: i32, [1+];
        error_code: i16, [0+];
        groups: Vec<ListedGroup>, [0+];
    }

    /// One group.
    struct ListedGroup {
        group_id: String, [0+];
        protocol_type: String, [0+];
        group_state: String, [4+];
        group_type: String, [5+];
    }
}
