//! Bits flip on a disk: of what is committed and synced, of one replica at a time, while all others are in sync.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use highwater_metadata::Image;
use highwater_records::{BrokerId, TopicIdPartition};

use super::Faults;
use crate::{
    batch::Batches,
    cluster::{
        machine::{LOG_DIR, Machine, Surroundings},
        plan::ClusterFault,
    },
};

/// Where base offset, length and leader epoch end in a batch.
const MAGIC_AT: usize = 16;

/// What has rotted.
pub(super) struct Rotten {
    /// On whose disk.
    pub(super) broker: BrokerId,
    leads: bool,
    at: TopicIdPartition,
    /// The last offset of its batch.
    last: u64,
    file: PathBuf,
    /// The batch as it was.
    sound: Vec<u8>,
}

impl Faults {
    /// Some byte, or some hundreds, of some batch.
    pub(super) fn rot(
        &mut self,
        around: &Surroundings,
        machines: &BTreeMap<BrokerId, Machine>,
        image: &Image,
    ) {
        let topics = around.world.topics();
        let of_clients = topics.iter().filter_map(|topic| image.topic(topic.id));
        let of_coordinators =
            image.topics().filter(|topic| around.rots_coordinators && topic.name.starts_with("__"));
        let all: Vec<_> = of_clients
            .chain(of_coordinators)
            .flat_map(|topic| topic.numbered().map(move |(partition, state)| (topic, partition, state)))
            .filter(|(_, _, state)| state.isr.len() == state.replicas.len())
            .collect();
        if all.is_empty() || self.rotten.is_some() {
            return;
        }
        let (topic, partition, state) = *self.random.pick(&all);
        let at = TopicIdPartition { topic_id: topic.id, partition };
        let broker = match state.leader.filter(|_| self.random.chance(1, 2)) {
            Some(leader) => leader,
            None => *self.random.pick(&state.replicas),
        };
        let views = state.replicas.iter().map(|replica| around.network.node(*replica)?.node.replica(at));
        let Some(views) = views.collect::<Option<Vec<_>>>() else { return };
        let ends = views.iter().map(|view| view.positions.high_watermark.min(view.positions.durable_end));
        let committed = ends.min().map_or(0, |end| end.get());
        let Some(machine) = machines.get(&broker) else { return };
        let directory = Path::new(LOG_DIR).join(format!("{}-{partition}", topic.name));
        let is_log = |path: &PathBuf| {
            path.parent() == Some(&directory) && path.extension().is_some_and(|kind| kind == "log")
        };
        let files: Vec<PathBuf> = machine.disk.files().into_iter().filter(is_log).collect();
        if files.is_empty() {
            return;
        }
        let file = self.random.pick(&files).clone();
        let Ok(bytes) = machine.disk.contents(&file) else { return };
        let mut batches = Batches::skim(&bytes);
        batches.retain(|batch| batch.last < committed);
        if batches.is_empty() {
            return;
        }
        let chosen = self.random.below(batches.len() as u64) as usize;
        let begins: usize = batches[..chosen].iter().map(|batch| batch.size).sum();
        // What lies before that Kafka's format has no checksum for.
        let within = self.random.between(MAGIC_AT as u64, batches[chosen].size as u64 - 1) as usize;
        let most = if self.random.chance(1, 3) { self.random.between(1, 512) as usize } else { 1 };
        let count = most.min(batches[chosen].size - within);
        let position = begins + within;
        let mut flipped = 0;
        for index in 0..count {
            let bits = 1 << self.random.below(8);
            if !machine.disk.rot(&file, position + index, bits).unwrap_or(false) {
                break;
            }
            flipped += 1;
        }
        if flipped == 0 {
            return;
        }
        around.world.stats.count(ClusterFault::Rot.name());
        around.world.has_rotted(at);
        around.world.executor.note(&[41, u64::from(broker.0), position as u64], || {
            format!("{flipped} bytes rot at {position} of {} of broker {broker}", file.display())
        });
        let sound = bytes[begins..begins + batches[chosen].size].to_vec();
        let (leads, last) = (state.leader == Some(broker), batches[chosen].last);
        self.rotten = Some(Rotten { broker, leads, at, last, file, sound });
    }

    /// Whether something that has rotted is there still.
    pub(in crate::cluster) fn is_rotten(&self) -> bool {
        self.rotten.is_some()
    }

    /// What has rotted may have been written again, or be gone: with its topic, its segment, its disk.
    pub(super) fn see_what_is_mended(
        &mut self,
        around: &Surroundings,
        machines: &BTreeMap<BrokerId, Machine>,
    ) {
        let Some(rotten) = &self.rotten else { return };
        let bytes = machines.get(&rotten.broker).and_then(|machine| machine.disk.contents(&rotten.file).ok());
        // Maybe further to the front: what lies below the start is not written again.
        let is_sound = |bytes: &Vec<u8>| bytes.windows(rotten.sound.len()).any(|now| now == rotten.sound);
        let is_sound = bytes.as_ref().map(is_sound);
        let view = around.network.node(rotten.broker).and_then(|up| up.node.replica(rotten.at));
        let starts = view.map_or(0, |view| view.positions.local_start.max(view.positions.log_start).get());
        // Nobody reads what lies below the start, until its segment goes.
        if is_sound == Some(false) && starts <= rotten.last {
            return;
        }
        if is_sound == Some(true) {
            around.world.stats.count("mark: what has rotted is mended");
            if rotten.leads {
                around.world.stats.count("mark: what has rotted is mended at the leader");
            }
        }
        let name = rotten.file.display().to_string();
        around.world.executor.note(&[42], || format!("{name} is mended, or gone"));
        self.rotten = None;
    }
}
