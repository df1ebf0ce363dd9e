//! The observer that sees every replica: after every step it looks at those that have changed, and compares.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use highwater_metadata::{Applied, Entry as Decided, Image, Topic};
use highwater_node::{
    Changes, Node,
    request::{Caller, OfPartition, TopicRef},
};
use highwater_records::{BrokerId, Durability, TopicIdPartition};

pub use super::look::{Leads, Look, PartitionLook, ReplicaLook};
use super::{
    Tombstones,
    faults::deletion::Deleted,
    invariant::{self, ClusterInvariant, Decision, DependsOn, Stopped},
    known::{Known, News},
    marks::mark,
    network::{Network, Up},
};
use crate::{batch::SeenBatch, observer::Violation, real::bucket::at_once, stats::Stats};

/// What is remembered between looks.
pub struct Watch {
    truth: Arc<Image>,
    entries: usize,
    invariants: Vec<Box<dyn ClusterInvariant>>,
    /// Those that each kind of news concerns.
    concerned: Vec<Vec<usize>>,
    known: BTreeMap<TopicIdPartition, Known>,
    /// Whether logs that ask for it are compacted.
    compacts: bool,
    /// How each broker stopped since it last registered.
    stops: BTreeMap<BrokerId, Stopped>,
    /// Partitions whose loss was reported: of those nothing is promised.
    lost: BTreeSet<TopicIdPartition>,
    violation: Option<Violation>,
}

impl Watch {
    /// Knows nothing yet; `operator` says whether somebody may have partitions led uncleanly, and `tombstones` what becomes
    /// of them, if logs are compacted.
    pub fn new(operator: bool, tombstones: Option<Tombstones>) -> Watch {
        let invariants = invariant::all(operator, tombstones.unwrap_or(Tombstones::Stay));
        let depend_on: Vec<DependsOn> = invariants.iter().map(|one| one.depends_on()).collect();
        let of = |kind: usize| {
            let news = News::of_kind(kind);
            (0..depend_on.len()).filter(|index| news.concerns(depend_on[*index])).collect()
        };
        Watch {
            truth: Arc::default(),
            entries: 0,
            concerned: (0..News::KINDS).map(of).collect(),
            invariants,
            known: BTreeMap::new(),
            compacts: tombstones.is_some(),
            stops: BTreeMap::new(),
            lost: BTreeSet::new(),
            violation: None,
        }
    }
}

/// A running broker, as the watch looks at it.
pub struct Watched {
    /// The broker.
    pub broker: BrokerId,
    /// Which life of it.
    pub life: u64,
    /// It itself.
    pub node: Arc<Node>,
    /// Where it says which of its replicas may have changed.
    pub changes: Arc<Changes>,
    /// Whether it is the older of two processes with one number: what it takes for committed counts, as long as nobody
    /// has told it that it is not the broker any more.
    pub is_older: bool,
}

impl Watched {
    /// All that run.
    pub(super) fn all(network: &Network) -> Vec<Watched> {
        let of = |(broker, up): (BrokerId, Up), is_older| Watched {
            broker,
            life: up.env.id().number(),
            node: up.node,
            changes: up.changes,
            is_older,
        };
        let older = network.older_nodes().into_iter().map(|one| of(one, true));
        network.nodes().into_iter().map(|one| of(one, false)).chain(older).collect()
    }
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

    /// Takes in where partitions start at least, as somebody was told since.
    pub(super) fn take_deleted(&mut self, told: &Deleted) {
        for (at, start) in std::mem::take(&mut *told.lock()) {
            if let Some(known) = self.known.get_mut(&at) {
                known.picture.deleted = start.max(known.picture.deleted);
            }
        }
    }

    /// Takes in entries that were committed since.
    pub fn take_in(&mut self, entries: &[Decided], stats: &Stats) {
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

    /// Looks at every partition.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn look(&mut self, brokers: &[Watched], stats: &Stats) -> Result<(), Violation> {
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        self.look_at_all(brokers, &BTreeMap::new(), stats)?;
        Ok(())
    }

    /// The same when every change was looked at already: `tiered` says what the bucket has of partitions.
    ///
    /// # Errors
    /// The first invariant that does not hold; and a replica that has changed without anybody being told.
    pub fn look_again(
        &mut self,
        brokers: &[Watched],
        tiered: &BTreeMap<TopicIdPartition, (u64, u64)>,
        stats: &Stats,
    ) -> Result<(), Violation> {
        match self.look_at_all(brokers, tiered, stats)? {
            None => Ok(()),
            Some(at) => {
                let why = format!("{at} has changed, and nobody was told");
                Err(Violation { invariant: "the watch itself", why })
            }
        }
    }

    /// Answers with a partition that had changed.
    fn look_at_all(
        &mut self,
        brokers: &[Watched],
        tiered: &BTreeMap<TopicIdPartition, (u64, u64)>,
        stats: &Stats,
    ) -> Result<Option<TopicIdPartition>, Violation> {
        let truth = self.truth.clone();
        let mut changed = None;
        for topic in truth.topics() {
            for (partition, _) in topic.numbered() {
                let at = TopicIdPartition { topic_id: topic.id, partition };
                if self.look_at(at, brokers, None, tiered.get(&at).copied(), stats)? {
                    changed = Some(at);
                }
            }
        }
        self.known.retain(|at, _| truth.partition(*at).is_some());
        Ok(changed)
    }

    /// Looks at what brokers know of the metadata log.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn look_at_images(&mut self, brokers: &[Watched]) -> Result<(), Violation> {
        let newest = brokers.iter().filter(|watched| !watched.is_older);
        let images = newest.map(|watched| (watched.broker, watched.node.image())).collect();
        let look = Look { truth: self.truth.clone(), images };
        for invariant in &mut self.invariants {
            invariant.images(&look).map_err(|why| Violation { invariant: invariant.name(), why })?;
        }
        Ok(())
    }

    /// Looks at what leaders know of producers when nothing happens any more.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn look_at_producers(&mut self, brokers: &[Watched]) -> Result<(), Violation> {
        let truth = self.truth.clone();
        let partitions = truth.topics().flat_map(|topic| topic.numbered().map(move |one| (topic, one)));
        for (topic, (partition, state)) in partitions {
            let at = TopicIdPartition { topic_id: topic.id, partition };
            let leads = |one: &&Watched| !one.is_older && Some(one.broker) == state.leader;
            let (Some(leader), false) = (brokers.iter().find(leads), self.lost.contains(&at)) else {
                continue;
            };
            let caller = Caller { client_id: "observer".into(), address: "observer".into() };
            let request = OfPartition {
                topic: TopicRef::Id(topic.id),
                partition: partition.0.cast_signed(),
                asked: (),
            };
            // Only of partitions that are open: else this would wait.
            let told = at_once(leader.node.describe_producers(&caller, vec![request]));
            let Some(Some(Ok(told))) = told.map(|mut told| told.pop()) else { continue };
            for invariant in &mut self.invariants {
                let checked = invariant.producers(&at, &told);
                checked.map_err(|why| Violation { invariant: invariant.name(), why })?;
            }
        }
        Ok(())
    }

    /// Reads every replica again from its beginning to its watermark, when nothing happens any more: what was sound when it
    /// was read first may have rotted since.
    ///
    /// # Errors
    /// The first invariant that does not hold; and a replica that cannot be read.
    pub fn read_again(&mut self, brokers: &[Watched]) -> Result<(), Violation> {
        for (at, known) in &mut self.known {
            if self.lost.contains(at) {
                continue;
            }
            known.forget_what_was_read();
            while known.read(*at, brokers) {
                for invariant in &mut self.invariants {
                    if invariant.depends_on() == DependsOn::Batches {
                        let checked = invariant.partition(at, &known.picture);
                        checked.map_err(|why| Violation { invariant: invariant.name(), why })?;
                    }
                }
                known.picture.forget_fresh();
            }
            if let Some((broker, end)) = known.not_read_to_its_end() {
                let why = format!("{at}: broker {broker} cannot read its replica from {end} on");
                return Err(Violation { invariant: "L2 batch valid", why });
            }
        }
        Ok(())
    }

    /// Looks at what the bucket alone says of a partition when nothing happens any more: all its batches, or why they
    /// cannot be read.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn look_at_bucket(
        &mut self,
        at: TopicIdPartition,
        batches: Result<Vec<SeenBatch>, String>,
    ) -> Result<(), Violation> {
        if self.lost.contains(&at) {
            return Ok(());
        }
        for invariant in &mut self.invariants {
            let checked = invariant.bucket(&at, &batches);
            checked.map_err(|why| Violation { invariant: invariant.name(), why })?;
        }
        Ok(())
    }

    /// Looks at one partition, as far as it is another one than at the last look; of replicas only at the one of broker
    /// `changed`, if it is given. Answers whether it is.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn look_at(
        &mut self,
        at: TopicIdPartition,
        brokers: &[Watched],
        changed: Option<BrokerId>,
        tiered: Option<(u64, u64)>,
        stats: &Stats,
    ) -> Result<bool, Violation> {
        let topic = self.truth.topic(at.topic_id).filter(|_| !self.lost.contains(&at));
        let Some((topic, state)) = topic.and_then(|topic| Some((topic, topic.partition(at.partition)?)))
        else {
            self.known.remove(&at);
            return Ok(false);
        };
        let (known, mut news) = match self.known.entry(at) {
            Entry::Vacant(place) => {
                (place.insert(Known::new(self.compacts)), News { roles: true, ..News::default() })
            }
            Entry::Occupied(known) => (known.into_mut(), News::default()),
        };
        news.roles |= known.decided(topic, state, self.truth.leader_epoch(state).0);
        for watched in brokers.iter().filter(|one| changed.is_none_or(|broker| broker == one.broker)) {
            known.replica(at, watched, &mut news, stats);
        }
        if changed.is_none() {
            let gone: Vec<BrokerId> = known
                .states
                .keys()
                .filter(|id| !brokers.iter().any(|one| !one.is_older && one.broker == **id))
                .copied()
                .collect();
            for broker in gone {
                known.forget(broker, &mut news);
            }
        }
        let has_changed = news.any();
        known.picture.tiered = tiered;
        news.bucket = tiered.is_some();
        loop {
            // What counts by now may be there to be read where nothing has changed.
            if news.any() {
                news.batches |= known.read(at, brokers);
            }
            for index in &self.concerned[news.kind()] {
                let invariant = &mut self.invariants[*index];
                let checked = invariant.partition(&at, &known.picture);
                checked.map_err(|why| Violation { invariant: invariant.name(), why })?;
            }
            let picture = &mut known.picture;
            let seen = picture.replicas.values().map(|replica| replica.watermark).max().unwrap_or(0);
            let start = picture.replicas.values().map(|replica| replica.log_start).max().unwrap_or(0);
            picture.true_start = picture.true_start.max(start);
            let positions = seen > picture.true_watermark;
            if !positions && !news.batches {
                return Ok(has_changed);
            }
            picture.true_watermark = picture.true_watermark.max(seen);
            picture.forget_fresh();
            news = News { positions, again: true, ..News::default() };
        }
    }
}

pub(super) fn durability(topic: &Topic) -> Durability {
    let set = topic.configs.get("highwater.durability").and_then(|text| text.parse().ok());
    set.unwrap_or_else(|| {
        Durability::for_replicas(topic.partitions.first().map_or(1, |one| one.replicas.len()))
    })
}
