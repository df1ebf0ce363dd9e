//! Every bucket call of a workload goes wrong in every way; then a process that knows nothing looks at what is left.
//!
//! The promises: whatever a copy was answered `Ok` for is there; nothing that is read is wrong, no offset is missing
//! or doubled; copying goes on by itself; what no head names is gone after the next leader's collection.

use std::{collections::BTreeSet, sync::Arc};

use highwater_env::Env;
use highwater_records::{LeaderEpoch, Offset};

use super::{
    env::{TestEnv, block_on},
    logs::{Log, PARTITION, offset},
    model::{options, owner},
};
use crate::{
    DropReason, PartitionTier, Tier, TierError, TierOptions,
    bucket::{
        faulty::{Fault, FaultyBucket},
        memory::MemoryBucket,
    },
};

const GRACE_MS: u64 = 60 * 60 * 1000;

const FAULTS: [Fault; 8] = [
    Fault::Unavailable,
    Fault::UnknownDone,
    Fault::UnknownNotDone,
    Fault::StopBefore,
    Fault::StopAfter,
    Fault::WrongBytes,
    Fault::Truncated,
    Fault::Lost,
];

struct World {
    env: Arc<TestEnv>,
    memory: MemoryBucket,
    bucket: FaultyBucket,
    log: Log,
    /// Everything below was answered to be in the bucket.
    promised: u64,
    /// Where the log starts at least.
    started: u64,
    /// Where it was asked to start, which perhaps was done.
    asked: BTreeSet<u64>,
}

impl World {
    fn new() -> World {
        let (env, memory) = (TestEnv::new(5), MemoryBucket::new());
        let bucket = FaultyBucket::new(env.clone(), Arc::new(memory.clone()), 11);
        let mut log = Log::new(77);
        (0..14).for_each(|_| log.segment());
        World { env, memory, bucket, log, promised: 0, started: 0, asked: BTreeSet::new() }
    }

    fn process(&self) -> Arc<PartitionTier> {
        let small = TierOptions { cache_bytes: 0, ..options() };
        Tier::new(self.env.clone(), Arc::new(self.bucket.clone()), owner(), small)
            .partition(PARTITION, "topic", 1)
    }

    /// What a leader does; ends early where its process dies.
    async fn live(&mut self, tier: &PartitionTier, epoch: LeaderEpoch) {
        for round in 0..4_u64 {
            let upto = self.log.segment_end(3 * round as usize + 2);
            self.copy(tier, epoch, upto, 3).await;
            let to = self.log.batches[round as usize * 4].base;
            let start = self.started.max(to.min(self.promised));
            self.asked.insert(start);
            for _ in 0..4 {
                if tier.advance_start(epoch, offset(start), DropReason::RecordsDeleted).await.is_ok() {
                    if tier.summary().is_some() {
                        self.started = start;
                    }
                    break;
                }
            }
            let now = self.env.pass_ms(GRACE_MS as i64 / 2 + 1);
            for _ in 0..4 {
                if tier.collect(epoch, now, GRACE_MS).await.is_ok() {
                    break;
                }
            }
        }
    }

    /// Copies up to `upto`, trying again after errors as a broker does.
    async fn copy(&mut self, tier: &PartitionTier, epoch: LeaderEpoch, upto: u64, count: usize) {
        for _ in 0..8 {
            if tier.load().await.is_err() {
                continue;
            }
            let end = tier.summary().map_or(0, |summary| summary.end.get());
            if end >= upto {
                break;
            }
            let sources = self.log.sources(end, count);
            match tier.copy(epoch, sources, offset(self.started)).await {
                Ok(summary) => self.promised = self.promised.max(summary.unwrap().end.get()),
                Err(TierError::Retry { .. } | TierError::NotNext { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Looks at what is left, as a new leader, and goes on.
    async fn look(&mut self, epoch: LeaderEpoch, story: &str) {
        self.bucket.heal();
        let tier = self.process();
        let summary = tier.load().await.unwrap_or_else(|error| panic!("{story}: {error}"));
        let end = summary.as_ref().map_or(0, |summary| summary.end.get());
        assert!(end >= self.promised, "{story}: promised {} and ends at {end}", self.promised);
        if let Some(summary) = &summary {
            let start = summary.log_start.get();
            assert!(start == self.started || self.asked.contains(&start), "{story}: starts at {start}");
            assert!(start >= self.started, "{story}: starts at {start}");
            self.started = start;
        }
        self.read_all(&tier, story).await;
        self.log.segment();
        self.copy(&tier, epoch, self.log.end(), 9).await;
        assert_eq!(self.promised, self.log.end(), "{story}: copying goes on");
        self.read_all(&tier, story).await;
        // What is dropped stays for the grace period, what nobody names does not.
        tier.collect(epoch, self.env.wall_ms(), GRACE_MS).await.unwrap();
        let named: BTreeSet<String> =
            tier.named_now().await.unwrap().iter().map(ToString::to_string).collect();
        let objects = self.memory.objects();
        let ids = objects.keys().filter(|key| key.starts_with("segments/") || key.starts_with("pages/"));
        let there: BTreeSet<String> = ids.map(|key| key[key.len() - 32..].to_owned()).collect();
        assert_eq!(there, named, "{story}: nothing leaks, nothing is missing");
    }

    async fn read_all(&self, tier: &PartitionTier, story: &str) {
        let Some(summary) = tier.summary() else { return };
        let (mut at, end) = (summary.log_start.max(summary.start).get(), summary.end.get());
        while at < end {
            let read = tier.read(offset(at), 20_000, true).await;
            let read = read.unwrap_or_else(|error| panic!("{story}: at {at}: {error}"));
            self.log.check_read(at, end, 20_000, true, &read);
            at = read.next_offset.get();
        }
    }
}

#[test]
fn every_call_goes_wrong_in_every_way() {
    block_on(async {
        let mut whole = World::new();
        whole.live(&whole.process(), LeaderEpoch(1)).await;
        let calls = whole.bucket.calls();
        assert!(calls > 60, "{calls} calls are no workload");
        whole.look(LeaderEpoch(2), "nothing went wrong").await;
        for call in 0..calls {
            for fault in FAULTS {
                let story = format!("{fault:?} at call {call}");
                let mut world = World::new();
                world.bucket.script(call, fault);
                world.live(&world.process(), LeaderEpoch(1)).await;
                world.look(LeaderEpoch(2), &story).await;
            }
        }
    });
}

/// Two faults in a row are what settles an ambiguous answer wrongly, if anything does.
#[test]
fn the_answer_to_a_lost_answer_is_lost_too() {
    block_on(async {
        let pairs = [
            (Fault::UnknownDone, Fault::Unavailable),
            (Fault::UnknownNotDone, Fault::Unavailable),
            (Fault::UnknownDone, Fault::StopBefore),
            (Fault::UnknownNotDone, Fault::UnknownDone),
            (Fault::UnknownDone, Fault::Lost),
            (Fault::UnknownDone, Fault::WrongBytes),
        ];
        for call in 0..80 {
            for (first, second) in pairs {
                let mut world = World::new();
                world.bucket.script(call, first);
                world.bucket.script(call + 1, second);
                world.live(&world.process(), LeaderEpoch(1)).await;
                world.look(LeaderEpoch(2), &format!("{first:?} at call {call}, then {second:?}")).await;
            }
        }
    });
}

/// Two leaders of different epochs, the older unaware, change the head at the same time through a slow store.
#[test]
fn of_two_writers_the_higher_fence_wins_and_nothing_is_lost() {
    for seed in 0..60 {
        block_on(async {
            let mut world = World::new();
            let rates = crate::bucket::faulty::FaultRates {
                slow: 900,
                slow_max: std::time::Duration::from_millis(40),
                unavailable: 20,
                unknown_done: 20,
                unknown_not_done: 20,
                ..Default::default()
            };
            world.bucket = FaultyBucket::new(world.env.clone(), Arc::new(world.memory.clone()), seed);
            world.bucket.set_rates(rates);
            let (old, new) = (world.process(), world.process());
            let sources: Vec<_> = (0..14)
                .map(|index| {
                    let (base, next) = (world.log.bases[index], world.log.segment_end(index));
                    (world.log.source(base, next), world.log.source(base, next))
                })
                .collect();
            let (mine, theirs): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
            let answers = super::env::all(vec![
                Box::pin(lead(&old, LeaderEpoch(1), mine)),
                Box::pin(lead(&new, LeaderEpoch(2), theirs)),
            ])
            .await;
            // The higher one is never stopped; the lower one stops or was done before.
            assert!(!answers[1].1, "seed {seed}");
            world.promised = answers.iter().map(|answer| answer.0).max().unwrap();
            world.look(LeaderEpoch(3), &format!("seed {seed}")).await;
        });
    }
}

/// Copies one segment after the other; returns how far, and whether it was fenced.
async fn lead(tier: &PartitionTier, epoch: LeaderEpoch, sources: Vec<crate::SegmentSource>) -> (u64, bool) {
    let mut end = 0;
    for _ in 0..60 {
        let Some(source) = sources.iter().find(|source| source.next_offset.get() > end) else { break };
        match tier.copy(epoch, vec![source.clone()], Offset::ZERO).await {
            Ok(summary) => end = summary.unwrap().end.get(),
            Err(TierError::Fenced { .. }) => return (end, true),
            Err(TierError::Retry { .. } | TierError::NotNext { .. }) => {
                if let Ok(Some(summary)) = tier.load().await {
                    end = summary.end.get();
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    (end, false)
}
