//! Records out of the bucket.

use bytes::{Bytes, BytesMut};
use highwater_env::{BoxFuture, EnvExt, Lane};
use highwater_records::{
    Offset,
    batch::{BatchView, HEADER_LEN},
};

use super::{Known, PartitionTier};
use crate::{error::TierError, head::entry::SegmentEntry, name::Kind, object::footer::Footer};

/// Whole batches, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierRead {
    /// The batches, one after the other. The first contains the offset asked for and may begin below it.
    pub bytes: Bytes,
    /// Where to go on (exclusive end of what was read); the offset asked for where `bytes` is empty.
    pub next_offset: Offset,
}

impl PartitionTier {
    /// Reads whole batches from the one that contains `from` on, across segment borders, at most `max_bytes` of them;
    /// with `at_least_one` the first batch comes whatever its size. Every byte is verified (head, footer, chunk,
    /// batch) before it is returned. Needs memory for `max_bytes` and a chunk or two.
    ///
    /// # Errors
    /// [`TierError::OutOfRange`] where the tier does not have `from` (it has `[log start, end)`), [`TierError::Retry`],
    /// [`TierError::Corrupt`], [`TierError::Refused`].
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> BoxFuture<'_, Result<TierRead, TierError>> {
        Box::pin(async move {
            let Some(known) = self.known().await? else { return Err(out_of_range(None, from)) };
            match self.read_known(&known, from, max_bytes, at_least_one).await {
                // Our head may be older than the object's deletion, or than the offset.
                Err(
                    error @ (TierError::Missing { .. }
                    | TierError::Corrupt { .. }
                    | TierError::OutOfRange { .. }),
                ) => {
                    let version = known.head.version;
                    self.load().await?;
                    match self.known().await? {
                        Some(newer) if newer.head.version != version => {
                            self.read_known(&newer, from, max_bytes, at_least_one).await
                        }
                        _ => Err(error),
                    }
                }
                answer => answer,
            }
        })
    }

    async fn read_known(
        &self,
        known: &Known,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<TierRead, TierError> {
        let head = &known.head;
        if !head.erasures.is_empty() {
            return Err(TierError::refused("the tier has erasures, which this version cannot apply"));
        }
        if from < head.log_start.max(head.start) || from >= head.end {
            return Err(out_of_range(Some(known), from));
        }
        let (mut parts, mut size, mut at) = (Vec::new(), 0, from);
        while at < head.end && (size < max_bytes || (at_least_one && parts.is_empty())) {
            let Some(entry) = self.find(head, at, None).await? else { break };
            let must = at_least_one && parts.is_empty();
            let read = match self.read_entry(&entry, at, max_bytes - size, must).await {
                Ok(read) => read,
                // What was read before stands; the next read meets the error again.
                Err(_) if size > 0 => break,
                Err(error) => return Err(error),
            };
            if read.bytes.is_empty() {
                break;
            }
            let whole = read.next_offset >= entry.end;
            at = read.next_offset;
            size = size.saturating_add(read.bytes.len()).min(max_bytes.max(1));
            parts.push(read.bytes);
            if !whole {
                break;
            }
        }
        Ok(TierRead { bytes: join(parts), next_offset: at })
    }

    /// Whole live batches of one segment.
    pub(super) async fn read_entry(
        &self,
        entry: &SegmentEntry,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<TierRead, TierError> {
        let footer = self.tier.footer(self.id, entry).await?;
        let mut window = Window::new(self, entry, &footer);
        let Some(start) = window.position_of(from).await? else {
            return Err(window.corrupt("an offset within its bounds is not there"));
        };
        let (mut end, mut next) = (start, from);
        // All that can be asked for at once comes with one request.
        let ahead = (max_bytes as u64).min(footer.logical_bytes - start);
        window.ensure(start, start + ahead.max(1)).await?;
        while let Some(outline) = window.outline(end).await? {
            let size = end + outline.size - start;
            if outline.next > entry.end || (size > max_bytes as u64 && !(at_least_one && end == start)) {
                break;
            }
            end += outline.size;
            next = outline.next;
        }
        let bytes = window.slice(start, end).await?;
        let checked = bytes.clone();
        let check = move || check_batches(&checked);
        match self.tier.env.run_blocking(Lane::ColdRead, check).await {
            Ok(Ok(())) => Ok(TierRead { bytes, next_offset: next }),
            Ok(Err(what)) => Err(window.corrupt(&what)),
            Err(error) => Err(TierError::retry(error)),
        }
    }

    /// Logical bytes of the batches that end above `from` and at or below `to`.
    pub(super) async fn bytes_between(
        &self,
        entry: &SegmentEntry,
        from: Offset,
        to: Offset,
    ) -> Result<u64, TierError> {
        let footer = self.tier.footer(self.id, entry).await?;
        let mut window = Window::new(self, entry, &footer);
        let start = window.position_of(from).await?.unwrap_or(footer.logical_bytes);
        let end = window.position_of(to).await?.unwrap_or(footer.logical_bytes);
        Ok(end.saturating_sub(start))
    }
}

fn out_of_range(known: Option<&Known>, offset: Offset) -> TierError {
    let (start, end) = known.map_or((Offset::ZERO, Offset::ZERO), |known| {
        (known.head.log_start.max(known.head.start), known.head.end)
    });
    TierError::OutOfRange { offset, start, end }
}

/// Each batch once more, whatever its chunk's digest said.
fn check_batches(mut bytes: &[u8]) -> Result<(), String> {
    while !bytes.is_empty() {
        let view = BatchView::parse(bytes).and_then(|view| view.verify_crc().map(|()| view));
        bytes = &bytes[view.map_err(|error| error.to_string())?.size()..];
    }
    Ok(())
}

/// One piece without a copy, several put together.
fn join(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() <= 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut out = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.freeze()
}

/// The chunks of one segment that a read needs, by logical position.
struct Window<'a> {
    partition: &'a PartitionTier,
    entry: &'a SegmentEntry,
    footer: &'a Footer,
    first: usize,
    chunks: Vec<Bytes>,
}

/// What of a batch's header tells where it ends.
struct Outline {
    size: u64,
    next: Offset,
}

impl<'a> Window<'a> {
    fn new(partition: &'a PartitionTier, entry: &'a SegmentEntry, footer: &'a Footer) -> Window<'a> {
        Window { partition, entry, footer, first: 0, chunks: Vec::new() }
    }

    fn corrupt(&self, detail: &str) -> TierError {
        let object = self.entry.name.key(Kind::Segment, self.partition.id);
        TierError::Corrupt { object, detail: detail.to_owned() }
    }

    /// Makes `[from, to)` available; keeps what lies between, forgets what lies before.
    async fn ensure(&mut self, from: u64, to: u64) -> Result<(), TierError> {
        if from >= to || to > self.footer.logical_bytes {
            return Err(self.corrupt("a batch beyond its end"));
        }
        let (first, last) = (self.footer.chunk_at(from), self.footer.chunk_at(to - 1));
        if self.chunks.is_empty() || first < self.first || first > self.first + self.chunks.len() {
            (self.first, self.chunks) = (first, Vec::new());
        }
        self.chunks.drain(..first - self.first);
        self.first = first;
        let have = self.first + self.chunks.len();
        if last >= have {
            let (tier, id) = (&self.partition.tier, self.partition.id);
            self.chunks.extend(tier.chunks(id, self.entry, self.footer, have..last + 1).await?);
        }
        Ok(())
    }

    /// The bytes `[from, to)`, without a copy where they lie in one chunk.
    async fn slice(&mut self, from: u64, to: u64) -> Result<Bytes, TierError> {
        if from == to {
            return Ok(Bytes::new());
        }
        // Does not forget: `from` is the lowest position still needed whenever this is called.
        self.ensure(from, to).await?;
        Ok(self.cut(from, to))
    }

    fn cut(&self, from: u64, to: u64) -> Bytes {
        let chunk_bytes = u64::from(self.footer.chunk_bytes);
        let mut parts = Vec::new();
        for (index, chunk) in self.chunks.iter().enumerate() {
            let start = (self.first + index) as u64 * chunk_bytes;
            let (low, high) = (from.max(start), to.min(start + chunk.len() as u64));
            if low < high {
                parts.push(chunk.slice((low - start) as usize..(high - start) as usize));
            }
        }
        join(parts)
    }

    /// Where the first batch that ends above `offset` begins; `None` past the last one.
    async fn position_of(&mut self, offset: Offset) -> Result<Option<u64>, TierError> {
        let relative = offset.since(self.entry.name.base).try_into().unwrap_or(u32::MAX);
        let mut at = u64::from(self.footer.offset_index.position_of(relative));
        loop {
            let from = self.footer.chunk_at(at);
            // Only the header is needed, so the window moves along.
            if at < self.footer.logical_bytes && from != self.first {
                self.ensure(at, at + 1).await?;
            }
            match self.outline(at).await? {
                None => return Ok(None),
                Some(outline) if outline.next > offset => return Ok(Some(at)),
                Some(outline) => at += outline.size,
            }
        }
    }

    /// The batch at `position`; `None` at the segment's end.
    async fn outline(&mut self, position: u64) -> Result<Option<Outline>, TierError> {
        if position == self.footer.logical_bytes {
            return Ok(None);
        }
        let end = position + HEADER_LEN as u64;
        let have = (self.first + self.chunks.len()) as u64 * u64::from(self.footer.chunk_bytes);
        let covered = !self.chunks.is_empty() && self.footer.chunk_at(position) >= self.first && end <= have;
        if !covered {
            let keep = (self.first as u64 * u64::from(self.footer.chunk_bytes)).min(position);
            let from = if self.chunks.is_empty() { position } else { keep };
            self.ensure(from, end).await?;
        }
        let header = self.cut(position, end);
        let field = |at: usize| {
            header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes)
        };
        let base = header.get(..8).and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
        let (Some(base), Some(length), Some(delta)) = (base, field(8), field(23)) else {
            return Err(self.corrupt("a batch header is cut short"));
        };
        let next = base.checked_add(i64::from(delta)).and_then(|last| last.checked_add(1));
        let next = next.and_then(|next| Offset::from_i64(next).ok());
        let size =
            u64::try_from(length).ok().map(|length| length + 12).filter(|size| *size >= HEADER_LEN as u64);
        match (next, size) {
            (Some(next), Some(size)) if position + size <= self.footer.logical_bytes => {
                Ok(Some(Outline { size, next }))
            }
            _ => Err(self.corrupt("a batch header contradicts itself")),
        }
    }
}
