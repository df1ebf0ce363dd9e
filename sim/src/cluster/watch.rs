//! The observer that sees every replica: it looks at the whole cluster again and again, and compares.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use highwater_metadata::{Applied, Entry, Image, Topic};
use highwater_node::{Node, ReplicaState};
use highwater_records::{BrokerId, Durability, LeaderEpoch, TopicIdPartition};

pub use super::look::{Leads, Look, PartitionLook, ReplicaLook};
use super::{
    invariant::{self, ClusterInvariant, Decision, Stopped},
    marks::mark,
};
use crate::{observer::Violation, stats::Stats};

/// What is remembered between looks.
pub struct Watch {
    truth: Arc<Image>,
    entries: usize,
    watermarks: BTreeMap<TopicIdPartition, u64>,
    invariants: Vec<Box<dyn ClusterInvariant>>,
    /// Each replica of each life of a broker: how far it was read, and where its log ended.
    replicas: BTreeMap<(BrokerId, u64, TopicIdPartition), (u64, u64)>,
    /// What each partition was made of when its picture was taken last: while that stays the same, so would every check.
    seen: BTreeMap<TopicIdPartition, Seen>,
    /// How each broker stopped since it last registered.
    stops: BTreeMap<BrokerId, Stopped>,
    /// Partitions whose loss was reported: of those nothing is promised.
    lost: BTreeSet<TopicIdPartition>,
    violation: Option<Violation>,
}

impl Watch {
    /// Knows nothing yet; `operator` says whether somebody may have partitions led uncleanly.
    pub fn new(operator: bool) -> Watch {
        Watch {
            truth: Arc::default(),
            entries: 0,
            watermarks: BTreeMap::new(),
            invariants: invariant::all(operator),
            replicas: BTreeMap::new(),
            seen: BTreeMap::new(),
            stops: BTreeMap::new(),
            lost: BTreeSet::new(),
            violation: None,
        }
    }
}

/// Everything that a partition's picture is made of, but for what the bucket has.
struct Seen {
    topic: Arc<Topic>,
    leader_epoch: LeaderEpoch,
    true_watermark: u64,
    replicas: Vec<(BrokerId, u64, ReplicaState)>,
}

impl Seen {
    fn is(&self, other: &Seen) -> bool {
        Arc::ptr_eq(&self.topic, &other.topic)
            && (self.leader_epoch, self.true_watermark) == (other.leader_epoch, other.true_watermark)
            && self.replicas == other.replicas
    }
}

/// A running broker, as the watch looks at it.
pub struct Watched<'a> {
    /// The broker.
    pub broker: BrokerId,
    /// Which life of it.
    pub life: u64,
    /// Its image.
    pub image: Arc<Image>,
    /// It itself.
    pub node: &'a Node,
}

impl Watch {
    /// The image that all entries add up to.
    pub fn truth(&self) -> &Arc<Image> {
        &self.truth
    }

    /// How many entries were taken in.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// A broker stopped like this; what it said before is taken in already.
    pub fn stopped(&mut self, broker: BrokerId, how: Stopped) {
        let known = self.stops.entry(broker).or_default();
        known.unclean |= how.unclean;
        known.emptied |= how.emptied;
    }

    /// Takes in entries that were committed since.
    pub fn take_in(&mut self, entries: &[Entry], stats: &Stats) {
        for entry in entries {
            let before = self.truth.clone();
            let effective = Arc::make_mut(&mut self.truth).apply(entry) == Applied::Effective;
            match effective {
                true => mark(&before, &self.truth, entry, stats),
                false => stats.count("mark: decision on a stale image dropped"),
            }
            let decision =
                Decision { entry, effective, before: &before, after: &self.truth, stops: &self.stops };
            for invariant in &mut self.invariants {
                if let Err(why) = invariant.decided(&decision) {
                    self.violation.get_or_insert(Violation { invariant: invariant.name(), why });
                }
            }
            self.lost.extend(decision.elected_uncleanly());
            for broker in decision.registered() {
                self.stops.remove(&broker);
            }
        }
        self.entries += entries.len();
    }

    /// Looks at everything. `tiered` says what the bucket has of a partition, where it is known at this moment.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn look(
        &mut self,
        brokers: &[Watched<'_>],
        tiered: &BTreeMap<TopicIdPartition, (u64, u64)>,
        stats: &Stats,
    ) -> Result<(), Violation> {
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        let look = self.picture(brokers, tiered, stats);
        for invariant in &mut self.invariants {
            invariant.check(&look).map_err(|why| Violation { invariant: invariant.name(), why })?;
        }
        for (at, partition) in &look.partitions {
            let known = self.watermarks.entry(*at).or_default();
            let seen = partition.replicas.values().map(|replica| replica.watermark).max().unwrap_or(0);
            *known = (*known).max(seen);
        }
        Ok(())
    }

    fn picture(
        &mut self,
        brokers: &[Watched<'_>],
        tiered: &BTreeMap<TopicIdPartition, (u64, u64)>,
        stats: &Stats,
    ) -> Look {
        // Most of the cluster is as it was most of the time: only what is not is pictured.
        let images = brokers.iter().map(|watched| (watched.broker, watched.image.clone())).collect();
        let mut look = Look { partitions: BTreeMap::new(), truth: self.truth.clone(), images };
        for topic in look.truth.topics() {
            for (partition, state) in topic.numbered() {
                let at = TopicIdPartition { topic_id: topic.id, partition };
                if self.lost.contains(&at) {
                    continue;
                }
                let true_watermark = self.watermarks.get(&at).copied().unwrap_or(0);
                let leader_epoch = look.truth.leader_epoch(state);
                let found = brokers.iter().filter_map(|watched| {
                    Some((watched.broker, watched.life, watched.node.replica_state(at)?))
                });
                let seen =
                    Seen { topic: topic.clone(), leader_epoch, true_watermark, replicas: found.collect() };
                let tiered = tiered.get(&at).copied();
                if tiered.is_none() && self.seen.get(&at).is_some_and(|before| before.is(&seen)) {
                    continue;
                }
                let isr: BTreeSet<_> = state.isr.iter().copied().collect();
                let eligible: BTreeSet<_> = state.eligible_leaders.iter().copied().collect();
                let mut replicas = BTreeMap::new();
                let mut unread = false;
                for watched in brokers {
                    let Some(view) = watched.node.replica(at) else { continue };
                    let key = (watched.broker, watched.life, at);
                    let (read_to, log_end) = self.replicas.entry(key).or_default();
                    let end = view.positions.log_end.get();
                    if *log_end > end {
                        stats.count("mark: a follower cut its log");
                        *read_to = (*read_to).min(end);
                    }
                    *log_end = end;
                    let may_lead = isr.contains(&watched.broker) || eligible.contains(&watched.broker);
                    let to = if may_lead { true_watermark } else { 0 };
                    let replica = ReplicaLook::of(&view, watched.life, read_to, to);
                    unread |= !replica.fresh.is_empty();
                    replicas.insert(watched.broker, replica);
                }
                // Whoever has read something may have more to read.
                match unread {
                    true => drop(self.seen.remove(&at)),
                    false => drop(self.seen.insert(at, seen)),
                }
                let seen = PartitionLook {
                    leader: state.leader,
                    leader_epoch: leader_epoch.0,
                    partition_epoch: state.partition_epoch,
                    isr,
                    eligible,
                    min_isr: min_isr(topic).min(state.replicas.len()),
                    durability: durability(topic),
                    replicas,
                    true_watermark,
                    tiered,
                };
                look.partitions.insert(at, seen);
            }
        }
        look
    }
}

fn min_isr(topic: &Topic) -> usize {
    topic.configs.get("min.insync.replicas").and_then(|text| text.parse().ok()).unwrap_or(1)
}

pub(super) fn durability(topic: &Topic) -> Durability {
    let set = topic.configs.get("highwater.durability").and_then(|text| text.parse().ok());
    set.unwrap_or_else(|| {
        Durability::for_replicas(topic.partitions.first().map_or(1, |one| one.replicas.len()))
    })
}
