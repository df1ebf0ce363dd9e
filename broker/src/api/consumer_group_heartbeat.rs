//! ConsumerGroupHeartbeat (KIP-848).

use super::{
    Decoded,
    group_codes::{code, member},
    reply,
};
use crate::server::Step;
use highwater_coordinator::{Assignment as Partitions, ConsumerBeat, ConsumerHeartbeat, GroupError};
use highwater_wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};

/// From here on members draw their own ids (KIP-1082).
const NAMES_ITSELF_SINCE: i16 = 1;

pub(super) fn answer(call: Decoded<ConsumerGroupHeartbeatRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let member_id = trimmed(request.member_id);
    let nameless = start.api_version >= NAMES_ITSELF_SINCE && member_id.is_empty();
    // Whoever joins has nothing yet, not even a topic of which it has no partition.
    let has_some = request.topic_partitions.as_ref().is_some_and(|topics| !topics.is_empty());
    if nameless || request.member_epoch == 0 && has_some {
        return Step::Now(reply(start, &respond(Err(GroupError::InvalidRequest))));
    }
    let owned = request.topic_partitions.map(|topics| {
        let partitions = topics
            .into_iter()
            .flat_map(|topic| topic.partitions.into_iter().map(move |partition| (topic.topic_id, partition)));
        Partitions::of(partitions)
    });
    let beat = ConsumerHeartbeat {
        group: trimmed(request.group_id),
        member: member_id,
        epoch: request.member_epoch,
        instance: request.instance_id.map(trimmed),
        rack: request.rack_id.map(trimmed),
        rebalance_timeout_ms: (request.rebalance_timeout_ms != -1).then_some(request.rebalance_timeout_ms),
        topics: request.subscribed_topic_names,
        regex: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned,
        caller: member(&caller),
    };
    let group = beat.group.clone();
    let pending = node.ask_group(&caller, &group, beat);
    Step::Later(Box::pin(async move { reply(start, &respond(pending.wait().await.flatten())) }))
}

/// The text, or an empty one for one that has nothing but spaces and control characters: Kafka refuses both alike.
fn trimmed(text: String) -> String {
    if text.chars().all(|each| each <= ' ') { String::new() } else { text }
}

fn respond(answer: Result<ConsumerBeat, GroupError>) -> ConsumerGroupHeartbeatResponse {
    match answer {
        Ok(beat) => ConsumerGroupHeartbeatResponse {
            member_id: Some(beat.member),
            member_epoch: beat.epoch,
            heartbeat_interval_ms: i32::try_from(beat.interval_ms).unwrap_or(i32::MAX),
            assignment: beat.assignment.map(|assignment| Assignment {
                topic_partitions: assignment
                    .topics()
                    .map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions })
                    .collect(),
            }),
            ..ConsumerGroupHeartbeatResponse::default()
        },
        Err(error) => ConsumerGroupHeartbeatResponse {
            error_code: code(error).code(),
            error_message: Some(error.to_string()),
            ..ConsumerGroupHeartbeatResponse::default()
        },
    }
}
