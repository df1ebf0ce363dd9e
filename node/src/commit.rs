//! Group commit: what synced topics of a data directory have appended is made durable, many partitions at a time.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use highwater_engine::{CommitDone, CommitJob, LogDir};
use highwater_env::{Env, EnvExt, Instant, Lane};
use highwater_records::TopicIdPartition;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    first_of::first_of,
    partition::{Closed, Finished, Partition},
    tasks::Tasks,
};

/// Partitions that wait for a sync. While some groups of them are being synced the next one gathers.
pub(crate) struct Committer {
    env: Arc<dyn Env>,
    directory: Arc<LogDir>,
    asked: Mutex<Asked>,
    wake: Notify,
    /// Tells that the journal is half full.
    pub(crate) pressed: Notify,
    /// When the disk operations that are under way began, by number: syncs, and what upkeep writes.
    under_way: Mutex<BTreeMap<u64, Instant>>,
}

#[derive(Default)]
struct Asked {
    partitions: BTreeMap<TopicIdPartition, Arc<Partition>>,
    /// Groups that were taken and are not durable yet.
    groups: usize,
    /// The last of them was taken less than [`PATIENCE`] ago.
    fresh: bool,
    /// Somebody was woken for what waits, and has not looked yet.
    called: bool,
    stopped: bool,
}

/// Groups at once.
const GROUPS: usize = 4;
/// How long a group has the disk to itself. Where a sync is quick one group at a time is best: what is appended meanwhile
/// shares the next one, and more of them cost more writes and more CPU for nothing (`docs/performance.md`). Where one takes
/// longer, because the disk is slow or has files to sync, who comes behind it does not wait for it.
const PATIENCE: Duration = Duration::from_millis(1);
/// When a commit that the disk refused, for want of room as a rule, is tried again. What it was for is in the log, others may
/// have copied it, and nobody need ever append to that log again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Syncs of different files overlap in the device up to about this many.
const PARALLEL_SYNCS: usize = 4;

impl Asked {
    /// Whether what waits is to be a group now. At the end the last one is: it takes what the others have left, for a
    /// partition that is in one group cannot be in another.
    fn is_due(&self) -> bool {
        let room = self.groups == 0 || self.groups < GROUPS && !self.fresh && !self.stopped;
        room && !self.partitions.is_empty()
    }

    /// What waits, if it is to be a group now.
    fn take(&mut self) -> Option<Vec<Arc<Partition>>> {
        self.called = false;
        self.is_due().then(|| {
            self.groups += 1;
            self.fresh = true;
            std::mem::take(&mut self.partitions).into_values().collect()
        })
    }
}

impl Committer {
    pub(crate) fn new(env: Arc<dyn Env>, directory: Arc<LogDir>) -> Committer {
        let (wake, pressed) = (Notify::new(), Notify::new());
        let under_way = Mutex::default();
        Committer { env, directory, asked: Mutex::default(), wake, pressed, under_way }
    }

    /// Asks for a sync of what the partition has appended so far.
    pub(crate) fn ask(&self, partition: &Arc<Partition>) {
        let mut asked = self.asked.lock();
        if asked.stopped || asked.partitions.insert(partition.id, partition.clone()).is_some() {
            return;
        }
        self.call(&mut asked);
    }

    /// Asks again after a while, if the partition, and this, are still there.
    fn ask_later(self: &Arc<Self>, partition: &Arc<Partition>) {
        if self.directory.failed().is_some() {
            return;
        }
        let (committer, partition) = (Arc::downgrade(self), Arc::downgrade(partition));
        let wait = self.env.sleep(TRY_AGAIN);
        let later = async move {
            wait.await;
            if let (Some(committer), Some(partition)) = (committer.upgrade(), partition.upgrade()) {
                committer.ask(&partition);
            }
        };
        self.env.spawn(Lane::Commit, Box::pin(later));
    }

    /// Wakes somebody for what waits, if it is to be a group now.
    fn call(&self, asked: &mut Asked) {
        if asked.is_due() && !asked.called {
            asked.called = true;
            self.wake.notify_one();
        }
    }

    /// A disk operation begins; it is over when the answer is dropped.
    pub(crate) fn begin(&self) -> UnderWay<'_> {
        let mut under_way = self.under_way.lock();
        let number = under_way.keys().next_back().map_or(0, |last| last + 1);
        under_way.insert(number, self.env.now());
        UnderWay { committer: self, number }
    }

    /// How long the oldest disk operation has been under way.
    pub(crate) fn oldest(&self) -> Duration {
        let began = self.under_way.lock().values().next().copied();
        began.map_or(Duration::ZERO, |began| self.env.now().since(began))
    }

    /// Ends what [`Committer::start`] has started, after what was asked so far.
    pub(crate) fn stop(&self) {
        self.asked.lock().stopped = true;
        self.wake.notify_one();
    }

    /// Syncs group after group until stopped, several at once.
    pub(crate) fn start(self: &Arc<Self>, tasks: &Tasks) {
        for _ in 0..GROUPS {
            tasks.spawn(&self.env, Lane::Commit, self.clone().run());
        }
    }

    async fn run(self: Arc<Self>) {
        loop {
            let (group, stopped) = {
                let mut asked = self.asked.lock();
                (asked.take(), asked.stopped)
            };
            if let Some(group) = group {
                self.commit_beside_others(group).await;
                if self.directory.wants_relief() {
                    self.pressed.notify_one();
                }
            } else if stopped {
                // Whoever ends the last group takes what is left; the others have nothing to wait for.
                self.wake.notify_one();
                return;
            } else {
                self.wake.notified().await;
            }
        }
    }

    async fn commit_beside_others(self: &Arc<Self>, group: Vec<Arc<Partition>>) {
        let mut commit = pin!(self.commit(group, false));
        let patience = self.env.sleep(PATIENCE);
        let quick = first_of(commit.as_mut(), patience).await.is_left();
        if !quick {
            {
                let mut asked = self.asked.lock();
                asked.fresh = false;
                self.call(&mut asked);
            }
            commit.await;
        }
        let mut asked = self.asked.lock();
        asked.groups -= 1;
        // Nobody has begun one beside it.
        asked.fresh &= !quick;
    }

    /// Makes one group durable: what is pending is taken under each partition's lock, synced under none. With
    /// `sync_files` the journal is of no use to it.
    pub(crate) async fn commit(self: &Arc<Self>, group: Vec<Arc<Partition>>, sync_files: bool) {
        let mut shares: [Vec<(Arc<Partition>, CommitJob)>; PARALLEL_SYNCS] = Default::default();
        let mut next = 0;
        for partition in group {
            // Nothing is taken while another commit of this partition runs: whoever finishes that one asks again.
            if let Ok(Some(job)) = partition.with(move |state| state.begin_commit(sync_files)).await {
                // What goes through the journal shares its writes.
                let share = if job.is_journaled() { 0 } else { next % PARALLEL_SYNCS };
                shares[share].push((partition, job));
                next += 1;
            }
        }
        let _under_way = self.begin();
        let running: Vec<_> = shares
            .into_iter()
            .filter(|share| !share.is_empty())
            .map(|share| self.env.run_blocking(Lane::Commit, move || run_all(share)))
            .collect();
        for share in running {
            match share.await {
                Ok(done) => {
                    for (partition, done) in done {
                        match partition.with(move |state| state.finish_commit(done)).await {
                            Ok(Finished::More) => self.ask(&partition),
                            Ok(Finished::Refused) => self.ask_later(&partition),
                            Ok(Finished::All) | Err(Closed) => {}
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "a group commit died; its producers will time out"),
            }
        }
    }
}

/// A disk operation that is under way: see [`Committer::oldest`].
pub(crate) struct UnderWay<'a> {
    committer: &'a Committer,
    number: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.committer.under_way.lock().remove(&self.number);
    }
}

fn run_all(share: Vec<(Arc<Partition>, CommitJob)>) -> Vec<(Arc<Partition>, CommitDone)> {
    let (partitions, jobs): (Vec<_>, Vec<_>) = share.into_iter().unzip();
    partitions.into_iter().zip(CommitJob::run_all(jobs)).collect()
}
