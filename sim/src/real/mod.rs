//! The real node in the simulation: its engine on the lying disk, its tier in the store across the network.

pub(crate) mod bucket;
mod service;
mod surviving;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use highwater_engine::disk::{
    Disk,
    memory::{Loss, MemoryDisk},
};
use highwater_env::BoxFuture;
use highwater_metadata::config::{BrokerConfig, Settings};
use highwater_node::{Endpoint, Node, NodeParts};
use highwater_records::TopicIdPartition;
use highwater_tiering::bucket::SharedBucket;

use surviving::Recovered;

use crate::{
    broker::{Broker, System},
    executor::SimEnv,
    history::{Event, Stop},
    observer::Violation,
    plan::Plan,
    scan,
    simulation::Subject,
    store::Store,
    world::World,
};

/// Runs simulate the real node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RealNode;

impl Subject for RealNode {
    fn system(&self, _: &Plan, disk: &MemoryDisk, store: Option<&Store>) -> Arc<dyn System> {
        Arc::new(NodeSystem {
            disk: disk.clone(),
            seen_by_node: Arc::new(disk.clone()),
            bucket: store.map(|store| store.clone().into()),
            store: store.cloned(),
            config: config(),
        })
    }
}

/// Starts real nodes, and looks into what they leave.
pub(crate) struct NodeSystem {
    pub(crate) disk: MemoryDisk,
    /// What the node takes for its disk; another than [`NodeSystem::disk`] only where a test breaks it.
    pub(crate) seen_by_node: Arc<dyn Disk>,
    /// What the node takes for its bucket.
    pub(crate) bucket: Option<SharedBucket>,
    pub(crate) store: Option<Store>,
    pub(crate) config: Arc<BrokerConfig>,
}

const LOG_DIR: &str = "/data";
pub(crate) const CLEAN_MARK: &str = ".kafka_cleanshutdown";

/// Real nodes without a bucket, with more settings.
pub(crate) fn system_with<'a>(
    disk: &MemoryDisk,
    more: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Arc<dyn System> {
    Arc::new(NodeSystem {
        disk: disk.clone(),
        seen_by_node: Arc::new(disk.clone()),
        bucket: None,
        store: None,
        config: config_with(more),
    })
}

/// One broker that does everything soon, so that much happens in little simulated time.
pub(crate) fn config() -> Arc<BrokerConfig> {
    config_with([])
}

fn config_with<'a>(more: impl IntoIterator<Item = (&'a str, &'a str)>) -> Arc<BrokerConfig> {
    let mut settings = Settings::new();
    let usual = [
        ("node.id", "1"),
        ("log.dirs", LOG_DIR),
        ("metadata.log.dir", "/metadata"),
        ("log.retention.check.interval.ms", "1500"),
        ("remote.log.manager.task.interval.ms", "1000"),
        ("log.flush.offset.checkpoint.interval.ms", "2000"),
        // As small as can be, so that it goes round.
        ("highwater.journal.bytes", "131072"),
    ];
    for (key, value) in usual.into_iter().chain(more) {
        let given = settings.give(key, value);
        assert!(given.is_ok(), "{key}={value}: {given:?}");
    }
    Arc::new(BrokerConfig::new(settings).expect("these settings are valid: every run begins with them"))
}

impl System for NodeSystem {
    fn boot(&self, env: Arc<SimEnv>) -> BoxFuture<'static, Result<Arc<dyn Broker>, String>> {
        let parts = NodeParts {
            env,
            disk: self.seen_by_node.clone(),
            bucket: self.bucket.clone(),
            config: self.config.clone(),
            endpoint: Endpoint { host: "simulated".into(), port: 9092 },
        };
        Box::pin(async move {
            let node = Node::start(parts).await.map_err(|error| error.to_string())?;
            Ok(Arc::new(service::Service::new(node)) as Arc<dyn Broker>)
        })
    }

    fn inspect(&self, world: &World, how: Stop) {
        // A stop can be clean and leave logs that nobody has opened, and so nobody recovered, since a crash: only the
        // mark says that all files are settled. Else they are what recovery makes of them, on a copy.
        let copy = self.disk.fork();
        copy.set_capacity(None);
        let settled = how == Stop::Clean && copy.contents(&Path::new(LOG_DIR).join(CLEAN_MARK)).is_ok();
        if !settled {
            let tiered = world.topics().iter().filter(|topic| topic.tiered).map(|topic| topic.id).collect();
            match surviving::recover(&copy, Path::new(LOG_DIR), &tiered) {
                Ok(recovered) => self.report_losses(world, recovered),
                Err(why) => return world.executor.note(&[19], || format!("nothing to recover: {why}")),
            }
        }
        let lasting = world.topics();
        let known = |at: TopicIdPartition| lasting.iter().any(|topic| topic.id == at.topic_id);
        let logs = scan::logs(&copy, Path::new(LOG_DIR));
        for (at, files) in logs.iter().filter(|(at, _)| known(*at)) {
            world.event(&Event::Scanned { at: *at, files: files.clone(), settled });
        }
        for topic in &lasting {
            for index in 0..topic.partitions {
                let at = topic.partition(index);
                let files = logs.iter().find(|(other, _)| *other == at).map(|(_, files)| files);
                let placed = bucket::placed(world, self.store.as_ref(), &self.disk, topic, at, files);
                if let Some(placed) = placed {
                    world.event(&placed);
                }
            }
        }
    }

    fn survives_power_cut(&self, at: TopicIdPartition) -> Option<u64> {
        let copy = self.disk.fork();
        copy.crash_with(Loss::Everything);
        // What is in the journal is not lost while the disk is full; it is written back once there is room.
        copy.set_capacity(None);
        surviving::replay(&copy, Path::new(LOG_DIR));
        scan::end(&copy, Path::new(LOG_DIR), at)
    }
}

impl NodeSystem {
    /// Reports where each log ends after recovery.
    fn report_losses(&self, world: &World, mut recovered: BTreeMap<TopicIdPartition, Recovered>) {
        for topic in world.topics() {
            for index in 0..topic.partitions {
                let at = topic.partition(index);
                let found = recovered.remove(&at).unwrap_or_default();
                if !found.notes.is_empty() {
                    world.executor.note(&[21], || format!("{at}: {}", found.notes));
                }
                let tiered = bucket::tiered_end(world, self.store.as_ref(), &self.disk, &topic, at);
                // What the bucket has may be missing here: a local copy on its way out goes piece by piece.
                let lost = found.damaged.iter().find(|(end, _)| *end > tiered.unwrap_or(0));
                if let Some((_, damage)) = lost {
                    let why = format!("{at}: {damage}");
                    world.violate(Violation { invariant: "C2 what was synced is sound", why });
                }
                world.event(&Event::LossReported { at, lost_from: found.end.max(tiered.unwrap_or(0)) });
            }
        }
    }
}
