//! The codecs of Kafka's batches, each a cargo feature of this crate (`gzip`, `snappy`, `lz4`, `zstd`).
//!
//! Decompression is streamed and lazy: what has not been asked for has not been decompressed, and memory grows with
//! what has come out, not with what a hostile length promises.

#[cfg(any(feature = "lz4", feature = "snappy"))]
mod blocks;
mod decoder;
mod error;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

pub use decoder::Decoder;
pub use error::CompressionError;

use std::fmt;

/// How a batch's records are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy, raw or in xerial's framing (which Java writes).
    Snappy,
    /// LZ4 frames with independent blocks.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// Its number in a batch's attributes.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The codec with this number.
    pub const fn from_id(id: u8) -> Option<Codec> {
        if (id as usize) < Codec::ALL.len() { Some(Codec::ALL[id as usize]) } else { None }
    }

    /// Kafka's name for it (`compression.type`).
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec with this name.
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Whether this program was built with it.
    pub const fn is_compiled_in(self) -> bool {
        match self {
            Codec::None => true,
            Codec::Gzip => cfg!(feature = "gzip"),
            Codec::Snappy => cfg!(feature = "snappy"),
            Codec::Lz4 => cfg!(feature = "lz4"),
            Codec::Zstd => cfg!(feature = "zstd"),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec, and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compression {
    /// Which codec.
    pub codec: Codec,
    /// Its level: 1 to 9 for gzip, -131072 to 22 for zstd, 1 to 17 for lz4 (12 and above are the same, and 9 is one of those
    /// that try hard), brought within these bounds; snappy has none. `None` is Kafka's default: 6 for gzip, 3 for zstd, the
    /// fast compressor for lz4, whose levels need the feature `lz4-levels`.
    pub level: Option<i32>,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Compression {
        Compression { codec, level: None }
    }
}

/// Appends `bytes`, compressed, to `out`.
///
/// # Errors
/// [`CompressionError::NotCompiledIn`]; `Corrupt` if the codec's own library fails, which it should not.
pub fn compress(
    how: impl Into<Compression>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CompressionError> {
    compress_as(how.into(), bytes, out)
}

fn compress_as(how: Compression, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let codec = how.codec;
    match codec {
        Codec::None => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        #[cfg(feature = "gzip")]
        Codec::Gzip => {
            gzip::compress(bytes, how.level, out).map_err(|error| CompressionError::from_io(codec, &error))
        }
        #[cfg(feature = "snappy")]
        Codec::Snappy => {
            snappy::compress(bytes, out).map_err(|error| CompressionError::from_io(codec, &error))
        }
        #[cfg(feature = "lz4")]
        Codec::Lz4 if how.level.is_none() || cfg!(feature = "lz4-levels") => {
            lz4::compress(bytes, how.level, out).map_err(|error| CompressionError::from_io(codec, &error))
        }
        #[cfg(feature = "zstd")]
        Codec::Zstd => {
            zstd::compress(bytes, how.level, out).map_err(|error| CompressionError::from_io(codec, &error))
        }
        #[allow(unreachable_patterns, reason = "reachable where a codec is not compiled in")]
        codec => Err(CompressionError::NotCompiledIn(codec)),
    }
}

/// Decompresses all of `bytes`, to at most `limit` bytes.
///
/// # Errors
/// Any [`CompressionError`].
pub fn decompress(codec: Codec, bytes: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut decoder = Decoder::new(codec, bytes, limit)?;
    let mut out = Vec::new();
    loop {
        let there = decoder.fill()?;
        if there.is_empty() {
            return Ok(out);
        }
        out.extend_from_slice(there);
        let count = there.len();
        decoder.consume(count);
    }
}

#[cfg(test)]
mod tests;
