//! Snappy, in the two forms that Kafka's clients write: one raw block (librdkafka among them), and the framing of
//! the xerial library for Java. Told apart by the magic, which no raw block can begin with: as a length it would be
//! wrong.
//!
//! ```text
//! 82 "SNAPPY" 00 | version i32 | lowest compatible version i32 | (length i32 | raw block)*      (big-endian)
//! ```

use std::io;

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::blocks::{Blocks, bad, take, take_array};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const VERSION: i32 = 1;

/// Content per block, as xerial's writer cuts it.
const BLOCK_SIZE: usize = 32 << 10;

/// More than any block can grow: an element of three bytes copies at most 64, and other elements yield less.
const RATIO_MAX: usize = 22;

pub(super) struct SnappyBlocks<'a> {
    rest: &'a [u8],
    form: Form,
}

enum Form {
    Unknown,
    Xerial,
    RawDone,
}

impl<'a> SnappyBlocks<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> SnappyBlocks<'a> {
        SnappyBlocks { rest: bytes, form: Form::Unknown }
    }
}

impl Blocks for SnappyBlocks<'_> {
    fn next_block(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        if let Form::Unknown = self.form {
            if !self.rest.starts_with(&MAGIC) {
                self.form = Form::RawDone;
                return raw(self.rest, out).map(|()| true);
            }
            take(&mut self.rest, MAGIC.len())?;
            let _version = i32::from_be_bytes(take_array(&mut self.rest)?);
            if i32::from_be_bytes(take_array(&mut self.rest)?) > VERSION {
                return Err(bad("its xerial framing is of a newer version"));
            }
            self.form = Form::Xerial;
        }
        if matches!(self.form, Form::RawDone) || self.rest.is_empty() {
            return Ok(false);
        }
        let length = i32::from_be_bytes(take_array(&mut self.rest)?);
        let length = usize::try_from(length).map_err(|_| bad("a block's length is negative"))?;
        raw(take(&mut self.rest, length)?, out).map(|()| true)
    }
}

fn raw(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let size = decompress_len(block)?;
    if size / RATIO_MAX > block.len() {
        return Err(bad("a block promises more than it can hold"));
    }
    out.clear();
    out.resize(size, 0);
    let count = Decoder::new().decompress(block, out)?;
    out.truncate(count);
    Ok(())
}

pub(super) fn compress(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    let mut encoder = Encoder::new();
    for block in bytes.chunks(BLOCK_SIZE) {
        let start = out.len();
        out.resize(start + 4 + max_compress_len(block.len()), 0);
        let count = encoder.compress(block, &mut out[start + 4..])?;
        // A block of 32 KiB grows by a few bytes at most.
        out[start..start + 4].copy_from_slice(&(count as i32).to_be_bytes());
        out.truncate(start + 4 + count);
    }
    Ok(())
}
