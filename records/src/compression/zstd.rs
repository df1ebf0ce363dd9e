//! Zstandard.

use std::io::{self, Read};

use ::zstd::stream::{read::Decoder, write::Encoder};

/// Largest window a frame may ask for, as a power of two: the largest that any compression level uses, so that
/// every client's data can be read. The library reserves the window at once but touches it only as data comes out.
const WINDOW_LOG_MAX: u32 = 27;

/// Level 3, as Kafka's default (`compression.zstd.level`).
const LEVEL: i32 = 3;

/// Zstandard's own bounds, and Kafka's.
const LEVELS: (i32, i32) = (-131_072, 22);

pub(super) fn reader<'a>(bytes: &'a [u8]) -> io::Result<impl Read + 'a> {
    let mut decoder = Decoder::with_buffer(bytes)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(decoder)
}

pub(super) fn compress(bytes: &[u8], level: Option<i32>, out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = Encoder::new(out, level.unwrap_or(LEVEL).clamp(LEVELS.0, LEVELS.1))?;
    // Lets readers size their window to the content.
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.include_contentsize(true)?;
    io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish().map(drop)
}
