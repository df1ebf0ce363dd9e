//! OffsetDelete.

use super::{
    Decoded,
    group_codes::{code, outcome},
    reply,
};
use crate::server::Step;
use highwater_coordinator::{DeleteOffsets, GroupError};
use highwater_wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

pub(super) fn answer(call: Decoded<OffsetDeleteRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let topics: Vec<(String, Vec<i32>)> = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
            (topic.name, partitions.collect())
        })
        .collect();
    let delete = DeleteOffsets { group: request.group_id, topics: topics.clone() };
    let group = delete.group.clone();
    let pending = node.ask_group(&caller, &group, delete);
    Step::Later(Box::pin(async move {
        let answers = match pending.wait().await.flatten() {
            Ok(answers) => answers,
            Err(error) => {
                let error_code = code(error).code();
                return reply(start, &OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() });
            }
        };
        let mut answers = answers.into_iter();
        let topics = topics.into_iter().map(|(name, partitions)| OffsetDeleteResponseTopic {
            name,
            partitions: partitions
                .into_iter()
                .map(|partition_index| OffsetDeleteResponsePartition {
                    partition_index,
                    error_code: outcome(&answers.next().unwrap_or(Err(GroupError::NotAvailable))),
                })
                .collect(),
        });
        reply(start, &OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() })
    }))
}
