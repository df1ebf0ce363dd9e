//! Reads a segment batch by batch while it is uploaded: checks it, and builds its indexes.

use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchError, BatchView, peek_size},
};

use super::index::{OffsetIndex, TimeIndex};

/// Bytes between two entries of an index, as Kafka's default `index.interval.bytes`.
const INTERVAL: u64 = 4096;

/// A walk over a segment's bytes, which come in any pieces.
#[derive(Debug)]
pub(crate) struct SegmentWalk {
    base: Offset,
    next: Offset,
    /// Where what is live begins: the position of the first batch that ends above it is noted.
    live_from: Offset,
    live_position: Option<u64>,
    /// The offset that the next batch's base must not be below.
    at: Offset,
    /// Logical position of the first byte in `partial`.
    position: u64,
    /// The beginning of a batch whose end has not come yet.
    partial: Vec<u8>,
    since_entry: u64,
    offsets: Vec<(u32, u32)>,
    times: Vec<(i64, u32)>,
    newest: Option<(TimestampMs, Offset)>,
}

/// A local segment is damaged here.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) position: u64,
    pub(crate) detail: String,
}

/// What a walk has learnt.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) offset_index: OffsetIndex,
    pub(crate) time_index: TimeIndex,
    /// The largest timestamp, and the last offset of the first batch that has it.
    pub(crate) newest: Option<(TimestampMs, Offset)>,
    /// Bytes from the first live batch to the end.
    pub(crate) live_bytes: u64,
}

impl SegmentWalk {
    /// A walk over a segment with the offsets `[base, next)`, of which those from `live_from` on will be live.
    pub(crate) fn new(base: Offset, next: Offset, live_from: Offset) -> SegmentWalk {
        SegmentWalk {
            base,
            next,
            live_from,
            live_position: None,
            at: base,
            position: 0,
            partial: Vec::new(),
            since_entry: 0,
            offsets: Vec::new(),
            times: Vec::new(),
            newest: None,
        }
    }

    /// The next bytes of the segment.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Damage> {
        // A batch that began in an earlier piece is put together here; all others are looked at in place.
        while !self.partial.is_empty() && !bytes.is_empty() {
            let wanted = match self.size(&self.partial)? {
                None => highwater_records::batch::LENGTH_OVERHEAD,
                Some(size) => size,
            };
            let (taken, rest) = bytes.split_at(bytes.len().min(wanted - self.partial.len()));
            self.partial.extend_from_slice(taken);
            bytes = rest;
            if self.size(&self.partial)?.is_some_and(|size| size <= self.partial.len()) {
                let batch = std::mem::take(&mut self.partial);
                self.batch(&batch)?;
            }
        }
        while let Some(size) = self.size(bytes)?
            && size <= bytes.len()
        {
            let (batch, rest) = bytes.split_at(size);
            self.batch(batch)?;
            bytes = rest;
        }
        if self.partial.is_empty() {
            self.partial.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// The end of the segment.
    pub(crate) fn finish(self) -> Result<Walked, Damage> {
        if !self.partial.is_empty() {
            return Err(self.damage("it ends in the middle of a batch"));
        }
        if self.at != self.next {
            return Err(self.damage(&format!("it ends at offset {}, not {}", self.at, self.next)));
        }
        let Some(live_position) = self.live_position else {
            return Err(self.damage("it has nothing that would be live"));
        };
        Ok(Walked {
            offset_index: OffsetIndex::from_entries(&self.offsets),
            time_index: TimeIndex::from_entries(&self.times),
            newest: self.newest,
            live_bytes: self.position - live_position,
        })
    }

    fn size(&self, bytes: &[u8]) -> Result<Option<usize>, Damage> {
        peek_size(bytes).map_err(|error| self.damage(&error.to_string()))
    }

    fn batch(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        let checked = BatchView::parse(bytes).and_then(|view| view.verify_crc().map(|()| view));
        let view = checked.map_err(|error: BatchError| self.damage(&error.to_string()))?;
        if view.base_offset() < self.at || view.next_offset() > self.next {
            return Err(self.damage(&format!("offset {} out of order", view.base_offset())));
        }
        let relative = |offset: Offset| u32::try_from(offset.since(self.base)).ok();
        let (Some(last), Ok(position)) = (relative(view.last_offset()), u32::try_from(self.position)) else {
            return Err(self.damage("a segment too large for its index"));
        };
        if self.live_position.is_none() && view.next_offset() > self.live_from {
            self.live_position = Some(self.position);
        }
        if let Some(timestamp) = view.max_timestamp()
            && self.newest.is_none_or(|(newest, _)| timestamp > newest)
        {
            self.newest = Some((timestamp, view.last_offset()));
        }
        if self.since_entry > INTERVAL {
            self.since_entry = 0;
            self.offsets.push((last, position));
            if let Some((timestamp, offset)) = self.newest
                && self.times.last().is_none_or(|(before, _)| *before < timestamp.0)
            {
                self.times.push((timestamp.0, relative(offset).unwrap_or(last)));
            }
        }
        self.since_entry += bytes.len() as u64;
        self.position += bytes.len() as u64;
        self.at = view.next_offset();
        Ok(())
    }

    fn damage(&self, detail: &str) -> Damage {
        Damage { position: self.position, detail: detail.to_owned() }
    }
}
