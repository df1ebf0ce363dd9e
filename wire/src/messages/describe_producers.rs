//! DescribeProducers: who writes to a partition

declare! {
    /// Partitions to tell of.
    request DescribeProducersRequest -> DescribeProducersResponse = 61, [0], flexible [0+] {
        topics: Vec<TopicRequest>, [0+];
    }

    /// Partitions of one topic.
    struct TopicRequest {
        name: String, [0+];
        partition_indexes: Vec<i32>, [0+];
    }

    /// The producers of each partition.
    response DescribeProducersResponse = 61, [0], flexible [0+] {
        throttle_time_ms: i32, [0+];
        topics: Vec<TopicResponse>, [0+];
    }

    /// One topic.
    struct TopicResponse {
        name: String, [0+];
        partitions: Vec<PartitionResponse>, [0+];
    }

    /// One partition.
    struct PartitionResponse {
        partition_index: i32, [0+];
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        active_producers: Vec<ProducerState>, [0+];
    }

    /// A producer; -1 where there is no sequence, time or transaction.
    struct ProducerState {
        producer_id: i64, [0+];
        producer_epoch: i32, [0+];
        last_sequence: i32, [0+], default -1;
        last_timestamp: i64, [0+], default -1;
        coordinator_epoch: i32, [0+];
        current_txn_start_offset: i64, [0+], default -1;
    }
}
