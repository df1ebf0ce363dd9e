//! T6: what a coordinator writes of a transactional id follows Kafka's graph of states, and what it says is what it wrote.
//!
//! Checked in the records of `__transaction_state` in the order of the log, as they begin to count: each state follows
//! from the one before; a producer's epoch never goes back, and goes forward only where a producer begins (by one), ends
//! a transaction by the newer protocol (KIP-890: by one) or is fenced (by two at most), so that no append that failed has
//! used up any (KAFKA-9666); a transaction only gains partitions until it is decided, and is decided with all of them;
//! what was read at an offset is read there again; and at the end a coordinator tells what its last record says.
//!
//! Not checked: steps whose records were compacted away before anybody read them. Behind such a gap an id may be in any
//! state, and only its epoch must not have gone back.

use std::collections::BTreeMap;

use super::Invariant;
use crate::coordinator::happening::{Happening, Part, Stage, Standing, StateRecord};

/// See the file's text.
#[derive(Default)]
pub struct States {
    shards: BTreeMap<Part, Shard>,
}

/// One partition of the log.
#[derive(Default)]
struct Shard {
    read: BTreeMap<u64, StateRecord>,
    /// The offset of the last record of each id.
    last: BTreeMap<String, u64>,
    /// The offset behind everything read.
    next: u64,
    /// Where the last gap ends, exclusive; 0 without any.
    gap: u64,
}

impl Invariant for States {
    fn name(&self) -> &'static str {
        "T6 transactions follow the graph of states"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        match event {
            Happening::StateLog { shard, records } => {
                let log = self.shards.entry(*shard).or_default();
                records.iter().try_for_each(|record| {
                    log.take(record).map_err(|why| format!("shard {shard} at {}: {why}", record.offset))
                })
            }
            Happening::StateTold { shard, id, standing } => {
                let written = self.shards.get(shard).and_then(|log| log.last_of(id));
                if written == Some(standing) {
                    return Ok(());
                }
                Err(format!("{id} is told to be {standing:?}, and its last record says {written:?}"))
            }
            _ => Ok(()),
        }
    }
}

impl Shard {
    fn last_of(&self, id: &str) -> Option<&Standing> {
        self.read.get(self.last.get(id)?)?.standing.as_ref()
    }

    fn take(&mut self, record: &StateRecord) -> Result<(), String> {
        if record.offset < self.next {
            // Another copy of the log may still have what this one had compacted away.
            return match self.read.get(&record.offset) {
                Some(known) if known != record => Err(format!("{record:?}, and it was {known:?}")),
                _ => Ok(()),
            };
        }
        if record.offset > self.next {
            self.gap = record.offset;
        }
        let at = self.last.get(&record.id).copied();
        let before = self.last_of(&record.id);
        let is_next = at.map_or(self.gap == 0, |at| at >= self.gap);
        let allowed = match (before, &record.standing) {
            _ if is_next => step(before, record.standing.as_ref()),
            (Some(before), Some(after)) if after.identity() < before.identity() => Err("its epoch goes back"),
            _ => Ok(()),
        };
        allowed.map_err(|why| format!("{}: {before:?} becomes {:?}: {why}", record.id, record.standing))?;
        self.next = record.offset + 1;
        self.last.insert(record.id.clone(), record.offset);
        self.read.insert(record.offset, record.clone());
        Ok(())
    }
}

/// Whether one record may follow another of the same id, with none in between. `None` is an id that is not known.
fn step(before: Option<&Standing>, after: Option<&Standing>) -> Result<(), &'static str> {
    use Stage::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};
    let (before, after) = match (before, after) {
        (None, None) => return Ok(()),
        (Some(before), None) if before.stage.is_at_rest() => return Ok(()),
        (Some(_), None) => return Err("it is forgotten with a transaction open"),
        (None, Some(after)) => {
            let is_new = after.stage == Empty && after.epoch == 0 && after.partitions.is_empty();
            return is_new.then_some(()).ok_or("it does not begin empty, with epoch 0");
        }
        (Some(before), Some(after)) => (before, after),
    };
    if after.identity() < before.identity() {
        return Err("its epoch goes back");
    }
    let (may_raise_by, may_change_producer) = match (before.stage, after.stage) {
        (Empty | CompleteCommit | CompleteAbort, Empty) => (0..=1, true),
        (Empty | CompleteCommit | CompleteAbort | Ongoing, Ongoing) => (0..=0, false),
        (Ongoing, PrepareCommit) => (0..=1, false),
        (Ongoing, PrepareAbort) => (0..=2, false),
        // An abort of nothing, which only clients of the newer protocol may ask for.
        (Empty | CompleteCommit | CompleteAbort, PrepareAbort) => (1..=1, false),
        (PrepareCommit, CompleteCommit) | (PrepareAbort, CompleteAbort) => (0..=0, true),
        _ => return Err("there is no such step"),
    };
    if before.producer == after.producer {
        if !may_raise_by.contains(&(i32::from(after.epoch) - i32::from(before.epoch))) {
            return Err("its epoch is raised by something else than this step raises it by");
        }
    } else if !may_change_producer || after.epoch != 0 {
        return Err("its producer id changes");
    }
    let partitions_hold = match after.stage {
        Ongoing => !after.partitions.is_empty() && before.partitions.is_subset(&after.partitions),
        PrepareCommit | PrepareAbort => before.partitions == after.partitions,
        Empty | CompleteCommit | CompleteAbort => after.partitions.is_empty(),
    };
    partitions_hold.then_some(()).ok_or("these are not its partitions")
}

#[cfg(test)]
mod tests {
    use Stage::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};

    use super::*;
    use crate::coordinator::invariant::testing::*;

    fn standing(stage: Stage, identity: (i64, i16), partitions: &[i32]) -> Standing {
        let partitions = partitions.iter().map(|partition| ("output".to_owned(), *partition)).collect();
        Standing { producer: identity.0, epoch: identity.1, stage, partitions }
    }

    fn is(offset: u64, stage: Stage, epoch: i16, partitions: &[i32]) -> Happening {
        logs(offset, Some(standing(stage, (4, epoch), partitions)))
    }

    fn logs(offset: u64, standing: Option<Standing>) -> Happening {
        let record = StateRecord { offset, id: "a".into(), standing };
        Happening::StateLog { shard: 0, records: vec![record] }
    }

    fn new() -> Box<dyn Invariant> {
        Box::new(States::default())
    }

    /// Begun with epoch 0, and a transaction in partitions 1 and 2.
    fn open() -> Vec<Happening> {
        vec![is(0, Empty, 0, &[]), is(1, Ongoing, 0, &[1]), is(2, Ongoing, 0, &[1, 2])]
    }

    fn after(mut before: Vec<Happening>, more: &[Happening]) -> Vec<Happening> {
        before.extend_from_slice(more);
        before
    }

    #[test]
    fn what_kafka_does() {
        let older =
            [is(3, PrepareCommit, 0, &[1, 2]), is(4, CompleteCommit, 0, &[]), is(5, Ongoing, 0, &[3])];
        assert_eq!(tell(States::default(), &after(open(), &older)), Ok(()));
        let newer = [
            is(3, PrepareAbort, 1, &[1, 2]),
            is(4, CompleteAbort, 1, &[]),
            // Of nothing.
            is(5, PrepareAbort, 2, &[]),
            is(6, CompleteAbort, 2, &[]),
            is(7, Empty, 3, &[]),
            logs(8, None),
            logs(9, Some(standing(Empty, (9, 0), &[]))),
        ];
        assert_eq!(tell(States::default(), &after(open(), &newer)), Ok(()));
        let next_id = logs(4, Some(standing(CompleteAbort, (9, 0), &[])));
        assert_eq!(
            tell(States::default(), &after(open(), &[is(3, PrepareAbort, 2, &[1, 2]), next_id])),
            Ok(())
        );
    }

    #[test]
    fn steps_that_are_not_in_the_graph() {
        refused(new, &[is(0, Ongoing, 0, &[1])], "does not begin empty");
        refused(new, &after(open(), &[is(3, CompleteCommit, 0, &[])]), "no such step");
        refused(new, &after(open(), &[is(3, Empty, 1, &[])]), "no such step");
        refused(new, &after(open(), &[logs(3, None)]), "with a transaction open");
        let decided = after(open(), &[is(3, PrepareCommit, 0, &[1, 2])]);
        refused(new, &after(decided.clone(), &[is(4, CompleteAbort, 0, &[])]), "no such step");
        refused(new, &after(decided.clone(), &[is(4, PrepareAbort, 0, &[1, 2])]), "no such step");
        refused(new, &after(decided.clone(), &[is(4, Ongoing, 0, &[1, 2])]), "no such step");
        let ended = after(decided, &[is(4, CompleteCommit, 0, &[])]);
        refused(new, &after(ended.clone(), &[is(5, PrepareCommit, 1, &[])]), "no such step");
        refused(new, &after(ended, &[is(5, PrepareAbort, 0, &[])]), "raised by something else");
    }

    #[test]
    fn epochs_that_go_back_or_are_used_up() {
        let fenced = after(open(), &[is(3, PrepareAbort, 2, &[1, 2])]);
        refused(new, &after(fenced, &[is(4, CompleteAbort, 1, &[])]), "goes back");
        refused(new, &[is(0, Empty, 0, &[]), is(1, Empty, 2, &[])], "raised by something else");
        refused(new, &after(open(), &[is(3, PrepareCommit, 2, &[1, 2])]), "raised by something else");
        refused(new, &after(open(), &[is(3, Ongoing, 1, &[1, 2])]), "raised by something else");
        let other = logs(3, Some(standing(PrepareCommit, (9, 0), &[1, 2])));
        refused(new, &after(open(), &[other]), "producer id changes");
    }

    #[test]
    fn partitions_that_get_lost() {
        refused(new, &after(open(), &[is(3, Ongoing, 0, &[2])]), "not its partitions");
        refused(new, &after(open(), &[is(3, PrepareCommit, 0, &[1])]), "not its partitions");
        let decided = after(open(), &[is(3, PrepareCommit, 0, &[1, 2])]);
        refused(new, &after(decided, &[is(4, CompleteCommit, 0, &[1])]), "not its partitions");
    }

    #[test]
    fn what_was_compacted_away_is_not_judged() {
        assert_eq!(tell(States::default(), &after(open(), &[is(9, CompleteCommit, 3, &[])])), Ok(()));
        let behind = [is(9, CompleteCommit, 3, &[]), is(10, Ongoing, 3, &[1])];
        refused(new, &after(after(open(), &behind), &[is(11, Empty, 4, &[])]), "no such step");
        let raised = [is(0, Empty, 0, &[]), is(1, Empty, 1, &[])];
        refused(new, &after(raised.to_vec(), &[is(9, Ongoing, 0, &[1])]), "goes back");
    }

    #[test]
    fn what_is_read_or_told_otherwise_than_it_was_written() {
        refused(new, &after(open(), &[is(1, Ongoing, 0, &[7])]), "and it was");
        assert_eq!(tell(States::default(), &after(open(), &open())), Ok(()));
        let told = |standing| Happening::StateTold { shard: 0, id: "a".into(), standing };
        refused(new, &after(open(), &[told(standing(Empty, (4, 0), &[]))]), "its last record says");
        let same = told(standing(Ongoing, (4, 0), &[1, 2]));
        assert_eq!(tell(States::default(), &after(open(), &[same])), Ok(()));
    }
}
