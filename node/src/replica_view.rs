//! One replica as this broker has it, for whoever watches a cluster.

use std::sync::Arc;

use highwater_engine::{LogReader, Positions};
use highwater_records::{BrokerId, LeaderEpoch, Offset, TopicIdPartition};

use crate::{Changes, Node, partition::State};

/// A replica at one moment.
#[derive(Clone)]
pub struct ReplicaView {
    /// The leader epoch that this broker knows.
    pub leader_epoch: LeaderEpoch,
    /// What this broker is while it leads; `None` for a follower.
    pub leading: Option<LeadingView>,
    /// The positions of its log.
    pub positions: Positions,
    /// The leader epochs of its log with the offsets at which they begin (inclusive).
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// Its log.
    pub reader: LogReader,
}

/// What of a replica changes whenever anything of it does: its log's bytes and epochs change with its positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// The leader epoch that this broker knows.
    pub leader_epoch: LeaderEpoch,
    /// What this broker is while it leads; `None` for a follower.
    pub leading: Option<LeadingView>,
    /// The positions of its log.
    pub positions: Positions,
    /// The last leader epoch of its log with the offset at which it begins (inclusive).
    pub last_epoch: Option<(LeaderEpoch, Offset)>,
}

/// What only a leader has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeadingView {
    /// The version of the partition that it works with.
    pub partition_epoch: u32,
    /// Everybody who may be in sync, committed or proposed.
    pub maximal_isr: Vec<BrokerId>,
    /// What it counts as committed (exclusive).
    pub high_watermark: Offset,
    /// Where its log ended when it began to lead (exclusive).
    pub epoch_start: Offset,
}

impl Node {
    /// From now on every replica of which something may have changed is told here, and so are replicas that are opened and
    /// closed. What is open already is not. The first one who watches is the only one.
    pub fn tell_changes(&self, changes: Arc<Changes>) {
        let _ = self.partitions.listener.set(changes);
    }

    /// This broker's replica of a partition; `None` if it is not open here. Waits for the partition's lock.
    pub fn replica(&self, id: TopicIdPartition) -> Option<ReplicaView> {
        let partition = self.partitions.if_open(id)?;
        let view = partition.look(|state| ReplicaView {
            leader_epoch: state.leader_epoch(),
            leading: LeadingView::of(state),
            positions: state.log.positions(),
            epochs: state.log.epochs().iter().map(|entry| (entry.epoch, entry.start)).collect(),
            reader: state.log.reader(),
        });
        view.ok()
    }

    /// Whether this broker's replica has changed, for whoever would look at it with [`Node::replica`] then.
    pub fn replica_state(&self, id: TopicIdPartition) -> Option<ReplicaState> {
        let partition = self.partitions.if_open(id)?;
        let state = partition.look(|state| ReplicaState {
            leader_epoch: state.leader_epoch(),
            leading: LeadingView::of(state),
            positions: state.log.positions(),
            last_epoch: state.log.epochs().last().map(|entry| (entry.epoch, entry.start)),
        });
        state.ok()
    }
}

impl LeadingView {
    fn of(state: &State) -> Option<LeadingView> {
        let leader = state.leader()?;
        Some(LeadingView {
            partition_epoch: leader.partition_epoch(),
            maximal_isr: leader.isr().maximal().collect(),
            high_watermark: leader.high_watermark(),
            epoch_start: leader.epoch_start(),
        })
    }
}
