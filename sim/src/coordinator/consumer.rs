//! A member that speaks the newer protocol (KIP-848): the coordinator says what it has.

use std::collections::BTreeSet;

use highwater_coordinator::{Assignment, ConsumerHeartbeat, GroupError};
use highwater_records::TopicId;

use super::{
    hall::{
        CONSUMER_SESSION_MS, Hall, INPUT, REBALANCE_MS, at_least, group_name, is_elsewhere, member_caller,
    },
    happening::{GroupNumber, Happening, Owner, Part},
    worker::Standing,
};
use crate::random::Random;

/// How long it may take to give something up, in nanoseconds. Together with a session it is less than the time that
/// the coordinator allows for it.
const GIVING_UP_MAX: u64 = 2_000_000_000;

/// The member as its client knows it.
pub(super) struct Consumer {
    group: GroupNumber,
    pub(super) owner: Owner,
    instance: Option<u64>,
    member: String,
    epoch: i32,
    topic: Option<TopicId>,
    has: BTreeSet<Part>,
    /// What it is to have and until when it takes its time, while it has more.
    goes: Option<(BTreeSet<Part>, u64)>,
    /// How long it takes to give something up, in nanoseconds.
    takes: u64,
    /// Whether the coordinator knows all that the member has to say.
    has_told: bool,
}

impl Consumer {
    pub(super) fn new(
        hall: &Hall,
        group: GroupNumber,
        instance: Option<u64>,
        random: &mut Random,
    ) -> Consumer {
        let owner = Owner(hall.number());
        hall.tell(Happening::Joins { group, owner, session: at_least(CONSUMER_SESSION_MS), instance });
        let member = format!("consumer-{}", owner.0);
        Consumer {
            group,
            owner,
            instance,
            member,
            epoch: 0,
            topic: None,
            has: BTreeSet::new(),
            goes: None,
            takes: if random.chance(1, 2) { random.below(GIVING_UP_MAX) } else { 0 },
            has_told: false,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            owner: self.owner,
            member: self.member.clone(),
            instance: self.instance_id(),
            generation: self.epoch,
            has: self.has.clone(),
        }
    }

    fn instance_id(&self) -> Option<String> {
        self.instance.map(|instance| format!("instance-{instance}"))
    }

    /// Leaves, and does not wait to be told that it did. A static member says that it will be back.
    pub(super) async fn leave(&mut self, hall: &Hall) {
        self.gone(hall);
        let epoch = if self.instance.is_some() { -2 } else { -1 };
        let request = ConsumerHeartbeat { epoch, ..self.request() };
        let _ = hall.ask(self.group, request).await;
    }

    fn gone(&mut self, hall: &Hall) {
        self.has.clear();
        self.goes = None;
        self.epoch = 0;
        hall.tell(Happening::Gone { owner: self.owner });
    }

    fn request(&self) -> ConsumerHeartbeat {
        ConsumerHeartbeat {
            group: group_name(self.group),
            member: self.member.clone(),
            epoch: self.epoch,
            instance: self.instance_id(),
            caller: member_caller(),
            ..ConsumerHeartbeat::default()
        }
    }

    /// One round with the coordinator; `false` if it is no member any more.
    pub(super) async fn round(&mut self, hall: &Hall) -> bool {
        if self.topic.is_none() {
            self.topic = hall.world.topic_named(INPUT);
        }
        self.give_up_in_time(hall);
        let topic = self.topic;
        let owned =
            Assignment::of(self.has.iter().filter_map(|part| topic.map(|topic| (topic, part.cast_signed()))));
        let mut request = ConsumerHeartbeat { owned: Some(owned), ..self.request() };
        if !self.has_told {
            request.rebalance_timeout_ms = Some(REBALANCE_MS as i32);
            request.topics = Some(vec![INPUT.to_owned()]);
        }
        let sent = hall.now();
        let answer = hall.ask(self.group, request).await;
        // Whatever was not answered is said again, all of it.
        self.has_told = matches!(answer, Some(Ok(Ok(_))));
        match answer {
            Some(Ok(Ok(beat))) => {
                hall.tell(Happening::Heard { owner: self.owner, sent });
                self.epoch = beat.epoch;
                if let Some(assignment) = beat.assignment {
                    self.assigned(hall, &assignment, sent);
                }
                true
            }
            Some(Ok(Err(GroupError::UnreleasedInstance))) => true,
            Some(Ok(Err(error))) if !is_elsewhere(error) => {
                self.gone(hall);
                false
            }
            Some(_) | None => true,
        }
    }

    fn assigned(&mut self, hall: &Hall, assignment: &Assignment, sent: u64) {
        let parts: BTreeSet<Part> =
            assignment.iter().filter_map(|(_, part)| u32::try_from(part).ok()).collect();
        let until = match &self.goes {
            Some((_, until)) => *until,
            None => sent + self.takes,
        };
        // What it has it goes on with for a while, as one that has work to finish first; it says so with every request.
        self.goes = Some((parts, until));
        self.give_up_in_time(hall);
    }

    fn give_up_in_time(&mut self, hall: &Hall) {
        let Some((parts, until)) = &self.goes else { return };
        let loses = !self.has.is_subset(parts);
        if loses && hall.now() < *until {
            return;
        }
        let parts = parts.clone();
        self.goes = None;
        if loses {
            // What it keeps it was told before, perhaps long ago: that is no news of what it has now.
            self.has.retain(|part| parts.contains(part));
            // Nor of what it is given in the same breath, where an answer before this one was lost: it asks for all again.
            self.has_told &= parts == self.has;
            hall.tell(Happening::GivesUp { owner: self.owner, keeps: self.has.clone() });
        } else {
            self.has = parts.clone();
            hall.tell(Happening::Assigned { owner: self.owner, generation: self.epoch, parts });
        }
    }
}
