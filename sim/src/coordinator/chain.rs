//! What members of some groups do: read, write something for it, and commit both in one transaction. And producers that
//! have transactions without a group.

use std::sync::Arc;

use super::{
    hall::Hall,
    happening::{Happening, Part, Used},
    producer::{Done, Producer},
    worker::{Seat, Standing, announce_commit, commit_request},
};
use crate::random::Random;

/// Reads on one side, writes on the other.
pub(super) struct Chain {
    seat: Seat,
    /// The number of its transactional id: whoever has the seat next has it too.
    id: u64,
    bumps: bool,
    producer: Option<Producer>,
}

/// Seats of a group have their ids next to one another.
const SEATS_MAX: u64 = 100;

impl Chain {
    pub(super) fn new(_: &Hall, seat: Seat, bumps: bool) -> Chain {
        let id = (u64::from(seat.group) + 1) * SEATS_MAX + seat.number;
        Chain { seat, id, bumps, producer: None }
    }

    /// Writes something for the input `[from, to)` of a partition and commits both. `false` if the client cannot go on:
    /// what became of the input, it does not know.
    pub(super) async fn pass_on(
        &mut self,
        hall: &Hall,
        standing: &Standing,
        (part, from, to): (Part, u64, u64),
        random: &mut Random,
    ) -> bool {
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => match Producer::begin(hall, self.id, self.bumps).await {
                Some(begun) => none.insert(begun),
                None => return false,
            },
        };
        let txn = producer.begin_transaction(hall);
        let used = Used { group: self.seat.group, part, from, to };
        let output = random.below(u64::from(hall.output)) as Part;
        if producer.write(hall, txn, output, Some(used), random).await != Done::Yes {
            return false;
        }
        let other = random.below(u64::from(hall.output)) as Part;
        if random.chance(1, 2) && producer.write(hall, txn, other, None, random).await != Done::Yes {
            return false;
        }
        if hall.tempted(random) {
            // Longer than the transaction may take, now and then.
            hall.pause(100, 12_000).await;
        }
        let commit = announce_commit(hall, self.seat.group, standing, part, to, Some(txn));
        let request = commit_request(self.seat.group, standing, part, to, commit);
        match producer.commit_offsets(hall, request).await {
            Done::Yes => hall.tell(Happening::CommitAnswered { commit }),
            Done::No | Done::Unknown => {
                // The member has lost its partition, or the producer its id.
                producer.end(hall, txn, false).await;
                return false;
            }
        }
        if hall.tempted(random) {
            hall.pause(100, 12_000).await;
        }
        if !hall.is_good() && random.chance(1, 8) {
            producer.end(hall, txn, false).await;
            return false;
        }
        producer.end(hall, txn, true).await == Done::Yes
    }
}

/// Transactions over several partitions, until everybody behaves. Two clients share the id, unless
/// they are in haste: each fences the other.
pub(super) async fn lone_producer(hall: Arc<Hall>, id: u64, mut random: Random) {
    let _ends = hall.ends_when_good();
    let mut producer = None;
    while !hall.is_over() {
        hall.pause(if hall.in_haste { 0 } else { 50 }, if hall.in_haste { 30 } else { 1_500 }).await;
        if hall.is_good() {
            return;
        }
        let bumps = id.is_multiple_of(2) && !hall.in_haste;
        let current = match &mut producer {
            Some(current) => current,
            none => match Producer::begin(&hall, id, bumps).await {
                Some(begun) => none.insert(begun),
                None => return,
            },
        };
        if !transaction(&hall, current, &mut random).await || hall.tempted(&mut random) {
            producer = None;
        }
    }
}

async fn transaction(hall: &Hall, producer: &mut Producer, random: &mut Random) -> bool {
    let txn = producer.begin_transaction(hall);
    for _ in 0..random.between(1, 4) {
        let part = random.below(u64::from(hall.output)) as Part;
        if producer.write(hall, txn, part, None, random).await != Done::Yes {
            return false;
        }
        if hall.tempted(random) {
            hall.pause(100, 12_000).await;
        }
    }
    if hall.tempted(random) {
        // It dies, and leaves the transaction as it is.
        return false;
    }
    producer.end(hall, txn, random.chance(3, 4)).await == Done::Yes
}
