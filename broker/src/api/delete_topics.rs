//! DeleteTopics: by name, or from version 6 on by id too.

use super::{Decoded, late, reply};
use crate::server::Reply;
use highwater_node::request::{DeleteTopicError, TopicRef};
use highwater_wire::{
    ErrorCode,
    messages::delete_topics::{
        DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
    },
};
use std::collections::BTreeMap;

pub(super) async fn answer(call: Decoded<DeleteTopicsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let by_name = |name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() };
    let states: Vec<_> = if start.api_version >= 6 {
        request.topics
    } else {
        request.topic_names.into_iter().map(by_name).collect()
    };
    let (states, twice) = once(states);
    let late = late(request.timeout_ms);
    let wanted = if late { Vec::new() } else { states.iter().filter_map(reference).collect() };
    let mut answers = node.delete_topics(&caller, wanted).await.into_iter();
    let mut responses = Vec::with_capacity(states.len());
    for state in states {
        let (name, topic_id, failure) = match reference(&state).and_then(|_| answers.next()) {
            Some(Ok(deleted)) => (Some(deleted.name), deleted.id, None),
            Some(Err(error)) => {
                (state.name, state.topic_id, Some((code(&error, start.api_version), error.to_string())))
            }
            None if late && reference(&state).is_some() => {
                let message = "no time is left for it".to_owned();
                (state.name, state.topic_id, Some((ErrorCode::RequestTimedOut, message)))
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
    responses.extend(twice.into_iter().map(|state| DeletableTopicResult {
        name: state.name,
        topic_id: state.topic_id,
        error_code: ErrorCode::InvalidRequest.code(),
        error_message: Some("a topic is named once".to_owned()),
    }));
    reply(start, &DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() })
}

/// What is asked for once, and what more than once, of which nothing is done and one answer given.
fn once(states: Vec<DeleteTopicState>) -> (Vec<DeleteTopicState>, Vec<DeleteTopicState>) {
    let named = |state: &DeleteTopicState| reference(state).map(|_| (state.name.clone(), state.topic_id));
    let mut counts = BTreeMap::new();
    for key in states.iter().filter_map(named) {
        *counts.entry(key).or_insert(0_usize) += 1;
    }
    counts.retain(|_, count| *count > 1);
    let kept = states.into_iter().filter(|state| named(state).is_none_or(|key| !counts.contains_key(&key)));
    let twice =
        counts.keys().map(|(name, topic_id)| DeleteTopicState { name: name.clone(), topic_id: *topic_id });
    (kept.collect(), twice.collect())
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

    #[test]
    fn of_what_is_named_twice_nothing_is_done_and_one_answer_given() {
        let id = TopicId::from_bytes([1; 16]);
        let state =
            |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(str::to_owned), topic_id };
        let (a, b) = (state(Some("a"), TopicId::ZERO), state(Some("b"), TopicId::ZERO));
        let (by_id, neither) = (state(None, id), state(None, TopicId::ZERO));
        let all =
            vec![a.clone(), b.clone(), neither.clone(), by_id.clone(), a.clone(), neither.clone(), a.clone()];
        assert_eq!(once(all), (vec![b, neither.clone(), by_id.clone(), neither], vec![a]));
        assert_eq!(once(vec![by_id.clone(), by_id.clone()]), (Vec::new(), vec![by_id]));
    }
}
