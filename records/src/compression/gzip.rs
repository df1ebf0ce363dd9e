//! gzip, with members after the first as Java reads them.

use std::io::{self, Read, Write};

use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};

pub(super) fn reader<'a>(bytes: &'a [u8]) -> impl Read + 'a {
    MultiGzDecoder::new(bytes)
}

pub(super) fn compress(bytes: &[u8], level: Option<i32>, out: &mut Vec<u8>) -> io::Result<()> {
    let level =
        level.map_or_else(Compression::default, |level| Compression::new(level.clamp(1, 9).unsigned_abs()));
    let mut encoder = GzEncoder::new(out, level);
    encoder.write_all(bytes)?;
    encoder.finish().map(drop)
}
