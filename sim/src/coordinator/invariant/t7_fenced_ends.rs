//! T7: a producer whose successor has begun commits nothing.
//!
//! Checked: a commit that is asked for after the successor was given its identity is not acknowledged, and a
//! transaction whose commit was never asked for before that shows none of its records (T2 sees the rest).

use std::collections::BTreeSet;

use super::{Invariant, fencing::Fencing};
use crate::coordinator::happening::{Happening, Txn};

/// See the file's text.
#[derive(Default)]
pub struct FencedEnds {
    fencing: Fencing,
    /// Asked to be committed too late, and not before.
    late: BTreeSet<Txn>,
    in_time: BTreeSet<Txn>,
}

impl Invariant for FencedEnds {
    fn name(&self) -> &'static str {
        "T7 former producers commit nothing"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        self.fencing.see(event);
        match *event {
            Happening::EndAsked { txn, committed: true } => {
                let set = if self.fencing.is_fenced(txn) { &mut self.late } else { &mut self.in_time };
                set.insert(txn);
            }
            Happening::EndAnswered { txn } if self.late.contains(&txn) && !self.in_time.contains(&txn) => {
                return Err(format!("{txn:?} was committed after its producer's successor had begun"));
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
    fn a_commit_after_the_successor_began() {
        let late =
            [began(1, 1).to_vec(), vec![begins(7, 1)], began(2, 1).to_vec(), vec![ends(7, true), ended(7)]];
        refused(|| Box::new(FencedEnds::default()), &late.concat(), "successor had begun");
        let asked =
            [began(1, 1).to_vec(), vec![begins(7, 1), ends(7, true)], began(2, 1).to_vec(), vec![ended(7)]];
        assert_eq!(tell(FencedEnds::default(), &asked.concat()), Ok(()));
    }
}
