//! G5: offsets that are part of a transaction show once it is committed, and never else.
//!
//! Checked: an offset of a transaction that nobody had asked to commit is never told; and a question for stable
//! offsets is told that the offset is unstable while a transaction has one that was acknowledged, which its producer
//! has not begun to end, which cannot have timed out, and whose producer has no successor.

use std::collections::BTreeMap;

use super::Invariant;
use crate::coordinator::happening::{Commit, GroupNumber, Happening, Incarnation, Part, Question, Told, Txn};

/// See the file's text.
#[derive(Default)]
pub struct Transactional {
    commits: BTreeMap<Commit, (Txn, GroupNumber, Part)>,
    txns: BTreeMap<Txn, Known>,
    ids: BTreeMap<Incarnation, u64>,
    asked: BTreeMap<Question, (GroupNumber, Part, Option<Commit>)>,
    /// Offsets of transactions that must be undecided.
    pending: BTreeMap<Commit, (GroupNumber, Part)>,
}

struct Known {
    incarnation: Incarnation,
    /// When it may be aborted because it takes too long.
    due: u64,
    asked_to_commit: bool,
}

impl Invariant for Transactional {
    fn name(&self) -> &'static str {
        "G5 offsets of transactions"
    }

    fn check(&mut self, now: u64, event: &Happening) -> Result<(), String> {
        match *event {
            Happening::ProducerAsks { incarnation, id } => {
                // Whatever others of this id have open may be aborted from now on.
                let of_id = |commit: &Commit| {
                    let known = self.commits.get(commit).and_then(|(txn, ..)| self.txns.get(txn));
                    known.is_some_and(|known| self.ids.get(&known.incarnation) == Some(&id))
                };
                self.pending.retain(|commit, _| !of_id(commit));
                self.ids.insert(incarnation, id);
            }
            Happening::TxnBegins { txn, incarnation, timeout } => {
                let known = Known { incarnation, due: now.saturating_add(timeout), asked_to_commit: false };
                self.txns.insert(txn, known);
            }
            Happening::CommitAsked { commit, group, part, txn: Some(txn), .. } => {
                self.commits.insert(commit, (txn, group, part));
            }
            Happening::CommitAnswered { commit } => {
                if let Some((_, group, part)) = self.commits.get(&commit) {
                    self.pending.insert(commit, (*group, *part));
                }
            }
            Happening::EndAsked { txn, committed } => {
                if let Some(known) = self.txns.get_mut(&txn) {
                    known.asked_to_commit |= committed;
                }
                self.pending.retain(|commit, _| self.commits.get(commit).is_none_or(|(of, ..)| *of != txn));
            }
            Happening::OffsetAsked { question, group, part, stable } => {
                let undecided = self.pending.iter().find(|(_, place)| **place == (group, part));
                let undecided = undecided.map(|(commit, _)| *commit).filter(|_| stable);
                self.asked.insert(question, (group, part, undecided));
            }
            Happening::OffsetTold { question, told } => {
                let Some((group, part, undecided)) = self.asked.remove(&question) else { return Ok(()) };
                return self.told(now, (group, part), undecided, told);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Transactional {
    fn told(
        &self,
        now: u64,
        (group, part): (GroupNumber, Part),
        undecided: Option<Commit>,
        told: Told,
    ) -> Result<(), String> {
        if let Told::Offset(offset, commit) = told
            && let Some((txn, ..)) = self.commits.get(&commit)
            && !self.txns.get(txn).is_some_and(|known| known.asked_to_commit)
        {
            return Err(format!(
                "group {group} partition {part}: {offset} is told, of {txn:?}, which nobody has asked to commit"
            ));
        }
        // It was undecided when the question was put, and still is.
        let still = undecided.filter(|commit| self.pending.contains_key(commit)).and_then(|commit| {
            let (txn, ..) = self.commits.get(&commit)?;
            let known = self.txns.get(txn)?;
            (now < known.due).then_some(*txn)
        });
        match still {
            Some(txn) if told != Told::Unstable => Err(format!(
                "group {group} partition {part}: {told:?} is told as stable, while {txn:?} is open"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::invariant::testing::*;

    fn new() -> Box<dyn Invariant> {
        Box::new(Transactional::default())
    }

    fn open() -> Vec<Happening> {
        let mut story = began(1, 1).to_vec();
        story.extend([begins(7, 1), commits_in(1, 7, 5), committed(1)]);
        story
    }

    #[test]
    fn shown_before_the_commit_or_after_an_abort() {
        let shown = [asks(1), told(1, Told::Offset(5, Commit(1)))];
        refused(new, &[open(), shown.to_vec()].concat(), "which nobody has asked to commit");
        let aborted = [open(), vec![ends(7, false), ended(7)], shown.to_vec()].concat();
        refused(new, &aborted, "which nobody has asked to commit");
        let over = [open(), vec![ends(7, true), ended(7)], shown.to_vec()].concat();
        assert_eq!(tell(Transactional::default(), &over), Ok(()));
    }

    #[test]
    fn told_as_stable_while_undecided() {
        refused(new, &[open(), vec![asks(1), told(1, Told::Nothing)]].concat(), "while Txn(7) is open");
        let successor = [open(), began(2, 1).to_vec(), vec![asks(1), told(1, Told::Nothing)]].concat();
        assert_eq!(tell(Transactional::default(), &successor), Ok(()));
    }
}
