//! ConsumerGroupDescribe (KIP-848).

use super::{Decoded, group_codes::code, metadata::asked, operations, reply};
use crate::server::Step;
use highwater_coordinator::{DescribeConsumers, DescribedConsumer, DescribedConsumerGroup, GroupError};
use highwater_records::TopicId;
use highwater_wire::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup, Member,
    TopicPartitions,
};

/// A member that speaks the classic protocol still, and one that speaks this one.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

pub(super) fn answer(call: Decoded<ConsumerGroupDescribeRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let pending: Vec<_> = request
        .group_ids
        .into_iter()
        .map(|group| (node.ask_group(&caller, &group, DescribeConsumers(group.clone())), group))
        .collect();
    let operations = asked(request.include_authorized_operations, operations::GROUP);
    Step::Later(Box::pin(async move {
        let mut groups = Vec::with_capacity(pending.len());
        for (pending, group) in pending {
            let mut described = describe(group, pending.wait().await.flatten());
            described.authorized_operations = operations;
            groups.push(described);
        }
        reply(start, &ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() })
    }))
}

fn describe(group_id: String, found: Result<DescribedConsumerGroup, GroupError>) -> DescribedGroup {
    match found {
        Ok(found) => DescribedGroup {
            group_id,
            group_state: found.state.to_owned(),
            group_epoch: found.epoch,
            assignment_epoch: found.target_epoch,
            assignor_name: found.assignor,
            members: found.members.into_iter().map(member).collect(),
            ..DescribedGroup::default()
        },
        Err(error) => DescribedGroup {
            error_code: code(error).code(),
            error_message: Some(match error {
                GroupError::GroupIdNotFound => format!("group {group_id} is no consumer group"),
                other => other.to_string(),
            }),
            group_id,
            ..DescribedGroup::default()
        },
    }
}

fn member(found: DescribedConsumer) -> Member {
    Member {
        member_id: found.member,
        instance_id: found.instance,
        rack_id: found.rack,
        member_epoch: found.epoch,
        client_id: found.caller.client_id,
        client_host: found.caller.host,
        subscribed_topic_names: found.topics,
        // Kafka says empty of one that has none.
        subscribed_topic_regex: Some(found.regex.unwrap_or_default()),
        assignment: assignment(found.assigned),
        target_assignment: assignment(found.target),
        member_type: if found.is_classic { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
    }
}

fn assignment(topics: Vec<(TopicId, String, Vec<i32>)>) -> Assignment {
    let topics = topics.into_iter().map(|(topic_id, topic_name, partitions)| TopicPartitions {
        topic_id,
        topic_name,
        partitions,
    });
    Assignment { topic_partitions: topics.collect() }
}
