//! ConsumerGroupHeartbeat: join, stay in and leave a consumer group (KIP-848).

use highwater_records::TopicId;

declare! {
    /// A member's sign of life. What has not changed since the last one is null, or -1.
    request ConsumerGroupHeartbeatRequest -> ConsumerGroupHeartbeatResponse = 68, [0-1], flexible [0+] {
        group_id: String, [0+];
        member_id: String, [0+];
        member_epoch: i32, [0+];
        instance_id: Option<String>, [0+], null [0+];
        rack_id: Option<String>, [0+], null [0+];
        rebalance_timeout_ms: i32, [0+], default -1;
        subscribed_topic_names: Option<Vec<String>>, [0+], null [0+];
        subscribed_topic_regex: Option<String>, [1+], null [1+];
        server_assignor: Option<String>, [0+], null [0+];
        topic_partitions: Option<Vec<TopicPartitions>>, [0+], null [0+];
    }

    /// What the member is to do. The assignment is null if it has not changed.
    response ConsumerGroupHeartbeatResponse = 68, [0-1], flexible [0+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        member_id: Option<String>, [0+], null [0+];
        member_epoch: i32, [0+];
        heartbeat_interval_ms: i32, [0+];
        assignment: Option<Assignment>, [0+], null [0+];
    }

    /// Partitions to have.
    struct Assignment {
        topic_partitions: Vec<TopicPartitions>, [0+];
    }

    /// Partitions of one topic.
    struct TopicPartitions {
        topic_id: TopicId, [0+], default TopicId::ZERO;
        partitions: Vec<i32>, [0+];
    }
}
