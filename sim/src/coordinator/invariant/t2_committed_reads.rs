//! T2: a reader of committed records sees no record of a transaction that nobody has asked to commit.

use std::collections::{BTreeMap, BTreeSet};

use super::Invariant;
use crate::coordinator::happening::{Happening, Txn, Write};

/// See the file's text.
#[derive(Default)]
pub struct CommittedReads {
    of: BTreeMap<Write, Txn>,
    asked_to_commit: BTreeSet<Txn>,
}

impl Invariant for CommittedReads {
    fn name(&self) -> &'static str {
        "T2 only committed records are read"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        match *event {
            Happening::WriteAsked { write, txn, .. } => {
                self.of.insert(write, txn);
            }
            Happening::EndAsked { txn, committed: true } => {
                self.asked_to_commit.insert(txn);
            }
            Happening::Read { write, part } => {
                let txn = self.of.get(&write).ok_or_else(|| format!("{write:?} was never written"))?;
                if !self.asked_to_commit.contains(txn) {
                    return Err(format!(
                        "{write:?} of {txn:?} was read in partition {part}, and nobody has asked to commit it"
                    ));
                }
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
    fn a_record_of_an_open_or_aborted_transaction() {
        let new = || -> Box<dyn Invariant> { Box::new(CommittedReads::default()) };
        refused(new, &[writes(1, 7, 0), read(1, 0)], "nobody has asked to commit");
        refused(new, &[writes(1, 7, 0), ends(7, false), ended(7), read(1, 0)], "nobody has asked to commit");
        assert_eq!(tell(CommittedReads::default(), &[writes(1, 7, 0), ends(7, true), read(1, 0)]), Ok(()));
    }
}
