//! What must hold of groups and transactions, one file each. Each file says what it checks and what it does not, and
//! proves on a made-up history that it can fail.
//!
//! | File | Promise |
//! |---|---|
//! | [`g1_commits`] | an acknowledged offset is what is read, or a later one is |
//! | [`g2_fencing`] | who has lost a partition commits nothing for it |
//! | [`g3_exclusive`] | a partition has one owner at a time |
//! | [`g4_delivery`] | nothing is skipped: what lies below a committed offset was given to a member |
//! | [`g5_transactional`] | offsets of a transaction show once it is committed, and never else |
//! | [`g6_expiry`] | offsets of a group that has members do not expire |
//! | [`p5_own_place`] | no batch is taken for a copy of another one |
//! | [`t1_atomicity`] | of a transaction all is there, or nothing |
//! | [`t2_committed_reads`] | a reader of committed records sees nothing else |
//! | [`t3_markers`] | after its marker a transaction has no records, and one marker ends it |
//! | [`t4_fenced_writes`] | a producer whose successor has begun writes nothing |
//! | [`t6_states`] | transactions follow Kafka's graph of states, and epochs never go back |
//! | [`t7_fenced_ends`] | a producer whose successor has begun commits nothing |
//! | [`x1_once`] | input of a consume-transform-produce chain is used once |
//!
//! T5 (nothing hangs) and the rest of T6 (what is replayed is what was) are checked at the end of a run, by
//! [`audit`](super::audit).

mod fencing;
pub mod g1_commits;
pub mod g2_fencing;
pub mod g3_exclusive;
pub mod g4_delivery;
pub mod g5_transactional;
pub mod g6_expiry;
pub mod p5_own_place;
mod presence;
pub mod t1_atomicity;
pub mod t2_committed_reads;
pub mod t3_markers;
pub mod t4_fenced_writes;
pub mod t6_states;
pub mod t7_fenced_ends;
#[cfg(test)]
mod testing;
pub mod x1_once;

use super::happening::Happening;

/// Something that must hold after every event.
pub trait Invariant: Send {
    /// Its number in the list of invariants, and a few words.
    fn name(&self) -> &'static str;

    /// Checks one event that happened `now`, in nanoseconds, and takes it in.
    ///
    /// # Errors
    /// What does not hold, for people.
    fn check(&mut self, now: u64, event: &Happening) -> Result<(), String>;
}

/// All of them. `expires` says whether offsets of groups without members may expire within a run.
pub fn all(expires: bool) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(g1_commits::Commits::new(expires)),
        Box::new(g2_fencing::Fencing::default()),
        Box::new(g3_exclusive::Exclusive::default()),
        Box::new(g4_delivery::Delivery::default()),
        Box::new(g5_transactional::Transactional::default()),
        Box::new(g6_expiry::Expiry::default()),
        Box::new(p5_own_place::OwnPlace::default()),
        Box::new(t1_atomicity::Atomicity::default()),
        Box::new(t2_committed_reads::CommittedReads::default()),
        Box::new(t3_markers::Markers::default()),
        Box::new(t4_fenced_writes::FencedWrites::default()),
        Box::new(t6_states::States::default()),
        Box::new(t7_fenced_ends::FencedEnds::default()),
        Box::new(x1_once::Once::new(expires)),
    ]
}
