//! Who joins, stays in and leaves which kind of group.

use alloc::{sync::Arc, vec::Vec};

use super::{GroupShard, check_id};
use crate::{
    GroupError,
    classic::ClassicGroup,
    consumer::ConsumerGroup,
    group::{Group, Timer},
    group_request::{
        ConsumerBeat, ConsumerHeartbeat, GroupReply, Heartbeat, JoinGroup, JoinRefused, LeaveGroup, Left,
        SyncGroup,
    },
    shard::{Moment, ReplyTo, Step},
};

impl GroupShard {
    pub(super) fn join(
        &mut self,
        at: &Moment<'_>,
        request: JoinGroup,
        reply_to: ReplyTo,
        step: &mut Step<GroupShard>,
    ) {
        let bounds = self.config.session_timeout_min_ms..=self.config.session_timeout_max_ms;
        let is_new = !self.groups.contains_key(&*request.group);
        let refused = if request.group.is_empty() {
            Some(GroupError::InvalidGroupId)
        } else if !bounds.contains(&request.session_timeout_ms) {
            Some(GroupError::InvalidSessionTimeout)
        } else if is_new && !request.member.is_empty() {
            Some(GroupError::UnknownMember)
        } else {
            None
        };
        if let Some(error) = refused {
            let refused = JoinRefused { error, member: request.member };
            return step.replies.push((reply_to, GroupReply::Join(Err(refused))));
        }
        if let Some(group @ Group::Consumer(_)) = self.groups.get(&*request.group) {
            if !group.is_empty() {
                let name = request.group.clone();
                let answer = self.with(&name, at, step, |group, context| match group {
                    Group::Consumer(group) => Some(group.join_classic(&request, context)),
                    Group::Classic(_) => None,
                });
                if let Some(answer) = answer.flatten() {
                    step.replies.push((reply_to, GroupReply::Join(answer)));
                }
                return self.downgrade_if_all_classic(&name, at, step);
            }
            // Nobody is left who speaks the newer protocol.
            self.clear(&request.group, step);
        }
        let id = self.ensure(&request.group, at);
        self.with(&id, at, step, |group, context| match group {
            Group::Consumer(_) => {}
            Group::Classic(group) => {
                group.join(request, reply_to, context);
                if is_new && context.step.records.is_empty() {
                    // So that the group is there after a replay, as in Kafka.
                    context.step.record(ClassicGroup::new(id.clone(), at.wall.0).record());
                }
            }
        });
    }

    pub(super) fn sync(
        &mut self,
        at: &Moment<'_>,
        request: SyncGroup,
        reply_to: ReplyTo,
        step: &mut Step<GroupShard>,
    ) {
        let group = request.group.clone();
        let answer = check_id(&group).and_then(|()| {
            self.with(&group, at, step, |group, context| match group {
                Group::Classic(group) => {
                    group.sync(request, reply_to, context);
                    Ok(None)
                }
                Group::Consumer(group) => group.sync_classic(&request, context).map(Some),
            })
            .unwrap_or(Err(GroupError::UnknownMember))
        });
        if let Some(answer) = answer.transpose() {
            step.replies.push((reply_to, GroupReply::Sync(answer)));
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        at: &Moment<'_>,
        beat: &Heartbeat,
        step: &mut Step<GroupShard>,
    ) -> Result<(), GroupError> {
        check_id(&beat.group)?;
        let (member, instance) = (&*beat.member, beat.instance.as_deref());
        self.with(&beat.group, at, step, |group, context| match group {
            Group::Classic(group) => group.heartbeat(member, instance, beat.generation, context),
            Group::Consumer(group) => group.heartbeat_classic(beat, context),
        })
        .unwrap_or(Err(GroupError::UnknownMember))
    }

    pub(super) fn leave(
        &mut self,
        at: &Moment<'_>,
        request: LeaveGroup,
        step: &mut Step<GroupShard>,
    ) -> Result<Vec<Left>, GroupError> {
        check_id(&request.group)?;
        self.with(&request.group, at, step, |group, context| match group {
            Group::Classic(group) => Ok(group.leave(request.members, context)),
            Group::Consumer(group) => Ok(group.leave_classic(request.members, context)),
        })
        .unwrap_or(Err(GroupError::UnknownMember))
    }

    pub(super) fn consumer_beat(
        &mut self,
        at: &Moment<'_>,
        request: ConsumerHeartbeat,
        step: &mut Step<GroupShard>,
    ) -> Result<ConsumerBeat, GroupError> {
        request.check()?;
        match self.groups.get(&*request.group) {
            Some(Group::Consumer(_)) => {}
            // An empty group of either kind becomes one of the other: there is nobody whom it could surprise.
            Some(group) if request.epoch == 0 && group.is_empty() => {
                self.clear(&request.group, step);
                self.begin_consumers(&request.group);
            }
            Some(Group::Classic(_)) if request.epoch == 0 => return self.upgrade(at, request, step),
            None if request.epoch == 0 => self.begin_consumers(&request.group),
            _ => return Err(GroupError::GroupIdNotFound),
        }
        let group = request.group.clone();
        let answer = self.with(&group, at, step, |group, context| match group {
            Group::Consumer(group) => group.heartbeat(request, context),
            Group::Classic(_) => Err(GroupError::GroupIdNotFound),
        });
        self.downgrade_if_all_classic(&group, at, step);
        answer.unwrap_or(Err(GroupError::GroupIdNotFound))
    }

    pub(super) fn begin_consumers(&mut self, group: &str) {
        let id: Arc<str> = group.into();
        self.groups.insert(id.clone(), Group::Consumer(ConsumerGroup::new(id)));
    }

    /// Forgets an empty group, and keeps its offsets.
    pub(super) fn clear(&mut self, group: &str, step: &mut Step<GroupShard>) {
        if let Some(gone) = self.groups.remove(group) {
            for record in gone.tombstones(group) {
                step.record(record);
            }
        }
        self.deadlines.cancel(&Timer::Join(group.into()));
        self.deadlines.cancel(&Timer::Sync(group.into()));
    }
}
