//! CreatePartitions: more partitions for topics that exist

declare! {
    /// Topics to grow.
    request CreatePartitionsRequest -> CreatePartitionsResponse = 37, [0-3], flexible [2+] {
        topics: Vec<CreatePartitionsTopic>, [0+];
        timeout_ms: i32, [0+];
        validate_only: bool, [0+];
    }

    /// A topic and how many partitions it shall have in the end.
    struct CreatePartitionsTopic {
        name: String, [0+];
        count: i32, [0+];
        assignments: Option<Vec<CreatePartitionsAssignment>>, [0+], null [0+];
    }

    /// The replicas of one new partition, leader first.
    struct CreatePartitionsAssignment {
        broker_ids: Vec<i32>, [0+];
    }

    /// What became of each topic.
    response CreatePartitionsResponse = 37, [0-3], flexible [2+] {
        throttle_time_ms: i32, [0+];
        results: Vec<CreatePartitionsTopicResult>, [0+];
    }

    /// What became of one topic.
    struct CreatePartitionsTopicResult {
        name: String, [0+];
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
    }
}
