//! G1: what is read of a committed offset is the last one that was acknowledged, or a later one.
//!
//! Checked: a commit that was answered before a question was put is not forgotten, and none that was over before
//! another one began comes back after that one. An attempt without an answer may have had an effect at any time. What
//! a read showed had its effect by then.
//!
//! Offsets of a transaction take effect between the question for its commit and its answer, as far as a question for
//! stable offsets can tell; other questions show nothing of when. Where offsets may expire within a run, whether there is
//! one at all is for G6.

use std::collections::BTreeMap;

use super::Invariant;
use crate::coordinator::happening::{Commit, GroupNumber, Happening, Part, Question, Told, Txn};

/// See the file's text.
#[derive(Default)]
pub struct Commits {
    tried: BTreeMap<(GroupNumber, Part), Vec<Tried>>,
    places: BTreeMap<Commit, (GroupNumber, Part)>,
    asked: BTreeMap<Question, Asked>,
    expires: bool,
}

struct Tried {
    commit: Commit,
    offset: u64,
    txn: Option<Txn>,
    /// When it may have had its effect first; never, for what is part of a transaction that nobody asked to commit.
    from: Option<u64>,
    /// When it had its effect at the latest.
    done: Option<u64>,
}

struct Asked {
    place: (GroupNumber, Part),
    at: u64,
    stable: bool,
}

impl Invariant for Commits {
    fn name(&self) -> &'static str {
        "G1 acknowledged offsets stay"
    }

    fn check(&mut self, now: u64, event: &Happening) -> Result<(), String> {
        match *event {
            Happening::CommitAsked { commit, group, part, offset, txn, .. } => {
                self.places.insert(commit, (group, part));
                let from = txn.is_none().then_some(now);
                let tried = Tried { commit, offset, txn, from, done: None };
                self.tried.entry((group, part)).or_default().push(tried);
            }
            Happening::CommitAnswered { commit } => {
                self.each(|tried| {
                    if tried.commit == commit && tried.txn.is_none() {
                        tried.done.get_or_insert(now);
                    }
                });
            }
            Happening::EndAsked { txn, committed: true } => {
                self.each(|tried| {
                    if tried.txn == Some(txn) {
                        tried.from.get_or_insert(now);
                    }
                });
            }
            Happening::EndAnswered { txn } => {
                self.each(|tried| {
                    if tried.txn == Some(txn) && tried.from.is_some() {
                        tried.done.get_or_insert(now);
                    }
                });
            }
            Happening::OffsetAsked { question, group, part, stable } => {
                self.asked.insert(question, Asked { place: (group, part), at: now, stable });
            }
            Happening::OffsetTold { question, told } => {
                if let Some(asked) = self.asked.remove(&question) {
                    return self.told(now, &asked, told);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Commits {
    /// `expires` says whether offsets may expire within the run.
    pub fn new(expires: bool) -> Commits {
        Commits { expires, ..Commits::default() }
    }

    fn each(&mut self, act: impl FnMut(&mut Tried)) {
        self.tried.values_mut().flatten().for_each(act);
    }

    fn told(&mut self, now: u64, asked: &Asked, told: Told) -> Result<(), String> {
        let (group, part) = asked.place;
        let tried = self.tried.entry(asked.place).or_default();
        let counts = |tried: &&Tried| {
            (tried.txn.is_none() || asked.stable) && tried.done.is_some_and(|done| done < asked.at)
        };
        match told {
            Told::Unstable => Ok(()),
            Told::Nothing if self.expires => Ok(()),
            Told::Nothing => match tried.iter().find(counts) {
                None => Ok(()),
                Some(kept) => Err(format!(
                    "group {group} partition {part}: nothing is committed, but {:?} of {} was acknowledged",
                    kept.commit, kept.offset
                )),
            },
            Told::Offset(offset, commit) => {
                let Some(shown) = tried.iter().find(|tried| tried.commit == commit) else {
                    return Err(format!(
                        "group {group} partition {part}: {commit:?} of {offset} was never asked for"
                    ));
                };
                if shown.offset != offset {
                    return Err(format!("{commit:?} is of {}, and {offset} is told", shown.offset));
                }
                let over = shown.done.filter(|_| shown.txn.is_none() || asked.stable);
                let later = |tried: &&Tried| tried.from.zip(over).is_some_and(|(from, over)| from > over);
                if let Some(later) = tried.iter().filter(counts).find(later) {
                    return Err(format!(
                        "group {group} partition {part}: {commit:?} of {offset} is told, although {:?} of {} was \
                         committed after it and acknowledged",
                        later.commit, later.offset
                    ));
                }
                for tried in tried.iter_mut().filter(|tried| tried.commit == commit) {
                    tried.done = Some(tried.done.map_or(now, |done| done.min(now)));
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::invariant::testing::*;

    fn new() -> Box<dyn Invariant> {
        Box::new(Commits::default())
    }

    #[test]
    fn an_acknowledged_offset_that_is_gone() {
        let story = [commits(1, 1, 0, 5), committed(1), asks(1), told(1, Told::Nothing)];
        refused(new, &story, "nothing is committed");
        let unanswered = [commits(1, 1, 0, 5), asks(1), told(1, Told::Nothing)];
        assert_eq!(tell(Commits::default(), &unanswered), Ok(()));
    }

    #[test]
    fn an_older_offset_that_comes_back() {
        let old = Told::Offset(5, Commit(1));
        let story =
            [commits(1, 1, 0, 5), committed(1), commits(2, 1, 0, 9), committed(2), asks(1), told(1, old)];
        refused(new, &story, "although Commit(2) of 9");
        // Of two at a time either may be the last, unless a read has told.
        let both = [commits(1, 1, 0, 5), commits(2, 1, 0, 9), committed(1), committed(2)];
        let shown = |commit, offset| Told::Offset(offset, Commit(commit));
        let mut seen = both.to_vec();
        seen.extend([asks(1), told(1, old)]);
        assert_eq!(tell(Commits::default(), &seen), Ok(()));
        let story = [
            commits(1, 1, 0, 5),
            asks(1),
            told(1, old),
            commits(2, 1, 0, 9),
            asks(2),
            told(2, shown(2, 9)),
            asks(3),
            told(3, old),
        ];
        refused(new, &story, "although Commit(2)");
    }

    #[test]
    fn offsets_of_a_committed_transaction_stay() {
        let story =
            [commits_in(1, 7, 5), committed(1), ends(7, true), ended(7), asks(1), told(1, Told::Nothing)];
        refused(new, &story, "nothing is committed");
        let open = [commits_in(1, 7, 5), committed(1), ends(7, true), asks(1), told(1, Told::Nothing)];
        assert_eq!(tell(Commits::default(), &open), Ok(()));
    }

    #[test]
    fn an_offset_that_nobody_committed() {
        refused(new, &[asks(1), told(1, Told::Offset(3, Commit(4)))], "never asked for");
    }
}
