//! Makes things go wrong, and right again.

use std::{io, time::Duration};

use highwater_engine::disk::memory::{Fault, Loss, Operation};
use highwater_tiering::bucket::faulty::FaultRates;

use crate::{
    executor::BlockingCost,
    host::Host,
    plan::{FaultKind, Plan},
    random::Random,
    store::Store,
    world::World,
};

/// How late tasks begin at most, where they do.
const LATE_NANOS: u64 = 3_000_000_000;

/// The faults of one run.
pub struct Nemesis {
    random: Random,
    kinds: Vec<FaultKind>,
    interval: Duration,
    next_fault: u64,
    /// When the broker is started again, while it is down.
    boot_at: Option<u64>,
    /// When it is killed although it was asked to stop.
    patience_until: Option<u64>,
    /// When what lasts ends.
    lasting: Vec<(u64, FaultKind)>,
    slow: bool,
    full: bool,
    late: bool,
    /// Whether a disk operation of the running process failed.
    disk_failed: bool,
    /// How far the wall clock has been moved altogether, and how far it was moved at most.
    wall_ms: i64,
    wall_ms_max: i64,
}

impl Nemesis {
    /// What the plan says.
    pub fn new(plan: &Plan, random: Random) -> Nemesis {
        let mut nemesis = Nemesis {
            random,
            kinds: plan.faults.iter().copied().collect(),
            interval: plan.fault_interval,
            next_fault: u64::MAX,
            boot_at: None,
            patience_until: None,
            lasting: Vec::new(),
            slow: false,
            full: false,
            late: false,
            disk_failed: false,
            wall_ms: 0,
            wall_ms_max: 0,
        };
        nemesis.plan_next(0);
        nemesis
    }

    /// The next instant, in nanoseconds, at which [`Nemesis::act`] has something to do.
    pub fn next_due(&self) -> u64 {
        let lasting = self.lasting.iter().map(|(until, _)| *until);
        lasting
            .chain([self.next_fault])
            .chain(self.boot_at)
            .chain(self.patience_until)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Does what is due now. To be called between any two steps.
    pub fn act(&mut self, world: &World, host: &mut Host, store: Option<&Store>) {
        let now = world.executor.now();
        if host.disk().stopped() {
            let loss = self.some_loss();
            self.take_down(world, host, Some(loss));
        }
        if host.has_ended() {
            if host.failure().is_some_and(|why| why.contains("in use")) {
                world.stats.count("broker starts refused: in use");
            }
            self.take_down(world, host, None);
        }
        if self.patience_until.is_some_and(|until| now >= until) {
            self.take_down(world, host, None);
        }
        if self.boot_at.is_some_and(|at| now >= at) {
            self.boot_at = None;
            host.boot();
            self.apply_state(world, host);
        }
        let (over, lasting): (Vec<_>, Vec<_>) = self.lasting.iter().partition(|(until, _)| now >= *until);
        self.lasting = lasting;
        for (_, kind) in over {
            self.end(kind, world, host, store);
        }
        if now >= self.next_fault {
            let kind = *self.random.pick(&self.kinds);
            self.plan_next(now);
            self.strike(kind, world, host, store);
        }
    }

    /// Ends every fault: from now on everything works. What is down is started again.
    pub fn heal(&mut self, world: &World, host: &mut Host, store: Option<&Store>) {
        if host.disk().stopped() {
            let loss = self.some_loss();
            self.take_down(world, host, Some(loss));
        }
        self.next_fault = u64::MAX;
        self.kinds.clear();
        self.lasting.clear();
        (self.slow, self.full, self.late) = (false, false, false);
        if let Some(store) = store {
            store.heal();
        }
        host.disk().clear_faults();
        // A clock that went back makes what is due by time wait until it has caught up.
        world.executor.jump_wall(self.wall_ms_max - self.wall_ms);
        // An operator restarts a broker whose disk had failed, since a directory that is offline stays so until
        // then. After anything else it must come right by itself.
        if self.disk_failed {
            self.take_down(world, host, None);
        }
        if host.process().is_none() {
            self.boot_at = Some(world.executor.now());
        }
        self.apply_state(world, host);
        world.executor.note(&[16], || "everything works from now on".to_owned());
    }

    /// Asks for a clean stop now, as an operator does.
    pub fn stop_cleanly(&mut self, world: &World, host: &mut Host) {
        host.ask_to_stop();
        self.patience_until = Some(world.executor.now() + 60_000_000_000);
    }

    fn plan_next(&mut self, now: u64) {
        if self.kinds.is_empty() {
            return;
        }
        // Between nothing and twice the average, and now and then two at once.
        let most = self.interval.as_nanos() as u64 * 2;
        let after =
            if self.random.chance(1, 10) { self.random.below(2_000_000) } else { self.random.below(most) };
        self.next_fault = now + after;
    }

    fn strike(&mut self, kind: FaultKind, world: &World, host: &mut Host, store: Option<&Store>) {
        let running = host.process().is_some();
        let now = world.executor.now();
        match kind {
            FaultKind::Kill | FaultKind::PowerCut | FaultKind::PowerCutInIo | FaultKind::CleanStop
                if !running || self.patience_until.is_some() =>
            {
                return;
            }
            FaultKind::CleanStop if !host.is_serving() => return,
            FaultKind::BucketFlaky
            | FaultKind::BucketDown
            | FaultKind::BucketSlow
            | FaultKind::BucketLies
                if store.is_none() =>
            {
                return;
            }
            _ if self.lasting.iter().any(|(_, other)| *other == kind) => return,
            _ => {}
        }
        world.stats.count(kind.name());
        world.executor.note(&[17, kind as u64], || kind.name().to_owned());
        let for_a_while = now + self.random.between(100_000_000, 6_000_000_000);
        match kind {
            FaultKind::Kill => self.take_down(world, host, None),
            FaultKind::PowerCut => {
                let loss = self.some_loss();
                self.take_down(world, host, Some(loss));
            }
            FaultKind::PowerCutInIo => {
                let (changes, tear) = (self.random.below(40), self.random.chance(1, 2));
                host.disk().stop_after(changes, tear);
            }
            FaultKind::CleanStop => self.stop_cleanly(world, host),
            FaultKind::DiskError => {
                let fault = self.some_disk_fault();
                world.executor.note(&[fault.after], || format!("{fault:?}"));
                host.disk().inject(fault);
                self.disk_failed = true;
            }
            FaultKind::DiskFull => {
                self.full = true;
                self.apply_state(world, host);
                self.lasting.push((for_a_while, kind));
            }
            FaultKind::DiskSlow => {
                self.slow = true;
                self.apply_state(world, host);
                self.lasting.push((for_a_while, kind));
            }
            FaultKind::TasksLate => {
                self.late = true;
                self.apply_state(world, host);
                self.lasting.push((for_a_while, kind));
            }
            FaultKind::BucketFlaky | FaultKind::BucketDown | FaultKind::BucketSlow => {
                self.lasting.push((for_a_while, kind));
                self.set_rates(store);
            }
            FaultKind::BucketLies => {
                if let Some(store) = store {
                    store.set_lies(self.random.between(50, 500));
                }
                self.lasting.push((for_a_while, kind));
            }
            FaultKind::ClockJump => {
                // However many jumps lie between a producer's timestamp and the broker's check of it, they differ by less
                // than the hour that `message.timestamp.after.max.ms` allows.
                let skew = self.random.between(0, 2_400_000) as i64 - 1_200_000;
                let jump = skew - self.wall_ms;
                world.executor.jump_wall(jump);
                self.wall_ms += jump;
                self.wall_ms_max = self.wall_ms_max.max(self.wall_ms);
            }
        }
    }

    fn end(&mut self, kind: FaultKind, world: &World, host: &Host, store: Option<&Store>) {
        world.executor.note(&[18, kind as u64], || format!("{} is over", kind.name()));
        match kind {
            FaultKind::DiskFull => self.full = false,
            FaultKind::DiskSlow => self.slow = false,
            FaultKind::TasksLate => self.late = false,
            FaultKind::BucketLies => {
                if let Some(store) = store {
                    store.set_lies(0);
                }
            }
            _ => self.set_rates(store),
        }
        self.apply_state(world, host);
    }

    fn set_rates(&mut self, store: Option<&Store>) {
        let Some(store) = store else { return };
        let on = |kind| self.lasting.iter().any(|(_, other)| *other == kind);
        let mut rates = FaultRates::default();
        if on(FaultKind::BucketSlow) {
            (rates.slow, rates.slow_max) = (500, Duration::from_secs(20));
        }
        if on(FaultKind::BucketFlaky) {
            (rates.unavailable, rates.unknown_done, rates.unknown_not_done) = (100, 100, 100);
        }
        if on(FaultKind::BucketDown) {
            rates = FaultRates { unavailable: 1000, ..FaultRates::default() };
        }
        store.set_rates(rates);
    }

    fn apply_state(&self, world: &World, host: &Host) {
        // Full means full now: what frees space makes room again.
        host.disk().set_capacity(self.full.then(|| used(host)));
        let Some(process) = host.process() else { return };
        let slow = BlockingCost { min_nanos: 5_000_000, usual_nanos: 300_000_000, rare_nanos: 4_000_000_000 };
        world.executor.set_blocking_cost(process, if self.slow { slow } else { BlockingCost::default() });
        world.executor.set_late_starts(process, if self.late { LATE_NANOS } else { 0 });
    }

    fn take_down(&mut self, world: &World, host: &mut Host, loss: Option<Loss>) {
        self.patience_until = None;
        if host.process().is_none() {
            return;
        }
        host.take_down(loss);
        // That cleared the disk's faults; one that is ordered while the broker is down hits the next one.
        self.disk_failed = false;
        let most = if self.random.chance(1, 4) { 3_000_000_000 } else { 50_000_000 };
        self.boot_at = Some(world.executor.now() + self.random.between(1_000_000, most));
    }

    fn some_loss(&mut self) -> Loss {
        match self.random.below(4) {
            0 => Loss::Everything,
            1 => Loss::Nothing,
            _ => Loss::Seeded(self.random.draw()),
        }
    }

    fn some_disk_fault(&mut self) -> Fault {
        let operation = *self.random.pick(&[
            Operation::Open,
            Operation::Read,
            Operation::Write,
            Operation::Sync,
            Operation::Name,
        ]);
        Fault {
            after: self.random.below(30),
            operations: vec![operation],
            error: *self.random.pick(&[io::ErrorKind::Other, io::ErrorKind::PermissionDenied]),
            lasting: self.random.chance(1, 10),
        }
    }
}

fn used(host: &Host) -> u64 {
    let disk = host.disk();
    disk.files().iter().filter_map(|path| disk.contents(path).ok()).map(|bytes| bytes.len() as u64).sum()
}
