//! A client that is a member of a group: it reads what it is given, commits how far it came, and now and then sleeps for
//! too long, dies without a word, or leaves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use highwater_coordinator::{CommitOffsets, CommitPartition, CommitTopic, FetchOffsets, GroupError};
use highwater_env::BoxFuture;
use highwater_node::request::{Fetch, FetchPartition, Isolation, TopicRef};
use highwater_records::TopicId;

use super::{
    chain::Chain,
    classic::Classic,
    consumer::Consumer,
    hall::{Hall, INPUT, caller, group_name},
    happening::{Commit, GroupNumber, Happening, Owner, Part, Question, Told, Txn},
    plan::Work,
};
use crate::{batch::Batches, broker::Whom, random::Random};

/// A member as it stands towards its group.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) owner: Owner,
    pub(super) member: String,
    pub(super) instance: Option<String>,
    pub(super) generation: i32,
    pub(super) has: BTreeSet<Part>,
}

enum Membership {
    Classic(Classic),
    Consumer(Consumer),
}

impl Membership {
    async fn round(&mut self, hall: &Hall) -> bool {
        match self {
            Membership::Classic(member) => member.round(hall).await,
            Membership::Consumer(member) => member.round(hall).await,
        }
    }

    async fn leave(&mut self, hall: &Hall) {
        match self {
            Membership::Classic(member) => member.leave(hall).await,
            Membership::Consumer(member) => member.leave(hall).await,
        }
    }

    fn standing(&self) -> Standing {
        match self {
            Membership::Classic(member) => member.standing(),
            Membership::Consumer(member) => member.standing(),
        }
    }
}

/// A place in a group that is always filled: whoever leaves or dies is followed by somebody new.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub(super) group: GroupNumber,
    pub(super) number: u64,
    pub(super) speaks_classic: bool,
}

/// Fills a seat until it is time to be quiet.
pub(super) async fn worker(hall: Arc<Hall>, seat: Seat, mut random: Random) {
    while !hall.is_over() {
        let mut client = Client::new(&hall, seat, &mut random);
        let fate = client.live(&hall, &mut random).await;
        match fate {
            // Its successor comes while it may still be asleep.
            Fate::Sleeps => {
                let (inside, for_ms) = (hall.clone(), random.between(500, 15_000));
                let mut random = Random::new(random.draw());
                hall.start(async move {
                    inside.pause(for_ms, for_ms).await;
                    // Awake again, it goes on as if nothing had happened, until it is told.
                    client.live(&inside, &mut random).await;
                });
                hall.pause(0, 6_000).await;
            }
            Fate::Dies => hall.pause(10, 8_000).await,
            Fate::Over => hall.pause(10, 500).await,
        }
    }
}

/// How a client ends.
enum Fate {
    /// It stands still.
    Sleeps,
    /// It is gone, and says nothing.
    Dies,
    /// It left, or was told that it is no member.
    Over,
}

struct Client {
    seat: Seat,
    membership: Membership,
    chain: Option<Chain>,
    /// The next offset to read, of what it has.
    positions: BTreeMap<Part, u64>,
    /// What is still to be committed.
    uncommitted: BTreeSet<Part>,
    /// Whether it slept once: enough.
    has_slept: bool,
}

impl Client {
    fn new(hall: &Hall, seat: Seat, random: &mut Random) -> Client {
        let plan = hall.groups[seat.group as usize];
        let instance = plan.is_static.then_some(seat.number);
        let membership = match seat.speaks_classic {
            true => Membership::Classic(Classic::new(hall, seat.group, instance)),
            false => Membership::Consumer(Consumer::new(hall, seat.group, instance, random)),
        };
        let chain = match plan.work {
            Work::Commit => None,
            Work::Transact(bumps) => Some(Chain::new(hall, seat, bumps)),
        };
        Client {
            seat,
            membership,
            chain,
            positions: BTreeMap::new(),
            uncommitted: BTreeSet::new(),
            has_slept: false,
        }
    }

    async fn live(&mut self, hall: &Hall, random: &mut Random) -> Fate {
        // Who wakes may be in the middle of its work, and hears only then that it is no member any more.
        let mut in_work = self.has_slept && random.chance(1, 2);
        while !hall.is_over() {
            if !std::mem::take(&mut in_work) && !self.membership.round(hall).await {
                return Fate::Over;
            }
            let standing = self.membership.standing();
            self.positions.retain(|part, _| standing.has.contains(part));
            self.uncommitted.retain(|part| standing.has.contains(part));
            for part in &standing.has {
                if !self.work_on(hall, &standing, *part, random).await {
                    // It is behind its producer's successor, or lost track: it begins anew.
                    self.membership.leave(hall).await;
                    return Fate::Over;
                }
            }
            if hall.tempted(random) && !self.has_slept {
                match random.below(4) {
                    0 => return Fate::Dies,
                    1 => {
                        self.membership.leave(hall).await;
                        return Fate::Over;
                    }
                    _ => {
                        self.has_slept = true;
                        return Fate::Sleeps;
                    }
                }
            }
            hall.pause(100, 700).await;
        }
        Fate::Over
    }

    /// Reads a little and commits it; `false` if the client cannot go on.
    async fn work_on(&mut self, hall: &Hall, standing: &Standing, part: Part, random: &mut Random) -> bool {
        let from = match self.positions.get(&part) {
            Some(position) => *position,
            None => match committed(hall, self.seat.group, part, true).await {
                Some(Told::Offset(offset, _)) => *self.positions.entry(part).or_insert(offset),
                Some(Told::Nothing) => *self.positions.entry(part).or_insert(0),
                // Undecided, or no answer: later.
                Some(Told::Unstable) | None => return true,
            },
        };
        let polled = poll(hall, self.seat.group, part, from).await;
        match &mut self.chain {
            Some(chain) => {
                let Some(to) = polled else { return true };
                let done = chain.pass_on(hall, standing, (part, from, to), random).await;
                if done {
                    self.positions.insert(part, to);
                    hall.world.stats.progress("offsets committed by groups");
                }
                done
            }
            None => {
                if let Some(to) = polled {
                    self.positions.insert(part, to);
                    self.uncommitted.insert(part);
                }
                let to = polled.unwrap_or(from);
                let now = self.uncommitted.contains(&part) && (hall.is_good() || random.chance(2, 3));
                if now && commit(hall, self.seat.group, standing, part, to).await {
                    self.uncommitted.remove(&part);
                    hall.world.stats.progress("offsets committed by groups");
                }
                true
            }
        }
    }
}

/// Records from `from` on, as far as they go at once: the offset after them. `None` if there are none, or no answer.
async fn poll(hall: &Hall, group: GroupNumber, part: Part, from: u64) -> Option<u64> {
    let request = Fetch {
        max_wait: std::time::Duration::from_millis(50),
        min_bytes: 1,
        max_bytes: 400,
        isolation: Isolation::ReadUncommitted,
        rack: None,
        partitions: vec![FetchPartition {
            topic: TopicRef::Name(INPUT.to_owned()),
            partition: part.cast_signed(),
            offset: from.cast_signed(),
            max_bytes: 400,
            current_leader_epoch: None,
        }],
    };
    let answer = hall
        .call(Whom::Leader(INPUT, part), move |node| -> BoxFuture<'static, _> {
            Box::pin(async move { node.fetch(&caller(), request).await })
        })
        .await?;
    let fetched = answer.into_iter().next()?.result.ok()?;
    let batches = Batches::parse(&fetched.records.concat());
    let to = batches.good.last()?.last + 1;
    hall.tell(Happening::Polled { group, part, from, to });
    Some(to)
}

/// The request that commits an offset as this member.
pub(super) fn commit_request(
    group: GroupNumber,
    standing: &Standing,
    part: Part,
    offset: u64,
    commit: Commit,
) -> CommitOffsets {
    CommitOffsets {
        group: group_name(group),
        member: standing.member.clone(),
        instance: standing.instance.clone(),
        generation: standing.generation,
        retention_ms: None,
        knows_group_not_found: true,
        transaction: None,
        topics: vec![CommitTopic {
            name: INPUT.to_owned(),
            id: TopicId::ZERO,
            partitions: vec![CommitPartition {
                partition: part.cast_signed(),
                offset: offset.cast_signed(),
                leader_epoch: -1,
                metadata: commit.0.to_string(),
            }],
        }],
    }
}

/// An attempt to commit, as others are to see it.
pub(super) fn announce_commit(
    hall: &Hall,
    group: GroupNumber,
    standing: &Standing,
    part: Part,
    offset: u64,
    txn: Option<Txn>,
) -> Commit {
    let commit = Commit(hall.number());
    hall.tell(Happening::CommitAsked { commit, group, part, offset, owner: standing.owner, txn });
    commit
}

async fn commit(hall: &Hall, group: GroupNumber, standing: &Standing, part: Part, offset: u64) -> bool {
    let commit = announce_commit(hall, group, standing, part, offset, None);
    let answer = hall.ask(group, commit_request(group, standing, part, offset, commit)).await;
    let done = matches!(&answer, Some(Ok(Ok(each))) if each.iter().all(Result::is_ok));
    if done {
        hall.tell(Happening::CommitAnswered { commit });
    }
    done
}

/// What is committed of one partition; `None` without an answer.
pub(super) async fn committed(hall: &Hall, group: GroupNumber, part: Part, stable: bool) -> Option<Told> {
    let question = Question(hall.number());
    hall.tell(Happening::OffsetAsked { question, group, part, stable });
    let request = FetchOffsets {
        group: group_name(group),
        member: None,
        topics: Some(vec![(INPUT.to_owned(), vec![part.cast_signed()])]),
        require_stable: stable,
    };
    let answer = hall.ask(group, request).await?.ok()?.ok()?;
    let found = answer.into_iter().next()?.partitions.into_iter().next()?.committed;
    let told = match found {
        Ok(None) => Told::Nothing,
        Ok(Some(found)) => {
            Told::Offset(u64::try_from(found.offset).ok()?, Commit(found.metadata.parse().ok()?))
        }
        Err(GroupError::UnstableOffsetCommit) => Told::Unstable,
        Err(_) => return None,
    };
    hall.tell(Happening::OffsetTold { question, told });
    Some(told)
}
