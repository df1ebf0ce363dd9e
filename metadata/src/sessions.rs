//! Which brokers answer, as the controller that is active now knows: nothing of it is stored.

use alloc::collections::BTreeMap;
use highwater_records::{BrokerEpoch, BrokerId};

use crate::{BrokerState, Image};

/// The last heartbeats of brokers. A controller begins with an empty one when it becomes active, and gives everybody
/// a whole session time from then on: it cannot know when they were heard of last.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    heard: BTreeMap<BrokerId, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    epoch: BrokerEpoch,
    at_ms: u64,
}

impl Sessions {
    /// A broker was heard of in this registration. Times are milliseconds of the controller's monotonic clock.
    pub fn heard(&mut self, broker: BrokerId, epoch: BrokerEpoch, now_ms: u64) {
        self.heard.insert(broker, Heard { epoch, at_ms: now_ms });
    }

    /// Whether the latest registration of a broker was heard of within `session_ms`.
    pub fn has_session(&self, image: &Image, broker: BrokerId, now_ms: u64, session_ms: u64) -> bool {
        let latest = image.registration(broker).map(|latest| latest.epoch);
        self.heard.get(&broker).is_some_and(|heard| {
            Some(heard.epoch) == latest && now_ms.saturating_sub(heard.at_ms) <= session_ms
        })
    }

    /// One broker that takes part and was not heard of for longer than `session_ms`, to be fenced. Brokers this
    /// controller has never heard of are counted as heard of now.
    pub fn overdue(&mut self, image: &Image, now_ms: u64, session_ms: u64) -> Option<BrokerId> {
        let mut overdue = None;
        for (broker, latest) in image.registrations() {
            if latest.state == BrokerState::Fenced {
                continue;
            }
            let heard = self.heard.entry(*broker).or_insert(Heard { epoch: latest.epoch, at_ms: now_ms });
            if heard.epoch != latest.epoch {
                *heard = Heard { epoch: latest.epoch, at_ms: now_ms };
            }
            if now_ms.saturating_sub(heard.at_ms) > session_ms && overdue.is_none() {
                overdue = Some(*broker);
            }
        }
        overdue
    }
}
