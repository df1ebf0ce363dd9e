use std::{fmt, io::BufRead};

use super::{Codec, CompressionError};

/// Buffer between a streaming library and us.
#[cfg(any(feature = "gzip", feature = "zstd"))]
const BUFFER_SIZE: usize = 8 << 10;

/// Decompresses as it is read, to a limit.
pub struct Decoder<'a> {
    codec: Codec,
    source: Box<dyn BufRead + 'a>,
    limit: usize,
    left: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder of `bytes` that yields at most `limit` bytes.
    ///
    /// # Errors
    /// [`CompressionError::NotCompiledIn`], or `Corrupt` when the bytes do not even begin as they should.
    pub fn new(codec: Codec, bytes: &'a [u8], limit: usize) -> Result<Decoder<'a>, CompressionError> {
        let source: Box<dyn BufRead + 'a> = match codec {
            Codec::None => Box::new(bytes),
            #[cfg(feature = "gzip")]
            Codec::Gzip => buffered(super::gzip::reader(bytes)),
            #[cfg(feature = "snappy")]
            Codec::Snappy => super::blocks::boxed(super::snappy::SnappyBlocks::new(bytes)),
            #[cfg(feature = "lz4")]
            Codec::Lz4 => super::blocks::boxed(super::lz4::Lz4Blocks::new(bytes)),
            #[cfg(feature = "zstd")]
            Codec::Zstd => buffered(
                super::zstd::reader(bytes).map_err(|error| CompressionError::from_io(codec, &error))?,
            ),
            #[allow(unreachable_patterns, reason = "reachable where a codec is not compiled in")]
            codec => return Err(CompressionError::NotCompiledIn(codec)),
        };
        Ok(Decoder { codec, source, limit, left: limit })
    }

    /// Decompressed bytes that have not been consumed, at least one unless all is done.
    ///
    /// # Errors
    /// `Corrupt`, or `TooLarge` at the first byte beyond the limit.
    pub fn fill(&mut self) -> Result<&[u8], CompressionError> {
        let there = self.source.fill_buf().map_err(|error| CompressionError::from_io(self.codec, &error))?;
        if self.left == 0 && !there.is_empty() {
            return Err(CompressionError::TooLarge { limit: self.limit });
        }
        Ok(&there[..there.len().min(self.left)])
    }

    /// Consumes `count` bytes of those that [`Decoder::fill`] has shown.
    ///
    /// # Panics
    /// If there were fewer.
    pub fn consume(&mut self, count: usize) {
        self.source.consume(count);
        self.left -= count;
    }
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn buffered<'a>(reader: impl std::io::Read + 'a) -> Box<dyn BufRead + 'a> {
    Box::new(std::io::BufReader::with_capacity(BUFFER_SIZE, reader))
}

impl fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("codec", &self.codec)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
