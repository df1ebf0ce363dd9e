//! OffsetFetch: where groups stand, one group up to version 7, several from 8 on.

use highwater_records::TopicId;

declare! {
    /// Asks for committed offsets; no topics at all (null) asks for every one of the group.
    request OffsetFetchRequest -> OffsetFetchResponse = 9, [1-10], flexible [6+] {
        group_id: String, [0-7];
        topics: Option<Vec<OffsetFetchRequestTopic>>, [0-7], null [2-7];
        groups: Vec<OffsetFetchRequestGroup>, [8+];
        require_stable: bool, [7+], default false;
    }

    /// The partitions of one topic.
    struct OffsetFetchRequestTopic {
        name: String, [0-7];
        partition_indexes: Vec<i32>, [0-7];
    }

    /// One group; `member_id` and `member_epoch` are of members of consumer groups.
    struct OffsetFetchRequestGroup {
        group_id: String, [8+];
        member_id: Option<String>, [9+], null [9+];
        member_epoch: i32, [9+], default -1;
        topics: Option<Vec<OffsetFetchRequestTopics>>, [8+], null [8+];
    }

    /// The partitions of one topic.
    struct OffsetFetchRequestTopics {
        name: String, [8-9];
        topic_id: TopicId, [10+], default TopicId::ZERO;
        partition_indexes: Vec<i32>, [8+];
    }

    /// Committed offsets.
    response OffsetFetchResponse = 9, [1-10], flexible [6+] {
        throttle_time_ms: i32, [3+];
        topics: Vec<OffsetFetchResponseTopic>, [0-7];
        error_code: i16, [2-7], default 0;
        groups: Vec<OffsetFetchResponseGroup>, [8+];
    }

    /// The partitions of one topic.
    struct OffsetFetchResponseTopic {
        name: String, [0-7];
        partitions: Vec<OffsetFetchResponsePartition>, [0-7];
    }

    /// The offset of one partition; -1 if none was committed.
    struct OffsetFetchResponsePartition {
        partition_index: i32, [0-7];
        committed_offset: i64, [0-7];
        committed_leader_epoch: i32, [5-7], default -1;
        metadata: Option<String>, [0-7], null [0-7];
        error_code: i16, [0-7];
    }

    /// The answer for one group.
    struct OffsetFetchResponseGroup {
        group_id: String, [8+];
        topics: Vec<OffsetFetchResponseTopics>, [8+];
        error_code: i16, [8+], default 0;
    }

    /// The partitions of one topic.
    struct OffsetFetchResponseTopics {
        name: String, [8-9];
        topic_id: TopicId, [10+], default TopicId::ZERO;
        partitions: Vec<OffsetFetchResponsePartitions>, [8+];
    }

    /// The offset of one partition; -1 if none was committed.
    struct OffsetFetchResponsePartitions {
        partition_index: i32, [8+];
        committed_offset: i64, [8+];
        committed_leader_epoch: i32, [8+], default -1;
        metadata: Option<String>, [8+], null [8+];
        error_code: i16, [8+];
    }
}
