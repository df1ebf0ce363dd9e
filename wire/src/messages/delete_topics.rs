//! DeleteTopics: remove topics, by name or, from version 6 on, by id.

use highwater_records::TopicId;

declare! {
    /// Topics to remove: `topic_names` up to version 5, `topics` from 6 on.
    request DeleteTopicsRequest -> DeleteTopicsResponse = 20, [1-6], flexible [4+] {
        topics: Vec<DeleteTopicState>, [6+];
        topic_names: Vec<String>, [0-5];
        timeout_ms: i32, [0+];
    }

    /// A topic, by name or by id; the other is `None` or zero.
    struct DeleteTopicState {
        name: Option<String>, [6+], null [6+];
        topic_id: TopicId, [6+], default TopicId::ZERO;
    }

    /// What became of each topic.
    response DeleteTopicsResponse = 20, [1-6], flexible [4+] {
        throttle_time_ms: i32, [1+];
        responses: Vec<DeletableTopicResult>, [0+];
    }

    /// One topic.
    struct DeletableTopicResult {
        name: Option<String>, [0+], null [6+];
        topic_id: TopicId, [6+], default TopicId::ZERO;
        error_code: i16, [0+];
        error_message: Option<String>, [5+], null [5+];
    }
}
