//! A disk that fails while all is well: leadership must leave its broker.

use highwater_engine::disk::memory::{Fault, Operation};
use highwater_records::BrokerId;

use super::Run;
use crate::{cluster::plan::ClusterFault, history::Promise};

impl Run {
    /// Has every sync fail on the disk of the broker that leads the longest log, until its process has ended. In the
    /// safety phase nobody could say what is to blame if it goes on leading.
    pub(super) fn fail_a_disk(&mut self) {
        // Of a `replicated` topic more is lost by it than can be survived: nobody may be left who had everything.
        let wanted = self.plan.run.faults.contains(&ClusterFault::DiskError)
            && self.plan.promise() == Promise::Synced
            && !self.plan.beyond;
        if !wanted || self.around.world.has_violated() {
            return;
        }
        let Some(id) = self.busiest_leader() else { return };
        self.around.world.executor.note(&[41, u64::from(id.0)], || format!("the disk of broker {id} fails"));
        self.machines[&id].disk.inject(Fault {
            after: 0,
            operations: vec![Operation::Sync],
            error: std::io::ErrorKind::Other,
            lasting: true,
        });
        self.converge("others to lead instead of a broker whose disk fails", |run| {
            let truth = run.watch.truth();
            truth.topics().all(|topic| topic.partitions.iter().all(|state| state.leader != Some(id)))
        });
        if !self.around.world.has_violated() {
            self.around.world.stats.count("mark: leadership leaves a broker whose disk fails");
        }
        // A topic that is deleted may have been all that it led: then nobody has had it sync, and its process goes on.
        self.machines[&id].disk.clear_faults();
        self.converge("its next process to be in sync again", Run::is_whole);
    }

    fn busiest_leader(&self) -> Option<BrokerId> {
        let nodes = self.around.network.nodes();
        let topics = self.around.world.topics();
        let truth = self.watch.truth();
        let led = topics.iter().filter_map(|topic| truth.topic(topic.id)).flat_map(|topic| {
            topic.numbered().filter_map(|(partition, state)| {
                let at = highwater_records::TopicIdPartition { topic_id: topic.id, partition };
                let leader = state.leader?;
                Some((nodes.get(&leader)?.node.replica(at)?.positions.log_end, leader))
            })
        });
        led.max().map(|(_, leader)| leader)
    }
}
