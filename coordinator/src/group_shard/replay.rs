//! Records applied as they were written.

use alloc::{string::String, sync::Arc};

use super::GroupShard;
use crate::{
    classic::ClassicGroup,
    consumer::ConsumerGroup,
    format::{
        ConsumerGroupEpoch, ConsumerMember, CurrentAssignment, FormatError, GroupMetadata, Key, OffsetCommit,
        ResolvedRegex, decode_target, decode_target_epoch,
    },
    group::Group,
    shard::Logged,
};

impl GroupShard {
    pub(super) fn replay_record(&mut self, record: &Logged<'_>) -> Result<(), FormatError> {
        let Some(key) = record.key else { return Ok(()) };
        match Key::decode(key)? {
            Key::Offset { group, topic, partition } => match record.value {
                None => self.offsets.remove(&group, &topic, partition),
                Some(value) => {
                    let value = OffsetCommit::decode(value)?;
                    let id = match self.id_of(&group) {
                        Some(id) => id,
                        None => {
                            // Somebody who stores offsets and is no member.
                            let id: Arc<str> = group.into();
                            let simple = ClassicGroup::new(id.clone(), value.commit_timestamp);
                            self.groups.insert(id.clone(), Group::Classic(simple));
                            id
                        }
                    };
                    let producer = record.transaction.map(|transaction| transaction.producer);
                    self.offsets.put(&id, &topic, partition, value, producer);
                }
            },
            Key::Group { group } => self.replay_group(group, record.value)?,
            Key::Unknown { .. } => {}
            of_consumers => self.replay_consumers(of_consumers, record.value)?,
        }
        Ok(())
    }

    fn replay_group(&mut self, group: String, value: Option<&[u8]>) -> Result<(), FormatError> {
        let Some(value) = value else {
            if matches!(self.groups.get(&*group), Some(Group::Classic(_))) {
                self.groups.remove(&*group);
            }
            return Ok(());
        };
        let id: Arc<str> = self.id_of(&group).unwrap_or_else(|| group.into());
        let restored = ClassicGroup::restore(id.clone(), GroupMetadata::decode(value)?);
        self.groups.insert(id, Group::Classic(restored));
        Ok(())
    }

    /// The consumer group that a record tells of; made unless the record deletes.
    fn replayed_consumers(&mut self, group: &str, deletes: bool) -> Option<&mut ConsumerGroup> {
        match self.groups.get(group) {
            Some(Group::Consumer(_)) => {}
            _ if deletes => return None,
            // A classic group of the name ended before, or is one that only stored offsets.
            _ => self.begin_consumers(group),
        }
        match self.groups.get_mut(group) {
            Some(Group::Consumer(group)) => Some(group),
            _ => None,
        }
    }

    /// Applies a record of a consumer group.
    fn replay_consumers(&mut self, key: Key, value: Option<&[u8]>) -> Result<(), FormatError> {
        match key {
            Key::ConsumerGroup { group } => match value {
                None => {
                    if matches!(self.groups.get(&*group), Some(Group::Consumer(_))) {
                        self.groups.remove(&*group);
                    }
                }
                Some(value) => {
                    let value = ConsumerGroupEpoch::decode(value)?;
                    if let Some(group) = self.replayed_consumers(&group, false) {
                        group.replay_epoch(value);
                    }
                }
            },
            Key::ConsumerMember { group, member } => {
                let value = value.map(ConsumerMember::decode).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, value.is_none()) {
                    group.replay_member(member, value);
                }
            }
            Key::TargetEpoch { group } => {
                let epoch = value.map(decode_target_epoch).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, epoch.is_none()) {
                    group.replay_target_epoch(epoch.unwrap_or(0));
                }
            }
            Key::Target { group, member } => {
                let target = value.map(decode_target).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, target.is_none()) {
                    group.replay_target(member, target);
                }
            }
            Key::Current { group, member } => {
                let value = value.map(CurrentAssignment::decode).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, value.is_none()) {
                    group.replay_current(member, value);
                }
            }
            Key::Regex { group, regex } => {
                let value = value.map(ResolvedRegex::decode).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, value.is_none()) {
                    group.replay_regex(regex, value);
                }
            }
            Key::Offset { .. } | Key::Group { .. } | Key::Unknown { .. } => {}
        }
        Ok(())
    }
}
