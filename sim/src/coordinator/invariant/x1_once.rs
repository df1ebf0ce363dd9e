//! Exactly once, end to end: what consume-transform-produce chains use of their input, as readers of committed records
//! see it, overlaps nowhere, and once everything is over has no gap. T1, T2, G1, G2 and G5 together.
//!
//! A group whose offsets may have expired, because it may have had no members, begins anew: it may use input again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, presence::Presence};
use crate::coordinator::happening::{GroupNumber, Happening, Part, Used, Write};

/// See the file's text.
#[derive(Default)]
pub struct Once {
    presence: Presence,
    expires: bool,
    of: BTreeMap<Write, Used>,
    /// By group and partition: from, to.
    used: BTreeMap<(GroupNumber, Part), BTreeMap<u64, u64>>,
    seen: BTreeSet<Write>,
    /// When a group used something first.
    first: BTreeMap<GroupNumber, u64>,
}

impl Once {
    /// `expires` says whether offsets may expire within the run.
    pub fn new(expires: bool) -> Once {
        Once { expires, ..Once::default() }
    }

    /// Whether the group may have begun anew.
    fn is_excused(&mut self, now: u64, group: GroupNumber) -> bool {
        let first = self.first.get(&group).copied().unwrap_or(now);
        self.expires && !self.presence.had_members(group, first, now)
    }
}

impl Invariant for Once {
    fn name(&self) -> &'static str {
        "input is used exactly once"
    }

    fn check(&mut self, now: u64, event: &Happening) -> Result<(), String> {
        self.presence.see(now, event);
        match *event {
            Happening::WriteAsked { write, used: Some(used), .. } => {
                self.of.insert(write, used);
                self.first.entry(used.group).or_insert(now);
            }
            Happening::Read { write, .. } if self.seen.insert(write) => {
                let Some(used) = self.of.get(&write).copied() else { return Ok(()) };
                let is_excused = self.is_excused(now, used.group);
                let ranges = self.used.entry((used.group, used.part)).or_default();
                let before = ranges.range(..used.to).next_back().filter(|(_, to)| **to > used.from);
                if let Some((from, to)) = before.filter(|_| !is_excused) {
                    return Err(format!("{used:?} was used before, as part of [{from}, {to})"));
                }
                let to = ranges.entry(used.from).or_default();
                *to = (*to).max(used.to);
            }
            Happening::AllRead => {
                for ((group, part), ranges) in &self.used {
                    let mut end = 0;
                    for (from, to) in ranges {
                        if *from > end {
                            return Err(format!(
                                "group {group} partition {part}: [{end}, {from}) was never used"
                            ));
                        }
                        end = end.max(*to);
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
    use crate::coordinator::happening::Txn;
    use crate::coordinator::invariant::testing::*;

    fn uses(write: u64, from: u64, to: u64) -> Happening {
        let used = Some(Used { group: 0, part: 0, from, to });
        Happening::WriteAsked { write: Write(write), txn: Txn(write), part: 0, used }
    }

    #[test]
    fn used_twice_or_never() {
        let new = || -> Box<dyn Invariant> { Box::new(Once::default()) };
        let story = [uses(1, 0, 5), uses(2, 5, 9), uses(3, 8, 12), read(2, 0), read(1, 0), read(3, 0)];
        refused(new, &story, "was used before");
        let gap = [uses(1, 0, 5), uses(2, 6, 9), read(1, 0), read(2, 0), Happening::AllRead];
        refused(new, &gap, "[5, 6) was never used");
    }
}
