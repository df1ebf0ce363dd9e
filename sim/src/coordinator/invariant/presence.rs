//! When a group surely had members, for G6 and whatever else must know whether its offsets may have expired.

use std::collections::BTreeMap;

use crate::coordinator::happening::{GroupNumber, Happening, Owner};

/// Which groups have members, as far as their members' own clients can tell.
///
/// A coordinator that answers somebody as a member keeps it for a session from then on, which is no shorter than one
/// from the sending of the request. Who leaves, or whose instance another one takes over, may be gone at once.
#[derive(Default)]
pub(super) struct Presence {
    members: BTreeMap<Owner, Member>,
    /// The last instant at which nobody is known to have been in a group.
    empty: BTreeMap<GroupNumber, u64>,
}

struct Member {
    group: GroupNumber,
    session: u64,
    instance: Option<u64>,
    /// It is a member before this instant; nothing before the first answer.
    until: u64,
}

impl Presence {
    /// Takes an event in that happened `now`, in nanoseconds.
    pub(super) fn see(&mut self, now: u64, event: &Happening) {
        match *event {
            Happening::Joins { group, owner, session, instance } => {
                self.look(now, group);
                let is_same =
                    |other: &Member| instance.is_some() && other.group == group && other.instance == instance;
                self.members.retain(|_, other| !is_same(other));
                self.members.insert(owner, Member { group, session, instance, until: 0 });
            }
            Happening::Heard { owner, sent } => {
                let Some(group) = self.members.get(&owner).map(|member| member.group) else { return };
                self.look(now, group);
                if let Some(member) = self.members.get_mut(&owner) {
                    member.until = member.until.max(sent.saturating_add(member.session));
                }
            }
            Happening::Gone { owner } => {
                let Some(group) = self.members.get(&owner).map(|member| member.group) else { return };
                self.look(now, group);
                self.members.remove(&owner);
            }
            _ => {}
        }
    }

    /// Whether the group surely had a member at every instant from `since` until `now`.
    pub(super) fn had_members(&mut self, group: GroupNumber, since: u64, now: u64) -> bool {
        self.look(now, group);
        self.empty.get(&group).is_none_or(|empty| *empty < since)
    }

    /// Notes whether the group may be empty, or has been since the last event.
    fn look(&mut self, now: u64, group: GroupNumber) {
        let of_group = self.members.values().filter(|member| member.group == group);
        let until = of_group.map(|member| member.until).max().unwrap_or(0);
        if until <= now {
            self.empty.insert(group, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::invariant::testing::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_session_keeps_a_group_from_being_empty() {
        let mut presence = Presence::default();
        presence.see(S, &joins(1));
        presence.see(2 * S, &heard(1, 2));
        // A session of ten seconds from the sending of the request.
        assert!(presence.had_members(0, 3 * S, 11 * S));
        assert!(!presence.had_members(0, 1, 11 * S), "before the answer it was nobody");
        presence.see(11 * S, &heard(1, 10));
        assert!(presence.had_members(0, 3 * S, 19 * S));
        assert!(!presence.had_members(0, 3 * S, 20 * S), "silent for a session");
        presence.see(21 * S, &heard(1, 21));
        assert!(presence.had_members(0, 22 * S, 23 * S));
        presence.see(24 * S, &Happening::Gone { owner: Owner(1) });
        assert!(!presence.had_members(0, 22 * S, 25 * S));
    }
}
