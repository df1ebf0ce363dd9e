//! One partition in the bucket.

mod apply;
mod change;
mod collect;
mod copy;
mod fold;
mod lineage;
mod read;
mod retain;
mod time;
mod transactions;
mod view;

pub use collect::Collected;
pub use lineage::divergence;
pub use read::TierRead;
pub use transactions::TierAborted;

use highwater_env::BoxFuture;
use std::{collections::BTreeSet, fmt, sync::Arc};

use bytes::Bytes;
use highwater_records::{LeaderEpoch, Offset, TopicIdPartition};
use parking_lot::Mutex;

use crate::{
    bucket::{BucketErrorKind, Tag},
    error::TierError,
    head::{
        Head, TierState,
        dropped::{Dropped, DroppedObjects},
    },
    name::{Digest, Fence, ObjectId, head_key},
    tier::Tier,
};

/// One partition in the bucket. Three kinds of calls:
/// - `load` and `summary` tell what is there; `load` asks the bucket, `summary` does not.
/// - `read`, `aborted`, `offset_for_timestamp`, `max_timestamp`, `epoch_of` and `end_state` serve readers. They use the head that
///   was read or written last, and read it (again) where there is none or where an object it names is gone.
/// - `copy`, `advance_start`, `cut`, `delete` and `collect` change the head. They carry the caller's leader epoch, run
///   one after the other, and are for the leader only.
pub struct PartitionTier {
    tier: Arc<Tier>,
    id: TopicIdPartition,
    topic: (String, u64),
    /// The newest head this process has seen; `Some(None)` once it is known that there is none.
    seen: Mutex<Option<Option<Arc<Known>>>>,
    /// One head change at a time.
    turn: tokio::sync::Mutex<Turn>,
    /// One copy at a time; uploads do not keep other changes waiting.
    copying: tokio::sync::Mutex<()>,
}

/// A head as it is in the bucket.
#[derive(Debug)]
struct Known {
    head: Head,
    digest: Digest,
    tag: Tag,
}

/// What a head change knows and leaves to the next one.
#[derive(Default)]
struct Turn {
    /// The head in the bucket, unless an unsettled change has left it open.
    base: Base,
    /// The epoch in which the controller has confirmed that we lead.
    confirmed: Option<LeaderEpoch>,
    /// Objects of ours that no head may name.
    strays: BTreeSet<ObjectId>,
    /// Dropped entries whose objects are gone; the next change forgets them.
    gone: Vec<Dropped>,
    /// The fence under which orphans were looked for.
    scanned: Option<Fence>,
}

impl Turn {
    /// `head` is in the bucket: what it names has not gone astray. What a later change of the same kind has
    /// replaced already is looked for by the next collection.
    fn named(&mut self, head: &Head) {
        for entry in &head.recent {
            self.strays.remove(&entry.name.id);
        }
        let dropped = head.dropped.iter().filter_map(|dropped| match &dropped.what {
            DroppedObjects::Page { page, .. } => Some(page),
            DroppedObjects::Segment(_) => None,
        });
        for page in head.pages.iter().chain(dropped) {
            self.strays.remove(&page.name.id);
        }
    }
}

#[derive(Clone, Default)]
enum Base {
    #[default]
    Unread,
    Absent,
    Known(Arc<Known>),
}

/// A partition's tier at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierSummary {
    /// What may be done.
    pub state: TierState,
    /// Lowest offset a client may read (inclusive), as of the last head change.
    pub log_start: Offset,
    /// First offset in the tier (inclusive).
    pub start: Offset,
    /// The tiered end: everything in `[start, end)` is in the bucket (exclusive).
    pub end: Offset,
    /// Logical bytes of `[start, end)`.
    pub bytes: u64,
    /// Live segments; each is one object.
    pub segments: u64,
    /// Who wrote the head. A new leader's epoch must not be lower.
    pub fence: Fence,
    /// The head's version, for followers that want to know whether it changed.
    pub version: u64,
    /// Leader epochs and where they start, ascending; at most the newest 512.
    pub lineage: Vec<(LeaderEpoch, Offset)>,
    /// Entries that are dropped and not yet deleted.
    pub dropped: usize,
    /// What retention by time compares of the oldest live segment, in milliseconds since 1970. `None` where there is none,
    /// or a page names it.
    pub oldest_ms: Option<i64>,
}

/// What a log continues with that restarts at the tiered end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndState {
    /// The tiered end (exclusive).
    pub end: Offset,
    /// Leader epochs and where they start, ascending.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
    /// Kafka's producer snapshot at `end`; `None` where the tier was cut inside a segment, so that none is known.
    pub producer_snapshot: Option<Bytes>,
}

impl fmt::Debug for PartitionTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionTier({})", self.id)
    }
}

impl PartitionTier {
    pub(crate) fn new(
        tier: Arc<Tier>,
        id: TopicIdPartition,
        topic_name: &str,
        config_version: u64,
    ) -> PartitionTier {
        PartitionTier {
            tier,
            id,
            topic: (topic_name.to_owned(), config_version),
            seen: Mutex::new(None),
            turn: tokio::sync::Mutex::default(),
            copying: tokio::sync::Mutex::default(),
        }
    }

    /// Which partition.
    pub fn id(&self) -> TopicIdPartition {
        self.id
    }

    /// Reads the head: one GET. `None` if there is none.
    ///
    /// # Errors
    /// [`TierError::Retry`] when the store does not answer, [`TierError::Refused`] for another cluster's bucket or a
    /// newer format, [`TierError::Corrupt`] for a damaged head.
    pub fn load(&self) -> BoxFuture<'_, Result<Option<TierSummary>, TierError>> {
        Box::pin(async move {
            let mut turn = self.turn.lock().await;
            turn.base = Base::Unread;
            self.tier.incarnation().await?;
            self.read_head(&mut turn).await?;
            Ok(self.summary())
        })
    }

    /// What was read or written last, without asking the bucket. `None` if nothing was, or there is no head.
    pub fn summary(&self) -> Option<TierSummary> {
        self.seen.lock().as_ref()?.as_ref().map(|known| TierSummary::of(&known.head))
    }

    /// What a log continues with that restarts empty at the tiered end; `None` where the tier holds nothing.
    ///
    /// # Errors
    /// As [`PartitionTier::read`].
    pub fn end_state(&self) -> BoxFuture<'_, Result<Option<EndState>, TierError>> {
        Box::pin(async move {
            let Some(known) = self.known().await? else { return Ok(None) };
            let Some(last) = self
                .find(
                    &known.head,
                    Offset::new(known.head.end.get().saturating_sub(1)).unwrap_or_default(),
                    None,
                )
                .await?
            else {
                return Ok(None);
            };
            let footer = self.tier.footer(self.id, &last).await?;
            // Who wrote the object may have had another history than who has cut the tier since.
            let epochs = lineage::replaced(&footer.epochs, &known.head.lineage, last.end);
            let whole = last.end == last.next;
            Ok(Some(EndState {
                end: last.end,
                epochs,
                producer_snapshot: whole.then(|| footer.producer_snapshot.clone()),
            }))
        })
    }

    /// The leader epoch of the record at `offset`; `None` where it is not known.
    ///
    /// # Errors
    /// As [`PartitionTier::read`].
    pub fn epoch_of(&self, offset: Offset) -> BoxFuture<'_, Result<Option<LeaderEpoch>, TierError>> {
        Box::pin(async move {
            let Some(known) = self.known().await? else { return Ok(None) };
            if offset < known.head.start || offset >= known.head.end {
                return Ok(None);
            }
            if let Some(epoch) = known.head.epoch_of(offset) {
                return Ok(Some(epoch));
            }
            let Some(entry) = self.find(&known.head, offset, None).await? else { return Ok(None) };
            let footer = self.tier.footer(self.id, &entry).await?;
            Ok(footer.epochs.iter().rev().find(|(_, start)| *start <= offset).map(|(epoch, _)| *epoch))
        })
    }

    /// The newest head seen, read if none was.
    async fn known(&self) -> Result<Option<Arc<Known>>, TierError> {
        if let Some(seen) = &*self.seen.lock() {
            return Ok(seen.clone());
        }
        self.load().await?;
        Ok(self.seen.lock().clone().flatten())
    }

    /// Reads the head into `turn` and remembers it for readers.
    async fn read_head(&self, turn: &mut Turn) -> Result<(), TierError> {
        turn.base = match self.fetch_head().await? {
            None => Base::Absent,
            Some(known) => Base::Known(known),
        };
        self.show(turn);
        Ok(())
    }

    fn show(&self, turn: &Turn) {
        *self.seen.lock() = match &turn.base {
            // Readers go on with what was known; nothing that was live is gone.
            Base::Unread => return,
            Base::Absent => Some(None),
            Base::Known(known) => Some(Some(known.clone())),
        };
    }

    async fn fetch_head(&self) -> Result<Option<Arc<Known>>, TierError> {
        let key = head_key(self.id);
        let mut failed = TierError::retry("not tried");
        // Twice: bytes may be wrong on the way only.
        for _ in 0..2 {
            let (bytes, tag) = match self.tier.bucket.get(&key).await {
                Ok(answer) => answer,
                Err(error) if error.kind == BucketErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            match Head::decode(&bytes) {
                Ok((head, _))
                    if head.cluster_id != self.tier.owner.cluster_id || head.partition != self.id =>
                {
                    return Err(TierError::refused(format!(
                        "{key} is the head of {} in the cluster {:?}",
                        head.partition, head.cluster_id
                    )));
                }
                Ok((head, digest)) => return Ok(Some(Arc::new(Known { head, digest, tag }))),
                Err(error) => failed = TierError::format(&key, &error),
            }
        }
        Err(failed)
    }
}

impl TierSummary {
    fn of(head: &Head) -> TierSummary {
        TierSummary {
            state: head.state,
            log_start: head.log_start,
            start: head.start,
            end: head.end,
            bytes: head.bytes,
            segments: head.segments,
            fence: head.fence,
            version: head.version,
            lineage: head.lineage.clone(),
            dropped: head.dropped.len(),
            oldest_ms: if head.pages.is_empty() {
                head.recent.first().map(|entry| entry.newest_ms())
            } else {
                None
            },
        }
    }
}
