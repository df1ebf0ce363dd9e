//! How far a member has come, as its group keeps it.

use std::collections::BTreeMap;

use highwater_wire::{
    ErrorCode,
    messages::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic},
};

use super::{Name, code};
use crate::commands::{CommandError, cluster::Cluster};

/// The last version of OffsetCommit that names topics by name.
const BY_NAME: i16 = 9;

/// Commits what was read, by partition. `false` if the coordinator wants to hear from the member first, or does not know
/// it any more: nothing was committed then.
pub(super) async fn commit(
    name: &Name<'_>,
    cluster: &mut Cluster,
    read: &BTreeMap<i32, i64>,
) -> Result<bool, CommandError> {
    let doing = "committing offsets of";
    let partitions = read.iter().map(|(partition, offset)| OffsetCommitRequestPartition {
        partition_index: *partition,
        committed_offset: *offset,
        ..OffsetCommitRequestPartition::default()
    });
    let topic = OffsetCommitRequestTopic {
        name: name.topic.name.clone(),
        partitions: partitions.collect(),
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: name.group.to_owned(),
        generation_id_or_member_epoch: name.epoch,
        member_id: name.id.clone(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let answer = name.ask(cluster, doing, &request, BY_NAME).await?;
    for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
        match code(partition.error_code) {
            ErrorCode::None => {}
            ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::StaleMemberEpoch
            | ErrorCode::FencedMemberEpoch
            | ErrorCode::RebalanceInProgress => return Ok(false),
            refused if refused.is_retriable() => return Ok(false),
            refused => return Err(name.refused(doing, refused, None)),
        }
    }
    Ok(true)
}
