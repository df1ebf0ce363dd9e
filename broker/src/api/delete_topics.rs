//! DeleteTopics: by name, or from version 6 on by id too.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_node::request::{DeleteTopicError, TopicRef};
use highwater_wire::{
    ErrorCode,
    messages::delete_topics::{
        DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
    },
};

pub(super) async fn answer(call: Decoded<DeleteTopicsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let by_name = |name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() };
    let states: Vec<_> = if start.api_version >= 6 {
        request.topics
    } else {
        request.topic_names.into_iter().map(by_name).collect()
    };
    let wanted = states.iter().filter_map(reference).collect();
    let mut answers = node.delete_topics(&caller, wanted).await.into_iter();
    let mut responses = Vec::with_capacity(states.len());
    for state in states {
        let (name, topic_id, failure) = match reference(&state).and_then(|_| answers.next()) {
            Some(Ok(deleted)) => (Some(deleted.name), deleted.id, None),
            Some(Err(error)) => {
                (state.name, state.topic_id, Some((code(&error, start.api_version), error.to_string())))
            }
            None => {
                let message = "a topic is named either by name or by id".to_owned();
                (state.name, state.topic_id, Some((ErrorCode::InvalidRequest, message)))
            }
        };
        let (error_code, error_message) = match failure {
            Some((code, message)) => (code, Some(message)),
            None => (ErrorCode::None, None),
        };
        responses.push(DeletableTopicResult { name, topic_id, error_code: error_code.code(), error_message });
    }
    reply(start, &DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() })
}

/// The topic that is meant; `None` when both name and id are there, or neither.
fn reference(state: &DeleteTopicState) -> Option<TopicRef> {
    match (&state.name, state.topic_id.is_zero()) {
        (Some(name), true) => Some(TopicRef::Name(name.clone())),
        (None, false) => Some(TopicRef::Id(state.topic_id)),
        _ => None,
    }
}

fn code(error: &DeleteTopicError, version: i16) -> ErrorCode {
    match error {
        DeleteTopicError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        DeleteTopicError::UnknownTopicId => ErrorCode::UnknownTopicId,
        // The code came with version 3.
        DeleteTopicError::Disabled if version < 3 => ErrorCode::InvalidRequest,
        DeleteTopicError::Disabled => ErrorCode::TopicDeletionDisabled,
        DeleteTopicError::Unavailable(_) => ErrorCode::RequestTimedOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_records::TopicId;

    #[test]
    fn a_topic_is_named_in_one_way() {
        let id = TopicId::from_bytes([1; 16]);
        let state =
            |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(str::to_owned), topic_id };
        assert_eq!(reference(&state(Some("a"), TopicId::ZERO)), Some(TopicRef::Name("a".into())));
        assert_eq!(reference(&state(None, id)), Some(TopicRef::Id(id)));
        assert_eq!(reference(&state(Some("a"), id)), None);
        assert_eq!(reference(&state(None, TopicId::ZERO)), None);
    }
}
