//! ConsumerGroupDescribe: consumer groups and their members.

use highwater_records::TopicId;

declare! {
    /// Asks about groups.
    request ConsumerGroupDescribeRequest -> ConsumerGroupDescribeResponse = 69, [0-1], flexible [0+] {
        group_ids: Vec<String>, [0+];
        include_authorized_operations: bool, [0+];
    }

    /// The groups.
    response ConsumerGroupDescribeResponse = 69, [0-1], flexible [0+] {
        throttle_time_ms: i32, [0+];
        groups: Vec<DescribedGroup>, [0+];
    }

    /// One group.
    struct DescribedGroup {
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        group_id: String, [0+];
        group_state: String, [0+];
        group_epoch: i32, [0+];
        assignment_epoch: i32, [0+];
        assignor_name: String, [0+];
        members: Vec<Member>, [0+];
        authorized_operations: i32, [0+], default i32::MIN;
    }

    /// One member. `member_type` is 0 for one that speaks the classic protocol, 1 for the new one.
    struct Member {
        member_id: String, [0+];
        instance_id: Option<String>, [0+], null [0+];
        rack_id: Option<String>, [0+], null [0+];
        member_epoch: i32, [0+];
        client_id: String, [0+];
        client_host: String, [0+];
        subscribed_topic_names: Vec<String>, [0+];
        subscribed_topic_regex: Option<String>, [0+], null [0+];
        assignment: Assignment, [0+];
        target_assignment: Assignment, [0+];
        member_type: i8, [1+], default -1;
    }

    /// Partitions.
    struct Assignment {
        topic_partitions: Vec<TopicPartitions>, [0+];
    }

    /// Partitions of one topic.
    struct TopicPartitions {
        topic_id: TopicId, [0+], default TopicId::ZERO;
        topic_name: String, [0+];
        partitions: Vec<i32>, [0+];
    }
}
