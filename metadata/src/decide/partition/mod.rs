//! Who replicates a partition, who is in sync, who leads.

mod change;
mod elect;
mod isr;
mod reassign;

pub use change::Rules;
pub(super) use change::{Change, Election, change_partition, every_partition, survives_unclean_stop};
pub use elect::{ElectError, ElectionType, elect_leader, preferred_leaders, unclean_leaders};
pub use isr::{IsrChange, IsrChangeError, change_isr};
pub use reassign::{ReassignError, reassign_partition};
