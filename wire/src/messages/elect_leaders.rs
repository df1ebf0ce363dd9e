//! ElectLeaders: partitions get the leader they should have (KIP-460)

declare! {
    /// Which partitions; null for all. Type 0 elects the preferred leader, 1 anybody who is alive where nobody leads.
    request ElectLeadersRequest -> ElectLeadersResponse = 43, [0-2], flexible [2+] {
        election_type: i8, [1+];
        topic_partitions: Option<Vec<TopicPartitions>>, [0+], null [0+];
        timeout_ms: i32, [0+], default 60000;
    }

    /// Partitions of one topic.
    struct TopicPartitions {
        topic: String, [0+];
        partitions: Vec<i32>, [0+];
    }

    /// What became of each partition; of all of them, without those that have their leader already.
    response ElectLeadersResponse = 43, [0-2], flexible [2+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [1+];
        replica_election_results: Vec<ReplicaElectionResult>, [0+];
    }

    /// What became of the partitions of one topic.
    struct ReplicaElectionResult {
        topic: String, [0+];
        partition_result: Vec<PartitionResult>, [0+];
    }

    /// What became of one partition.
    struct PartitionResult {
        partition_id: i32, [0+];
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
    }
}
