//! The broker's configuration in force, and how altered configurations reach open logs.

use std::{collections::BTreeMap, sync::Arc};

use highwater_metadata::{Image, config::BrokerConfig};
use highwater_records::BrokerId;
use parking_lot::{Mutex, RwLock};

use crate::Node;

/// What the broker was started with, and over it what was set while it runs.
pub(crate) struct LiveConfig {
    started: Arc<BrokerConfig>,
    broker: BrokerId,
    current: RwLock<Arc<BrokerConfig>>,
    /// What of the image made it: for every broker, and for this one.
    set: Mutex<(Set, Set)>,
}

type Set = BTreeMap<String, String>;

impl LiveConfig {
    pub(crate) fn new(started: Arc<BrokerConfig>, broker: BrokerId, image: &Image) -> LiveConfig {
        let live =
            LiveConfig { current: RwLock::new(started.clone()), started, broker, set: Mutex::default() };
        live.follow(image);
        live
    }

    /// The configuration in force.
    pub(crate) fn get(&self) -> Arc<BrokerConfig> {
        self.current.read().clone()
    }

    /// Takes over what the image says was set.
    fn follow(&self, image: &Image) {
        let (all, own) = (image.broker_configs(None), image.broker_configs(Some(self.broker)));
        let mut set = self.set.lock();
        if (&set.0, &set.1) == (all, own) {
            return;
        }
        *set = (all.clone(), own.clone());
        match self.started.with_dynamic(all, own) {
            Ok(config) => *self.current.write() = Arc::new(config),
            Err(error) => tracing::error!(%error, "what was set for this broker is not in force"),
        }
    }
}

impl Node {
    /// Gives open partitions the configuration that the image says they have, from their next operation on.
    pub(crate) async fn reconfigure(&self) {
        let image = self.image();
        self.live.follow(&image);
        self.quotas.follow(&image);
        for partition in self.partitions.all_open() {
            let Some(topic) = image.topic(partition.id.topic_id) else { continue };
            self.partitions.reconfigure(&partition, topic).await;
        }
        self.partitions.forget_dues();
    }

    /// Does so whenever somebody, here or at another broker, altered a configuration.
    pub(crate) async fn follow_configs(self: Arc<Self>) {
        crate::first_of::first_of(self.stops(), async {
            loop {
                self.cluster.configs_changed().await;
                self.reconfigure().await;
            }
        })
        .await;
    }
}
