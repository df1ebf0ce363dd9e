use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    path::Path,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use highwater_engine::disk::{Disk, DiskFile, Open, read_exact_at};

use super::Bug;
use crate::{
    batch::{Batches, SeenBatch},
    history::Promise,
};

/// One partition in one file.
pub(super) struct ModelLog {
    file: Arc<dyn DiskFile>,
    promise: Promise,
    batches: Vec<(SeenBatch, Bytes)>,
    size: u64,
    /// Everything below is synced.
    durable: u64,
    /// Next sequence, and where the last batch lies, per producer.
    producers: BTreeMap<(i64, i16), (i32, u64, u32)>,
    bug: Option<Bug>,
}

/// Why a batch was not appended.
pub(super) enum Refusal {
    Sequence(i32),
    Disk(io::Error),
}

impl ModelLog {
    /// Opens a log and cuts its torn tail.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        promise: Promise,
        bug: Option<Bug>,
    ) -> io::Result<ModelLog> {
        let file = disk.open(path, Open::Create)?;
        if let Some(parent) = path.parent() {
            disk.sync_dir(parent)?;
        }
        let mut bytes = vec![0; file.len()? as usize];
        read_exact_at(&*file, &mut bytes, 0)?;
        let bytes = Bytes::from(bytes);
        let mut log = ModelLog {
            file,
            promise,
            batches: Vec::new(),
            size: 0,
            durable: 0,
            producers: BTreeMap::new(),
            bug,
        };
        let mut seen = Batches::parse(&bytes).good;
        if bug == Some(Bug::CutOneBatchAtStart) {
            seen.pop();
        }
        let mut next = 0;
        for batch in seen {
            // After a power cut sectors may be older than their neighbours.
            if batch.base != next {
                break;
            }
            next = batch.last + 1;
            let at = log.size as usize;
            let bytes = bytes.slice(at..at + batch.size);
            if bug != Some(Bug::ForgetProducers) {
                log.remember(&bytes, batch.base);
            }
            log.size += batch.size as u64;
            log.batches.push((batch, bytes));
        }
        if bug == Some(Bug::SkipTornBatch) {
            log.pretend_to_have(&bytes);
        }
        log.file.set_len(log.size)?;
        log.file.sync_data()?;
        log.durable = log.end();
        Ok(log)
    }

    /// The bug: whatever follows a torn batch and looks like one is taken, at its old offset.
    fn pretend_to_have(&mut self, bytes: &Bytes) {
        let mut position = self.size as usize;
        while position < bytes.len() {
            match SeenBatch::parse(&bytes[position..]) {
                Ok(batch) => {
                    self.batches.push((batch, bytes.slice(position..position + batch.size)));
                    position += batch.size;
                }
                Err(_) => position += 1,
            }
        }
    }

    pub(super) fn promise(&self) -> Promise {
        self.promise
    }

    pub(super) fn end(&self) -> u64 {
        self.batches.last().map_or(0, |(batch, _)| batch.last + 1)
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) fn watermark(&self) -> u64 {
        match self.promise {
            Promise::Synced if self.bug != Some(Bug::WatermarkBeyondDurable) => self.durable,
            _ => self.end(),
        }
    }

    pub(super) fn file(&self) -> Arc<dyn DiskFile> {
        self.file.clone()
    }

    pub(super) fn synced_to(&mut self, end: u64) {
        self.durable = self.durable.max(end);
    }

    /// Appends a batch, unless it is there already; returns its base offset and the offset after it.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(u64, u64), Refusal> {
        let seen = SeenBatch::parse(bytes).map_err(|why| Refusal::Disk(io::Error::other(why)))?;
        let count = (seen.last - seen.base + 1) as u32;
        if let Some((id, sequence)) = producer(bytes) {
            match self.producers.get(&id) {
                Some((_, base, last_count)) if self.is_known(id, sequence, *last_count) => {
                    return Ok((*base, base + u64::from(*last_count)));
                }
                Some((next, ..)) if *next != sequence && self.bug != Some(Bug::AppendDuplicates) => {
                    return Err(Refusal::Sequence(*next));
                }
                None if sequence != 0 && self.bug != Some(Bug::ForgetProducers) => {
                    return Err(Refusal::Sequence(0));
                }
                _ => {}
            }
        }
        let base = if self.bug == Some(Bug::ReuseOffsets) && self.batches.len() % 7 == 6 {
            self.batches.last().map_or(0, |(batch, _)| batch.base)
        } else {
            self.end()
        };
        let mut stamped = BytesMut::from(bytes);
        stamped[..8].copy_from_slice(&base.to_be_bytes());
        stamped[12..16].fill(0);
        self.file.write_at(&[IoSlice::new(&stamped)], self.size).map_err(Refusal::Disk)?;
        self.size += stamped.len() as u64;
        self.remember(&stamped, base);
        let stamped = stamped.freeze();
        let batch = SeenBatch { base, last: base + u64::from(count) - 1, epoch: 0, ..seen };
        self.batches.push((batch, stamped));
        Ok((base, base + u64::from(count)))
    }

    /// Whether the batch is the producer's last one, sent again.
    fn is_known(&self, id: (i64, i16), sequence: i32, count: u32) -> bool {
        let next = self.producers.get(&id).map(|(next, ..)| *next);
        self.bug != Some(Bug::AppendDuplicates) && next == Some(sequence + count as i32)
    }

    fn remember(&mut self, bytes: &[u8], base: u64) {
        let count = u32::from_be_bytes([bytes[57], bytes[58], bytes[59], bytes[60]]);
        if let Some((id, sequence)) = producer(bytes) {
            self.producers.insert(id, (sequence + count as i32, base, count));
        }
    }

    /// Whole batches from the one that contains `from`.
    pub(super) fn read(&self, from: u64, max_bytes: usize) -> Vec<Bytes> {
        let bound = if self.bug == Some(Bug::ReadAboveWatermark) { self.end() } else { self.watermark() };
        let mut size = 0;
        let skip = self.bug == Some(Bug::SkipToNextBatch);
        self.batches
            .iter()
            .filter(|(batch, _)| batch.last >= from && batch.last < bound && !(skip && batch.base < from))
            .take_while(|(batch, _)| {
                size += batch.size;
                size == batch.size || size <= max_bytes
            })
            .map(|(_, bytes)| bytes.clone())
            .collect()
    }

    pub(super) fn at_time(&self, timestamp_ms: i64) -> Option<u64> {
        let below = self.watermark();
        self.batches
            .iter()
            .filter(|(batch, _)| batch.last < below)
            .find_map(|(batch, _)| batch.first_at_or_after(timestamp_ms))
    }
}

fn producer(bytes: &[u8]) -> Option<((i64, i16), i32)> {
    let id = i64::from_be_bytes(bytes[43..51].try_into().ok()?);
    let epoch = i16::from_be_bytes([bytes[51], bytes[52]]);
    let sequence = i32::from_be_bytes(bytes[53..57].try_into().ok()?);
    (id >= 0).then_some(((id, epoch), sequence))
}
