//! Fetch: read record sets from partitions; followers replicate with it too.

use bytes::Bytes;
use highwater_records::TopicId;

declare! {
    /// Asks for records. `replica_id` is -1 for consumers; `session_epoch` is -1 for a fetch without session.
    request FetchRequest -> FetchResponse = 1, [4-18], flexible [12+] {
        cluster_id: Option<String>, [12+], null [12+], tag 0 [12+];
        replica_id: i32, [0-14], default -1;
        replica_state: ReplicaState, [15+], tag 1 [15+];
        max_wait_ms: i32, [0+];
        min_bytes: i32, [0+];
        max_bytes: i32, [3+], default i32::MAX;
        isolation_level: i8, [4+];
        session_id: i32, [7+];
        session_epoch: i32, [7+], default -1;
        topics: Vec<FetchTopic>, [0+];
        forgotten_topics_data: Vec<ForgottenTopic>, [7+];
        rack_id: String, [11+];
    }

    /// Which follower asks; -1 for consumers.
    struct ReplicaState {
        replica_id: i32, [15+], default -1;
        replica_epoch: i64, [15+], default -1;
    }

    /// The partitions of one topic to read.
    struct FetchTopic {
        topic: String, [0-12];
        topic_id: TopicId, [13+], default TopicId::ZERO;
        partitions: Vec<FetchPartition>, [0+];
    }

    /// Partitions to take out of the fetch session.
    struct ForgottenTopic {
        topic: String, [7-12];
        topic_id: TopicId, [13+], default TopicId::ZERO;
        partitions: Vec<i32>, [7+];
    }

    /// From where on to read a partition, and how much.
    struct FetchPartition {
        partition: i32, [0+];
        current_leader_epoch: i32, [9+], default -1;
        fetch_offset: i64, [0+];
        last_fetched_epoch: i32, [12+], default -1;
        log_start_offset: i64, [5+], default -1;
        partition_max_bytes: i32, [0+];
        replica_directory_id: TopicId, [17+], tag 0 [17+], default TopicId::ZERO;
        high_watermark: i64, [18+], tag 1 [18+], default i64::MAX;
    }

    /// What was read.
    response FetchResponse = 1, [4-18], flexible [12+] {
        throttle_time_ms: i32, [1+];
        error_code: i16, [7+];
        session_id: i32, [7+];
        responses: Vec<FetchableTopicResponse>, [0+];
        node_endpoints: Vec<NodeEndpoint>, [16+], tag 0 [16+];
    }

    /// What was read of one topic.
    struct FetchableTopicResponse {
        topic: String, [0-12];
        topic_id: TopicId, [13+], default TopicId::ZERO;
        partitions: Vec<PartitionData>, [0+];
    }

    /// Where to reach a leader that was named.
    struct NodeEndpoint {
        node_id: i32, [16+];
        host: String, [16+];
        port: i32, [16+];
        rack: Option<String>, [16+], null [16+];
    }

    /// What was read of one partition. `records` holds whole batches; the first may start before the offset
    /// asked for.
    struct PartitionData {
        partition_index: i32, [0+];
        error_code: i16, [0+];
        high_watermark: i64, [0+];
        last_stable_offset: i64, [4+], default -1;
        log_start_offset: i64, [5+], default -1;
        diverging_epoch: EpochEndOffset, [12+], tag 0 [12+];
        current_leader: LeaderIdAndEpoch, [12+], tag 1 [12+];
        snapshot_id: SnapshotId, [12+], tag 2 [12+];
        aborted_transactions: Option<Vec<AbortedTransaction>>, [4+], null [4+];
        preferred_read_replica: i32, [11+], default -1;
        records: Option<Bytes>, [0+], null [0+];
    }

    /// Where the log of the follower and that of the leader part; -1 where they do not.
    struct EpochEndOffset {
        epoch: i32, [12+], default -1;
        end_offset: i64, [12+], default -1;
    }

    /// Who leads instead; -1 where unknown.
    struct LeaderIdAndEpoch {
        leader_id: i32, [12+], default -1;
        leader_epoch: i32, [12+], default -1;
    }

    /// A snapshot to fetch instead (metadata log only); -1 otherwise.
    struct SnapshotId {
        end_offset: i64, [0+], default -1;
        epoch: i32, [0+], default -1;
    }

    /// A transaction whose records in this range do not count.
    struct AbortedTransaction {
        producer_id: i64, [4+];
        first_offset: i64, [4+];
    }
}
