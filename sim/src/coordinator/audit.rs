//! The end of a run: everything is read from the beginning, no transaction is open (T5), every group has used up its
//! input, and after a clean stop and start all of it is the same (T6, G1).

use std::{collections::BTreeMap, sync::Arc};

use highwater_coordinator::{DescribedTransaction, partition_of};
use highwater_env::BoxFuture;
use highwater_node::request::Isolation;
use highwater_records::{PartitionIndex, TopicIdPartition};
use parking_lot::Mutex;

use super::{
    hall::{Hall, INPUT, TXN_SHARDS, caller},
    happening::{Happening, Part, Told},
    reader, state_log,
    worker::committed,
};
use crate::{broker::Whom, observer::Violation};

/// What is to be the same after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    offsets: BTreeMap<(u32, Part), Option<u64>>,
    transactions: Described,
}

/// Something to be done until it is.
#[derive(Default)]
pub struct Task {
    done: Mutex<Option<State>>,
    waits_for: Mutex<String>,
}

impl Task {
    /// What it found, once it is done.
    pub fn state(&self) -> Option<State> {
        self.done.lock().clone()
    }

    /// What it waits for.
    pub fn waits_for(&self) -> String {
        self.waits_for.lock().clone()
    }

    fn waits(&self, what: impl Into<String>) {
        *self.waits_for.lock() = what.into();
    }
}

/// Waits until producers without a group have ended, and every group has used up its input.
pub(crate) fn groups_settle(hall: &Arc<Hall>) -> Arc<Task> {
    let (task, hall) = (Arc::<Task>::default(), hall.clone());
    let told = task.clone();
    hall.clone().start(async move {
        // What one of them begins later groups would not have used up, or it would be there after a restart only.
        while hall.ending() > 0 && !hall.is_over() {
            told.waits(format!("{} producers to end", hall.ending()));
            hall.pause(100, 500).await;
        }
        for part in 0..hall.input {
            let end = loop {
                told.waits(format!("the end of input partition {part}"));
                if let Some(end) = end_of_input(&hall, part).await {
                    break end;
                }
                hall.pause(50, 200).await;
            };
            for group in (0..).take(hall.groups.len()) {
                loop {
                    let at = committed(&hall, group, part, true).await;
                    match at {
                        Some(Told::Offset(offset, _)) if offset >= end => break,
                        Some(Told::Nothing) if end == 0 => break,
                        _ => told.waits(format!("group {group} to reach {end} in partition {part}; {at:?}")),
                    }
                    hall.pause(100, 500).await;
                }
            }
        }
        *told.done.lock() = Some(State::default());
    });
    task
}

/// Where the log of a partition of the input ends at its leader. What lies behind the watermark is still to come.
async fn end_of_input(hall: &Hall, part: Part) -> Option<u64> {
    hall.call(Whom::Leader(INPUT, part), move |node| -> BoxFuture<'static, _> {
        Box::pin(async move {
            let topic_id = node.image().topic_named(INPUT)?.id;
            let view = node.replica(TopicIdPartition { topic_id, partition: PartitionIndex(part) })?;
            view.leading.is_some().then(|| view.positions.log_end.get())
        })
    })
    .await?
}

/// Reads everything: committed records, whole logs, transactions and offsets.
pub(crate) fn everything(hall: &Arc<Hall>) -> Arc<Task> {
    let (task, hall) = (Arc::<Task>::default(), hall.clone());
    let told = task.clone();
    hall.clone().start(async move {
        let mut ends = [0; TXN_SHARDS as usize];
        let transactions = loop {
            match transactions(&hall).await {
                Some(Ok(all)) => {
                    told.waits("the log of transactions to be read");
                    // If there is nothing new, what was told is what was written last.
                    if all.is_empty() || !read_states(&hall, &mut ends).await {
                        break all;
                    }
                }
                Some(Err(open)) => told.waits(format!("the end of {open}")),
                None => told.waits("transactions to be told"),
            }
            hall.pause(100, 500).await;
        };
        for (id, described) in &transactions {
            match state_log::standing_of(described) {
                Some(standing) => {
                    let shard = partition_of(id, TXN_SHARDS);
                    hall.tell(Happening::StateTold { shard, id: id.clone(), standing });
                }
                None => {
                    let why = format!("{described:?}");
                    hall.world.violate(Violation { invariant: "T6 a transaction is in a state", why });
                }
            }
        }
        for part in 0..hall.output {
            read_through(&hall, part, Isolation::ReadCommitted, &told).await;
            let batches = read_through(&hall, part, Isolation::ReadUncommitted, &told).await;
            hall.tell(Happening::Log { part, batches });
        }
        hall.tell(Happening::AllRead);
        let mut offsets = BTreeMap::new();
        for group in (0..).take(hall.groups.len()) {
            for part in 0..hall.input {
                let offset = loop {
                    match committed(&hall, group, part, true).await {
                        Some(Told::Offset(offset, _)) => break Some(offset),
                        Some(Told::Nothing) => break None,
                        other => told.waits(format!("offset of group {group} partition {part}: {other:?}")),
                    }
                    hall.pause(100, 500).await;
                };
                offsets.insert((group, part), offset);
            }
        }
        *told.done.lock() = Some(State { offsets, transactions });
    });
    task
}

async fn read_through(
    hall: &Hall,
    part: Part,
    isolation: Isolation,
    task: &Task,
) -> Vec<super::happening::LogBatch> {
    let (mut next, mut batches) = (0, Vec::new());
    loop {
        task.waits(format!("partition {part} to be read on from {next}"));
        match reader::fetch(hall, part, next, isolation).await {
            Some(seen) => {
                let (stable, end) = seen.ends;
                batches.extend(seen.batches);
                match seen.next {
                    Some(after) => next = after,
                    None if next >= end => return batches,
                    None => task.waits(format!("partition {part}: {next} of {end}, decided up to {stable}")),
                }
            }
            None => hall.pause(50, 200).await,
        }
        hall.pause(1, 20).await;
    }
}

/// Reads the log of transactions from these offsets on to where it ends, and says whether there was anything.
async fn read_states(hall: &Hall, ends: &mut [u64]) -> bool {
    let mut any = false;
    for (shard, at) in (0..).zip(ends) {
        loop {
            match state_log::read(hall, shard, *at).await {
                Some((next, end)) => {
                    any |= next > *at;
                    *at = next;
                    if next >= end {
                        break;
                    }
                }
                None => hall.pause(50, 200).await,
            }
            hall.pause(1, 20).await;
        }
    }
    any
}

type Described = BTreeMap<String, DescribedTransaction>;

/// Every transaction, or which is still open. `None` without an answer.
async fn transactions(hall: &Hall) -> Option<Result<Described, String>> {
    let mut listed = BTreeMap::new();
    for shard in 0..TXN_SHARDS {
        let some = hall
            .call(Whom::Leader("__transaction_state", shard), |node| -> BoxFuture<'static, _> {
                Box::pin(async move { node.list_transactions(&caller()).await })
            })
            .await?
            .ok()?;
        listed.extend(some.into_iter().map(|one| (one.id.clone(), one)));
    }
    let listed: Vec<_> = listed.into_values().collect();
    let open = listed.iter().find(|one| matches!(one.state, "Ongoing" | "PrepareCommit" | "PrepareAbort"));
    if let Some(open) = open {
        return Some(Err(format!("{open:?}")));
    }
    let mut all = BTreeMap::new();
    for one in listed {
        let id = one.id.clone();
        let described = hall
            .call(Whom::Transaction(id.clone()), move |node| -> BoxFuture<'static, _> {
                Box::pin(async move { node.describe_transaction(&caller(), &id).await })
            })
            .await?
            .ok()?;
        all.insert(one.id, described);
    }
    Some(Ok(all))
}

/// What was there before a restart must be there after it. Members have left by then: what is old by a clock that has
/// jumped may have expired.
pub(super) fn compare(hall: &Hall, before: &State, after: &State) {
    let mut expected = before.clone();
    if hall.expires {
        expected.offsets.retain(|place, _| after.offsets.get(place).is_some_and(Option::is_some));
        expected.offsets.extend(after.offsets.iter().filter(|(_, at)| at.is_none()));
    }
    if expected != *after {
        let why = format!("after a clean stop and start {after:?}, and before it {before:?}");
        hall.world.violate(Violation { invariant: "T6/G1 what is replayed is what was", why });
    }
}
