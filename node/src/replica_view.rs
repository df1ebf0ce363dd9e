//! One replica as this broker has it, for whoever watches a cluster.

use std::{ops::Range, sync::Arc};

use highwater_engine::{LogReader, Positions};
use highwater_records::{BrokerId, LeaderEpoch, Offset, TopicIdPartition};

use crate::{
    Changes, Node,
    partition::{State, lineage},
};

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
    /// Offsets of its log whose bytes are known to be damaged, until they are mended.
    pub damaged: Vec<Range<Offset>>,
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

/// See [`Node::replica_news`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaNews {
    /// It is not open here.
    Closed,
    /// It is what it was.
    Same,
    /// It is this by now.
    Other(ReplicaState),
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
            epochs: lineage(&state.log),
            damaged: state.log.quarantined().iter().map(|range| range.offsets.clone()).collect(),
            reader: state.log.reader(),
        });
        view.ok()
    }

    /// The log of [`Node::replica`], and nothing else.
    pub fn replica_log(&self, id: TopicIdPartition) -> Option<LogReader> {
        self.partitions.if_open(id)?.look(|state| state.log.reader()).ok()
    }

    /// Whether this broker's replica is another one than `known`, for whoever would look at it with [`Node::replica`]
    /// then. Costs no allocation where it is the same.
    ///
    /// Its recovery point does not count: files are synced behind everybody's back, and nothing is promised about when.
    pub fn replica_news(&self, id: TopicIdPartition, known: Option<&ReplicaState>) -> ReplicaNews {
        let Some(partition) = self.partitions.if_open(id) else { return ReplicaNews::Closed };
        let news = partition.look(|state| match known {
            Some(known) if known.is(state) => ReplicaNews::Same,
            _ => ReplicaNews::Other(ReplicaState {
                leader_epoch: state.leader_epoch(),
                leading: LeadingView::of(state),
                positions: state.log.positions(),
                last_epoch: last_epoch(state),
            }),
        });
        news.unwrap_or(ReplicaNews::Closed)
    }
}

impl ReplicaState {
    fn is(&self, state: &State) -> bool {
        let positions = Positions { recovery_point: self.positions.recovery_point, ..state.log.positions() };
        let leads = match (&self.leading, state.leader()) {
            (None, None) => true,
            (Some(known), Some(leader)) => {
                known.partition_epoch == leader.partition_epoch()
                    && known.high_watermark == leader.high_watermark()
                    && known.epoch_start == leader.epoch_start()
                    && known.maximal_isr.iter().copied().eq(leader.isr().maximal())
            }
            _ => false,
        };
        self.leader_epoch == state.leader_epoch()
            && leads
            && self.positions == positions
            && self.last_epoch == last_epoch(state)
    }
}

fn last_epoch(state: &State) -> Option<(LeaderEpoch, Offset)> {
    state.log.epochs().last().map(|entry| (entry.epoch, entry.start))
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
