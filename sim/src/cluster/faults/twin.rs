//! Two processes with one broker id: a machine stands still, somebody starts another one in its place with an empty disk,
//! and then the first one goes on. Whichever of the two has registered last is the broker; the other must neither lead nor
//! acknowledge anything.

use std::collections::BTreeMap;

use highwater_records::BrokerId;

use super::{Faults, NEVER, SECOND};
use crate::cluster::{
    invariant::Stopped,
    machine::{Machine, Surroundings},
};

/// The older processes of brokers that have a newer one, and when somebody switches them off at last.
#[derive(Default)]
pub(super) struct Twins {
    older: Vec<(Machine, u64)>,
}

impl Twins {
    pub(super) fn has(&self, id: BrokerId) -> bool {
        self.older.iter().any(|(machine, _)| machine.id == id)
    }

    pub(super) fn next_due(&self) -> u64 {
        self.older.iter().map(|(_, until)| *until).min().unwrap_or(NEVER)
    }

    /// Switches off whoever has noticed that he is not the broker any more, and who is due.
    pub(super) fn act(&mut self, now: u64, around: &Surroundings) {
        for (machine, _) in self.older.extract_if(.., |(machine, until)| machine.has_ended() || *until <= now)
        {
            let mut machine = machine;
            machine.take_down(None, around);
        }
    }

    pub(super) fn end(&mut self, around: &Surroundings) {
        self.act(NEVER, around);
    }
}

impl Faults {
    /// To be struck only where a disk may be lost.
    pub(super) fn twin(
        &mut self,
        id: BrokerId,
        around: &Surroundings,
        machines: &mut BTreeMap<BrokerId, Machine>,
    ) {
        let now = around.world.executor.now();
        let Some(machine) = machines.get_mut(&id) else { return };
        // Longer than its session: the controller takes it for dead by then, and lets the other one in.
        machine.pause(now + self.random.between(4 * SECOND, 9 * SECOND), around);
        around.network.displace(id);
        let mut newer = Machine::new(id);
        newer.boot(around);
        let older = std::mem::replace(machine, newer);
        self.patience.remove(&id);
        self.kill_at.remove(&id);
        self.stopped.push((id, Stopped { unclean: true, emptied: true }));
        self.twins.older.push((older, now + self.random.between(8 * SECOND, 25 * SECOND)));
    }
}
