//! OffsetDelete: forget committed offsets of a group.

declare! {
    /// Which.
    request OffsetDeleteRequest -> OffsetDeleteResponse = 47, [0], flexible [] {
        group_id: String, [0+];
        topics: Vec<OffsetDeleteRequestTopic>, [0+];
    }

    /// The partitions of one topic.
    struct OffsetDeleteRequestTopic {
        name: String, [0+];
        partitions: Vec<OffsetDeleteRequestPartition>, [0+];
    }

    /// One partition.
    struct OffsetDeleteRequestPartition {
        partition_index: i32, [0+];
    }

    /// What became of each.
    response OffsetDeleteResponse = 47, [0], flexible [] {
        error_code: i16, [0+];
        throttle_time_ms: i32, [0+];
        topics: Vec<OffsetDeleteResponseTopic>, [0+];
    }

    /// The partitions of one topic.
    struct OffsetDeleteResponseTopic {
        name: String, [0+];
        partitions: Vec<OffsetDeleteResponsePartition>, [0+];
    }

    /// The answer for one partition.
    struct OffsetDeleteResponsePartition {
        partition_index: i32, [0+];
        error_code: i16, [0+];
    }
}
