//! What operators ask: which groups there are, how they are, and that they go.

use alloc::{string::String, vec::Vec};

use super::{GroupShard, check_id};
use crate::{
    GroupError,
    classic::CONSUMER,
    group::Group,
    group_request::{DescribedConsumerGroup, DescribedGroup, GroupKind, ListedGroup},
    offsets::tombstone,
    shard::{Moment, Step},
};

impl GroupShard {
    pub(super) fn list(&self) -> Vec<ListedGroup> {
        let listed = self.groups.iter().map(|(id, group)| match group {
            Group::Classic(group) => ListedGroup {
                group: String::from(&**id),
                protocol_type: group.protocol_type().into(),
                state: group.state().name(),
                kind: GroupKind::Classic,
            },
            Group::Consumer(group) => ListedGroup {
                group: String::from(&**id),
                protocol_type: CONSUMER.into(),
                state: group.state(),
                kind: GroupKind::Consumer,
            },
        });
        listed.collect()
    }

    pub(super) fn describe(&self, group: &str) -> Result<DescribedGroup, GroupError> {
        match self.groups.get(group) {
            Some(Group::Classic(group)) => Ok(group.describe()),
            Some(Group::Consumer(_)) | None => Err(GroupError::GroupIdNotFound),
        }
    }

    pub(super) fn describe_consumers(
        &self,
        group: &str,
        at: &Moment<'_>,
    ) -> Result<DescribedConsumerGroup, GroupError> {
        check_id(group)?;
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => Ok(group.describe(at.topics)),
            Some(Group::Classic(_)) | None => Err(GroupError::GroupIdNotFound),
        }
    }

    pub(super) fn delete(&mut self, group: &str, step: &mut Step<GroupShard>) -> Result<(), GroupError> {
        let found = self.groups.get(group).ok_or(GroupError::GroupIdNotFound)?;
        found.check_delete()?;
        for (topic, partition) in self.offsets.keys(group) {
            step.record(tombstone(group, &topic, partition));
            self.offsets.remove(group, &topic, partition);
        }
        self.clear(group, step);
        Ok(())
    }
}
