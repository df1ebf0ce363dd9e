//! One record, and the two ways through a batch's records: whole ones, or outlines in constant memory.

use super::{
    error::BatchError,
    header::TimestampType,
    stream::{Fields, Stream},
    view::{BatchView, timestamp},
};
use crate::{Offset, TimestampMs, compression::Codec, primitive::Reader};

/// One record, borrowed from its batch or from the buffer it was decompressed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp; with log-append time the batch's. `None` if the producer gave none.
    pub timestamp: Option<TimestampMs>,
    /// Its key; `None` is null, which differs from empty.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is null (a tombstone on a compacted topic).
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// A record's headers in their order, duplicates included: pairs of key (text by convention, not by force) and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // The bytes were walked when the record was parsed, so that none of this can fail.
        let mut reader = Reader::new(self.bytes);
        let length = reader.varint_length().ok()??;
        let key = reader.take(length).ok()?;
        let value = match reader.varint_length().ok()? {
            Some(length) => Some(reader.take(length).ok()?),
            None => None,
        };
        self.bytes = &self.bytes[reader.position()..];
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// What can be known of a record without holding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordOutline {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp; with log-append time the batch's. `None` if the producer gave none.
    pub timestamp: Option<TimestampMs>,
    /// Bytes of its key; `None` is null.
    pub key_len: Option<usize>,
    /// Bytes of its value; `None` is null.
    pub value_len: Option<usize>,
    /// Number of its headers.
    pub headers: u32,
}

/// The records of a batch, whole, one at a time. Made by [`BatchView::records`].
pub struct RecordIter<'a> {
    order: Order<'a>,
    source: Source<'a>,
    buffer: Vec<u8>,
}

/// The records of a batch in outline. Made by [`BatchView::walk`].
pub struct RecordWalk<'a> {
    order: Order<'a>,
    source: Source<'a>,
}

enum Source<'a> {
    Plain(Reader<'a>),
    Packed(Stream<'a>),
}

impl<'a> Source<'a> {
    fn new(batch: BatchView<'a>, limit: usize) -> Result<Source<'a>, BatchError> {
        Ok(match batch.codec() {
            Codec::None => Source::Plain(Reader::new(batch.body())),
            codec => Source::Packed(Stream::new(codec, batch.body(), limit)?),
        })
    }

    fn is_at_end(&mut self) -> Result<bool, BatchError> {
        match self {
            Source::Plain(reader) => Ok(reader.remaining() == 0),
            Source::Packed(stream) => stream.is_at_end(),
        }
    }
}

impl<'a> RecordIter<'a> {
    pub(super) fn new(batch: BatchView<'a>, limit: usize) -> Result<RecordIter<'a>, BatchError> {
        Ok(RecordIter { order: Order::new(batch), source: Source::new(batch, limit)?, buffer: Vec::new() })
    }

    /// The next record, or `None` after the last.
    ///
    /// The last is the one that the header's count says, and the body must end there. After an error the answer is
    /// `None`.
    ///
    /// # Errors
    /// When the bytes contradict themselves or the header, cannot be decompressed, or are more than the limit.
    pub fn next_record(&mut self) -> Result<Option<RecordRef<'_>>, BatchError> {
        if !self.order.begin(&mut self.source)? {
            return Ok(None);
        }
        let bytes: &[u8] = match &mut self.source {
            Source::Plain(reader) => self.order.keep(record_bytes(reader))?,
            Source::Packed(stream) => {
                self.order.keep(stream.read_record(&mut self.buffer))?;
                &self.buffer
            }
        };
        let shape = self.order.keep(Shape::read(&mut Reader::new(bytes)))?;
        let (offset, timestamp) = self.order.place(&shape)?;
        let part = |at: Option<(usize, usize)>| at.map(|(start, len)| &bytes[start..start + len]);
        Ok(Some(RecordRef {
            offset,
            timestamp,
            key: part(shape.key),
            value: part(shape.value),
            headers: Headers { bytes: &bytes[shape.headers_at..], left: shape.headers },
        }))
    }
}

impl<'a> RecordWalk<'a> {
    pub(super) fn new(batch: BatchView<'a>, limit: usize) -> Result<RecordWalk<'a>, BatchError> {
        Ok(RecordWalk { order: Order::new(batch), source: Source::new(batch, limit)? })
    }

    fn step(&mut self) -> Result<Option<RecordOutline>, BatchError> {
        if !self.order.begin(&mut self.source)? {
            return Ok(None);
        }
        let shape = match &mut self.source {
            Source::Plain(reader) => {
                record_bytes(reader).and_then(|bytes| Shape::read(&mut Reader::new(bytes)))
            }
            Source::Packed(stream) => stream.begin_record().and_then(|()| Shape::read(stream)),
        };
        let shape = self.order.keep(shape)?;
        let (offset, timestamp) = self.order.place(&shape)?;
        Ok(Some(RecordOutline {
            offset,
            timestamp,
            key_len: shape.key.map(|(_, len)| len),
            value_len: shape.value.map(|(_, len)| len),
            headers: shape.headers,
        }))
    }
}

impl Iterator for RecordWalk<'_> {
    type Item = Result<RecordOutline, BatchError>;

    /// As [`RecordIter::next_record`].
    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

fn record_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], BatchError> {
    let length = record_length(reader.varint().map_err(|_| BAD_LENGTH)?)?;
    reader.take(length).map_err(|_| BatchError::Corrupt("a record goes beyond the end of the batch"))
}

pub(super) const BAD_LENGTH: BatchError = BatchError::Corrupt("a record's length is not a number");

pub(super) fn record_length(value: i32) -> Result<usize, BatchError> {
    usize::try_from(value).map_err(|_| BatchError::Corrupt("a record's length is negative"))
}

/// Where the parts of a record lie, from the byte after its length.
pub(super) struct Shape {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
    headers_at: usize,
    headers: u32,
}

impl Shape {
    /// Walks one record, whose end is the end of `fields`.
    fn read(fields: &mut impl Fields) -> Result<Shape, BatchError> {
        // Record attributes have no meaning yet and are ignored, as Kafka does.
        fields.byte()?;
        let timestamp_delta = fields.varlong()?;
        let offset_delta = fields.varint()?;
        let key = part(fields)?;
        let value = part(fields)?;
        let headers = fields.varint()?;
        let headers = u32::try_from(headers)
            .map_err(|_| BatchError::Corrupt("a record has a negative number of headers"))?;
        let headers_at = fields.position();
        // A header is at least two bytes: a count that cannot be is refused before the walk, not during it.
        if headers as usize > fields.remaining() / 2 {
            return Err(BatchError::Corrupt("a record has more headers than bytes"));
        }
        for _ in 0..headers {
            part(fields)?.ok_or(BatchError::Corrupt("a record header has no key"))?;
            part(fields)?;
        }
        if fields.remaining() != 0 {
            return Err(BatchError::Corrupt("a record is longer than its parts"));
        }
        Ok(Shape { timestamp_delta, offset_delta, key, value, headers_at, headers })
    }
}

/// A nullable part with its length in front: its position and length.
fn part(fields: &mut impl Fields) -> Result<Option<(usize, usize)>, BatchError> {
    let length = match fields.varint()? {
        -1 => return Ok(None),
        length => usize::try_from(length)
            .map_err(|_| BatchError::Corrupt("a record has a part of negative length"))?,
    };
    let start = fields.position();
    fields.skip(length)?;
    Ok(Some((start, length)))
}

/// What holds between the records of one batch and its header.
struct Order<'a> {
    batch: BatchView<'a>,
    left: u32,
    ended: bool,
    /// The lowest offset delta that the next record may have.
    next_delta: u32,
}

impl<'a> Order<'a> {
    fn new(batch: BatchView<'a>) -> Order<'a> {
        Order { batch, left: batch.record_count(), ended: false, next_delta: 0 }
    }

    /// Whether there is one more record; at the end, checks that the body ends too.
    fn begin(&mut self, source: &mut Source<'a>) -> Result<bool, BatchError> {
        if self.ended {
            return Ok(false);
        }
        if self.left > 0 {
            self.left -= 1;
            return Ok(true);
        }
        self.ended = true;
        if source.is_at_end()? {
            Ok(false)
        } else {
            Err(BatchError::Corrupt("it has more bytes than records"))
        }
    }

    /// Ends the iteration on an error.
    fn keep<T>(&mut self, result: Result<T, BatchError>) -> Result<T, BatchError> {
        self.ended |= result.is_err();
        result
    }

    fn place(&mut self, shape: &Shape) -> Result<(Offset, Option<TimestampMs>), BatchError> {
        let placed = self.try_place(shape);
        self.keep(placed)
    }

    fn try_place(&mut self, shape: &Shape) -> Result<(Offset, Option<TimestampMs>), BatchError> {
        let delta = u32::try_from(shape.offset_delta)
            .map_err(|_| BatchError::Corrupt("a record's offset delta is negative"))?;
        if delta < self.next_delta {
            return Err(BatchError::Corrupt("its offset deltas do not grow"));
        }
        if delta > self.batch.last_offset_delta() {
            return Err(BatchError::Corrupt("a record lies beyond the last offset"));
        }
        // Below 2^31 since it is at most the last offset delta.
        self.next_delta = delta + 1;
        // At most the last offset, which the view has checked.
        let offset = self.batch.base_offset().checked_add(u64::from(delta)).unwrap_or(Offset::MAX);
        let time = match self.batch.timestamp_type() {
            TimestampType::LogAppendTime => self.batch.max_timestamp(),
            TimestampType::CreateTime => {
                let sum = self.batch.raw_base_timestamp().checked_add(shape.timestamp_delta);
                timestamp(sum.ok_or(BatchError::Corrupt("a record's timestamp is out of range"))?)
            }
        };
        Ok((offset, time))
    }
}
