//! T3: after its marker a transaction has no records, and one marker ends it.
//!
//! Checked in the whole log of each partition: records of a transaction are never preceded by a marker that came after
//! earlier records of the same one; a marker says what was asked of the transaction that it ends; epochs of a producer
//! never go down; and at the end no transaction is open. A marker where nothing is open ends nothing and does no harm:
//! a coordinator that does not know whether a marker is there writes it again.

use std::collections::{BTreeMap, BTreeSet};

use super::Invariant;
use crate::coordinator::happening::{Content, Happening, LogBatch, Part, Txn, Write};

/// See the file's text.
#[derive(Default)]
pub struct Markers {
    of: BTreeMap<Write, Txn>,
    asked_to_commit: BTreeSet<Txn>,
    acknowledged: BTreeSet<Txn>,
}

impl Invariant for Markers {
    fn name(&self) -> &'static str {
        "T3 one marker ends a transaction"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        match event {
            Happening::WriteAsked { write, txn, .. } => {
                self.of.insert(*write, *txn);
            }
            Happening::EndAsked { txn, committed: true } => {
                self.asked_to_commit.insert(*txn);
            }
            Happening::EndAnswered { txn } => {
                self.acknowledged.insert(*txn);
            }
            Happening::Log { part, batches } => return self.log(*part, batches),
            _ => {}
        }
        Ok(())
    }
}

impl Markers {
    fn log(&self, part: Part, batches: &[LogBatch]) -> Result<(), String> {
        let mut epochs: BTreeMap<i64, i16> = BTreeMap::new();
        let mut open: BTreeMap<i64, Txn> = BTreeMap::new();
        let mut over: BTreeSet<Txn> = BTreeSet::new();
        for batch in batches {
            let at = format!("partition {part} at {}", batch.base);
            if batch.content == Content::Other {
                continue;
            }
            let epoch = epochs.entry(batch.producer).or_insert(batch.epoch);
            if *epoch > batch.epoch {
                return Err(format!(
                    "{at}: epoch {} of producer {} after {epoch}",
                    batch.epoch, batch.producer
                ));
            }
            *epoch = batch.epoch;
            match batch.content {
                Content::Transactional(write) => {
                    let txn =
                        *self.of.get(&write).ok_or_else(|| format!("{at}: {write:?} was never written"))?;
                    if over.contains(&txn) {
                        return Err(format!("{at}: {write:?} of {txn:?} lies behind the marker of {txn:?}"));
                    }
                    if let Some(other) = open.insert(batch.producer, txn).filter(|other| *other != txn) {
                        return Err(format!("{at}: {txn:?} begins before {other:?} has its marker"));
                    }
                }
                Content::Marker { committed } => {
                    let Some(txn) = open.remove(&batch.producer) else { continue };
                    let asked = self.asked_to_commit.contains(&txn);
                    if committed && !asked {
                        return Err(format!("{at}: {txn:?} is committed, and nobody has asked for that"));
                    }
                    if !committed && asked && self.acknowledged.contains(&txn) {
                        return Err(format!("{at}: {txn:?} is aborted, and its commit was acknowledged"));
                    }
                    over.insert(txn);
                }
                Content::Other => {}
            }
        }
        match open.first_key_value() {
            None => Ok(()),
            Some((producer, txn)) => {
                Err(format!("partition {part}: {txn:?} of producer {producer} has no marker"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::invariant::testing::*;

    fn log(batches: &[(i16, Content)]) -> Happening {
        let batch = |(base, (epoch, content)): (u64, &(i16, Content))| LogBatch {
            base,
            producer: 4,
            epoch: *epoch,
            content: *content,
        };
        Happening::Log { part: 0, batches: (0..).zip(batches).map(batch).collect() }
    }

    fn check(before: &[Happening], batches: &[(i16, Content)], why: &str) {
        let story = [before.to_vec(), vec![log(batches)]].concat();
        refused(|| Box::new(Markers::default()), &story, why);
    }

    const COMMIT: Content = Content::Marker { committed: true };
    const ABORT: Content = Content::Marker { committed: false };
    const FIRST: Content = Content::Transactional(Write(1));
    const SECOND: Content = Content::Transactional(Write(2));

    #[test]
    fn what_a_log_may_not_have() {
        let asked = [writes(1, 7, 0), writes(2, 7, 0), ends(7, true), ended(7)];
        check(&asked, &[(0, FIRST), (0, COMMIT), (0, SECOND)], "lies behind the marker");
        check(&asked, &[(0, FIRST), (0, SECOND), (0, ABORT)], "its commit was acknowledged");
        check(&asked, &[(0, FIRST)], "has no marker");
        check(&asked, &[(1, FIRST), (0, COMMIT)], "epoch 0 of producer 4 after 1");
        check(&[writes(1, 7, 0)], &[(0, FIRST), (0, COMMIT)], "nobody has asked");
        let two = [writes(1, 7, 0), writes(2, 8, 0)];
        check(&two, &[(0, FIRST), (0, SECOND)], "before Txn(7) has its marker");
        let fine = [asked.to_vec(), vec![log(&[(0, FIRST), (0, SECOND), (1, COMMIT), (1, COMMIT)])]].concat();
        assert_eq!(tell(Markers::default(), &fine), Ok(()));
    }
}
