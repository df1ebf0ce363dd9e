//! The observer that sees every replica: it looks at the whole cluster again and again, and compares.

use std::collections::{BTreeMap, BTreeSet};

use highwater_metadata::{Applied, Entry, Image};
use highwater_records::{BrokerId, LeaderEpoch, TopicIdPartition};

use super::invariant::{self, ClusterInvariant};
use crate::{
    batch::{Batches, SeenBatch},
    observer::Violation,
    stats::Stats,
};

use highwater_node::ReplicaView;

/// Rare states that a campaign of seeds must have seen, all of them.
pub const MARKS: [&str; 15] = [
    "mark: a broker hands over",
    "mark: a broker is fenced",
    "mark: a broker takes part",
    "mark: a follower cut its log",
    "mark: a follower is read from",
    "mark: a leader is elected",
    "mark: a reassignment ends",
    "mark: an eligible leader is elected",
    "mark: decision on a stale image dropped",
    "mark: in-sync set grows",
    "mark: in-sync set shrinks",
    "mark: nobody may lead",
    "mark: the same set again settles a proposal",
    "fault: disk replaced",
    "fault: power cut everywhere",
];

/// The whole cluster at one moment, as plain values.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Every partition of every topic.
    pub partitions: BTreeMap<TopicIdPartition, PartitionLook>,
}

/// One partition.
#[derive(Clone, Debug, Default)]
pub struct PartitionLook {
    /// Who leads, by the metadata log.
    pub leader: Option<BrokerId>,
    /// The leader epoch in force.
    pub leader_epoch: u32,
    /// Version.
    pub partition_epoch: u32,
    /// The in-sync set.
    pub isr: BTreeSet<BrokerId>,
    /// Who else may be elected.
    pub eligible: BTreeSet<BrokerId>,
    /// `min.insync.replicas`.
    pub min_isr: usize,
    /// Replicas of running brokers.
    pub replicas: BTreeMap<BrokerId, ReplicaLook>,
    /// The highest watermark that any replica has had until now, this look not counted.
    pub true_watermark: u64,
}

/// One replica.
#[derive(Clone, Debug, Default)]
pub struct ReplicaLook {
    /// The leader epoch that its broker knows.
    pub leader_epoch: u32,
    /// The maximal in-sync set and the version that it works with, if it leads.
    pub leads: Option<(BTreeSet<BrokerId>, u32)>,
    /// The log start (inclusive).
    pub log_start: u64,
    /// The log end (exclusive).
    pub log_end: u64,
    /// The watermark (exclusive).
    pub watermark: u64,
    /// Epochs and where they begin.
    pub epochs: Vec<(u32, u64)>,
    /// Batches below the watermark that were not looked at before.
    pub fresh: Vec<SeenBatch>,
}

/// What is remembered between looks.
pub struct Watch {
    truth: Image,
    entries: usize,
    watermarks: BTreeMap<TopicIdPartition, u64>,
    /// How far each replica of each life of a broker was read.
    read_to: BTreeMap<(BrokerId, u64, TopicIdPartition), u64>,
    invariants: Vec<Box<dyn ClusterInvariant>>,
    /// Where each replica's log ended, to see cuts.
    ends: BTreeMap<(BrokerId, u64, TopicIdPartition), u64>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            truth: Image::new(),
            entries: 0,
            watermarks: BTreeMap::new(),
            read_to: BTreeMap::new(),
            invariants: invariant::all(),
            ends: BTreeMap::new(),
        }
    }
}

/// A running broker, as the watch looks at it.
pub struct Watched<'a> {
    /// The broker.
    pub broker: BrokerId,
    /// Which life of it.
    pub life: u64,
    /// Its image.
    pub image: &'a Image,
    /// Its replicas.
    pub replica: &'a dyn Fn(TopicIdPartition) -> Option<ReplicaView>,
}

impl Watch {
    /// The image that all entries add up to.
    pub fn truth(&self) -> &Image {
        &self.truth
    }

    /// How many entries were taken in.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Takes in entries that were committed since.
    pub fn take_in(&mut self, entries: &[Entry], stats: &Stats) {
        for entry in entries {
            let before = self.truth.clone();
            match self.truth.apply(entry) {
                Applied::Effective => mark(&before, &self.truth, entry, stats),
                Applied::Dropped => stats.count("mark: decision on a stale image dropped"),
            }
        }
        self.entries += entries.len();
    }

    /// Looks at everything.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn look(&mut self, brokers: &[Watched<'_>], stats: &Stats) -> Result<(), Violation> {
        for watched in brokers {
            self.compare_image(watched)?;
        }
        let look = self.picture(brokers, stats);
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

    /// M4 and M6: a broker's image is what a prefix of the log adds up to, the same for all.
    fn compare_image(&self, watched: &Watched<'_>) -> Result<(), Violation> {
        if watched.image.applied() == self.truth.applied() && *watched.image != self.truth {
            let why = format!("broker {} has another image after the same entries", watched.broker);
            return Err(Violation { invariant: "M4 the same entries give the same image", why });
        }
        if watched.image.applied() > self.truth.applied() {
            let why = format!("broker {} has applied what was never committed", watched.broker);
            return Err(Violation { invariant: "M6 a broker's image is a prefix", why });
        }
        Ok(())
    }

    fn picture(&mut self, brokers: &[Watched<'_>], stats: &Stats) -> Look {
        let mut look = Look::default();
        for topic in self.truth.topics() {
            for (partition, state) in topic.numbered() {
                let at = TopicIdPartition { topic_id: topic.id, partition };
                let min_isr = topic.configs.get("min.insync.replicas").and_then(|text| text.parse().ok());
                let mut seen = PartitionLook {
                    leader: state.leader,
                    leader_epoch: self.truth.leader_epoch(state).0,
                    partition_epoch: state.partition_epoch,
                    isr: state.isr.iter().copied().collect(),
                    eligible: state.eligible_leaders.iter().copied().collect(),
                    min_isr: min_isr.unwrap_or(1),
                    replicas: BTreeMap::new(),
                    true_watermark: self.watermarks.get(&at).copied().unwrap_or(0),
                };
                for watched in brokers {
                    let Some(view) = (watched.replica)(at) else { continue };
                    let key = (watched.broker, watched.life, at);
                    let from = self.read_to.entry(key).or_default();
                    let end = view.positions.log_end.get();
                    let before = self.ends.insert(key, end);
                    if before.is_some_and(|before| before > end) {
                        stats.count("mark: a follower cut its log");
                        *from = (*from).min(end);
                    }
                    let replica = look_at(&view, from);
                    seen.replicas.insert(watched.broker, replica);
                }
                look.partitions.insert(at, seen);
            }
        }
        look
    }
}

fn look_at(view: &ReplicaView, from: &mut u64) -> ReplicaLook {
    let positions = view.positions;
    let start = positions.local_start.get().max(*from);
    let mut fresh = Vec::new();
    if let Some(offset) = highwater_records::Offset::new(start)
        && offset < positions.high_watermark
        && let Ok(range) = view.reader.read(offset, 1 << 20, positions.high_watermark, true)
        && let Ok(bytes) = range.bytes()
    {
        fresh = Batches::parse(&bytes).good;
        *from = fresh.last().map_or(start, |batch| batch.last + 1);
    }
    ReplicaLook {
        leader_epoch: view.leader_epoch.0,
        leads: view
            .leading
            .as_ref()
            .map(|leading| (leading.maximal_isr.iter().copied().collect(), leading.partition_epoch)),
        log_start: positions.log_start.get(),
        log_end: positions.log_end.get(),
        watermark: positions.high_watermark.get(),
        epochs: view.epochs.iter().map(|(LeaderEpoch(epoch), start)| (*epoch, start.get())).collect(),
        fresh,
    }
}

/// Counts rare states, so that a run says what it has seen.
fn mark(before: &Image, after: &Image, entry: &Entry, stats: &Stats) {
    use highwater_metadata::{MetadataRecord, ReplicationRecord};
    for record in &entry.records {
        match record {
            MetadataRecord::PartitionChanged { topic, partition, isr, leader, .. } => {
                let at = TopicIdPartition { topic_id: *topic, partition: *partition };
                let Some(was) = before.partition(at) else { continue };
                if isr.len() < was.isr.len() {
                    stats.count("mark: in-sync set shrinks");
                }
                if isr.len() > was.isr.len() {
                    stats.count("mark: in-sync set grows");
                }
                if *isr == was.isr && *leader == was.leader {
                    stats.count("mark: the same set again settles a proposal");
                }
                if *leader != was.leader {
                    stats.count(match leader {
                        None => "mark: nobody may lead",
                        Some(leader) if was.eligible_leaders.contains(leader) => {
                            "mark: an eligible leader is elected"
                        }
                        Some(_) => "mark: a leader is elected",
                    });
                }
                if !was.removing.is_empty() && after.partition(at).is_some_and(|now| now.removing.is_empty())
                {
                    stats.count("mark: a reassignment ends");
                }
            }
            MetadataRecord::Replication(ReplicationRecord::LeaderElectedUncleanly { .. }) => {
                stats.count("mark: unclean election");
            }
            MetadataRecord::Replication(ReplicationRecord::BrokerStateChanged { state, .. }) => {
                stats.count(match state {
                    highwater_metadata::BrokerState::Fenced => "mark: a broker is fenced",
                    highwater_metadata::BrokerState::Active => "mark: a broker takes part",
                    highwater_metadata::BrokerState::Stopping => "mark: a broker hands over",
                });
            }
            _ => {}
        }
    }
}
