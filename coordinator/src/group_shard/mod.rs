//! One partition of `__consumer_offsets`.

mod admin;
mod members;
mod migrate;
mod offsets;
mod replay;
#[cfg(test)]
mod tests;

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use crate::{
    GroupConfig, GroupError,
    classic::ClassicGroup,
    deadlines::Deadlines,
    format::FormatError,
    group::{Context, Group, Timer},
    group_request::{GroupReply, GroupRequest},
    museum::{self, Bug},
    offsets::Offsets,
    shard::{Logged, Marker, Moment, ReplyTo, Shard, Step},
};
/// One partition of `__consumer_offsets`: groups and their offsets.
#[derive(Debug)]
pub struct GroupShard {
    pub(crate) config: GroupConfig,
    pub(crate) groups: BTreeMap<Arc<str>, Group>,
    pub(crate) offsets: Offsets,
    pub(crate) deadlines: Deadlines<Timer>,
}

impl GroupShard {
    /// A shard before its replay.
    pub fn new(config: GroupConfig) -> GroupShard {
        GroupShard {
            config,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// How many offsets are committed.
    pub fn offset_count(&self) -> usize {
        self.offsets.count()
    }

    fn id_of(&self, group: &str) -> Option<Arc<str>> {
        self.groups.get_key_value(group).map(|(id, _)| id.clone())
    }

    /// The group, made as an empty one if there is none.
    fn ensure(&mut self, group: &str, at: &Moment<'_>) -> Arc<str> {
        if let Some(id) = self.id_of(group) {
            return id;
        }
        let id: Arc<str> = group.into();
        self.groups.insert(id.clone(), Group::Classic(ClassicGroup::new(id.clone(), at.wall.0)));
        id
    }

    /// The group with what it needs to take a step.
    fn with<R>(
        &mut self,
        group: &str,
        at: &Moment<'_>,
        step: &mut Step<GroupShard>,
        act: impl FnOnce(&mut Group, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(group)?;
        let mut context = Context { config: &self.config, at, deadlines: &mut self.deadlines, step };
        Some(act(group, &mut context))
    }
}
impl Shard for GroupShard {
    type Request = GroupRequest;
    type Reply = GroupReply;
    type Effect = core::convert::Infallible;

    fn replay(&mut self, record: &Logged<'_>) -> Result<(), FormatError> {
        self.replay_record(record)
    }

    fn marker(&mut self, marker: Marker) {
        self.offsets.marker(marker);
    }

    fn loaded(&mut self, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with(&id, at, step, |group, context| match group {
                Group::Classic(group) => group.loaded(context),
                Group::Consumer(group) => group.loaded(context),
            });
        }
        self.forget_deleted_topics(at, step);
        let check = at.elapsed_ms.saturating_add(self.config.offsets_retention_check_ms);
        self.deadlines.set(Timer::Expiry, check);
    }

    fn handle(
        &mut self,
        at: &Moment<'_>,
        request: GroupRequest,
        reply_to: ReplyTo,
        step: &mut Step<GroupShard>,
    ) {
        let reply = match request {
            GroupRequest::Join(request) => return self.join(at, request, reply_to, step),
            GroupRequest::Sync(request) => return self.sync(at, request, reply_to, step),
            GroupRequest::Heartbeat(beat) => {
                let answer = self.heartbeat(at, &beat, step);
                // It promises nothing that is stored, and must not wait for a slow disk.
                return step.early.push((reply_to, GroupReply::Heartbeat(answer)));
            }
            GroupRequest::Leave(request) => GroupReply::Leave(self.leave(at, request, step)),
            GroupRequest::Commit(request) => {
                let reply = GroupReply::Commit(self.commit(at, request, step));
                if museum::has(Bug::CommitsAnsweredEarly) {
                    return step.early.push((reply_to, reply));
                }
                reply
            }
            GroupRequest::Fetch(request) => GroupReply::Fetch(self.fetch(&request)),
            GroupRequest::List => GroupReply::List(self.list()),
            GroupRequest::Describe(group) => GroupReply::Describe(self.describe(&group)),
            GroupRequest::Delete(group) => GroupReply::Delete(self.delete(&group, step)),
            GroupRequest::ConsumerBeat(request) => {
                GroupReply::ConsumerBeat(self.consumer_beat(at, request, step))
            }
            GroupRequest::DescribeConsumers(group) => {
                GroupReply::DescribeConsumers(self.describe_consumers(&group, at))
            }
            GroupRequest::DeleteOffsets(request) => {
                GroupReply::DeleteOffsets(self.delete_offsets(at, &request, step))
            }
        };
        step.replies.push((reply_to, reply));
    }

    fn next_deadline(&self) -> Option<u64> {
        self.deadlines.next()
    }

    fn on_deadline(&mut self, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        let Some(timer) = self.deadlines.take_due(at.elapsed_ms) else { return };
        match timer {
            Timer::Expiry => self.expire(at, step),
            Timer::Session(group, member) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(group) => group.session_expired(&member, context),
                    Group::Consumer(group) => group.session_expired(&member, context),
                });
                self.downgrade_if_all_classic(&group, at, step);
            }
            Timer::Revocation(group, member) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(_) => {}
                    Group::Consumer(group) => group.rebalance_time_over(&member, context),
                });
                self.downgrade_if_all_classic(&group, at, step);
            }
            Timer::Rejoin(group, member) | Timer::Resync(group, member) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(_) => {}
                    Group::Consumer(group) => group.classic_time_over(&member, context),
                });
            }
            Timer::Join(group) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(group) => group.join_time_over(context),
                    Group::Consumer(_) => {}
                });
            }
            Timer::Sync(group) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(group) => group.sync_time_over(context),
                    Group::Consumer(_) => {}
                });
            }
        }
    }

    fn topics_changed(&mut self, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        for group in self.groups.values_mut() {
            if let Group::Consumer(group) = group {
                group.topics_changed();
            }
        }
        self.forget_deleted_topics(at, step);
    }
}

/// A group has a name.
fn check_id(group: &str) -> Result<(), GroupError> {
    if group.is_empty() { Err(GroupError::InvalidGroupId) } else { Ok(()) }
}
