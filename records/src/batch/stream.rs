//! The fields of a record, from memory or out of a decompressor.

use super::{
    error::BatchError,
    record::{BAD_LENGTH, record_length},
};
use crate::{
    compression::{Codec, Decoder},
    primitive::Reader,
};

const TOO_SHORT: BatchError = BatchError::Corrupt("a record ends within a field");

/// One record's fields in order. The grammar of a record is written once, over this.
pub(super) trait Fields {
    /// Bytes of the record read so far.
    fn position(&self) -> usize;
    /// Bytes of the record left.
    fn remaining(&self) -> usize;
    fn byte(&mut self) -> Result<u8, BatchError>;
    fn varint(&mut self) -> Result<i32, BatchError>;
    fn varlong(&mut self) -> Result<i64, BatchError>;
    fn skip(&mut self, length: usize) -> Result<(), BatchError>;
}

impl Fields for Reader<'_> {
    fn position(&self) -> usize {
        Reader::position(self)
    }

    fn remaining(&self) -> usize {
        Reader::remaining(self)
    }

    fn byte(&mut self) -> Result<u8, BatchError> {
        self.u8().map_err(|_| TOO_SHORT)
    }

    fn varint(&mut self) -> Result<i32, BatchError> {
        Reader::varint(self).map_err(|_| TOO_SHORT)
    }

    fn varlong(&mut self) -> Result<i64, BatchError> {
        Reader::varlong(self).map_err(|_| TOO_SHORT)
    }

    fn skip(&mut self, length: usize) -> Result<(), BatchError> {
        self.take(length).map(drop).map_err(|_| TOO_SHORT)
    }
}

/// Records coming out of a decompressor. Holds nothing but the decompressor's own buffer.
pub(super) struct Stream<'a> {
    decoder: Decoder<'a>,
    position: usize,
    remaining: usize,
}

impl<'a> Stream<'a> {
    pub(super) fn new(codec: Codec, body: &'a [u8], limit: usize) -> Result<Stream<'a>, BatchError> {
        Ok(Stream { decoder: Decoder::new(codec, body, limit)?, position: 0, remaining: 0 })
    }

    pub(super) fn is_at_end(&mut self) -> Result<bool, BatchError> {
        Ok(self.decoder.fill()?.is_empty())
    }

    /// Reads the next record's length: from here the fields are that record's.
    pub(super) fn begin_record(&mut self) -> Result<(), BatchError> {
        // The length itself lies outside the record.
        self.remaining = usize::MAX;
        let bytes = self.varint_bytes()?;
        let length = Reader::new(&bytes).varint().map_err(|_| BAD_LENGTH)?;
        self.remaining = record_length(length)?;
        self.position = 0;
        Ok(())
    }

    /// Reads the next record whole. The buffer grows with what the decompressor yields, never ahead of it.
    pub(super) fn read_record(&mut self, buffer: &mut Vec<u8>) -> Result<(), BatchError> {
        self.begin_record()?;
        buffer.clear();
        while self.remaining > 0 {
            let there = self.decoder.fill()?;
            if there.is_empty() {
                return Err(TOO_SHORT);
            }
            let count = there.len().min(self.remaining);
            buffer.extend_from_slice(&there[..count]);
            self.decoder.consume(count);
            self.remaining -= count;
        }
        Ok(())
    }

    fn varint_bytes(&mut self) -> Result<[u8; 10], BatchError> {
        // A varint that does not end within ten bytes is refused by whoever interprets them.
        let mut bytes = [0x80; 10];
        for slot in &mut bytes {
            *slot = self.byte()?;
            if *slot & 0x80 == 0 {
                break;
            }
        }
        Ok(bytes)
    }
}

impl Fields for Stream<'_> {
    fn position(&self) -> usize {
        self.position
    }

    fn remaining(&self) -> usize {
        self.remaining
    }

    fn byte(&mut self) -> Result<u8, BatchError> {
        if self.remaining == 0 {
            return Err(TOO_SHORT);
        }
        let byte = *self.decoder.fill()?.first().ok_or(TOO_SHORT)?;
        self.decoder.consume(1);
        self.position += 1;
        self.remaining -= 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<i32, BatchError> {
        let bytes = self.varint_bytes()?;
        Reader::new(&bytes).varint().map_err(|_| TOO_SHORT)
    }

    fn varlong(&mut self) -> Result<i64, BatchError> {
        let bytes = self.varint_bytes()?;
        Reader::new(&bytes).varlong().map_err(|_| TOO_SHORT)
    }

    fn skip(&mut self, length: usize) -> Result<(), BatchError> {
        if length > self.remaining {
            return Err(TOO_SHORT);
        }
        let mut left = length;
        while left > 0 {
            let there = self.decoder.fill()?.len();
            if there == 0 {
                return Err(TOO_SHORT);
            }
            let count = there.min(left);
            self.decoder.consume(count);
            left -= count;
        }
        self.position += length;
        self.remaining -= length;
        Ok(())
    }
}
