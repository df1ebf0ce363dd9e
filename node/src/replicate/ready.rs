//! Which partitions have news for somebody.

use std::{collections::BTreeSet, sync::Arc};

use highwater_records::TopicIdPartition;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A set of partitions that fills while nobody looks, and wakes whoever waits for it. Costs nothing while nothing
/// happens.
#[derive(Default)]
pub(crate) struct Ready {
    news: Mutex<News>,
    wake: Notify,
}

#[derive(Default)]
struct News {
    /// Worth an answer now.
    urgent: BTreeSet<TopicIdPartition>,
    /// Worth telling when there is an answer anyway.
    later: BTreeSet<TopicIdPartition>,
}

impl Ready {
    /// There is something to be told now.
    pub(crate) fn urgent(&self, partition: TopicIdPartition) {
        self.news.lock().urgent.insert(partition);
        self.wake.notify_one();
    }

    /// There is something to be told by the way.
    pub(crate) fn later(&self, partition: TopicIdPartition) {
        self.news.lock().later.insert(partition);
    }

    /// Takes what is urgent, and the rest with it if `all`.
    pub(crate) fn take(&self, all: bool) -> BTreeSet<TopicIdPartition> {
        let mut news = self.news.lock();
        let mut taken = std::mem::take(&mut news.urgent);
        if all {
            taken.append(&mut news.later);
        }
        taken
    }

    /// Completes when something has become urgent since the last time.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }
}

/// Somebody who is told about one partition.
pub(crate) struct Watcher {
    pub(crate) partition: TopicIdPartition,
    pub(crate) ready: std::sync::Weak<Ready>,
}

impl Watcher {
    pub(crate) fn new(partition: TopicIdPartition, ready: &Arc<Ready>) -> Watcher {
        Watcher { partition, ready: Arc::downgrade(ready) }
    }
}
