//! Metadata: which brokers there are, and who leads which partition of which topic. May create topics on the way.

use highwater_records::TopicId;

declare! {
    /// Asks about `topics`: all of them for `None`, none for an empty list (version 0: all for an empty list).
    request MetadataRequest -> MetadataResponse = 3, [0-13], flexible [9+] {
        topics: Option<Vec<MetadataRequestTopic>>, [0+], null [1+];
        allow_auto_topic_creation: bool, [4+], default true;
        include_cluster_authorized_operations: bool, [8-10];
        include_topic_authorized_operations: bool, [8+];
    }

    /// A topic, by name, or from version 12 on by id.
    struct MetadataRequestTopic {
        topic_id: TopicId, [10+], default TopicId::ZERO;
        name: Option<String>, [0+], null [10+];
    }

    /// Brokers, controller and topics.
    response MetadataResponse = 3, [0-13], flexible [9+] {
        throttle_time_ms: i32, [3+];
        brokers: Vec<MetadataResponseBroker>, [0+];
        cluster_id: Option<String>, [2+], null [2+];
        controller_id: i32, [1+], default -1;
        topics: Vec<MetadataResponseTopic>, [0+];
        cluster_authorized_operations: i32, [8-10], default i32::MIN;
        error_code: i16, [13+];
    }

    /// A broker and where to reach it.
    struct MetadataResponseBroker {
        node_id: i32, [0+];
        host: String, [0+];
        port: i32, [0+];
        rack: Option<String>, [1+], null [1+];
    }

    /// A topic, or what is wrong with it.
    struct MetadataResponseTopic {
        error_code: i16, [0+];
        name: Option<String>, [0+], null [12+];
        topic_id: TopicId, [10+], default TopicId::ZERO;
        is_internal: bool, [1+];
        partitions: Vec<MetadataResponsePartition>, [0+];
        topic_authorized_operations: i32, [8+], default i32::MIN;
    }

    /// A partition; `leader_id` is -1 while there is none.
    struct MetadataResponsePartition {
        error_code: i16, [0+];
        partition_index: i32, [0+];
        leader_id: i32, [0+];
        leader_epoch: i32, [7+], default -1;
        replica_nodes: Vec<i32>, [0+];
        isr_nodes: Vec<i32>, [0+];
        offline_replicas: Vec<i32>, [5+];
    }
}
