//! AlterPartitionReassignments: partitions move to other brokers (KIP-455)

declare! {
    /// Which partitions, and where to.
    request AlterPartitionReassignmentsRequest -> AlterPartitionReassignmentsResponse = 45, [0-1], flexible [0+] {
        timeout_ms: i32, [0+], default 60000;
        allow_replication_factor_change: bool, [1+], default true;
        topics: Vec<ReassignableTopic>, [0+];
    }

    /// Partitions of one topic.
    struct ReassignableTopic {
        name: String, [0+];
        partitions: Vec<ReassignablePartition>, [0+];
    }

    /// The replicas of one partition, the preferred leader first; null cancels what is under way.
    struct ReassignablePartition {
        partition_index: i32, [0+];
        replicas: Option<Vec<i32>>, [0+], null [0+];
    }

    /// What became of each partition.
    response AlterPartitionReassignmentsResponse = 45, [0-1], flexible [0+] {
        throttle_time_ms: i32, [0+];
        allow_replication_factor_change: bool, [1+], default true;
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        responses: Vec<ReassignableTopicResponse>, [0+];
    }

    /// What became of the partitions of one topic.
    struct ReassignableTopicResponse {
        name: String, [0+];
        partitions: Vec<ReassignablePartitionResponse>, [0+];
    }

    /// What became of one partition.
    struct ReassignablePartitionResponse {
        partition_index: i32, [0+];
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
    }
}
