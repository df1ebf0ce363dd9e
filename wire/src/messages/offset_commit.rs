//! OffsetCommit: a group has processed everything below these offsets.

use highwater_records::TopicId;

declare! {
    /// Offsets to keep. Without membership `generation_id_or_member_epoch` is -1 and `member_id` empty.
    request OffsetCommitRequest -> OffsetCommitResponse = 8, [2-10], flexible [8+] {
        group_id: String, [0+];
        generation_id_or_member_epoch: i32, [1+], default -1;
        member_id: String, [1+];
        group_instance_id: Option<String>, [7+], null [7+];
        retention_time_ms: i64, [2-4], default -1;
        topics: Vec<OffsetCommitRequestTopic>, [0+];
    }

    /// The partitions of one topic.
    struct OffsetCommitRequestTopic {
        name: String, [0-9];
        topic_id: TopicId, [10+], default TopicId::ZERO;
        partitions: Vec<OffsetCommitRequestPartition>, [0+];
    }

    /// The next offset to process; `committed_leader_epoch` is -1 where unknown.
    struct OffsetCommitRequestPartition {
        partition_index: i32, [0+];
        committed_offset: i64, [0+];
        committed_leader_epoch: i32, [6+], default -1;
        committed_metadata: Option<String>, [0+], null [0+];
    }

    /// What became of each.
    response OffsetCommitResponse = 8, [2-10], flexible [8+] {
        throttle_time_ms: i32, [3+];
        topics: Vec<OffsetCommitResponseTopic>, [0+];
    }

    /// The partitions of one topic.
    struct OffsetCommitResponseTopic {
        name: String, [0-9];
        topic_id: TopicId, [10+], default TopicId::ZERO;
        partitions: Vec<OffsetCommitResponsePartition>, [0+];
    }

    /// The answer for one partition.
    struct OffsetCommitResponsePartition {
        partition_index: i32, [0+];
        error_code: i16, [0+];
    }
}
