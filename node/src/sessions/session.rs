//! One client's session: the partitions it reads, and what it was told of each.

use std::collections::BTreeMap;

use crate::request::{FetchPartition, FetchSessionError, FetchedPartition, TopicRef};

type Key = (TopicRef, i32);

/// The partitions of one client, in the order in which they are read: those that gave records go to the end, so that
/// none starves the others.
pub(crate) struct Session {
    /// The epoch of the next request.
    epoch: i32,
    uses_ids: bool,
    order: BTreeMap<u64, Key>,
    next_place: u64,
    partitions: BTreeMap<Key, Known>,
}

struct Known {
    place: u64,
    offset: i64,
    max_bytes: usize,
    current_leader_epoch: Option<i32>,
    /// What the client was told; -1 for nothing, or an error.
    high_watermark: i64,
    log_start: i64,
}

impl Known {
    fn of(asked: &FetchPartition, place: u64) -> Known {
        Known {
            place,
            offset: asked.offset,
            max_bytes: asked.max_bytes,
            current_leader_epoch: asked.current_leader_epoch,
            high_watermark: -1,
            log_start: -1,
        }
    }
}

impl Session {
    /// A session whose client is told `answers` now.
    pub(crate) fn new(uses_ids: bool, answers: &[(FetchPartition, FetchedPartition)]) -> Session {
        let mut session = Session {
            epoch: 1,
            uses_ids,
            order: BTreeMap::new(),
            next_place: 0,
            partitions: BTreeMap::new(),
        };
        for (asked, answer) in answers {
            session.update(vec![asked.clone()], &[]);
            session.is_news(asked, answer);
        }
        session
    }

    pub(crate) const fn uses_ids(&self) -> bool {
        self.uses_ids
    }

    /// The epoch of the next request.
    pub(crate) const fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// A request of this epoch arrived.
    pub(crate) fn advance(&mut self, epoch: i32) -> Result<(), FetchSessionError> {
        if epoch != self.epoch {
            return Err(FetchSessionError::InvalidEpoch { id: 0 });
        }
        self.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(())
    }

    /// Takes over what the client says is new, and forgets what it reads no longer.
    pub(crate) fn update(&mut self, changed: Vec<FetchPartition>, forgotten: &[(TopicRef, i32)]) {
        for asked in changed {
            let key = (asked.topic.clone(), asked.partition);
            match self.partitions.get_mut(&key) {
                Some(known) => {
                    known.offset = asked.offset;
                    known.max_bytes = asked.max_bytes;
                    known.current_leader_epoch = asked.current_leader_epoch;
                }
                None => {
                    let place = self.take_place();
                    self.order.insert(place, key.clone());
                    self.partitions.insert(key, Known::of(&asked, place));
                }
            }
        }
        for key in forgotten {
            if let Some(known) = self.partitions.remove(key) {
                self.order.remove(&known.place);
            }
        }
    }

    /// Everything the client reads.
    pub(crate) fn partitions(&self) -> Vec<FetchPartition> {
        let all = self.order.values().filter_map(|key| {
            let known = self.partitions.get(key)?;
            Some(FetchPartition {
                topic: key.0.clone(),
                partition: key.1,
                offset: known.offset,
                max_bytes: known.max_bytes,
                current_leader_epoch: known.current_leader_epoch,
            })
        });
        all.collect()
    }

    /// Whether the client is to be told of this answer; it counts as told.
    pub(crate) fn is_news(&mut self, asked: &FetchPartition, answer: &FetchedPartition) -> bool {
        let key = (asked.topic.clone(), asked.partition);
        let place = self.next_place;
        let Some(known) = self.partitions.get_mut(&key) else { return true };
        match &answer.result {
            Ok(fetched) => {
                let now = (fetched.high_watermark.as_i64(), fetched.log_start.as_i64());
                let moved =
                    now != (known.high_watermark, known.log_start) || fetched.preferred_replica.is_some();
                (known.high_watermark, known.log_start) = now;
                if !fetched.is_empty() {
                    self.order.remove(&known.place);
                    known.place = place;
                    self.order.insert(place, key);
                    self.next_place += 1;
                    return true;
                }
                moved
            }
            // Once it is over, the partition is told again.
            Err(_) => {
                known.high_watermark = -1;
                true
            }
        }
    }

    fn take_place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place - 1
    }
}
