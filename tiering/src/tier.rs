//! A bucket as one cluster uses it.

use std::{fmt, sync::Arc};

use highwater_env::{BoxFuture, Env};
use highwater_records::{LeaderEpoch, TopicIdPartition};

use crate::{
    bucket::{
        SharedBucket,
        probe::{ProbeError, probe},
    },
    cache::{Cache, CacheFigures, Flights},
    error::TierError,
    name::{HEADS, parse_head_key},
    owner::{self, Owner},
    partition::PartitionTier,
};

/// Asks the controller whether a broker still leads, before something is destroyed for the first time in an epoch.
pub trait ConfirmLeadership: Send + Sync {
    /// Whether this broker leads `partition` in exactly this epoch, as the controller knows it *now*.
    fn confirm(&self, partition: TopicIdPartition, epoch: LeaderEpoch) -> BoxFuture<'_, bool>;
}

/// How a tier works.
#[derive(Clone)]
pub struct TierOptions {
    /// Logical bytes per chunk of the objects written: a power of two from 4 KiB to 64 MiB.
    pub chunk_bytes: u32,
    /// Memory for verified chunks, footers and pages, for all partitions together.
    pub cache_bytes: u64,
    /// Who knows whether this broker leads. `None` confirms everything: for one node and for tests.
    pub confirm: Option<Arc<dyn ConfirmLeadership>>,
    /// How large a head's lists grow.
    pub limits: HeadLimits,
}

/// How large a head's lists grow before they move to pages (`docs/format/head.md`). The defaults keep a head below
/// its 64 KiB; smaller ones are for tests.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Recent entries; at this many the oldest move to a page.
    pub recent_max: usize,
    /// Recent entries that stay then.
    pub recent_kept: usize,
    /// A page with fewer entries is replaced by one with more.
    pub page_entries: usize,
    /// Page references.
    pub pages_max: usize,
    /// Page references that then become one of the next level.
    pub pages_folded: usize,
    /// Dropped segments that stand in the head one by one, and dropped pages.
    pub dropped_max: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits {
            recent_max: 128,
            recent_kept: 32,
            page_entries: 900,
            pages_max: 96,
            pages_folded: 64,
            dropped_max: 64,
        }
    }
}

impl Default for TierOptions {
    fn default() -> TierOptions {
        TierOptions {
            chunk_bytes: 4 << 20,
            cache_bytes: 128 << 20,
            confirm: None,
            limits: HeadLimits::default(),
        }
    }
}

impl fmt::Debug for TierOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TierOptions")
            .field("chunk_bytes", &self.chunk_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A bucket as one cluster uses it. Shared by all partitions of a process.
pub struct Tier {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) bucket: SharedBucket,
    pub(crate) options: TierOptions,
    pub(crate) cache: Cache,
    /// Pieces on their way: who wants one that is being fetched waits for it.
    pub(crate) flights: Flights,
    pub(crate) owner: Owner,
    opened: tokio::sync::Mutex<Opened>,
}

/// What has been found out about the bucket; one caller asks, the others wait.
#[derive(Default)]
struct Opened {
    incarnation: Option<u32>,
    probed: bool,
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tier({})", self.bucket.describe())
    }
}

impl Tier {
    /// A tier that asks nothing of the bucket yet: whatever is done first makes sure of it (see [`Tier::ready`]).
    /// So a broker starts while its bucket is down.
    pub fn new(env: Arc<dyn Env>, bucket: SharedBucket, owner: Owner, options: TierOptions) -> Arc<Tier> {
        let cache = Cache::new(options.cache_bytes);
        let flights = Flights::default();
        Arc::new(Tier { env, bucket, options, cache, flights, owner, opened: tokio::sync::Mutex::default() })
    }

    /// [`Tier::new`], then [`Tier::ready`].
    ///
    /// # Errors
    /// As [`Tier::ready`].
    pub fn open(
        env: Arc<dyn Env>,
        bucket: SharedBucket,
        owner: Owner,
        options: TierOptions,
    ) -> BoxFuture<'static, Result<Arc<Tier>, TierError>> {
        Box::pin(async move {
            let tier = Tier::new(env, bucket, owner, options);
            tier.ready().await?;
            Ok(tier)
        })
    }

    /// Makes sure that the bucket is ours (its owner object is read, or written where there is none) and that it keeps
    /// the conditions heads need (the probe). Cheap once it has succeeded.
    ///
    /// # Errors
    /// [`TierError::Refused`] when it is another cluster's or fails the probe, [`TierError::Retry`] when it does not
    /// answer.
    pub fn ready(&self) -> BoxFuture<'_, Result<(), TierError>> {
        Box::pin(async move { self.incarnation_for_changes().await.map(drop) })
    }

    /// The cluster's incarnation, for reading: the owner is known to be us.
    pub(crate) async fn incarnation(&self) -> Result<u32, TierError> {
        let mut opened = self.opened.lock().await;
        self.claimed(&mut opened).await
    }

    /// The cluster's incarnation, for changing: the store has been probed as well.
    pub(crate) async fn incarnation_for_changes(&self) -> Result<u32, TierError> {
        let mut opened = self.opened.lock().await;
        let incarnation = self.claimed(&mut opened).await?;
        if !opened.probed {
            probe(&*self.env, &*self.bucket).await.map_err(|error| match error {
                ProbeError::Unreachable(error) => TierError::retry(error),
                ProbeError::Unfit(_) => TierError::refused(error),
            })?;
            opened.probed = true;
        }
        Ok(incarnation)
    }

    async fn claimed(&self, opened: &mut Opened) -> Result<u32, TierError> {
        if let Some(incarnation) = opened.incarnation {
            return Ok(incarnation);
        }
        let incarnation = owner::claim(&*self.bucket, &self.owner, self.env.wall_ms()).await?;
        opened.incarnation = Some(incarnation);
        Ok(incarnation)
    }

    /// One partition's tier. Asks nothing of the bucket. Whoever leads or follows the partition keeps this one value;
    /// several of them do no harm, but each knows only what it has read or written itself.
    pub fn partition(
        self: &Arc<Tier>,
        partition: TopicIdPartition,
        topic_name: &str,
        config_version: u64,
    ) -> Arc<PartitionTier> {
        Arc::new(PartitionTier::new(self.clone(), partition, topic_name, config_version))
    }

    /// Every partition that has a head, tombstones included, by listing: for a restore, and for finding what a crash
    /// between deleting a topic and its tombstones has left.
    ///
    /// # Errors
    /// [`TierError::Retry`], [`TierError::Refused`].
    pub fn heads(&self) -> BoxFuture<'_, Result<Vec<TopicIdPartition>, TierError>> {
        Box::pin(async move {
            self.incarnation().await?;
            let keys = self.bucket.list(HEADS).await?;
            Ok(keys.iter().filter_map(|(key, _)| parse_head_key(key)).collect())
        })
    }

    /// How the memory for pieces of objects is doing.
    pub fn cache_figures(&self) -> CacheFigures {
        self.cache.figures()
    }

    /// Where the bucket is, for people.
    pub fn describe(&self) -> String {
        self.bucket.describe()
    }
}
