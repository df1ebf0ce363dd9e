//! A sealed segment as the pieces of an object.

use std::sync::Arc;

use bytes::Bytes;
use highwater_engine::{
    AbortedTransaction, decode_transaction_index,
    disk::{DiskFile, read_exact_at},
};
use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use highwater_records::{LeaderEpoch, Offset, TopicIdPartition};

use super::{
    footer::{Chunk, FOOTER_BYTES_MAX, Footer},
    walk::{Damage, SegmentWalk},
};
use crate::{
    bucket::{PieceFailed, Pieces},
    head::entry::SegmentEntry,
    name::{Digest, ObjectName},
};

/// A sealed and synced local segment that lies wholly below every bound, to be copied.
#[derive(Clone, Debug)]
pub struct SegmentSource {
    /// Offset of its first record (inclusive), its file's name.
    pub base_offset: Offset,
    /// One past its last record.
    pub next_offset: Offset,
    /// The `.log` file. It must not change, and stay readable until the copy is over.
    pub log: Arc<dyn DiskFile>,
    /// Bytes of the file that are the segment.
    pub log_len: u64,
    /// When the file was last written, in milliseconds since 1970: what retention by time uses if no record has a
    /// timestamp.
    pub modified_ms: i64,
    /// Kafka's `.txnindex`, empty if there is none.
    pub transaction_index: Bytes,
    /// Kafka's `.snapshot`: the state of the producers at `next_offset`.
    pub producer_snapshot: Bytes,
    /// Leader epochs and where they start, up to `next_offset`, ascending.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
}

/// Reads, checks and digests a segment chunk by chunk, then produces the footer.
pub(crate) struct Upload {
    env: Arc<dyn Env>,
    source: SegmentSource,
    partition: TopicIdPartition,
    name: ObjectName,
    start: Offset,
    chunk_bytes: u32,
    position: u64,
    chunks: Vec<Chunk>,
    walk: Option<SegmentWalk>,
    done: Option<(SegmentEntry, Footer)>,
    failed: Option<UploadFailed>,
}

/// Why the pieces ended early.
#[derive(Clone, Debug)]
pub(crate) enum UploadFailed {
    /// The file could not be read.
    Read(String),
    /// The segment is damaged.
    Damaged(Damage),
}

impl Upload {
    /// An object for what of `source` is at or above `start`.
    pub(crate) fn new(
        env: Arc<dyn Env>,
        source: SegmentSource,
        partition: TopicIdPartition,
        name: ObjectName,
        start: Offset,
        chunk_bytes: u32,
    ) -> Upload {
        let walk = SegmentWalk::new(source.base_offset, source.next_offset, start);
        Upload {
            env,
            source,
            partition,
            name,
            start,
            chunk_bytes,
            position: 0,
            chunks: Vec::new(),
            walk: Some(walk),
            done: None,
            failed: None,
        }
    }

    /// The entry and the footer, once every piece has been produced; else what went wrong.
    pub(crate) fn finish(self) -> Result<(SegmentEntry, Footer), Option<UploadFailed>> {
        self.done.ok_or(self.failed)
    }

    async fn produce(&mut self) -> Result<Option<Bytes>, UploadFailed> {
        if self.done.is_some() {
            return Ok(None);
        }
        let Some(mut walk) = self.walk.take() else {
            return Err(UploadFailed::Read("it was given up before".to_owned()));
        };
        if self.position == self.source.log_len {
            return self.footer(walk).map(Some);
        }
        let length = (self.source.log_len - self.position).min(self.chunk_bytes.into());
        let (log, position) = (self.source.log.clone(), self.position);
        let work = move || {
            let mut bytes = vec![0; length as usize];
            read_exact_at(&*log, &mut bytes, position)
                .map_err(|error| UploadFailed::Read(error.to_string()))?;
            walk.feed(&bytes).map_err(UploadFailed::Damaged)?;
            Ok((Digest::of(&bytes), Bytes::from(bytes), walk))
        };
        let done = self.env.run_blocking(Lane::Background, work).await;
        let (digest, bytes, walk) = done.map_err(|error| UploadFailed::Read(error.to_string()))??;
        self.chunks.push(Chunk { position, length: length as u32, digest });
        self.position += length;
        self.walk = Some(walk);
        Ok(Some(bytes))
    }

    fn footer(&mut self, walk: SegmentWalk) -> Result<Bytes, UploadFailed> {
        let walked = walk.finish().map_err(UploadFailed::Damaged)?;
        self.check_transactions()?;
        let footer = Footer {
            partition: self.partition,
            name: self.name,
            next: self.source.next_offset,
            logical_bytes: self.source.log_len,
            chunk_bytes: self.chunk_bytes,
            key: 0,
            wrapped_key: Bytes::new(),
            chunks: std::mem::take(&mut self.chunks),
            offset_index: walked.offset_index,
            time_index: walked.time_index,
            transaction_index: self.source.transaction_index.clone(),
            producer_snapshot: self.source.producer_snapshot.clone(),
            epochs: self.source.epochs.clone(),
        };
        let (bytes, footer_digest) = footer.encode();
        if bytes.len() > FOOTER_BYTES_MAX as usize {
            return Err(UploadFailed::Damaged(Damage {
                position: self.position,
                detail: format!("its indexes and producer state take {} bytes", bytes.len()),
            }));
        }
        let entry = SegmentEntry {
            name: self.name,
            next: self.source.next_offset,
            start: self.start,
            end: self.source.next_offset,
            store: 0,
            key: 0,
            object_bytes: self.source.log_len + bytes.len() as u64,
            logical_bytes: self.source.log_len,
            live_bytes: walked.live_bytes,
            footer_bytes: bytes.len() as u32,
            footer_digest,
            newest: walked.newest,
            modified_ms: self.source.modified_ms,
        };
        self.done = Some((entry, footer));
        Ok(bytes)
    }
}

impl Upload {
    /// The one index that cannot be made from the segment alone: a transaction may have begun before it.
    fn check_transactions(&self) -> Result<(), UploadFailed> {
        let damaged = |detail: &str| {
            UploadFailed::Damaged(Damage { position: self.position, detail: detail.to_owned() })
        };
        let entries = decode_transaction_index(&self.source.transaction_index).map_err(damaged)?;
        let inside = |entry: &AbortedTransaction| {
            entry.last_offset >= self.source.base_offset && entry.last_offset < self.source.next_offset
        };
        if entries.iter().all(inside) {
            Ok(())
        } else {
            Err(damaged("its transaction index names markers of other segments"))
        }
    }
}

impl Pieces for Upload {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, PieceFailed>> {
        Box::pin(async move {
            self.produce().await.map_err(|failed| {
                self.failed = Some(failed);
                PieceFailed
            })
        })
    }

    fn size_hint(&self) -> u64 {
        // A 256th of the segment is what indexes of 20 bytes for each 4 KiB come to, and then some.
        self.source.log_len + self.source.log_len / 128 + self.source.producer_snapshot.len() as u64 + 4096
    }
}
