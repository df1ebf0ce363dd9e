//! G6: offsets of a group that has members do not expire.
//!
//! Checked: nobody is told that a partition has no committed offset if one was acknowledged or told before the question
//! was put, and the group has surely had members ever since. They all read the topic. Wall clocks jump far beyond the time that
//! offsets are kept for; where they do not, G1 checks the same of groups without members.

use std::collections::BTreeMap;

use super::{Invariant, presence::Presence};
use crate::coordinator::happening::{Commit, GroupNumber, Happening, Part, Question, Told};

/// See the file's text.
#[derive(Default)]
pub struct Expiry {
    presence: Presence,
    asked_to_commit: BTreeMap<Commit, (GroupNumber, Part)>,
    /// Since when at least an offset is there.
    kept: BTreeMap<(GroupNumber, Part), u64>,
    questions: BTreeMap<Question, ((GroupNumber, Part), u64)>,
}

impl Invariant for Expiry {
    fn name(&self) -> &'static str {
        "G6 offsets of members stay"
    }

    fn check(&mut self, now: u64, event: &Happening) -> Result<(), String> {
        self.presence.see(now, event);
        match *event {
            Happening::CommitAsked { commit, group, part, txn: None, .. } => {
                self.asked_to_commit.insert(commit, (group, part));
            }
            Happening::CommitAnswered { commit } => {
                if let Some(place) = self.asked_to_commit.remove(&commit) {
                    self.kept.insert(place, now);
                }
            }
            Happening::OffsetAsked { question, group, part, .. } => {
                self.questions.insert(question, ((group, part), now));
            }
            Happening::OffsetTold { question, told } => {
                let Some((place, asked)) = self.questions.remove(&question) else { return Ok(()) };
                match told {
                    Told::Nothing => return self.nothing(place, asked, now),
                    Told::Offset(..) => drop(self.kept.entry(place).or_insert(now)),
                    Told::Unstable => {}
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Expiry {
    fn nothing(&mut self, place: (GroupNumber, Part), asked: u64, now: u64) -> Result<(), String> {
        let Some(since) = self.kept.get(&place).copied().filter(|since| *since < asked) else {
            return Ok(());
        };
        if self.presence.had_members(place.0, since, now) {
            let (group, part) = place;
            return Err(format!(
                "group {group} partition {part}: nothing is committed, although something was {:.3} s ago and the \
                 group has had members ever since",
                (now - since) as f64 / 1e9
            ));
        }
        // It has expired, or may have.
        self.kept.remove(&place);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::happening::Owner;
    use crate::coordinator::invariant::testing::*;

    #[test]
    fn offsets_that_are_gone_while_somebody_reads() {
        let story = [
            joins(1),
            heard(1, 2),
            commits(1, 1, 0, 5),
            committed(1),
            heard(1, 5),
            asks(1),
            told(1, Told::Nothing),
        ];
        refused(|| Box::new(Expiry::default()), &story, "has had members ever since");
        let mut left = story.to_vec();
        left[4] = Happening::Gone { owner: Owner(1) };
        assert_eq!(tell(Expiry::default(), &left), Ok(()));
    }
}
