//! ListPartitionReassignments: partitions that are on their way to other brokers (KIP-455)

declare! {
    /// Which partitions; null for all.
    request ListPartitionReassignmentsRequest -> ListPartitionReassignmentsResponse = 46, [0-0], flexible [0+] {
        timeout_ms: i32, [0+], default 60000;
        topics: Option<Vec<ListPartitionReassignmentsTopics>>, [0+], null [0+];
    }

    /// Partitions of one topic.
    struct ListPartitionReassignmentsTopics {
        name: String, [0+];
        partition_indexes: Vec<i32>, [0+];
    }

    /// Those of them that are under way.
    response ListPartitionReassignmentsResponse = 46, [0-0], flexible [0+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        topics: Vec<OngoingTopicReassignment>, [0+];
    }

    /// Partitions of one topic.
    struct OngoingTopicReassignment {
        name: String, [0+];
        partitions: Vec<OngoingPartitionReassignment>, [0+];
    }

    /// Who has a partition, who is to have it too, and who not any more.
    struct OngoingPartitionReassignment {
        partition_index: i32, [0+];
        replicas: Vec<i32>, [0+];
        adding_replicas: Vec<i32>, [0+];
        removing_replicas: Vec<i32>, [0+];
    }
}
