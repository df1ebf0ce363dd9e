//! Produce: append record sets to partitions.

use bytes::Bytes;
use highwater_records::TopicId;

declare! {
    /// Record sets to append. `acks` is 0, 1, or -1 for all in-sync replicas; 0 has no response at all.
    request ProduceRequest -> ProduceResponse = 0, [3-13], flexible [9+] {
        transactional_id: Option<String>, [3+], null [3+];
        acks: i16, [0+];
        timeout_ms: i32, [0+];
        topic_data: Vec<TopicProduceData>, [0+];
    }

    /// The record sets of one topic.
    struct TopicProduceData {
        name: String, [0-12];
        topic_id: TopicId, [13+], default TopicId::ZERO;
        partition_data: Vec<PartitionProduceData>, [0+];
    }

    /// The record set of one partition.
    struct PartitionProduceData {
        index: i32, [0+];
        records: Option<Bytes>, [0+], null [0+];
    }

    /// What became of each record set.
    response ProduceResponse = 0, [3-13], flexible [9+] {
        responses: Vec<TopicProduceResponse>, [0+];
        throttle_time_ms: i32, [1+];
        node_endpoints: Vec<NodeEndpoint>, [10+], tag 0 [10+];
    }

    /// The answers of one topic.
    struct TopicProduceResponse {
        name: String, [0-12];
        topic_id: TopicId, [13+], default TopicId::ZERO;
        partition_responses: Vec<PartitionProduceResponse>, [0+];
    }

    /// Where to reach a leader that was named.
    struct NodeEndpoint {
        node_id: i32, [10+];
        host: String, [10+];
        port: i32, [10+];
        rack: Option<String>, [10+], null [10+];
    }

    /// Where the records of one partition went: `base_offset` is -1 with an error.
    struct PartitionProduceResponse {
        index: i32, [0+];
        error_code: i16, [0+];
        base_offset: i64, [0+];
        log_append_time_ms: i64, [2+], default -1;
        log_start_offset: i64, [5+], default -1;
        record_errors: Vec<BatchIndexAndErrorMessage>, [8+];
        error_message: Option<String>, [8+], null [8+];
        current_leader: LeaderIdAndEpoch, [10+], tag 0 [10+];
    }

    /// A record that was refused, by its index in the batch.
    struct BatchIndexAndErrorMessage {
        batch_index: i32, [8+];
        batch_index_error_message: Option<String>, [8+], null [8+];
    }

    /// Who leads instead; -1 where unknown.
    struct LeaderIdAndEpoch {
        leader_id: i32, [10+], default -1;
        leader_epoch: i32, [10+], default -1;
    }
}
