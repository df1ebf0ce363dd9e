//! CreateTopics: make topics.

use highwater_records::TopicId;

declare! {
    /// Topics to create.
    request CreateTopicsRequest -> CreateTopicsResponse = 19, [2-7], flexible [5+] {
        topics: Vec<CreatableTopic>, [0+];
        timeout_ms: i32, [0+], default 60000;
        validate_only: bool, [1+];
    }

    /// A topic; -1 partitions or replicas for the broker's default, and with assignments.
    struct CreatableTopic {
        name: String, [0+];
        num_partitions: i32, [0+];
        replication_factor: i16, [0+];
        assignments: Vec<CreatableReplicaAssignment>, [0+];
        configs: Vec<CreatableTopicConfig>, [0+];
    }

    /// The replicas of one partition, leader first.
    struct CreatableReplicaAssignment {
        partition_index: i32, [0+];
        broker_ids: Vec<i32>, [0+];
    }

    /// A configuration override.
    struct CreatableTopicConfig {
        name: String, [0+];
        value: Option<String>, [0+], null [0+];
    }

    /// What became of each topic.
    response CreateTopicsResponse = 19, [2-7], flexible [5+] {
        throttle_time_ms: i32, [2+];
        topics: Vec<CreatableTopicResult>, [0+];
    }

    /// One topic, with what it was given.
    struct CreatableTopicResult {
        name: String, [0+];
        topic_id: TopicId, [7+], default TopicId::ZERO;
        error_code: i16, [0+];
        error_message: Option<String>, [1+], null [0+];
        topic_config_error_code: i16, [5+], tag 0 [5+];
        num_partitions: i32, [5+], default -1;
        replication_factor: i16, [5+], default -1;
        configs: Option<Vec<CreatableTopicConfigs>>, [5+], null [5+];
    }

    /// A configuration value of the new topic.
    struct CreatableTopicConfigs {
        name: String, [5+];
        value: Option<String>, [5+], null [5+];
        read_only: bool, [5+];
        config_source: i8, [5+], default -1;
        is_sensitive: bool, [5+];
    }
}
