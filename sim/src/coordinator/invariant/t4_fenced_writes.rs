//! T4: a producer whose successor has begun writes nothing: neither a batch nor an offset that it sends after the
//! successor was given its identity is acknowledged.

use std::collections::BTreeSet;

use super::{Invariant, fencing::Fencing};
use crate::coordinator::happening::{Commit, Happening, Write};

/// See the file's text.
#[derive(Default)]
pub struct FencedWrites {
    fencing: Fencing,
    late_writes: BTreeSet<Write>,
    late_commits: BTreeSet<Commit>,
}

impl Invariant for FencedWrites {
    fn name(&self) -> &'static str {
        "T4 former producers are fenced"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        self.fencing.see(event);
        match *event {
            Happening::WriteAsked { write, txn, .. } if self.fencing.is_fenced(txn) => {
                self.late_writes.insert(write);
            }
            Happening::WriteAnswered { write, .. } if self.late_writes.contains(&write) => {
                return Err(format!("{write:?} was acknowledged after its producer's successor had begun"));
            }
            Happening::CommitAsked { commit, txn: Some(txn), .. } if self.fencing.is_fenced(txn) => {
                self.late_commits.insert(commit);
            }
            Happening::CommitAnswered { commit } if self.late_commits.contains(&commit) => {
                return Err(format!("{commit:?} was acknowledged after its producer's successor had begun"));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::invariant::testing::*;

    #[test]
    fn a_write_after_the_successor_began() {
        let new = || -> Box<dyn Invariant> { Box::new(FencedWrites::default()) };
        let before = [began(1, 1).to_vec(), vec![begins(7, 1)], began(2, 1).to_vec()].concat();
        refused(new, &[before.clone(), vec![writes(1, 7, 0), written(1)]].concat(), "successor had begun");
        refused(new, &[before, vec![commits_in(1, 7, 5), committed(1)]].concat(), "successor had begun");
        let other = [began(1, 1).to_vec(), vec![begins(7, 1)], began(2, 2).to_vec()].concat();
        assert_eq!(
            tell(FencedWrites::default(), &[other, vec![writes(1, 7, 0), written(1)]].concat()),
            Ok(())
        );
    }
}
