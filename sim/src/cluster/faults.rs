//! What goes wrong in a cluster, and right again: only what must be survived.

pub(super) mod deletion;
mod pace;
mod rot;
mod twin;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use highwater_engine::disk::memory::{Fault, Loss, Operation};
use highwater_metadata::{Image, decide::ElectionType};
use highwater_node::request::Caller;
use highwater_records::{BrokerId, TopicIdPartition};
use highwater_tiering::bucket::faulty::FaultRates;

use super::{
    invariant::Stopped,
    machine::{Machine, Surroundings},
    network::{CLIENTS, QUORUM},
    plan::{ClusterFault, ClusterPlan},
};
use crate::{history::Promise, random::Random, store::Store};

use highwater_env::{Env as _, Lane};

/// The faults of one run.
pub(super) struct Faults {
    random: Random,
    kinds: Vec<ClusterFault>,
    interval: Duration,
    promise: Promise,
    /// Whether more breaks than can be survived.
    beyond: bool,
    next_fault: u64,
    /// When machines that are off are started again.
    boot_at: BTreeMap<BrokerId, u64>,
    /// When brokers are killed whose disk has failed.
    kill_at: BTreeMap<BrokerId, u64>,
    /// Brokers whose disk hangs, and that led something when it began to.
    stuck: BTreeSet<BrokerId>,
    /// Since when nobody leads a partition.
    leaderless: BTreeMap<TopicIdPartition, u64>,
    /// When a broker that was asked to stop is killed.
    patience: BTreeMap<BrokerId, u64>,
    /// When what lasts ends.
    network_until: u64,
    quorum_until: u64,
    mend_at: u64,
    slow_until: u64,
    full_until: u64,
    bucket_until: u64,
    /// When the metadata log gets a leader, if it has none that is there.
    elect_at: u64,
    /// A partition that goes back to the replicas that it had, and when.
    back: Option<(u64, TopicIdPartition, Vec<BrokerId>)>,
    /// Whether some machine's power is cut in the middle of disk operations to come.
    cut_in_io: bool,
    /// Who stopped since somebody asked.
    stopped: Vec<(BrokerId, Stopped)>,
    /// Older processes of brokers that have a newer one.
    twins: twin::Twins,
    /// What has rotted and nobody has mended.
    rotten: Option<rot::Rotten>,
    over: bool,
    /// How far the wall clock has been moved altogether, and how far at most.
    wall_ms: i64,
    wall_ms_max: i64,
    /// How far a broker's clock was ahead of the others' at most.
    skew_max: i64,
}

const NEVER: u64 = u64::MAX;
const SECOND: u64 = 1_000_000_000;

impl Faults {
    pub(super) fn new(plan: &ClusterPlan, mut random: Random) -> Faults {
        let next_fault = if plan.run.faults.is_empty() { NEVER } else { random.between(SECOND, 5 * SECOND) };
        let late = (plan.at_first + 1..=plan.brokers)
            .map(|id| (BrokerId(id), random.between(SECOND, plan.run.safety.as_nanos() as u64)))
            .collect();
        Faults {
            random,
            kinds: plan.run.faults.iter().copied().collect(),
            interval: plan.run.fault_interval,
            promise: plan.promise(),
            beyond: plan.beyond,
            next_fault,
            boot_at: late,
            kill_at: BTreeMap::new(),
            stuck: BTreeSet::new(),
            leaderless: BTreeMap::new(),
            patience: BTreeMap::new(),
            network_until: NEVER,
            quorum_until: NEVER,
            mend_at: NEVER,
            slow_until: NEVER,
            full_until: NEVER,
            bucket_until: NEVER,
            elect_at: 0,
            back: None,
            cut_in_io: false,
            stopped: Vec::new(),
            twins: twin::Twins::default(),
            rotten: None,
            over: false,
            wall_ms: 0,
            wall_ms_max: 0,
            skew_max: 0,
        }
    }

    /// Whether the power of some machine was cut by its own disk operations, and it runs on because nobody has seen it.
    pub(super) fn has_cut_power(&self, machines: &BTreeMap<BrokerId, Machine>) -> bool {
        self.cut_in_io && machines.values().any(|machine| machine.is_on() && machine.disk.stopped())
    }

    /// The next instant, in nanoseconds, at which there is something to do.
    pub(super) fn next_due(&self) -> u64 {
        let times = [
            self.next_fault,
            self.network_until,
            self.quorum_until,
            self.mend_at,
            self.slow_until,
            self.full_until,
            self.bucket_until,
            self.elect_at,
            self.back.as_ref().map_or(NEVER, |(at, ..)| *at),
            self.twins.next_due(),
        ];
        let others = self.boot_at.values().chain(self.patience.values()).chain(self.kill_at.values());
        times.iter().chain(others).copied().min().unwrap_or(NEVER)
    }

    /// Does what is due, and answers with who stopped, and how. To be called between any two steps.
    pub(super) fn act(
        &mut self,
        around: &Surroundings,
        machines: &mut BTreeMap<BrokerId, Machine>,
        store: Option<&Store>,
        image: &Image,
    ) -> Vec<(BrokerId, Stopped)> {
        let now = around.world.executor.now();
        if self.elect_at <= now {
            self.keep_a_leader(around, machines);
            if self.beyond {
                self.give_up_waiting(now, around, machines, image);
            }
            self.see_what_is_mended(around, machines);
            self.elect_at = now + SECOND / 5;
        }
        self.twins.act(now, around);
        for machine in machines.values_mut().filter(|machine| machine.has_ended()) {
            let unclean = !machine.has_stopped_cleanly();
            machine.take_down(None, around);
            self.stopped.push((machine.id, Stopped { unclean, emptied: false }));
            self.patience.remove(&machine.id);
            self.boot_at.insert(machine.id, now + self.random.between(SECOND / 100, SECOND));
        }
        self.end_what_is_over(now, around, machines, store);
        let stopped: Vec<BrokerId> =
            machines.values().filter(|one| one.is_on() && one.disk.stopped()).map(|one| one.id).collect();
        for id in stopped {
            let loss = self.some_loss();
            self.take_down(id, Some(loss), around, machines);
        }
        let due: Vec<BrokerId> =
            self.kill_at.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.kill_at.remove(&id);
            if let Some(machine) = machines.get(&id) {
                machine.disk.clear_faults();
            }
            if self.stuck.contains(&id) && !leads_something(image, id) {
                around.world.stats.count("mark: leadership leaves a broker whose disk hangs");
            }
            self.take_down(id, None, around, machines);
        }
        let due: Vec<BrokerId> =
            self.boot_at.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.boot_at.remove(&id);
            if let Some(machine) = machines.get_mut(&id).filter(|machine| !machine.is_on()) {
                machine.boot(around);
            }
        }
        if let Some((_, at, replicas)) = self.back.take_if(|(due, ..)| *due <= now)
            && let Some(via) = self.some_on(machines)
        {
            ask_for_replicas(around, via, at, Some(replicas));
        }
        if now >= self.next_fault && !self.over {
            let kind = *self.random.pick(&self.kinds);
            self.strike(kind, around, machines, store, image);
            self.draw_next_fault(now);
        }
        std::mem::take(&mut self.stopped)
    }

    fn end_what_is_over(
        &mut self,
        now: u64,
        around: &Surroundings,
        machines: &mut BTreeMap<BrokerId, Machine>,
        store: Option<&Store>,
    ) {
        let patience: Vec<BrokerId> =
            self.patience.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in patience {
            // Not clean then; what that may cost is not in the budget of every run.
            self.patience.insert(id, now + 30 * SECOND);
        }
        if self.network_until <= now {
            self.network_until = NEVER;
            around.network.set_rates(0, 0, false);
        }
        if self.quorum_until <= now {
            self.quorum_until = NEVER;
            around.quorum.set_rates(0, 0);
        }
        if self.mend_at <= now {
            self.mend_at = NEVER;
            around.network.mend();
        }
        if self.slow_until <= now {
            self.slow_until = NEVER;
            machines.values_mut().for_each(|machine| machine.set_slow(false, around));
        }
        if self.full_until <= now {
            self.full_until = NEVER;
            machines.values().for_each(|machine| machine.set_full(false));
        }
        if self.bucket_until <= now {
            self.bucket_until = NEVER;
            if let Some(store) = store {
                store.set_rates(FaultRates::default());
            }
        }
    }

    /// Nothing goes wrong any more, and every machine is on.
    pub(super) fn heal(
        &mut self,
        around: &Surroundings,
        machines: &mut BTreeMap<BrokerId, Machine>,
        store: Option<&Store>,
    ) {
        self.over = true;
        self.next_fault = NEVER;
        around.world.executor.note(&[36], || "faults are over".to_owned());
        self.twins.end(around);
        // A clock that went back makes what is due by time wait until it has caught up.
        around.world.executor.jump_wall(self.wall_ms_max - self.wall_ms);
        (self.network_until, self.quorum_until, self.mend_at) = (0, 0, 0);
        (self.slow_until, self.bucket_until, self.full_until) = (0, 0, 0);
        self.kill_at.values_mut().for_each(|at| *at = 0);
        // The same for the clock of one broker.
        machines.values_mut().for_each(|machine| machine.set_skew(self.skew_max, around));
        self.end_what_is_over(around.world.executor.now(), around, machines, store);
        for machine in machines.values_mut().filter(|machine| !machine.is_on()) {
            self.boot_at.entry(machine.id).or_insert(0);
        }
    }

    /// The voters are elsewhere: they have a leader wherever a broker is up that they reach.
    fn keep_a_leader(&mut self, around: &Surroundings, machines: &BTreeMap<BrokerId, Machine>) {
        let can = |id: BrokerId| {
            machines.get(&id).is_some_and(Machine::is_on)
                && !self.twins.has(id)
                && around.network.reaches(QUORUM, id)
                && around.network.reaches(id, QUORUM)
        };
        if around.quorum.leader().is_some_and(can) {
            return;
        }
        let able: Vec<BrokerId> = around.voters.iter().copied().filter(|id| can(*id)).collect();
        // Nobody knows at once that a leader is gone.
        if around.quorum.leader().is_none() || self.random.chance(1, 5) {
            let leader = (!able.is_empty()).then(|| *self.random.pick(&able));
            if leader != around.quorum.leader() {
                around.world.executor.note(&[37], || format!("the metadata log is led by {leader:?}"));
                around.quorum.elect(leader);
            }
        }
    }

    /// Beyond the budget an operator has partitions led by whoever is there, if nobody else leads for long: records may
    /// be lost then, and the metadata log says so.
    fn give_up_waiting(
        &mut self,
        now: u64,
        around: &Surroundings,
        machines: &BTreeMap<BrokerId, Machine>,
        image: &Image,
    ) {
        let mut waited = BTreeMap::new();
        for topic in image.topics() {
            for (partition, _) in topic.numbered().filter(|(_, state)| state.leader.is_none()) {
                let at = TopicIdPartition { topic_id: topic.id, partition };
                waited.insert(at, self.leaderless.get(&at).copied().unwrap_or(now));
            }
        }
        let long = waited.iter_mut().filter(|(_, since)| now - **since > 8 * SECOND);
        for (at, since) in long {
            *since = now;
            let Some(up) = self.some_on(machines).and_then(|via| around.network.node(via)) else { continue };
            let (at, caller) = (*at, Caller { client_id: "operator".into(), address: "operator".into() });
            let task = async move {
                let _ = up.node.elect_leader(&caller, at, ElectionType::Unclean).await;
            };
            up.env.spawn(Lane::Control, Box::pin(task));
        }
        self.leaderless = waited;
    }

    fn some_on(&mut self, machines: &BTreeMap<BrokerId, Machine>) -> Option<BrokerId> {
        let on: Vec<BrokerId> =
            machines.values().filter(|machine| machine.is_serving()).map(|machine| machine.id).collect();
        (!on.is_empty()).then(|| *self.random.pick(&on))
    }

    /// Whether the end of one broker's logs may be lost now: everywhere somebody else, who is in sync, has everything.
    /// That is one lossy stop since all had everything, as many as KIP-966 promises to survive with
    /// `min.insync.replicas` of two.
    ///
    /// Who has something that has rotted has not everything.
    fn can_lose(&self, broker: BrokerId, image: &Image, machines: &BTreeMap<BrokerId, Machine>) -> bool {
        let has_all = |member: BrokerId| {
            member != broker && self.rotten.as_ref().is_none_or(|rotten| rotten.broker != member)
        };
        let full = image.topics().flat_map(|topic| topic.partitions.iter()).all(|partition| {
            !partition.replicas.contains(&broker) || partition.isr.iter().any(|member| has_all(*member))
        });
        full && machines.values().all(Machine::is_serving) && self.boot_at.is_empty()
    }

    fn strike(
        &mut self,
        kind: ClusterFault,
        around: &Surroundings,
        machines: &mut BTreeMap<BrokerId, Machine>,
        store: Option<&Store>,
        image: &Image,
    ) {
        let Some(id) = self.some_on(machines) else { return };
        let now = around.world.executor.now();
        // A `replicated` topic promises to survive one lossy stop at a time.
        let replicated = self.promise == Promise::Replicated;
        if kind.is_lossy()
            && replicated
            && !self.beyond
            && (kind == ClusterFault::Blackout || !self.can_lose(id, image, machines))
        {
            return;
        }
        let empties = matches!(kind, ClusterFault::ReplaceDisk | ClusterFault::Twin);
        if empties && !self.beyond && !self.can_lose(id, image, machines) {
            return;
        }
        // Who leads the metadata log is told by number: two processes would both take themselves for the controller.
        let twofold = match kind {
            ClusterFault::Twin => self.twins.has(id) || around.quorum.leader() == Some(id),
            ClusterFault::LeaderChange => self.twins.has(id),
            _ => false,
        };
        if twofold {
            return;
        }
        // Nobody knows whether it can be survived when it strikes in the end; with a full disk no stop is a clean one.
        let later = matches!(
            kind,
            ClusterFault::PowerCutInIo
                | ClusterFault::DiskError
                | ClusterFault::DiskFull
                | ClusterFault::StuckDisk
        );
        if later && replicated && !self.beyond {
            return;
        }
        if kind == ClusterFault::BucketFlaky && store.is_none() {
            return;
        }
        if kind == ClusterFault::Rot {
            if !self.beyond && machines.values().all(Machine::is_serving) {
                self.rot(around, machines, image);
            }
            return;
        }
        around.world.stats.count(kind.name());
        around.world.executor.note(&[38, kind as u64, u64::from(id.0)], || format!("{} ({id})", kind.name()));
        let for_a_while = now + self.random.between(SECOND / 5, 8 * SECOND);
        match kind {
            ClusterFault::Kill => self.take_down(id, None, around, machines),
            ClusterFault::PowerCut => {
                let loss = self.some_loss();
                self.take_down(id, Some(loss), around, machines);
            }
            ClusterFault::Blackout => {
                for id in machines.keys().copied().collect::<Vec<_>>() {
                    let loss = self.some_loss();
                    self.take_down(id, Some(loss), around, machines);
                }
            }
            ClusterFault::CleanStop => {
                machines[&id].ask_to_stop(around);
                self.patience.insert(id, now + 60 * SECOND);
            }
            ClusterFault::Pause => {
                let most = if self.random.chance(1, 3) { 8 * SECOND } else { SECOND };
                machines[&id].pause(now + self.random.between(SECOND / 20, most), around);
            }
            ClusterFault::CutOneWay => {
                let others: Vec<BrokerId> = machines.keys().copied().filter(|other| *other != id).collect();
                around.network.cut(id, *self.random.pick(&others));
                self.mend_at = for_a_while;
            }
            ClusterFault::Isolate => {
                for other in machines.keys().copied().chain([QUORUM, CLIENTS]).filter(|other| *other != id) {
                    around.network.cut(id, other);
                    around.network.cut(other, id);
                }
                self.mend_at = for_a_while;
            }
            ClusterFault::CutFromQuorum => {
                if self.random.chance(1, 2) {
                    around.network.cut(QUORUM, id);
                } else {
                    around.network.cut(id, QUORUM);
                }
                self.mend_at = for_a_while;
            }
            ClusterFault::BadNetwork => {
                let (lost, doubled) = (self.random.below(300), self.random.below(300));
                around.network.set_rates(lost, doubled, self.random.chance(1, 2));
                self.network_until = for_a_while;
            }
            ClusterFault::BadQuorum => {
                around.quorum.set_rates(self.random.below(400), self.random.below(400));
                self.quorum_until = for_a_while;
            }
            ClusterFault::LeaderChange if around.voters.contains(&id) => around.quorum.elect(Some(id)),
            // Who has no part in the metadata log is not elected.
            ClusterFault::LeaderChange => {}
            ClusterFault::SlowDisk => {
                if let Some(machine) = machines.get_mut(&id) {
                    machine.set_slow(true, around);
                }
                self.slow_until = for_a_while;
            }
            ClusterFault::ReplaceDisk => {
                self.take_down(id, Some(Loss::Everything), around, machines);
                if let Some(machine) = machines.get_mut(&id) {
                    machine.replace_disk();
                }
                self.stopped.push((id, Stopped { unclean: true, emptied: true }));
            }
            ClusterFault::Twin => self.twin(id, around, machines),
            ClusterFault::DeleteRecords => self.delete_records(around, image),
            ClusterFault::StuckDisk => {
                machines[&id].get_stuck(around);
                if leads_something(image, id) {
                    self.stuck.insert(id);
                }
                self.kill_at.insert(id, now + self.random.between(SECOND, 12 * SECOND));
            }
            ClusterFault::Reassign => self.reassign(id, around, machines, image),
            ClusterFault::BucketFlaky => {
                if let Some(store) = store {
                    let rates = FaultRates {
                        unavailable: 150,
                        unknown_done: 100,
                        unknown_not_done: 100,
                        ..FaultRates::default()
                    };
                    store.set_rates(rates);
                }
                self.bucket_until = for_a_while;
            }
            ClusterFault::PowerCutInIo => {
                let (changes, tear) = (self.random.below(40), self.random.chance(1, 2));
                machines[&id].disk.stop_after(changes, tear);
                self.cut_in_io = true;
            }
            ClusterFault::DiskFull => {
                machines[&id].set_full(true);
                self.full_until = for_a_while;
            }
            ClusterFault::DiskError => {
                let operation = *self.random.pick(&[Operation::Write, Operation::Sync, Operation::Name]);
                machines[&id].disk.inject(Fault {
                    after: self.random.below(30),
                    operations: vec![operation],
                    error: std::io::ErrorKind::Other,
                    lasting: self.random.chance(1, 10),
                });
                self.kill_at.insert(id, for_a_while);
            }
            ClusterFault::ClockSkew => {
                let skew = self.random.between(0, 600_000) as i64 - 300_000;
                self.skew_max = self.skew_max.max(skew);
                if let Some(machine) = machines.get_mut(&id) {
                    machine.set_skew(skew, around);
                }
            }
            // It counts itself where there was something to rot.
            ClusterFault::Rot => {}
            ClusterFault::ClockJump => {
                // However many jumps lie between a producer's timestamp and a broker's check of it, they and the brokers'
                // skew differ by less than the hour that `message.timestamp.after.max.ms` allows.
                let jump = self.random.between(0, 2_400_000) as i64 - 1_200_000 - self.wall_ms;
                around.world.executor.jump_wall(jump);
                self.wall_ms += jump;
                self.wall_ms_max = self.wall_ms_max.max(self.wall_ms);
            }
        }
    }

    fn take_down(
        &mut self,
        id: BrokerId,
        loss: Option<Loss>,
        around: &Surroundings,
        machines: &mut BTreeMap<BrokerId, Machine>,
    ) {
        let Some(machine) = machines.get_mut(&id).filter(|machine| machine.is_on()) else { return };
        machine.take_down(loss, around);
        self.stopped.push((id, Stopped { unclean: !machine.is_marked_clean(), emptied: false }));
        self.patience.remove(&id);
        self.kill_at.remove(&id);
        self.stuck.remove(&id);
        let most = if self.random.chance(1, 3) { 8 * SECOND } else { SECOND / 5 };
        let at = around.world.executor.now() + self.random.between(SECOND / 1000, most);
        self.boot_at.insert(id, at);
    }

    /// An operator's wish: the partition on other brokers, or back.
    fn reassign(
        &mut self,
        via: BrokerId,
        around: &Surroundings,
        machines: &BTreeMap<BrokerId, Machine>,
        image: &Image,
    ) {
        let all: Vec<_> = image
            .topics()
            .flat_map(|topic| topic.numbered().map(|(index, _)| (topic.id, index)).collect::<Vec<_>>())
            .collect();
        if all.is_empty() {
            return;
        }
        let (topic_id, partition) = *self.random.pick(&all);
        let mut brokers: Vec<BrokerId> = machines.keys().copied().collect();
        let wish = if self.random.chance(1, 5) {
            None
        } else {
            while brokers.len() > 3 {
                let gone = self.random.below(brokers.len() as u64) as usize;
                brokers.remove(gone);
            }
            let first = self.random.below(3) as usize;
            brokers.rotate_left(first);
            Some(brokers)
        };
        let at = TopicIdPartition { topic_id, partition };
        if self.random.chance(1, 3)
            && let Some(now) = image.partition(at)
        {
            // Another wish comes before the first one is settled everywhere, or just after.
            let soon = around.world.executor.now() + self.random.between(SECOND / 200, SECOND);
            self.back = Some((soon, at, now.replicas.clone()));
        }
        ask_for_replicas(around, via, at, wish);
    }

    fn some_loss(&mut self) -> Loss {
        match self.random.below(4) {
            0 => Loss::Everything,
            1 => Loss::Nothing,
            _ => Loss::Seeded(self.random.draw()),
        }
    }
}

fn leads_something(image: &Image, broker: BrokerId) -> bool {
    image.topics().any(|topic| topic.partitions.iter().any(|state| state.leader == Some(broker)))
}

/// Asks for other replicas of a partition, at one of the brokers; `None` for what they were before a reassignment.
fn ask_for_replicas(around: &Surroundings, via: BrokerId, at: TopicIdPartition, wish: Option<Vec<BrokerId>>) {
    let Some(up) = around.network.node(via) else { return };
    let caller = Caller { client_id: "operator".into(), address: "operator".into() };
    let task = async move {
        let _ = up.node.reassign_partition(&caller, at, wish).await;
    };
    up.env.spawn(Lane::Control, Box::pin(task));
}
