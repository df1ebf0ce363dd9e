//! One step of a member towards its target (KIP-848): what it must give up first, what it may take already.

use alloc::vec::Vec;
use highwater_records::TopicId;

use super::{
    assignment::Assignment,
    member::{Member, Progress},
};

/// The member after the step. `is_owned` says which partitions anybody has, this member included; `owned` is what the
/// member says it has, if it says.
///
/// A partition is never assigned before whoever had it has said that it is given up.
pub(super) fn reconcile(
    member: &Member,
    target_epoch: i32,
    target: &Assignment,
    owned: Option<&Assignment>,
    is_owned: impl Fn(TopicId, i32) -> bool,
) -> Member {
    match member.progress {
        Progress::Stable if member.epoch == target_epoch => member.clone(),
        Progress::Stable | Progress::Unreleased => {
            next(member, member.epoch, target_epoch, target, owned, is_owned)
        }
        Progress::Unrevoked => {
            if still_owns(owned, &member.revoking) {
                return member.clone();
            }
            // The next epoch begins; what was given up is free for others with it.
            next(member, member.epoch.saturating_add(1), target_epoch, target, owned, is_owned)
        }
    }
}

/// Whether the member may still have any of these. Where it does not say, it may.
fn still_owns(owned: Option<&Assignment>, revoking: &Assignment) -> bool {
    match owned {
        None => true,
        Some(owned) => owned.iter().any(|(topic, partition)| revoking.contains(topic, partition)),
    }
}

fn next(
    member: &Member,
    epoch: i32,
    target_epoch: i32,
    target: &Assignment,
    owned: Option<&Assignment>,
    is_owned: impl Fn(TopicId, i32) -> bool,
) -> Member {
    let (keeps, gives): (Vec<_>, Vec<_>) =
        member.assigned.iter().partition(|(topic, partition)| target.contains(*topic, *partition));
    let revoking = Assignment::of(gives);
    let mut after = member.clone();
    if !revoking.is_empty() && still_owns(owned, &revoking) {
        after.progress = Progress::Unrevoked;
        after.enter(epoch);
        after.assigned = Assignment::of(keeps);
        after.revoking = revoking;
        return after;
    }
    let mut assigned = Assignment::of(keeps);
    let mut waits = false;
    for (topic, partition) in target.iter() {
        if member.assigned.contains(topic, partition) {
            continue;
        }
        if is_owned(topic, partition) {
            waits = true;
        } else {
            assigned.add(topic, partition);
        }
    }
    after.progress = if waits { Progress::Unreleased } else { Progress::Stable };
    after.enter(target_epoch);
    after.assigned = assigned;
    after.revoking = Assignment::default();
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TopicId = TopicId::from_bytes([1; 16]);

    fn partitions(numbers: &[i32]) -> Assignment {
        Assignment::of(numbers.iter().map(|number| (T, *number)))
    }

    fn member(epoch: i32, assigned: &[i32]) -> Member {
        Member { epoch, assigned: partitions(assigned), ..Member::new("m".into()) }
    }

    #[test]
    fn nothing_is_taken_before_it_was_given_up() {
        // Another has 3; this one has 1 and 2, and is to have 2 and 3.
        let before = member(5, &[1, 2]);
        let asked = reconcile(&before, 6, &partitions(&[2, 3]), None, |_, p| p <= 3);
        assert_eq!((asked.progress, asked.epoch), (Progress::Unrevoked, 5));
        assert_eq!((&asked.assigned, &asked.revoking), (&partitions(&[2]), &partitions(&[1])));
        // It has not said what it has, or still has it.
        assert_eq!(reconcile(&asked, 6, &partitions(&[2, 3]), None, |_, _| true), asked);
        assert_eq!(
            reconcile(&asked, 6, &partitions(&[2, 3]), Some(&partitions(&[1, 2])), |_, _| true),
            asked
        );
        let waits = reconcile(&asked, 6, &partitions(&[2, 3]), Some(&partitions(&[2])), |_, p| p == 3);
        assert_eq!((waits.progress, waits.epoch, waits.previous_epoch), (Progress::Unreleased, 6, 5));
        assert_eq!(waits.assigned, partitions(&[2]));
        let done = reconcile(&waits, 6, &partitions(&[2, 3]), Some(&partitions(&[2])), |_, _| false);
        assert_eq!((done.progress, done.epoch), (Progress::Stable, 6));
        assert_eq!(done.assigned, partitions(&[2, 3]));
        assert_eq!(reconcile(&done, 6, &partitions(&[2, 3]), None, |_, _| true), done);
    }
}
