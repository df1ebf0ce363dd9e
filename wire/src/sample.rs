//! Values of every message, drawn from bytes: what property tests and fuzz targets feed the codec with.

use bytes::Bytes;

/// Draws values from a source of bytes, zeros once that is empty. The same source gives the same values.
#[derive(Debug)]
pub struct Sampler<'a> {
    source: &'a [u8],
    version: i16,
}

impl<'a> Sampler<'a> {
    /// A sampler of values that `version` of a message can carry.
    pub fn new(source: &'a [u8], version: i16) -> Sampler<'a> {
        Sampler { source, version }
    }

    pub(crate) fn version(&self) -> i16 {
        self.version
    }

    fn byte(&mut self) -> u8 {
        match self.source.split_first() {
            Some((first, rest)) => {
                self.source = rest;
                *first
            }
            None => 0,
        }
    }

    /// Mostly small, sometimes at a border, sometimes anything.
    pub(crate) fn integer(&mut self) -> i64 {
        match self.byte() {
            0xff => i64::MAX,
            0xfe => i64::MIN,
            0xfd => -1,
            0xfc => i64::from_be_bytes(std::array::from_fn(|_| self.byte())),
            byte => i64::from(byte),
        }
    }

    pub(crate) fn count(&mut self) -> usize {
        usize::from(self.byte() % 4)
    }

    pub(crate) fn text(&mut self) -> String {
        match self.byte() {
            0xff => "x".repeat(i16::MAX as usize),
            0xfe => "ü€\u{1F600}".repeat(50),
            byte => (0..byte % 12).map(|_| char::from(self.byte() & 0x7f)).collect(),
        }
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        let first = self.byte();
        match first {
            // Long enough for a segment of its own.
            0xf0.. => Bytes::from(vec![first; 5000]),
            _ => (0..first % 40).map(|_| self.byte()).collect(),
        }
    }
}
