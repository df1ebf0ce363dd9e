//! LZ4 frames as Kafka reads and writes them: independent blocks, no dictionary.
//!
//! ```text
//! 04 22 4d 18 | flags | block size | [content size u64] | header checksum u8                  (little-endian)
//! (block length u32, top bit = stored | block | [block checksum u32])* | 0 u32 | [content checksum u32]
//! ```
//!
//! The frame is read here rather than by the library because its reader allocates whole blocks of up to 4 MiB for a
//! frame of twenty bytes.

use std::{hash::Hasher, io};

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use twox_hash::XxHash32;

use super::blocks::{Blocks, bad, take, take_array};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

const VERSION_BITS: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 0b0010_0000;
const BLOCK_CHECKSUM: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const RESERVED: u8 = 0b0000_0010;
const DICTIONARY: u8 = 0b0000_0001;

/// The only bits of the block size byte that may be set.
const BLOCK_SIZE_BITS: u8 = 0b0111_0000;
/// 64 KiB, as Kafka's writer has it.
const BLOCK_SIZE_64_KIB: u8 = 4;
const STORED: u32 = 1 << 31;

/// A block grows at most this many times: a run of 255 per byte is the best there is.
const RATIO_MAX: usize = 255;

pub(super) struct Lz4Blocks<'a> {
    rest: &'a [u8],
    frame: Option<Frame>,
}

struct Frame {
    flags: u8,
    block_max: usize,
    content: XxHash32,
    size_left: Option<u64>,
}

impl<'a> Lz4Blocks<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Lz4Blocks<'a> {
        Lz4Blocks { rest: bytes, frame: None }
    }

    fn begin_frame(&mut self) -> io::Result<Frame> {
        if take_array(&mut self.rest)? != MAGIC {
            return Err(bad("it does not begin with a frame"));
        }
        let descriptor = self.rest;
        let [flags, block_size] = take_array(&mut self.rest)?;
        if flags & VERSION_BITS != VERSION || flags & RESERVED != 0 || block_size & !BLOCK_SIZE_BITS != 0 {
            return Err(bad("its frame is of a newer version"));
        }
        if flags & INDEPENDENT == 0 || flags & DICTIONARY != 0 {
            return Err(bad("its blocks depend on one another or on a dictionary"));
        }
        let block_max = match block_size >> 4 {
            // 64 KiB, 256 KiB, 1 MiB, 4 MiB.
            size @ 4..=7 => 1 << (8 + 2 * size),
            _ => return Err(bad("its block size means nothing")),
        };
        let size_left = match flags & CONTENT_SIZE {
            0 => None,
            _ => Some(u64::from_le_bytes(take_array(&mut self.rest)?)),
        };
        let descriptor = &descriptor[..descriptor.len() - self.rest.len()];
        let [stored] = take_array(&mut self.rest)?;
        if (XxHash32::oneshot(0, descriptor) >> 8) as u8 != stored {
            return Err(bad("its frame header's checksum is wrong"));
        }
        Ok(Frame { flags, block_max, content: XxHash32::with_seed(0), size_left })
    }
}

impl Blocks for Lz4Blocks<'_> {
    fn next_block(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        let mut frame = match self.frame.take() {
            Some(frame) => frame,
            None => self.begin_frame()?,
        };
        let word = u32::from_le_bytes(take_array(&mut self.rest)?);
        if word == 0 {
            return self.end_frame(frame);
        }
        let block = take(&mut self.rest, (word & !STORED) as usize)?;
        if frame.flags & BLOCK_CHECKSUM != 0
            && XxHash32::oneshot(0, block) != u32::from_le_bytes(take_array(&mut self.rest)?)
        {
            return Err(bad("a block's checksum is wrong"));
        }
        if word & STORED != 0 {
            if block.len() > frame.block_max {
                return Err(bad("a block is larger than its frame allows"));
            }
            out.extend_from_slice(block);
        } else {
            out.resize(frame.block_max.min(block.len().saturating_mul(RATIO_MAX)), 0);
            let count = decompress_into(block, out).map_err(|error| bad(error.to_string()))?;
            out.truncate(count);
        }
        if frame.flags & CONTENT_CHECKSUM != 0 {
            frame.content.write(out);
        }
        if let Some(left) = &mut frame.size_left {
            *left =
                left.checked_sub(out.len() as u64).ok_or_else(|| bad("it is longer than its frame says"))?;
        }
        self.frame = Some(frame);
        Ok(true)
    }
}

impl Lz4Blocks<'_> {
    /// After the end mark: nothing, since Kafka's reader takes one frame only.
    fn end_frame(&mut self, frame: Frame) -> io::Result<bool> {
        if frame.flags & CONTENT_CHECKSUM != 0
            && frame.content.finish_32() != u32::from_le_bytes(take_array(&mut self.rest)?)
        {
            return Err(bad("its content checksum is wrong"));
        }
        if frame.size_left.is_some_and(|left| left != 0) {
            return Err(bad("it is shorter than its frame says"));
        }
        if !self.rest.is_empty() {
            return Err(bad("there are bytes after its frame"));
        }
        Ok(false)
    }
}

/// Without a level the fast compressor is used, as Kafka does by default.
pub(super) fn compress(bytes: &[u8], level: Option<i32>, out: &mut Vec<u8>) -> io::Result<()> {
    const BLOCK_SIZE: usize = 64 << 10;
    let descriptor = [VERSION | INDEPENDENT, BLOCK_SIZE_64_KIB << 4];
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&descriptor);
    out.push((XxHash32::oneshot(0, &descriptor) >> 8) as u8);
    for block in bytes.chunks(BLOCK_SIZE) {
        let start = out.len();
        out.resize(start + 4 + get_maximum_output_size(block.len()), 0);
        let count = compress_block(block, level, &mut out[start + 4..])?;
        // Lengths are at most 64 KiB and a little.
        let word = if count < block.len() {
            out.truncate(start + 4 + count);
            count as u32
        } else {
            out.truncate(start + 4);
            out.extend_from_slice(block);
            block.len() as u32 | STORED
        };
        out[start..start + 4].copy_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&0u32.to_le_bytes());
    Ok(())
}

fn compress_block(block: &[u8], level: Option<i32>, out: &mut [u8]) -> io::Result<usize> {
    match level {
        #[cfg(feature = "lz4-levels")]
        Some(level) => {
            let mode = lz4::block::CompressionMode::HIGHCOMPRESSION(level.clamp(1, 17));
            lz4::block::compress_to_buffer(block, Some(mode), false, out)
        }
        _ => compress_into(block, out).map_err(|error| bad(error.to_string())),
    }
}
