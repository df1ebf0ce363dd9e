//! A damaged segment of a replica is written again with what another replica, or the bucket, has of it.

use std::sync::Arc;

use bytes::Bytes;
use highwater_engine::{LogDir, Repair, RepairError, Repaired};
use highwater_env::{EnvExt, Lane};
use highwater_records::{BrokerId, Offset};

use crate::{
    Node,
    first_of::{First, first_of},
    partition::{Partition, check_fetched},
    peers::ReplicaRead,
};

/// How much is asked for at once.
const AT_ONCE: usize = 1 << 20;

/// Who may have what is damaged here.
#[derive(Clone, Copy, Debug)]
enum Source {
    Replica(BrokerId),
    Bucket,
}

impl Node {
    /// Writes the segment again that has `at`, if it can be done now; else the next one who finds it damaged tries again.
    pub(crate) async fn mend(&self, partition: &Arc<Partition>, at: Offset) {
        let Ok(_turn) = partition.mending.try_lock() else { return };
        let mut begun = self.begin_repair(partition, at).await;
        for _ in 0..2 {
            if begun.is_none() {
                // What is not durable must be, before it is sealed and after; what the journal may write again is settled.
                self.commit_all(vec![partition.clone()], true).await;
                self.settle(LogDir::settle).await;
                begun = self.begin_repair(partition, at).await;
            }
        }
        let Some(repair) = begun else { return };
        let offsets = repair.offsets();
        match self.copy(partition, repair).await {
            Ok(copied) => self.use_repaired(partition, copied).await,
            Err(why) => {
                tracing::warn!(partition = %partition.name, ?offsets, why, "a damaged segment is not mended");
            }
        }
    }

    async fn begin_repair(&self, partition: &Arc<Partition>, at: Offset) -> Option<Repair> {
        let (now, begins) = (self.wall(), partition.clone());
        let begin = move || begins.with_blocking(|state| state.log.begin_repair(at, now));
        match self.env.run_blocking(Lane::Background, begin).await {
            Ok(Ok(Ok(begun))) => begun,
            Ok(Ok(Err(error))) => {
                tracing::warn!(partition = %partition.name, %error, "a damaged segment cannot be mended");
                None
            }
            Ok(Err(_)) => None,
            Err(error) => {
                tracing::error!(partition = %partition.name, %error, "mending died");
                None
            }
        }
    }

    /// The leader first, and the bucket last.
    fn sources(&self, partition: &Partition) -> Vec<Source> {
        let image = self.image();
        let Some(assigned) = image.partition(partition.id) else { return Vec::new() };
        let mut others: Vec<BrokerId> =
            assigned.replicas.iter().copied().filter(|replica| *replica != self.broker).collect();
        others.sort_by_key(|other| (Some(*other) != assigned.leader, !assigned.isr.contains(other)));
        let bucket = partition.tier.is_some().then_some(Source::Bucket);
        others.into_iter().map(Source::Replica).chain(bucket).collect()
    }

    /// All of a segment, each part from the first place that has it: segments begin and end elsewhere there, and what is
    /// in the bucket need not be on any other disk.
    async fn copy(&self, partition: &Arc<Partition>, mut repair: Repair) -> Result<Repaired, String> {
        while let Some(next) = repair.wants() {
            let mut why = "no other replica".to_owned();
            for source in self.sources(partition) {
                if self.is_stopping() {
                    return Err("this broker stops".to_owned());
                }
                let asked = self.ask(partition, source, next).await;
                let checked = asked.and_then(|bytes| check_fetched(bytes).map_err(|error| error.to_string()));
                let batches = match checked {
                    Ok(batches) => batches,
                    Err(error) => {
                        why = format!("{source:?}: {error}");
                        continue;
                    }
                };
                let push = move || {
                    let end = repair.offsets().end;
                    let here = batches.iter().take_while(|batch| batch.view().base_offset() < end);
                    let taken =
                        here.map(|batch| repair.push(batch)).collect::<Result<Vec<()>, RepairError>>();
                    (repair, taken)
                };
                let pushed = self.env.run_blocking(Lane::Background, push).await;
                let (back, taken) = pushed.map_err(|error| error.to_string())?;
                repair = back;
                if let Err(error) = taken {
                    why = format!("{source:?}: {error}");
                }
                if repair.wants() != Some(next) {
                    break;
                }
            }
            if repair.wants() == Some(next) {
                return Err(why);
            }
        }
        let finished = self.env.run_blocking(Lane::Background, move || repair.finish()).await;
        finished.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    async fn ask(&self, partition: &Arc<Partition>, source: Source, offset: Offset) -> Result<Bytes, String> {
        let Some(membership) = &self.membership else { return Err("no cluster".to_owned()) };
        let answer = async {
            match source {
                Source::Replica(to) => {
                    let id = partition.id;
                    let read = ReplicaRead { from: self.broker, partition: id, offset, max_bytes: AT_ONCE };
                    let answer = membership.peers.replica_read(to, read).await;
                    answer.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
                }
                Source::Bucket => {
                    let tier = partition.tier.as_ref().ok_or("no bucket")?;
                    let read = tier.read(offset, AT_ONCE, true).await.map_err(|error| error.to_string())?;
                    Ok(read.bytes)
                }
            }
        };
        let patience = self.env.sleep(membership.times.answer);
        match first_of(self.stops(), first_of(answer, patience)).await {
            First::Right(First::Left(answer)) => answer,
            First::Right(First::Right(())) => Err("no answer in time".to_owned()),
            First::Left(()) => Err("this broker stops".to_owned()),
        }
    }

    async fn use_repaired(&self, partition: &Arc<Partition>, repaired: Repaired) {
        let Repaired { group, base, aside, learned, token } = repaired;
        let name = aside.clone();
        let (now, moved) = (self.wall(), partition.clone());
        // All in one go: whoever truncates waits under the partition's lock from the first to the second.
        let finished = self.env.run_blocking(Lane::Background, move || {
            let _token = token;
            let Ok(swap) = moved.with_blocking(|state| state.log.swap_compacted(group)) else {
                return Err("the partition is gone".to_owned());
            };
            swap.and_then(highwater_engine::SwapJob::run).map_err(|error| error.to_string())?;
            let finish =
                |state: &mut crate::partition::State| state.log.finish_repair(base, aside, learned, now);
            // Where the partition is gone there is nothing to tell.
            moved.with_blocking(finish).ok();
            Ok::<(), String>(())
        });
        match finished.await {
            Ok(Ok(())) => {
                self.counters.mended_segments.add(1);
                tracing::error!(
                    partition = %partition.name, segment = %base, kept = name,
                    "a damaged segment was written again with what another replica has; what it was is kept beside it"
                );
            }
            Ok(Err(error)) => {
                tracing::error!(partition = %partition.name, error, "a damaged segment was not mended")
            }
            Err(error) => tracing::error!(partition = %partition.name, %error, "mending died"),
        }
    }
}
