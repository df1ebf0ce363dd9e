//! DescribeTopicPartitions: topics in pages of partitions

use highwater_records::TopicId;

declare! {
    /// Topics to tell of, and where to go on.
    request DescribeTopicPartitionsRequest -> DescribeTopicPartitionsResponse = 75, [0], flexible [0+] {
        topics: Vec<TopicRequest>, [0+];
        response_partition_limit: i32, [0+], default 2000;
        cursor: Option<Cursor>, [0+], null [0+];
    }

    /// A topic by name.
    struct TopicRequest {
        name: String, [0+];
    }

    /// Where the next page begins.
    struct Cursor {
        topic_name: String, [0+];
        partition_index: i32, [0+];
    }

    /// A page of topics.
    response DescribeTopicPartitionsResponse = 75, [0], flexible [0+] {
        throttle_time_ms: i32, [0+];
        topics: Vec<DescribeTopicPartitionsResponseTopic>, [0+];
        next_cursor: Option<Cursor>, [0+], null [0+];
    }

    /// One topic.
    struct DescribeTopicPartitionsResponseTopic {
        error_code: i16, [0+];
        name: Option<String>, [0+], null [0+];
        topic_id: TopicId, [0+], default TopicId::ZERO;
        is_internal: bool, [0+];
        partitions: Vec<DescribeTopicPartitionsResponsePartition>, [0+];
        topic_authorized_operations: i32, [0+], default i32::MIN;
    }

    /// One partition.
    struct DescribeTopicPartitionsResponsePartition {
        error_code: i16, [0+];
        partition_index: i32, [0+];
        leader_id: i32, [0+];
        leader_epoch: i32, [0+], default -1;
        replica_nodes: Vec<i32>, [0+];
        isr_nodes: Vec<i32>, [0+];
        eligible_leader_replicas: Option<Vec<i32>>, [0+], null [0+];
        last_known_elr: Option<Vec<i32>>, [0+], null [0+];
        offline_replicas: Vec<i32>, [0+];
    }
}
