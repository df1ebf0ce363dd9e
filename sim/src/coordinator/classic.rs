//! A member that speaks the classic protocol. Its leader hands out partitions in turn; before it joins a rebalance it
//! gives up all it has.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes};
use highwater_coordinator::{
    GroupError, Heartbeat, JoinGroup, Joined, LeaveGroup, Leaving, Protocol, SyncGroup,
};

use super::{
    hall::{Hall, INPUT, REBALANCE_MS, SESSION_MS, at_least, group_name, is_elsewhere, member_caller},
    happening::{GroupNumber, Happening, Owner, Part},
    worker::Standing,
};

/// The member as its client knows it.
pub(super) struct Classic {
    group: GroupNumber,
    pub(super) owner: Owner,
    instance: Option<u64>,
    member: String,
    generation: i32,
    is_in: bool,
    has: BTreeSet<Part>,
}

impl Classic {
    pub(super) fn new(hall: &Hall, group: GroupNumber, instance: Option<u64>) -> Classic {
        let owner = Owner(hall.number());
        hall.tell(Happening::Joins { group, owner, session: at_least(SESSION_MS), instance });
        let member = String::new();
        Classic { group, owner, instance, member, generation: -1, is_in: false, has: BTreeSet::new() }
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            owner: self.owner,
            member: self.member.clone(),
            instance: self.instance_id(),
            generation: self.generation,
            has: self.has.clone(),
        }
    }

    fn instance_id(&self) -> Option<String> {
        self.instance.map(|instance| format!("instance-{instance}"))
    }

    /// One round with the coordinator; `false` if it is no member any more. Nobody joins before the topic is there: who
    /// leads divides what metadata has told it of, and would have to call for another rebalance once there is more.
    pub(super) async fn round(&mut self, hall: &Hall) -> bool {
        if !self.is_in && hall.world.topic_named(INPUT).is_none() {
            return true;
        }
        if self.is_in { self.beat(hall).await } else { self.join(hall).await }
    }

    /// Leaves, and does not wait to be told that it did.
    pub(super) async fn leave(&mut self, hall: &Hall) {
        self.gone(hall);
        let leaving = Leaving { member: self.member.clone(), instance: self.instance_id() };
        let request = LeaveGroup { group: group_name(self.group), members: vec![leaving] };
        let _ = hall.ask(self.group, request).await;
    }

    fn gone(&mut self, hall: &Hall) {
        self.has.clear();
        self.is_in = false;
        hall.tell(Happening::Gone { owner: self.owner });
    }

    fn gives_all_up(&mut self, hall: &Hall) {
        self.is_in = false;
        if !self.has.is_empty() {
            self.has.clear();
            hall.tell(Happening::GivesUp { owner: self.owner, keeps: BTreeSet::new() });
        }
    }

    async fn beat(&mut self, hall: &Hall) -> bool {
        let request = Heartbeat {
            group: group_name(self.group),
            member: self.member.clone(),
            instance: self.instance_id(),
            generation: self.generation,
        };
        let sent = hall.now();
        match hall.ask(self.group, request).await {
            Some(Ok(Ok(()))) => hall.tell(Happening::Heard { owner: self.owner, sent }),
            Some(Ok(Err(error))) => return self.refused(hall, error, sent),
            Some(Err(_)) | None => {}
        }
        true
    }

    /// What a refusal means; `false` if it is no member any more.
    fn refused(&mut self, hall: &Hall, error: GroupError, sent: u64) -> bool {
        match error {
            GroupError::RebalanceInProgress => {
                hall.tell(Happening::Heard { owner: self.owner, sent });
                self.gives_all_up(hall);
                true
            }
            GroupError::IllegalGeneration => {
                self.gives_all_up(hall);
                true
            }
            error if is_elsewhere(error) => true,
            _ => {
                self.gone(hall);
                false
            }
        }
    }

    async fn join(&mut self, hall: &Hall) -> bool {
        self.gives_all_up(hall);
        let request = JoinGroup {
            group: group_name(self.group),
            member: self.member.clone(),
            instance: self.instance_id(),
            caller: member_caller(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".into(),
            protocols: vec![Protocol { name: "in-turn".into(), metadata: subscription() }],
            knows_member_id_required: true,
            knows_skip_assignment: true,
        };
        match hall.ask(self.group, request).await {
            Some(Ok(Ok(joined))) => {
                self.member.clone_from(&joined.member);
                self.generation = joined.generation;
                self.sync(hall, &joined).await
            }
            Some(Ok(Err(refused))) => match refused.error {
                GroupError::MemberIdRequired => {
                    self.member = refused.member;
                    true
                }
                // Somebody speaks another protocol, or the group is being made over: later.
                GroupError::RebalanceInProgress | GroupError::InconsistentProtocol => true,
                error if is_elsewhere(error) => true,
                _ => {
                    self.gone(hall);
                    false
                }
            },
            Some(Err(_)) | None => true,
        }
    }

    async fn sync(&mut self, hall: &Hall, joined: &Joined) -> bool {
        let leads = joined.leader == joined.member && !joined.skip_assignment;
        let count = joined.members.len() as u32;
        let in_turn = |turn: u32| (0..hall.input).filter(move |part| part % count == turn);
        let assignments = joined.members.iter().zip(0..).filter(|_| leads);
        let assignments =
            assignments.map(|(member, turn)| (member.member.clone(), assignment(in_turn(turn)))).collect();
        let request = SyncGroup {
            group: group_name(self.group),
            member: self.member.clone(),
            instance: self.instance_id(),
            generation: self.generation,
            protocol_type: joined.protocol_type.clone(),
            protocol: joined.protocol.clone(),
            assignments,
        };
        let sent = hall.now();
        match hall.ask(self.group, request).await {
            // In a stable group this is no sign of life: the next heartbeat is.
            Some(Ok(Ok(synced))) => {
                self.is_in = true;
                self.has = parts_of(&synced.assignment);
                let (generation, parts) = (self.generation, self.has.clone());
                hall.tell(Happening::Assigned { owner: self.owner, generation, parts });
                true
            }
            Some(Ok(Err(error))) => self.refused(hall, error, sent),
            Some(Err(_)) | None => true,
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u16(text.len() as u16);
    out.extend_from_slice(text.as_bytes());
}

/// What a consumer says when it joins: version 0, its topics, nothing more.
fn subscription() -> Bytes {
    let mut out = vec![0, 0, 0, 0, 0, 1];
    put_text(&mut out, INPUT);
    out.put_i32(-1);
    out.into()
}

/// What a leader tells a consumer: version 0, topics with partitions, nothing more.
fn assignment(parts: impl Iterator<Item = Part>) -> Bytes {
    let parts: Vec<Part> = parts.collect();
    let mut out = vec![0, 0, 0, 0, 0, 1];
    put_text(&mut out, INPUT);
    out.put_u32(parts.len() as u32);
    parts.iter().for_each(|part| out.put_u32(*part));
    out.put_i32(-1);
    out.into()
}

/// The partitions in an assignment; none in an empty one.
fn parts_of(assignment: &Bytes) -> BTreeSet<Part> {
    let mut bytes = assignment.clone();
    if bytes.len() < 6 {
        return BTreeSet::new();
    }
    bytes.advance(2);
    let mut parts = BTreeSet::new();
    for _ in 0..bytes.get_u32() {
        let name = bytes.get_u16();
        bytes.advance(usize::from(name));
        for _ in 0..bytes.get_u32() {
            parts.insert(bytes.get_u32());
        }
    }
    parts
}
