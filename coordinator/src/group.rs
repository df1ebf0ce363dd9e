use alloc::{format, string::String, sync::Arc, vec, vec::Vec};

use crate::{
    GroupConfig, GroupError, GroupShard,
    classic::ClassicGroup,
    consumer::ConsumerGroup,
    deadlines::Deadlines,
    format::Key,
    group_request::{GroupReply, JoinRefused},
    shard::{Moment, ReplyTo, Step},
};

/// A group of either kind.
#[derive(Debug)]
pub(crate) enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

impl Group {
    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.is_empty(),
            Group::Consumer(group) => group.is_empty(),
        }
    }

    /// See [`ClassicGroup::retention_since`].
    pub(crate) fn retention_since(&self, commit: i64) -> Option<i64> {
        match self {
            Group::Classic(group) => group.retention_since(commit),
            Group::Consumer(_) => Some(commit),
        }
    }

    /// Whether members read `topic`, or may do so.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// The records that forget it.
    pub(crate) fn tombstones(&self, id: &str) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        match self {
            Group::Classic(_) => vec![(Key::group(id), None)],
            Group::Consumer(group) => group.tombstones(),
        }
    }

    pub(crate) fn check_offset_delete(&self) -> Result<(), GroupError> {
        match self {
            Group::Classic(group) => group.check_offset_delete(),
            Group::Consumer(_) => Ok(()),
        }
    }

    pub(crate) fn check_delete(&self) -> Result<(), GroupError> {
        match self {
            Group::Classic(group) => group.check_delete(),
            Group::Consumer(group) if group.is_empty() => Ok(()),
            Group::Consumer(_) => Err(GroupError::NonEmptyGroup),
        }
    }
}

/// What the shard waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Old offsets and empty groups are looked for.
    Expiry,
    /// A member of a group gives no sign of life.
    Session(Arc<str>, Arc<str>),
    /// A member of a consumer group has had time to give partitions up.
    Revocation(Arc<str>, Arc<str>),
    /// A member of a consumer group that speaks the classic protocol has had time to join again.
    Rejoin(Arc<str>, Arc<str>),
    /// The same, to ask for its part after it joined.
    Resync(Arc<str>, Arc<str>),
    /// The members of a group have had time to join.
    Join(Arc<str>),
    /// The members of a group have had time to ask for their assignments.
    Sync(Arc<str>),
}

/// What a group needs of its shard while it takes a step.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a GroupConfig,
    pub(crate) at: &'a Moment<'a>,
    pub(crate) deadlines: &'a mut Deadlines<Timer>,
    pub(crate) step: &'a mut Step<GroupShard>,
}

impl Context<'_> {
    pub(crate) fn refuse_join(&mut self, reply_to: ReplyTo, error: GroupError, member: String) {
        let refused = GroupReply::Join(Err(JoinRefused { error, member }));
        self.step.replies.push((reply_to, refused));
    }
}

/// A random (version 4) UUID from random bits, as text.
pub(crate) fn uuid(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_what_it_is() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
