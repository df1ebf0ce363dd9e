//! Random lives of a partition, compared with the log after every step.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    env::{TestEnv, block_on},
    logs::{Dice, Log, PARTITION, offset},
};
use crate::{
    DropReason, HeadLimits, Owner, PartitionTier, Tier, TierError, TierOptions, bucket::memory::MemoryBucket,
    divergence, planner::Retention,
};
use highwater_records::{LeaderEpoch, Offset, TimestampMs};

const GRACE_MS: u64 = 24 * 60 * 60 * 1000;

/// Limits so small that a short life has pages of pages.
pub(crate) fn options() -> TierOptions {
    TierOptions {
        chunk_bytes: 4096,
        cache_bytes: 64 << 10,
        confirm: None,
        limits: HeadLimits {
            recent_max: 6,
            recent_kept: 2,
            page_entries: 8,
            pages_max: 4,
            pages_folded: 2,
            dropped_max: 8,
        },
    }
}

pub(crate) fn owner() -> Owner {
    Owner { cluster_id: "test".to_owned() }
}

struct Life {
    env: Arc<TestEnv>,
    bucket: MemoryBucket,
    log: Log,
    dice: Dice,
    epoch: LeaderEpoch,
    tier: Arc<PartitionTier>,
    log_start: u64,
}

impl Life {
    fn start(seed: u64) -> Life {
        let (env, bucket) = (TestEnv::new(seed), MemoryBucket::new());
        let tier = Tier::new(env.clone(), Arc::new(bucket.clone()), owner(), options());
        let tier = tier.partition(PARTITION, "topic", 1);
        Life { env, bucket, log: Log::new(seed), dice: Dice(seed), epoch: LeaderEpoch(0), tier, log_start: 0 }
    }

    /// Another process, which knows nothing.
    fn restart(&mut self) {
        let tier = Tier::new(self.env.clone(), Arc::new(self.bucket.clone()), owner(), options());
        self.tier = tier.partition(PARTITION, "topic", 1);
    }

    fn end(&self) -> u64 {
        self.tier.summary().map_or(0, |summary| summary.end.get())
    }

    async fn step(&mut self) {
        match self.dice.roll(14) {
            0..=4 => {
                for _ in 0..1 + self.dice.roll(4) {
                    self.log.segment();
                }
                self.tier.load().await.unwrap();
                let count = 1 + self.dice.roll(5) as usize;
                let sources = self.log.sources(self.end().max(self.log_start), count);
                self.tier.copy(self.epoch, sources, offset(self.log_start)).await.unwrap();
            }
            5 | 6 => {
                let end = self.end();
                let to = self.log_start + self.dice.roll((end - self.log_start.min(end)) / 2 + 2);
                self.advance(to.min(self.log.end())).await;
            }
            7 => {
                let bytes = self.dice.roll(200_000);
                let retention = Retention { ms: None, bytes: Some(bytes) };
                let now = self.env.pass_ms(0);
                let start = self.tier.retention_start(now, &retention, 0).await.unwrap();
                if let Some(start) = start {
                    self.advance(start.get()).await;
                    let summary = self.tier.summary().unwrap();
                    assert!(summary.bytes >= bytes.min(summary.bytes));
                }
            }
            8 => {
                self.restart();
                self.tier.load().await.unwrap();
            }
            9 => {
                self.epoch = self.log.new_epoch();
                self.restart();
            }
            10 => self.diverge().await,
            11 | 12 => {
                let passed = self.dice.roll(2 * GRACE_MS) as i64;
                let now = self.env.pass_ms(passed);
                self.tier.collect(self.epoch, now, GRACE_MS).await.unwrap();
            }
            _ => self.roll_elsewhere().await,
        }
        self.check().await;
    }

    async fn advance(&mut self, to: u64) {
        self.tier.advance_start(self.epoch, offset(to), DropReason::Retention).await.unwrap();
        if self.tier.summary().is_some() {
            self.log_start = self.log_start.max(to);
        }
    }

    /// A leader with another history from somewhere in the tier on.
    async fn diverge(&mut self) {
        let end = self.end();
        if end <= self.log_start {
            return;
        }
        let at = self.log_start + self.dice.roll(end - self.log_start) + 1;
        let kept = self.log.truncate(at);
        self.epoch = LeaderEpoch(self.epoch.0 + 1);
        self.log.epochs.push((self.epoch, offset(kept)));
        self.log.segment();
        self.restart();
        let summary = self.tier.load().await.unwrap().unwrap();
        // It may know of what is in the bucket alone that somebody else wrote it.
        let is_blind = kept < summary.end.get() && self.log.epochs.len() > 2 && self.dice.roll(2) == 0;
        if is_blind {
            let unknown = 1 + self.dice.roll(self.log.epochs.len() as u64 - 2) as usize;
            self.log.epochs.remove(unknown);
        }
        let cut = divergence(
            (&summary.lineage, summary.start, summary.end),
            (&self.log.epochs, offset(if is_blind { kept } else { 0 }), offset(self.log.end())),
        );
        let end = self.log.end();
        if kept < summary.end.get() {
            assert_eq!(cut, Some(offset(kept.max(summary.start.get()))));
            let sources = self.log.sources(kept, 9);
            let refused = self.tier.copy(self.epoch, sources, offset(self.log_start)).await;
            assert!(matches!(refused, Err(TierError::NotNext { .. })) || end <= kept, "{refused:?}");
        }
        if let Some(at) = cut {
            self.tier.cut(self.epoch, at, &self.log.epochs).await.unwrap();
            assert_eq!(self.end(), at.get().max(self.log_start));
            let cut = self.tier.summary().unwrap();
            let whole = (&self.log.epochs[..], Offset::ZERO, offset(self.log.end()));
            assert_eq!(divergence((&cut.lineage, cut.start, cut.end), whole), None);
        }
    }

    /// A new leader whose segments begin elsewhere.
    async fn roll_elsewhere(&mut self) {
        self.tier.load().await.unwrap();
        let end = self.end();
        let Some(inside) = self.log.batches.iter().rposition(|batch| batch.base < end) else { return };
        let first = self.log.batches[inside.saturating_sub(self.dice.roll(4) as usize)].base;
        self.log.segment();
        // One segment from before the tier's end to the log's.
        let kept: Vec<u64> = self.log.bases.iter().copied().filter(|base| *base <= first).collect();
        self.log.bases = kept;
        if self.log.bases.last() != Some(&first) {
            self.log.bases.push(first);
        }
        let source = self.log.source(first, self.log.end());
        if self.end() >= self.log_start || self.log_start >= first {
            self.tier.copy(self.epoch, vec![source], offset(self.log_start)).await.unwrap();
            assert_eq!(self.end(), self.log.end());
        }
    }

    /// Whatever can be asked is what the log says.
    async fn check(&mut self) {
        let Some(summary) = self.tier.load().await.unwrap() else { return };
        let (start, end) = (summary.log_start.max(summary.start).get(), summary.end.get());
        assert_eq!(summary.log_start.get(), self.log_start);
        if let Some((newest, _)) = summary.lineage.last() {
            let (wrote, _) = self.log.epochs.iter().rev().find(|(_, from)| from.get() < end).unwrap();
            assert_eq!(newest, wrote, "of the record before {end}");
        }
        let live =
            self.log.batches.iter().filter(|batch| batch.next > summary.start.get() && batch.next <= end);
        assert_eq!(summary.bytes, live.map(|batch| batch.bytes.len() as u64).sum::<u64>());
        let named = self.tier.named_now().await.unwrap();
        let keys: Vec<String> = self.bucket.objects().into_keys().collect();
        for id in named {
            assert!(keys.iter().any(|key| key.ends_with(&id.to_string())), "{id} is named and not there");
        }
        let mut at = start;
        while at < end {
            let (max, must) = (self.dice.roll(40_000) as usize, self.dice.roll(5) > 0);
            let read = self.tier.read(offset(at), max, must).await.unwrap();
            self.log.check_read(at, end, max, must, &read);
            let aborted = self.tier.aborted(offset(at), read.next_offset).await.unwrap();
            assert_eq!(aborted.transactions, self.log.aborted_in(at, read.next_offset.get(), end));
            at = if read.bytes.is_empty() { at + 1 } else { read.next_offset.get() };
            assert_eq!(
                self.tier.epoch_of(offset(at - 1)).await.unwrap(),
                self.log.epochs.iter().rev().find(|(_, from)| from.get() < at).map(|(epoch, _)| *epoch)
            );
        }
        for outside in [start.checked_sub(1), Some(end)].into_iter().flatten() {
            let answer = self.tier.read(offset(outside), 100, true).await;
            assert!(matches!(answer, Err(TierError::OutOfRange { .. })), "{answer:?}");
        }
        let now = self.log.now_ms;
        for _ in 0..3 {
            let time = now - self.dice.roll(8000) as i64 + 100;
            let found = self.tier.offset_for_timestamp(TimestampMs(time)).await.unwrap();
            assert_eq!(found, self.log.first_at(start, end, time), "at {time}");
        }
        assert_eq!(self.tier.max_timestamp().await.unwrap(), self.log.latest(start, end));
        if summary.segments > 0 {
            let state = self.tier.end_state().await.unwrap().unwrap();
            assert_eq!(state.end.get(), end);
            let told = (&state.epochs[..], summary.start, state.end);
            assert_eq!(divergence(told, (&self.log.epochs, Offset::ZERO, state.end)), None);
            if let Some(snapshot) = state.producer_snapshot {
                assert_eq!(snapshot, format!("snapshot-{end}"));
            }
        }
    }

    /// After the grace period the bucket has what is named and nothing else; after the topic, nothing.
    async fn end_of_life(&mut self) {
        self.epoch = self.log.new_epoch();
        self.restart();
        let end = self.end().max(self.log.end());
        if self.tier.load().await.unwrap().is_none() {
            return;
        }
        self.log.segment();
        let sources = self.log.sources(self.end(), usize::MAX);
        assert!(self.log.end() > end);
        let _ = self.tier.copy(self.epoch, sources, offset(self.log_start)).await;
        for _ in 0..2 {
            let now = self.env.pass_ms(2 * GRACE_MS as i64);
            self.tier.collect(self.epoch, now, GRACE_MS).await.unwrap();
        }
        self.check().await;
        if self.tier.summary().unwrap().fence.epoch == self.epoch {
            let named: BTreeSet<String> =
                self.tier.named_now().await.unwrap().iter().map(ToString::to_string).collect();
            let objects = self.bucket.objects();
            let ids = objects.keys().filter(|key| key.starts_with("segments/") || key.starts_with("pages/"));
            let there: BTreeSet<String> = ids.map(|key| key[key.len() - 32..].to_owned()).collect();
            assert_eq!(there, named, "nothing leaks");
        }
        self.tier.delete(self.epoch).await.unwrap();
        self.tier.delete(self.epoch).await.unwrap();
        let early = self.tier.collect(self.epoch, self.env.pass_ms(0), GRACE_MS).await.unwrap();
        assert!(!early.forgotten || self.bucket.objects().len() == 1);
        let mut rounds = 0;
        while !self
            .tier
            .collect(self.epoch, self.env.pass_ms(GRACE_MS as i64 + 1), GRACE_MS)
            .await
            .unwrap()
            .forgotten
        {
            rounds += 1;
            assert!(rounds < 5 || early.forgotten, "a deleted topic is forgotten in the end");
            if early.forgotten {
                break;
            }
        }
        assert_eq!(self.bucket.objects().into_keys().collect::<Vec<_>>(), ["owner"]);
        assert_eq!(self.tier.load().await.unwrap(), None);
    }
}

#[test]
fn a_tier_is_the_log_whatever_happens_to_it() {
    for seed in 0..60 {
        block_on(async {
            let mut life = Life::start(seed);
            for _ in 0..40 {
                life.step().await;
            }
            life.end_of_life().await;
        });
    }
}
