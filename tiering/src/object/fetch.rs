//! Pieces of objects, verified before anybody sees them.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use highwater_env::{EnvExt, Lane};
use highwater_records::TopicIdPartition;

use super::footer::{FOOTER_BYTES_MAX, Footer};
use crate::{
    bucket::BucketErrorKind,
    cache::{Piece, Verified},
    error::TierError,
    head::{
        entry::SegmentEntry,
        page::{PageContent, PageRef},
    },
    name::{Digest, Kind},
    tier::Tier,
};

/// How often bytes that are wrong are fetched again: they may be wrong on the way only.
const TRIES: usize = 2;

impl Tier {
    /// The footer of a segment object.
    pub(crate) async fn footer(
        &self,
        partition: TopicIdPartition,
        entry: &SegmentEntry,
    ) -> Result<Arc<Footer>, TierError> {
        let piece = Piece::Footer(entry.name.id);
        if let Some(Verified::Footer(footer)) = self.cache.get(piece) {
            return Ok(footer);
        }
        let key = entry.name.key(Kind::Segment, partition);
        if entry.store != 0 || entry.key != 0 {
            return Err(TierError::refused(format!("{key} is encrypted or in another store")));
        }
        if entry.footer_bytes > FOOTER_BYTES_MAX {
            return Err(corrupt(&key, "its footer is too large"));
        }
        let range = entry.object_bytes - u64::from(entry.footer_bytes)..entry.object_bytes;
        let digest = entry.footer_digest;
        let bytes = self.verified(&key, vec![(range, digest)]).await?.remove(0);
        let footer = Footer::decode(&bytes, digest).map_err(|error| TierError::format(&key, &error))?;
        let same = footer.partition == partition
            && footer.name == entry.name
            && footer.next == entry.next
            && footer.logical_bytes == entry.logical_bytes
            && footer.logical_bytes + u64::from(entry.footer_bytes) == entry.object_bytes;
        if !same {
            return Err(corrupt(&key, "its footer is another object's"));
        }
        let footer = Arc::new(footer);
        self.cache.put(piece, Verified::Footer(footer.clone()));
        Ok(footer)
    }

    /// The chunks with these numbers; those that are not in memory come with one request.
    pub(crate) async fn chunks(
        &self,
        partition: TopicIdPartition,
        entry: &SegmentEntry,
        footer: &Footer,
        numbers: Range<usize>,
    ) -> Result<Vec<Bytes>, TierError> {
        let cached = |number: usize| match self.cache.get(Piece::Chunk(entry.name.id, number as u32)) {
            Some(Verified::Chunk(bytes)) => Some(bytes),
            _ => None,
        };
        let mut chunks: Vec<Option<Bytes>> = numbers.clone().map(cached).collect();
        let absent = |chunks: &[Option<Bytes>]| -> Vec<usize> {
            numbers.clone().filter(|number| chunks[number - numbers.start].is_none()).collect()
        };
        let Some(first) = absent(&chunks).first().copied() else {
            return Ok(chunks.into_iter().flatten().collect());
        };
        let fetch = async {
            for number in absent(&chunks) {
                chunks[number - numbers.start] = cached(number);
            }
            let missing = absent(&chunks);
            if missing.is_empty() {
                return Ok::<(), TierError>(());
            }
            let place = |number: &usize| {
                let chunk = &footer.chunks[*number];
                (chunk.position..chunk.position + u64::from(chunk.length), chunk.digest)
            };
            let key = entry.name.key(Kind::Segment, partition);
            let fetched = self.verified(&key, missing.iter().map(place).collect()).await?;
            for (number, bytes) in missing.into_iter().zip(fetched) {
                self.cache.put(Piece::Chunk(entry.name.id, number as u32), Verified::Chunk(bytes.clone()));
                chunks[number - numbers.start] = Some(bytes);
            }
            Ok(())
        };
        self.flights.one_at_a_time(Piece::Chunk(entry.name.id, first as u32), fetch).await?;
        Ok(chunks.into_iter().flatten().collect())
    }

    /// The content of a page.
    pub(crate) async fn page(
        &self,
        partition: TopicIdPartition,
        named: &PageRef,
    ) -> Result<Arc<PageContent>, TierError> {
        let piece = Piece::Page(named.name.id);
        if let Some(Verified::Page(page)) = self.cache.get(piece) {
            return Ok(page);
        }
        let key = named.name.key(Kind::Page, partition);
        let range = 0..u64::from(named.object_bytes);
        let bytes = self.verified(&key, vec![(range, named.digest)]).await?.remove(0);
        let page = PageContent::decode(&bytes, partition, named);
        let page = Arc::new(page.map_err(|error| TierError::format(&key, &error))?);
        self.cache.put(piece, Verified::Page(page.clone()));
        Ok(page)
    }

    /// Ranges of an object, each with the right digest.
    async fn verified(&self, key: &str, places: Vec<(Range<u64>, Digest)>) -> Result<Vec<Bytes>, TierError> {
        let (ranges, digests): (Vec<Range<u64>>, Vec<Digest>) = places.into_iter().unzip();
        let mut wrong = TierError::retry("not tried");
        for _ in 0..TRIES {
            let parts = match self.bucket.get_ranges(key, &ranges).await {
                Ok(parts) => parts,
                // Asked once more, since a store that lists late or lies may have it after all.
                Err(error) if error.kind == BucketErrorKind::NotFound => {
                    wrong = error.into();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let (length, digests) = (ranges.len(), digests.clone());
            let check = move || {
                let right = parts.len() == length
                    && parts.iter().zip(&digests).all(|(part, digest)| Digest::of(part) == *digest);
                right.then_some(parts)
            };
            match self.env.run_blocking(Lane::ColdRead, check).await {
                Ok(Some(parts)) => return Ok(parts),
                Ok(None) => wrong = corrupt(key, "its digest differs"),
                Err(error) => return Err(TierError::retry(error)),
            }
        }
        Err(wrong)
    }
}

fn corrupt(key: &str, detail: &str) -> TierError {
    TierError::Corrupt { object: key.to_owned(), detail: detail.to_owned() }
}
