//! Leaving, and being sent away.

use alloc::{sync::Arc, vec::Vec};

use super::{ClassicGroup, State};
use crate::{
    GroupError,
    group::{Context, Timer},
    group_request::{Leaving, Left},
};

impl ClassicGroup {
    pub(crate) fn leave(&mut self, members: Vec<Leaving>, context: &mut Context<'_>) -> Vec<Left> {
        let mut left = Vec::with_capacity(members.len());
        for leaving in members {
            let result = self.leave_one(&leaving, context);
            left.push(Left { leaving, result });
        }
        if left.iter().any(|left| left.result.is_ok()) {
            match self.state {
                State::Stable | State::CompletingRebalance => self.prepare_rebalance(context),
                State::PreparingRebalance => self.complete_unless_initial(context),
                State::Empty => {}
            }
        }
        left
    }

    fn leave_one(&mut self, leaving: &Leaving, context: &mut Context<'_>) -> Result<(), GroupError> {
        if leaving.member.is_empty() {
            // An administrator names an instance.
            let instance = leaving.instance.as_deref();
            let member = instance.and_then(|instance| self.instances.get(instance)).cloned();
            let member = member.ok_or(GroupError::UnknownMember)?;
            self.remove(&member, context);
            return Ok(());
        }
        if self.pending.remove(&*leaving.member) {
            let timer = Timer::Session(self.id.clone(), Arc::from(&*leaving.member));
            context.deadlines.cancel(&timer);
            return Ok(());
        }
        self.check_member(&leaving.member, leaving.instance.as_deref())?;
        self.remove(&leaving.member, context);
        Ok(())
    }
}
