//! T1: of a transaction all is there, or nothing.
//!
//! Checked once everything is over and every partition was read to its end by a reader of committed records: of a
//! transaction whose commit was acknowledged every acknowledged batch was seen, and of one of which any batch was seen
//! every acknowledged one was.

use std::collections::{BTreeMap, BTreeSet};

use super::Invariant;
use crate::coordinator::happening::{Happening, Txn, Write};

/// See the file's text.
#[derive(Default)]
pub struct Atomicity {
    txns: BTreeMap<Txn, Known>,
    of: BTreeMap<Write, Txn>,
    seen: BTreeSet<Write>,
}

#[derive(Default)]
struct Known {
    written: BTreeSet<Write>,
    asked_to_commit: bool,
    committed: bool,
}

impl Invariant for Atomicity {
    fn name(&self) -> &'static str {
        "T1 all or nothing"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        match *event {
            Happening::WriteAsked { write, txn, .. } => {
                self.of.insert(write, txn);
            }
            Happening::WriteAnswered { write, .. } => {
                if let Some(txn) = self.of.get(&write) {
                    self.txns.entry(*txn).or_default().written.insert(write);
                }
            }
            Happening::EndAsked { txn, committed } => {
                self.txns.entry(txn).or_default().asked_to_commit = committed;
            }
            Happening::EndAnswered { txn } => {
                let known = self.txns.entry(txn).or_default();
                known.committed = known.asked_to_commit;
            }
            Happening::Read { write, .. } => {
                self.seen.insert(write);
            }
            Happening::AllRead => {
                for (txn, known) in &self.txns {
                    let missing: Vec<_> = known.written.difference(&self.seen).collect();
                    let any = known.written.len() > missing.len();
                    if !missing.is_empty() && (known.committed || any) {
                        return Err(format!(
                            "{txn:?}: of {} batches these are not there: {missing:?}; its commit was {}",
                            known.written.len(),
                            if known.committed { "acknowledged" } else { "not acknowledged" }
                        ));
                    }
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

    fn new() -> Box<dyn Invariant> {
        Box::new(Atomicity::default())
    }

    #[test]
    fn half_a_transaction() {
        let half = [writes(1, 7, 0), writes(2, 7, 1), written(1), written(2), read(1, 0), Happening::AllRead];
        refused(new, &half, "not there: [Write(2)]");
    }

    #[test]
    fn a_committed_transaction_that_is_gone() {
        let gone = [writes(1, 7, 0), written(1), ends(7, true), ended(7), Happening::AllRead];
        refused(new, &gone, "its commit was acknowledged");
        let aborted = [writes(1, 7, 0), written(1), ends(7, false), ended(7), Happening::AllRead];
        assert_eq!(tell(Atomicity::default(), &aborted), Ok(()));
    }
}
