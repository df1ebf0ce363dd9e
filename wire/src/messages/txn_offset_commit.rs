//! TxnOffsetCommit: offsets that count once a transaction is committed

declare! {
    /// Offsets of a group.
    request TxnOffsetCommitRequest -> TxnOffsetCommitResponse = 28, [0-5], flexible [3+] {
        transactional_id: String, [0+];
        group_id: String, [0+];
        producer_id: i64, [0+];
        producer_epoch: i16, [0+];
        generation_id: i32, [3+], default -1;
        member_id: String, [3+];
        group_instance_id: Option<String>, [3+], null [3+];
        topics: Vec<TxnOffsetCommitRequestTopic>, [0+];
    }

    /// Offsets of one topic.
    struct TxnOffsetCommitRequestTopic {
        name: String, [0+];
        partitions: Vec<TxnOffsetCommitRequestPartition>, [0+];
    }

    /// An offset.
    struct TxnOffsetCommitRequestPartition {
        partition_index: i32, [0+];
        committed_offset: i64, [0+];
        committed_leader_epoch: i32, [2+], default -1;
        committed_metadata: Option<String>, [0+], null [0+];
    }

    /// What became of each.
    response TxnOffsetCommitResponse = 28, [0-5], flexible [3+] {
        throttle_time_ms: i32, [0+];
        topics: Vec<TxnOffsetCommitResponseTopic>, [0+];
    }

    /// What became of one topic.
    struct TxnOffsetCommitResponseTopic {
        name: String, [0+];
        partitions: Vec<TxnOffsetCommitResponsePartition>, [0+];
    }

    /// What became of one partition.
    struct TxnOffsetCommitResponsePartition {
        partition_index: i32, [0+];
        error_code: i16, [0+];
    }
}
