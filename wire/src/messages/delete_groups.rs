//! DeleteGroups: forget groups and their offsets.

declare! {
    /// Which.
    request DeleteGroupsRequest -> DeleteGroupsResponse = 42, [0-2], flexible [2+] {
        groups_names: Vec<String>, [0+];
    }

    /// What became of each.
    response DeleteGroupsResponse = 42, [0-2], flexible [2+] {
        throttle_time_ms: i32, [0+];
        results: Vec<DeletableGroupResult>, [0+];
    }

    /// The answer for one group.
    struct DeletableGroupResult {
        group_id: String, [0+];
        error_code: i16, [0+];
    }
}
