//! G3: a partition has one owner at a time.
//!
//! Checked: nobody is told that a partition is its own while somebody else has it, who has neither begun to give it up
//! nor been silent for as long as its session lasts; and in one generation it is never given to two.
//!
//! How long somebody was silent is counted from the sending of the last request that was answered to it as a member,
//! so that requests that never arrived do not count. Somebody whose instance another client has taken over has lost
//! everything with that client's request.

use std::collections::{BTreeMap, BTreeSet};

use super::Invariant;
use crate::coordinator::happening::{GroupNumber, Happening, Owner, Part};

/// See the file's text.
#[derive(Default)]
pub struct Exclusive {
    members: BTreeMap<Owner, Member>,
    given: BTreeMap<(GroupNumber, i32, Part), Owner>,
}

struct Member {
    group: GroupNumber,
    instance: Option<u64>,
    session: u64,
    heard: u64,
    generation: i32,
    has: BTreeSet<Part>,
}

impl Invariant for Exclusive {
    fn name(&self) -> &'static str {
        "G3 one owner at a time"
    }

    fn check(&mut self, now: u64, event: &Happening) -> Result<(), String> {
        match event {
            Happening::Joins { group, owner, session, instance } => {
                let same = |member: &&mut Member| {
                    instance.is_some() && member.group == *group && member.instance == *instance
                };
                self.members.values_mut().filter(same).for_each(|member| member.has.clear());
                let has = BTreeSet::new();
                let (group, session, instance) = (*group, *session, *instance);
                let member = Member { group, instance, session, heard: 0, generation: -1, has };
                self.members.insert(*owner, member);
            }
            Happening::Heard { owner, sent } => {
                if let Some(member) = self.members.get_mut(owner) {
                    member.heard = member.heard.max(*sent);
                }
            }
            Happening::Assigned { owner, generation, parts } => {
                return self.assigned(now, *owner, *generation, parts);
            }
            Happening::GivesUp { owner, keeps } => {
                if let Some(member) = self.members.get_mut(owner) {
                    member.has.retain(|part| keeps.contains(part));
                }
            }
            Happening::Gone { owner } => {
                self.members.remove(owner);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Exclusive {
    fn assigned(
        &mut self,
        now: u64,
        owner: Owner,
        generation: i32,
        parts: &BTreeSet<Part>,
    ) -> Result<(), String> {
        let Some((group, instance)) = self.members.get(&owner).map(|member| (member.group, member.instance))
        else {
            return Ok(());
        };
        for part in parts {
            let holds = |(other, member): &(&Owner, &Member)| {
                // Of two clients with one instance the later to arrive has it, whichever began first.
                let is_same_instance = instance.is_some() && member.instance == instance;
                **other != owner
                    && !is_same_instance
                    && member.group == group
                    && member.has.contains(part)
                    && now < member.heard.saturating_add(member.session)
            };
            if let Some((other, member)) = self.members.iter().find(holds) {
                return Err(format!(
                    "group {group} partition {part} is given to {owner:?} in {generation}, and {other:?} has it \
                     since {}, last heard {:.3} s ago, with a session of {:.1} s",
                    member.generation,
                    (now - member.heard) as f64 / 1e9,
                    member.session as f64 / 1e9
                ));
            }
            let before = self.given.insert((group, generation, *part), owner);
            if let Some(before) =
                before.filter(|before| *before != owner && self.shares_an_epoch(now, *before, owner))
            {
                return Err(format!(
                    "group {group} partition {part} is given to {before:?} and {owner:?} in generation {generation}"
                ));
            }
        }
        if let Some(member) = self.members.get_mut(&owner) {
            member.has.clone_from(parts);
            member.generation = generation;
        }
        Ok(())
    }

    /// Whether both are members still, neither in the place of the other: an instance keeps its generation, and a group
    /// that was empty counts anew.
    fn shares_an_epoch(&self, now: u64, before: Owner, owner: Owner) -> bool {
        let (before, owner) = (self.members.get(&before), self.members.get(&owner));
        before.zip(owner).is_some_and(|(before, owner)| {
            now < before.heard.saturating_add(before.session)
                && (before.instance.is_none() || before.instance != owner.instance)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::invariant::testing::*;

    fn new() -> Box<dyn Invariant> {
        Box::new(Exclusive::default())
    }

    #[test]
    fn given_away_while_its_owner_lives() {
        let story =
            [joins(1), heard(1, 1), assigned(1, 1, &[0, 1]), joins(2), heard(1, 4), assigned(2, 2, &[1])];
        refused(new, &story, "Owner(1) has it since 1");
        let given_up = [
            joins(1),
            heard(1, 1),
            assigned(1, 1, &[0, 1]),
            joins(2),
            Happening::GivesUp { owner: Owner(1), keeps: [0].into() },
            assigned(2, 2, &[1]),
        ];
        assert_eq!(tell(Exclusive::default(), &given_up), Ok(()));
    }

    #[test]
    fn given_away_after_a_session_without_a_sign_of_life() {
        let mut story = vec![joins(1), heard(1, 1), assigned(1, 1, &[0]), joins(2)];
        story.extend((0..7).map(|_| joins(3)));
        story.push(assigned(2, 2, &[0]));
        assert_eq!(tell(Exclusive::default(), &story), Ok(()));
        story.truncate(story.len() - 3);
        story.push(assigned(2, 2, &[0]));
        refused(new, &story, "Owner(1) has it");
    }

    #[test]
    fn given_to_two_in_one_generation() {
        let all = BTreeSet::new();
        let story = [
            joins(1),
            joins(2),
            heard(1, 2),
            assigned(1, 3, &[0]),
            Happening::GivesUp { owner: Owner(1), keeps: all },
            assigned(2, 3, &[0]),
        ];
        refused(new, &story, "in generation 3");
    }

    #[test]
    fn an_instance_that_comes_back_as_another_client() {
        let with = |owner| Happening::Joins {
            group: 0,
            owner: Owner(owner),
            session: 10_000_000_000,
            instance: Some(8),
        };
        let story = [with(1), heard(1, 1), assigned(1, 1, &[0]), with(2), assigned(2, 1, &[0])];
        assert_eq!(tell(Exclusive::default(), &story), Ok(()));
    }
}
