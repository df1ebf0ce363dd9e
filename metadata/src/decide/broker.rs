//! The life of brokers: registering, taking part, stopping, being fenced.

use super::partition::{Change, Rules, change_partition, every_partition};
use crate::{
    Broker, BrokerState, EntryId, FeatureRange, Image, MetadataRecord, Partition, Registration,
    ReplicationRecord, Topic,
    decide::partition::survives_unclean_stop,
    museum::{Bug, has},
};
use alloc::{string::String, vec, vec::Vec};
use highwater_records::{BrokerEpoch, BrokerId};

/// A process that wants to be a broker of this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    /// The broker.
    pub broker: BrokerId,
    /// The cluster that its directories belong to; `None` if they are empty.
    pub cluster_id: Option<String>,
    /// Drawn at random when the process started: asking again is no second registration.
    pub incarnation: [u8; 16],
    /// The identity of its data directory.
    pub directory: [u8; 16],
    /// Endpoints and rack.
    pub properties: Broker,
    /// Whether its logs are known to be complete: they were stopped cleanly.
    pub clean: bool,
    /// Features that it supports.
    pub features: Vec<FeatureRange>,
}

/// Why a broker may not register. Nothing was decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Its directories belong to another cluster.
    #[error("the directories belong to cluster {found}, this is cluster {expected}")]
    WrongCluster {
        /// What the directories say.
        found: String,
        /// This cluster.
        expected: String,
    },
    /// Another process with this number is alive.
    #[error("broker {0} is alive: another process has that number")]
    Duplicate(BrokerId),
    /// Its data directory is the one of another broker that is there: a copied disk, or one in the wrong machine.
    #[error("its data directory is the one of broker {0}")]
    DirectoryOfAnother(BrokerId),
    /// It does not support what the cluster has agreed on.
    #[error("feature {feature} is at level {level}, which this broker does not support")]
    Unsupported {
        /// The feature.
        feature: String,
        /// Its level.
        level: u16,
    },
}

/// A broker speaks in a registration that is not its latest one, or that does not exist: it must register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("registration {found} of broker {broker} is not its latest")]
pub struct StaleBrokerEpoch {
    /// The broker.
    pub broker: BrokerId,
    /// What it said.
    pub found: BrokerEpoch,
}

/// Registers a broker's process. It is fenced until its heartbeats say that it has caught up; its broker epoch is the id
/// of the entry ([`Image::registration`]). `has_session` says whether the latest registration still answers. What it
/// led is led by others or by nobody, so that no leader epoch spans two lives of a process.
///
/// After an unclean stop the broker may have lost the end of its logs. On a `synced` topic nothing that counted can be
/// gone. On a `replicated` one it is no candidate any more until it has caught up (KIP-966), unless it is the only
/// replica there is: what recovery then cut is reported where it was cut. With another data directory than before it has
/// nothing, and is a candidate for nothing.
pub fn register_process(
    image: &Image,
    rules: Rules,
    wish: &RegisterBroker,
    has_session: bool,
) -> Result<Vec<MetadataRecord>, RegisterError> {
    if let (Some(expected), Some(found)) = (image.cluster_id(), &wish.cluster_id)
        && expected != found
    {
        return Err(RegisterError::WrongCluster { found: found.clone(), expected: expected.into() });
    }
    if let Some(latest) = image.registration(wish.broker) {
        if latest.incarnation == wish.incarnation {
            return Ok(Vec::new());
        }
        // One that was told that it may stop is not waited for.
        let stops = latest.state == BrokerState::Stopping && may_stop(image, wish.broker);
        if has_session && latest.state != BrokerState::Fenced && !stops {
            return Err(RegisterError::Duplicate(wish.broker));
        }
    }
    let same =
        |latest: &Registration| latest.directory == wish.directory && latest.state != BrokerState::Fenced;
    let others = image.registrations().iter().filter(|(other, _)| **other != wish.broker);
    if let Some((other, _)) = others.filter(|_| wish.directory != [0; 16]).find(|(_, latest)| same(latest)) {
        return Err(RegisterError::DirectoryOfAnother(*other));
    }
    for (feature, level) in image.features().iter().filter(|(_, level)| **level > 0) {
        let supports =
            |range: &FeatureRange| range.feature == *feature && (range.min..=range.max).contains(level);
        if !wish.features.iter().any(supports) {
            return Err(RegisterError::Unsupported { feature: feature.clone(), level: *level });
        }
    }
    let broker = wish.broker;
    let Broker { endpoints, rack } = wish.properties.clone();
    let mut records = vec![
        MetadataRecord::BrokerRegistered { broker, endpoints, rack },
        MetadataRecord::Replication(ReplicationRecord::BrokerStarted {
            broker,
            incarnation: wish.incarnation,
            directory: wish.directory,
            features: wish.features.clone(),
        }),
    ];
    let former = image.registration(broker).map(|latest| latest.directory);
    let replaced = former.is_some_and(|former| former != [0; 16] && former != wish.directory)
        && !has(Bug::EmptyDiskTrusted);
    let lossy = !wish.clean && !has(Bug::LossyStopForgiven);
    records.extend(leave(image, rules, broker, |topic, partition| {
        replaced || (lossy && !survives_unclean_stop(topic) && partition.replicas.len() > 1)
    }));
    Ok(records)
}

/// What a broker says of itself from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The broker.
    pub broker: BrokerId,
    /// Its registration.
    pub broker_epoch: BrokerEpoch,
    /// The last entry that it has applied.
    pub applied: Option<EntryId>,
    /// Whether it wants to stop.
    pub wants_stop: bool,
    /// Milliseconds for which its oldest disk operation has been under way.
    pub oldest_io_ms: u64,
    /// Whether its data directory, the only one that it has, is offline: it takes nothing more in this life (KIP-858).
    pub offline: bool,
}

/// What a heartbeat decides: who has caught up takes part, who wants to stop hands over, whose disk hangs leads nothing,
/// whose disk has failed leads nothing and is in sync with nobody.
///
/// `io_patience_ms` is how long a disk operation may take before the broker gives its leaderships away.
pub fn heartbeat(
    image: &Image,
    rules: Rules,
    beat: &Heartbeat,
    io_patience_ms: u64,
) -> Result<Vec<MetadataRecord>, StaleBrokerEpoch> {
    let stale = StaleBrokerEpoch { broker: beat.broker, found: beat.broker_epoch };
    let latest = image.registration(beat.broker).filter(|latest| latest.epoch == beat.broker_epoch);
    let state = latest.ok_or(stale)?.state;
    let caught_up = beat.applied.is_some_and(|applied| applied.get() >= beat.broker_epoch.0);
    let become_ = |state| {
        MetadataRecord::Replication(ReplicationRecord::BrokerStateChanged {
            broker: beat.broker,
            epoch: beat.broker_epoch,
            state,
        })
    };
    let hangs = beat.oldest_io_ms > io_patience_ms;
    Ok(match state {
        BrokerState::Fenced if beat.wants_stop || !caught_up || hangs || beat.offline => Vec::new(),
        BrokerState::Fenced => {
            let mut records = vec![become_(BrokerState::Active)];
            records.extend(lead_what_nobody_leads(image, rules, beat.broker));
            records
        }
        BrokerState::Active if beat.offline => fence_broker(image, rules, beat.broker),
        BrokerState::Active if beat.wants_stop => {
            let mut records = vec![become_(BrokerState::Stopping)];
            records.extend(leave(image, rules, beat.broker, |_, _| false));
            records
        }
        BrokerState::Active if hangs => hand_over(image, rules, beat.broker),
        BrokerState::Active | BrokerState::Stopping => Vec::new(),
    })
}

/// Whether a broker that wants to stop may: it leads nothing that somebody else could lead.
pub fn may_stop(image: &Image, broker: BrokerId) -> bool {
    image.registration(broker).is_none_or(|latest| latest.state != BrokerState::Active)
        && !every_partition(image).any(|(_, _, partition)| partition.leader == Some(broker))
}

/// Takes a broker out that does not answer, or whose directory is offline: it leads nothing and is in no in-sync set any more.
pub fn fence_broker(image: &Image, rules: Rules, broker: BrokerId) -> Vec<MetadataRecord> {
    let Some(latest) = image.registration(broker).filter(|latest| latest.state != BrokerState::Fenced) else {
        return Vec::new();
    };
    let mut records = vec![MetadataRecord::Replication(ReplicationRecord::BrokerStateChanged {
        broker,
        epoch: latest.epoch,
        state: BrokerState::Fenced,
    })];
    records.extend(leave(image, rules, broker, |_, _| false));
    records
}

/// Takes `broker` out of every in-sync set and leadership; where `lost` says so, also out of the eligible leaders.
fn leave(
    image: &Image,
    rules: Rules,
    broker: BrokerId,
    lost: impl Fn(&Topic, &Partition) -> bool,
) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for (topic, at, partition) in every_partition(image) {
        let lost = lost(topic, partition);
        let concerned = partition.leader == Some(broker)
            || partition.isr.contains(&broker)
            || (lost && partition.eligible_leaders.contains(&broker));
        if !concerned {
            continue;
        }
        let rest: Vec<BrokerId> = partition.isr.iter().copied().filter(|member| *member != broker).collect();
        let change = Change {
            isr: (rest != partition.isr).then_some(rest),
            without: &[broker],
            lost: lost.then_some(broker),
            ..Change::none()
        };
        records.extend(change_partition(image, rules, topic, at.partition, &change));
    }
    records
}

/// Gives what `broker` leads to others that are in sync; it stays in sync, and keeps what nobody else can lead.
fn hand_over(image: &Image, rules: Rules, broker: BrokerId) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for (topic, at, partition) in every_partition(image) {
        let others = partition.isr.iter().any(|member| *member != broker && image.is_active(*member));
        if partition.leader == Some(broker) && others {
            let change = Change { without: &[broker], ..Change::none() };
            records.extend(change_partition(image, rules, topic, at.partition, &change));
        }
    }
    records
}

/// A broker takes part from now on: it leads what nobody leads and it may.
fn lead_what_nobody_leads(image: &Image, rules: Rules, broker: BrokerId) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for (topic, at, partition) in every_partition(image) {
        let candidate = partition.isr.contains(&broker)
            || partition.eligible_leaders.contains(&broker)
            || (partition.replicas.contains(&broker) && rules.elects_uncleanly(topic));
        if partition.leader.is_none() && candidate {
            let change = Change { with: Some(broker), ..Change::none() };
            records.extend(change_partition(image, rules, topic, at.partition, &change));
        }
    }
    records
}
