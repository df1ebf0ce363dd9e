//! What a leader remembers of the followers that fetch from it.

use std::{collections::BTreeMap, sync::Arc};

use highwater_records::{BrokerEpoch, BrokerId, Offset, TopicIdPartition};
use parking_lot::Mutex;

use super::Ready;
use crate::peers::{FetchSession, ReplicaFetch, ReplicaFetchError, ReplicaPosition};

/// One session per follower: a new one replaces the old one.
#[derive(Default)]
pub(crate) struct ServedSessions {
    by_follower: Mutex<BTreeMap<BrokerId, Arc<Served>>>,
}

/// A session.
pub(super) struct Served {
    id: u64,
    pub(super) broker_epoch: BrokerEpoch,
    /// Partitions that have news for this follower.
    pub(super) ready: Arc<Ready>,
    /// One fetch at a time.
    pub(super) wanted: tokio::sync::Mutex<Wanted>,
}

/// What the follower fetches.
#[derive(Default)]
pub(super) struct Wanted {
    next_sequence: u64,
    pub(super) partitions: BTreeMap<TopicIdPartition, Told>,
}

/// A partition of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) position: ReplicaPosition,
    /// Whether records were sent from that position on: nothing more until the follower says that it has them.
    pub(super) sent: bool,
    /// What the follower was told last.
    pub(super) high_watermark: Option<Offset>,
    pub(super) log_start: Option<Offset>,
    pub(super) tiered_end: Option<Offset>,
}

impl ServedSessions {
    /// The session that a fetch belongs to, begun if it is the first one.
    pub(super) fn of(&self, fetch: &ReplicaFetch) -> Result<Arc<Served>, ReplicaFetchError> {
        let mut sessions = self.by_follower.lock();
        let FetchSession { id, sequence } = fetch.session;
        match sessions.get(&fetch.from) {
            Some(known) if known.broker_epoch > fetch.broker_epoch => Err(ReplicaFetchError::StaleBroker),
            Some(known) if known.id == id => Ok(known.clone()),
            _ if sequence == 0 => {
                let begun = Arc::new(Served {
                    id,
                    broker_epoch: fetch.broker_epoch,
                    ready: Arc::default(),
                    wanted: tokio::sync::Mutex::default(),
                });
                sessions.insert(fetch.from, begun.clone());
                Ok(begun)
            }
            _ => Err(ReplicaFetchError::UnknownSession),
        }
    }
}

impl Wanted {
    /// Takes in a fetch, if it is the next one of its session.
    pub(super) fn take_in(&mut self, fetch: &ReplicaFetch) -> Result<(), ReplicaFetchError> {
        if fetch.session.sequence != self.next_sequence {
            return Err(ReplicaFetchError::UnknownSession);
        }
        self.next_sequence += 1;
        for partition in &fetch.forgotten {
            self.partitions.remove(partition);
        }
        for position in &fetch.changed {
            let fresh = Told {
                position: *position,
                sent: false,
                high_watermark: None,
                log_start: None,
                tiered_end: None,
            };
            let told = self.partitions.entry(position.partition).or_insert(fresh);
            if told.position.leader_epoch != position.leader_epoch {
                *told = fresh;
            }
            told.position = *position;
            told.sent = false;
        }
        Ok(())
    }
}
