//! OffsetForLeaderEpoch: where each leader epoch of a partition ended

declare! {
    /// Partitions and the epochs to look for. `replica_id` is -1 for consumers, -2 where it is not said.
    request OffsetForLeaderEpochRequest -> OffsetForLeaderEpochResponse = 23, [2-4], flexible [4+] {
        replica_id: i32, [3+], default -2;
        topics: Vec<OffsetForLeaderTopic>, [0+];
    }

    /// The partitions of one topic.
    struct OffsetForLeaderTopic {
        topic: String, [0+];
        partitions: Vec<OffsetForLeaderPartition>, [0+];
    }

    /// A partition, the epoch its client believes in, and the epoch to look for.
    struct OffsetForLeaderPartition {
        partition: i32, [0+];
        current_leader_epoch: i32, [2+], default -1;
        leader_epoch: i32, [0+];
    }

    /// Where the epochs ended.
    response OffsetForLeaderEpochResponse = 23, [2-4], flexible [4+] {
        throttle_time_ms: i32, [2+];
        topics: Vec<OffsetForLeaderTopicResult>, [0+];
    }

    /// What was found of one topic.
    struct OffsetForLeaderTopicResult {
        topic: String, [0+];
        partitions: Vec<EpochEndOffset>, [0+];
    }

    /// The largest epoch not above the one looked for, and its end (exclusive); -1 where none is known.
    struct EpochEndOffset {
        error_code: i16, [0+];
        partition: i32, [0+];
        leader_epoch: i32, [1+], default -1;
        end_offset: i64, [0+], default -1;
    }
}
