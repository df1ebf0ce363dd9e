//! Sealed segments to the bucket.

use highwater_env::BoxFuture;
use highwater_records::{LeaderEpoch, Offset};

use super::{Base, PartitionTier, TierSummary, Turn, apply::Change, divergence};
use crate::{
    bucket::BucketErrorKind,
    error::TierError,
    head::{TierState, entry::SegmentEntry},
    name::{Fence, Kind, ObjectId, ObjectName},
    object::upload::{SegmentSource, Upload, UploadFailed},
};

impl PartitionTier {
    /// Uploads `segments`, which must be in order, without gaps, sealed, synced and below every bound, and names them
    /// all in one head change. `log_start` (inclusive) is recorded with it. What of the first segment is in the
    /// tier already is not counted twice; a segment that is there as a whole is skipped.
    ///
    /// When this returns `Ok`, the segments are in the bucket for good and any replica may drop its copy. After an
    /// error nothing local may be dropped; call it again with what continues the tier then.
    ///
    /// # Errors
    /// [`TierError::Retry`], [`TierError::Fenced`], [`TierError::NotNext`] when they do not continue the tier (also when
    /// its leader epochs contradict theirs: see [`PartitionTier::cut`]), [`TierError::BadSegment`],
    /// [`TierError::Refused`].
    pub fn copy(
        &self,
        epoch: LeaderEpoch,
        segments: Vec<SegmentSource>,
        log_start: Offset,
    ) -> BoxFuture<'_, Result<Option<TierSummary>, TierError>> {
        Box::pin(async move {
            let _copying = self.copying.lock().await;
            let fence = Fence { incarnation: self.tier.incarnation_for_changes().await?, epoch };
            let mut end = self.end_for_copy(fence, &segments).await?;
            let mut entries: Vec<SegmentEntry> = Vec::with_capacity(segments.len());
            let mut epochs = Vec::new();
            for source in segments {
                let from = match end {
                    Some(end) => end,
                    None if source.base_offset <= log_start => source.base_offset,
                    // A tier that began above the log start would have a hole below it.
                    None => return Err(TierError::NotNext { base: source.base_offset, end: log_start }),
                };
                if source.next_offset <= from {
                    continue;
                }
                if source.base_offset > from || source.base_offset >= source.next_offset {
                    return Err(TierError::NotNext { base: source.base_offset, end: from });
                }
                end = Some(source.next_offset);
                epochs.clone_from(&source.epochs);
                entries.push(self.upload(fence, source, from).await?);
            }
            if entries.is_empty() {
                return Ok(self.summary());
            }
            let mut turn = self.turn.lock().await;
            self.change(&mut turn, epoch, &Change::Copy { entries: &entries, epochs: &epochs, log_start })
                .await?;
            Ok(self.summary())
        })
    }

    /// Where the tier ends, if it has a head; and whether this writer may continue it with these segments.
    async fn end_for_copy(
        &self,
        fence: Fence,
        segments: &[SegmentSource],
    ) -> Result<Option<Offset>, TierError> {
        let mut turn = self.turn.lock().await;
        if matches!(turn.base, Base::Unread) {
            self.read_head(&mut turn).await?;
        }
        let Base::Known(known) = &turn.base else { return Ok(None) };
        let head = &known.head;
        if head.fence > fence {
            return Err(TierError::Fenced { by: head.fence });
        }
        if head.state != TierState::Live {
            return Err(TierError::refused("the tier is read-only, or its topic was deleted"));
        }
        if let Some(last) = segments.last() {
            let log = (&last.epochs[..], Offset::ZERO, last.next_offset);
            if let Some(at) = divergence((&head.lineage, head.start, head.end), log) {
                return Err(TierError::NotNext { base: at, end: head.end });
            }
        }
        Ok(Some(head.end))
    }

    async fn upload(
        &self,
        fence: Fence,
        source: SegmentSource,
        start: Offset,
    ) -> Result<SegmentEntry, TierError> {
        let base = source.base_offset;
        let name = ObjectName { base, fence, id: ObjectId::draw(&*self.tier.env) };
        let key = name.key(Kind::Segment, self.id);
        self.stray(name.id).await;
        let (env, chunk_bytes) = (self.tier.env.clone(), self.tier.options.chunk_bytes);
        let mut upload = Upload::new(env, source, self.id, name, start, chunk_bytes);
        let put = self.tier.bucket.put(&key, &mut upload).await;
        let unknown = match put {
            Ok(()) => None,
            // Perhaps it is there: reading the footer back tells.
            Err(error) if error.kind == BucketErrorKind::Unknown => Some(error),
            Err(error) if error.kind == BucketErrorKind::Pieces => Some(error),
            Err(error) => return Err(error.into()),
        };
        let (entry, _) = match upload.finish() {
            Ok(done) => done,
            Err(Some(UploadFailed::Damaged(damage))) => {
                let (position, detail) = (damage.position, damage.detail);
                return Err(TierError::BadSegment { base, position, detail });
            }
            Err(Some(UploadFailed::Read(detail))) => {
                return Err(TierError::retry(format!(
                    "the local segment from {base} cannot be read: {detail}"
                )));
            }
            Err(None) => {
                return Err(TierError::retry(
                    unknown.map_or("a put ended early".to_owned(), |it| it.to_string()),
                ));
            }
        };
        // Whatever the store has answered, only what can be read back may be named.
        match self.tier.footer(self.id, &entry).await {
            Ok(_) => Ok(entry),
            Err(error @ (TierError::Corrupt { .. } | TierError::Missing { .. })) => {
                Err(TierError::retry(format!("what was uploaded cannot be read back: {error}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Notes an object that no head names yet.
    async fn stray(&self, id: ObjectId) {
        let turn: &mut Turn = &mut *self.turn.lock().await;
        turn.strays.insert(id);
    }
}
