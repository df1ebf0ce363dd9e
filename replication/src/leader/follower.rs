//! A follower as its leader sees it.

use crate::{
    LocalPositions, Moment,
    museum::{Bug, has},
};
use highwater_records::{BrokerEpoch, Offset};

/// What a leader knows of one follower in this leader epoch.
#[derive(Clone, Debug)]
pub(super) struct FollowerState {
    /// How far it has come, as its last fetch said; zero until it fetched.
    pub(super) positions: LocalPositions,
    /// The registration it fetched in.
    pub(super) broker_epoch: Option<BrokerEpoch>,
    /// When it last had everything that the leader had at that time.
    last_caught_up: Moment,
    /// When it fetched last, and where the leader's log ended then.
    last_fetch: Option<(Moment, Offset)>,
    /// It had everything until the leader appended, and nobody has looked at the clock since: an idle follower does not
    /// fetch, and must not be late the moment something happens.
    behind_since_unknown: bool,
}

impl FollowerState {
    /// One that has not fetched; it counts as caught up at `now`, so that it gets its time.
    pub(super) fn new(now: Moment) -> FollowerState {
        FollowerState {
            positions: LocalPositions::default(),
            broker_epoch: None,
            last_caught_up: now,
            last_fetch: None,
            behind_since_unknown: false,
        }
    }

    /// Takes in a fetch. `counted` is its position by the topic's durability. A fetch in a newer registration replaces
    /// everything: the broker may have lost the end of its log in between.
    pub(super) fn on_fetch(
        &mut self,
        positions: LocalPositions,
        counted: Offset,
        broker_epoch: BrokerEpoch,
        leader_end: Offset,
        now: Moment,
    ) {
        self.positions = match self.broker_epoch {
            Some(known) if known == broker_epoch || has(Bug::PositionOfFormerLife) => {
                self.positions.furthest(positions)
            }
            _ => positions,
        };
        self.broker_epoch = Some(broker_epoch);
        if counted >= leader_end {
            self.last_caught_up = self.last_caught_up.max(now);
            self.behind_since_unknown = false;
        } else if let Some((then, leader_end_then)) = self.last_fetch
            && counted >= leader_end_then
        {
            // It had at `then` what it has now asked to go on from, which was everything.
            self.last_caught_up = self.last_caught_up.max(then);
        }
        self.last_fetch = Some((now, leader_end));
    }

    /// The leader's log grew from `before`; `counted` is the follower's position.
    pub(super) fn leader_appended(&mut self, counted: Offset, before: Offset) {
        if counted >= before {
            self.behind_since_unknown = true;
        }
    }

    /// Milliseconds for which it has not had everything.
    pub(super) fn lag(&mut self, counted: Offset, leader_end: Offset, now: Moment) -> u64 {
        if counted >= leader_end {
            return 0;
        }
        if core::mem::take(&mut self.behind_since_unknown) {
            self.last_caught_up = self.last_caught_up.max(now);
        }
        now.since(self.last_caught_up)
    }
}
