//! Somebody has records deleted: at the leader, as any client, up to some offset or up to the watermark.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_env::{Env as _, Lane};
use highwater_metadata::Image;
use highwater_node::request::{Caller, OfPartition, PartitionError, TopicRef};
use highwater_records::TopicIdPartition;
use parking_lot::Mutex;

use super::Faults;
use crate::{cluster::machine::Surroundings, history::Event};

/// What was acknowledged: everything below is gone for good.
pub(in crate::cluster) type Deleted = Arc<Mutex<BTreeMap<TopicIdPartition, u64>>>;

impl Faults {
    pub(super) fn delete_records(&mut self, around: &Surroundings, image: &Image) {
        // What groups read must be there until they have read it.
        let topics = around.world.topics();
        let of_clients = topics.iter().filter_map(|topic| image.topic(topic.id));
        let all: Vec<_> = of_clients
            .flat_map(|topic| topic.numbered().map(|(partition, state)| (topic.id, partition, state.leader)))
            .collect();
        if all.is_empty() {
            return;
        }
        let (topic_id, partition, leader) = *self.random.pick(&all);
        let at = TopicIdPartition { topic_id, partition };
        let Some(up) = leader.and_then(|leader| around.network.node(leader)) else { return };
        let Some(view) = up.node.replica(at) else { return };
        let (start, watermark) = (view.positions.log_start, view.positions.high_watermark);
        let asked = match self.random.below(5) {
            0 => -1,
            _ => self.random.between(start.get(), watermark.get().max(start.get())).cast_signed(),
        };
        let timeout = Duration::from_millis(self.random.below(4_000));
        let (world, deleted) = (around.world.clone(), around.deleted.clone());
        let request =
            OfPartition { topic: TopicRef::Id(topic_id), partition: partition.0.cast_signed(), asked };
        let env = up.env.clone();
        let heard = around.heard.clone();
        let task = async move {
            let caller = Caller { client_id: "operator".into(), address: "operator".into() };
            match up.node.delete_records(&caller, timeout, vec![request]).await.remove(0) {
                Ok(start) => {
                    world.stats.progress("deletions acknowledged");
                    // Whoever hears of it hears who leads: leaders of the past may still show what was deleted.
                    if let Some(view) = up.node.replica(at) {
                        let epoch = view.leader_epoch.as_i32();
                        heard
                            .lock()
                            .entry(at)
                            .and_modify(|known| *known = epoch.max(*known))
                            .or_insert(epoch);
                    }
                    world.event(&Event::RecordsDeleted { at, start: start.get() });
                    let mut deleted = deleted.lock();
                    let known = deleted.entry(at).or_default();
                    *known = start.get().max(*known);
                }
                Err(PartitionError::TimedOut { .. }) => world.stats.count("mark: a deletion waits too long"),
                Err(_) => {}
            }
        };
        env.spawn(Lane::Connections, Box::pin(task));
    }
}
