//! Classic groups become groups of consumers while their members read on, and back (`group.consumer.migration.policy`).

use alloc::sync::Arc;

use super::GroupShard;
use crate::{
    GroupError,
    classic::CONSUMER,
    consumer::ConsumerGroup,
    format::Key,
    group::{Context, Group},
    group_request::{ConsumerBeat, ConsumerHeartbeat},
    shard::{Moment, Step},
};

impl GroupShard {
    /// The first member that speaks the newer protocol joins a classic group that has members: it becomes one of
    /// consumers, and they learn by the classic protocol what the coordinator wants of them.
    pub(super) fn upgrade(
        &mut self,
        at: &Moment<'_>,
        request: ConsumerHeartbeat,
        step: &mut Step<GroupShard>,
    ) -> Result<ConsumerBeat, GroupError> {
        let id: Arc<str> = self.id_of(&request.group).ok_or(GroupError::GroupIdNotFound)?;
        let Some(Group::Classic(classic)) = self.groups.get(&id) else {
            return Err(GroupError::GroupIdNotFound);
        };
        let may = self.config.upgrades
            && classic.protocol_type() == CONSUMER
            && classic.len() <= self.config.consumer_size_max;
        if !may {
            return Err(GroupError::GroupIdNotFound);
        }
        let members = classic.plain_members();
        let mut group = ConsumerGroup::of_classic(id.clone(), classic.generation(), members, at.topics)?;
        let records = group.records();
        let mut after = Step::default();
        let mut context =
            Context { config: &self.config, at, deadlines: &mut self.deadlines, step: &mut after };
        // Whoever is refused changes nothing: the group stays what it is.
        let answer = group.heartbeat(request, &mut context)?;
        group.expect_heartbeats(&mut context);
        let Some(Group::Classic(mut classic)) = self.groups.insert(id.clone(), Group::Consumer(group)) else {
            return Err(GroupError::GroupIdNotFound);
        };
        let mut context = Context { config: &self.config, at, deadlines: &mut self.deadlines, step };
        classic.end_waits(&mut context);
        step.record((Key::group(&id), None));
        records.into_iter().for_each(|record| step.record(record));
        step.records.append(&mut after.records);
        Ok(answer)
    }

    /// Where the last member that spoke the newer protocol has gone and others are left, the group is theirs again.
    pub(super) fn downgrade_if_all_classic(
        &mut self,
        id: &str,
        at: &Moment<'_>,
        step: &mut Step<GroupShard>,
    ) {
        let Some(id) = self.id_of(id) else { return };
        let Some(Group::Consumer(group)) = self.groups.get_mut(&id) else { return };
        if !group.take_all_classic_now() || !self.config.downgrades || group.len() > self.config.size_max {
            return;
        }
        let mut context = Context { config: &self.config, at, deadlines: &mut self.deadlines, step };
        let mut classic = group.to_classic(&mut context);
        classic.begin_again(&mut context);
        self.groups.insert(id, Group::Classic(classic));
    }
}
