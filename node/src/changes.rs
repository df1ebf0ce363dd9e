//! Which replicas may have changed, for whoever watches a broker without looking at all of them again and again.

use std::sync::atomic::{AtomicBool, Ordering};

use highwater_records::TopicIdPartition;
use parking_lot::Mutex;

/// Replicas of a node of which something may have changed since they were taken from here. It grows as long as nobody
/// takes anything.
#[derive(Debug, Default)]
pub struct Changes {
    any: AtomicBool,
    replicas: Mutex<Vec<TopicIdPartition>>,
}

impl Changes {
    /// Whether something may have changed since it was taken.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Takes what may have changed, in no order and some of it more than once. Costs one load where that is nothing.
    pub fn take(&self) -> Vec<TopicIdPartition> {
        if !self.any() {
            return Vec::new();
        }
        let mut replicas = self.replicas.lock();
        self.any.store(false, Ordering::Release);
        std::mem::take(&mut *replicas)
    }

    pub(crate) fn note(&self, replica: TopicIdPartition) {
        let mut replicas = self.replicas.lock();
        if replicas.last() != Some(&replica) {
            replicas.push(replica);
        }
        self.any.store(true, Ordering::Release);
    }
}
