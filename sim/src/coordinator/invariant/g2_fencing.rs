//! G2: a member that has lost a partition commits nothing for it.
//!
//! Checked: if somebody else was told that the partition is its own before an offset was sent, that offset is not
//! acknowledged. Whether the member was told anything does not matter: it may have slept.

use std::collections::{BTreeMap, BTreeSet};

use super::Invariant;
use crate::coordinator::happening::{Commit, GroupNumber, Happening, Owner, Part};

/// See the file's text.
#[derive(Default)]
pub struct Fencing {
    groups: BTreeMap<Owner, GroupNumber>,
    /// Who was told last that a partition is its own. Between the two the first had to give it up, so that their answers
    /// cannot have crossed.
    last: BTreeMap<(GroupNumber, Part), Owner>,
    late: BTreeSet<Commit>,
}

impl Invariant for Fencing {
    fn name(&self) -> &'static str {
        "G2 former owners are fenced"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        match event {
            Happening::Joins { group, owner, .. } => {
                self.groups.insert(*owner, *group);
            }
            Happening::Assigned { owner, parts, .. } => {
                let Some(group) = self.groups.get(owner) else { return Ok(()) };
                for part in parts {
                    self.last.insert((*group, *part), *owner);
                }
            }
            Happening::CommitAsked { commit, group, part, owner, .. }
                if self.last.get(&(*group, *part)).is_some_and(|last| last != owner) =>
            {
                self.late.insert(*commit);
            }
            Happening::CommitAnswered { commit } if self.late.contains(commit) => {
                return Err(format!(
                    "{commit:?} was acknowledged, although its partition had another owner before"
                ));
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
    fn a_commit_of_a_former_owner() {
        let late = [
            joins(1),
            joins(2),
            assigned(1, 1, &[0]),
            assigned(2, 2, &[0]),
            commits(1, 1, 0, 5),
            committed(1),
        ];
        refused(|| Box::new(Fencing::default()), &late, "had another owner before");
        let in_time = [
            joins(1),
            assigned(1, 1, &[0]),
            commits(1, 1, 0, 5),
            joins(2),
            assigned(2, 2, &[0]),
            committed(1),
        ];
        assert_eq!(tell(Fencing::default(), &in_time), Ok(()));
    }
}
