//! ListOffsets: where a partition starts and ends, and the first offset at or after a time.

declare! {
    /// Asks for offsets. `replica_id` is -1 for consumers.
    request ListOffsetsRequest -> ListOffsetsResponse = 2, [1-11], flexible [6+] {
        replica_id: i32, [0+];
        isolation_level: i8, [2+];
        topics: Vec<ListOffsetsTopic>, [0+];
        timeout_ms: i32, [10+];
    }

    /// The partitions of one topic.
    struct ListOffsetsTopic {
        name: String, [0+];
        partitions: Vec<ListOffsetsPartition>, [0+];
    }

    /// A partition, and a time or one of the negative sentinels (-1 latest, -2 earliest, -3 largest timestamp,
    /// -4 earliest local, -5 latest tiered, -6 earliest pending upload).
    struct ListOffsetsPartition {
        partition_index: i32, [0+];
        current_leader_epoch: i32, [4+], default -1;
        timestamp: i64, [0+];
    }

    /// The offsets.
    response ListOffsetsResponse = 2, [1-11], flexible [6+] {
        throttle_time_ms: i32, [2+];
        topics: Vec<ListOffsetsTopicResponse>, [0+];
    }

    /// The offsets of one topic.
    struct ListOffsetsTopicResponse {
        name: String, [0+];
        partitions: Vec<ListOffsetsPartitionResponse>, [0+];
    }

    /// An offset; -1 for none.
    struct ListOffsetsPartitionResponse {
        partition_index: i32, [0+];
        error_code: i16, [0+];
        timestamp: i64, [1+], default -1;
        offset: i64, [1+], default -1;
        leader_epoch: i32, [4+], default -1;
    }
}
