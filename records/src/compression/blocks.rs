//! Formats that are a row of blocks, each decompressed whole, one at a time.

use std::io::{self, BufRead, Read};

/// A row of blocks.
pub(super) trait Blocks {
    /// Replaces `out` by the next block's content; `false` after the last. May leave `out` empty.
    fn next_block(&mut self, out: &mut Vec<u8>) -> io::Result<bool>;
}

/// Bytes that are not what the format says.
pub(super) fn bad(detail: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail.into())
}

/// Takes `count` bytes off the front.
pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> io::Result<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(count).ok_or_else(|| bad("it ends too early"))?;
    *bytes = rest;
    Ok(front)
}

/// Takes an array off the front.
pub(super) fn take_array<const N: usize>(bytes: &mut &[u8]) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    array.copy_from_slice(take(bytes, N)?);
    Ok(array)
}

pub(super) fn boxed<'a>(blocks: impl Blocks + 'a) -> Box<dyn BufRead + 'a> {
    Box::new(BlockReader { blocks, block: Vec::new(), position: 0, ended: false })
}

struct BlockReader<B> {
    blocks: B,
    block: Vec<u8>,
    position: usize,
    ended: bool,
}

impl<B: Blocks> BufRead for BlockReader<B> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.position == self.block.len() && !self.ended {
            self.position = 0;
            self.block.clear();
            // An error ends it too, should somebody ask again.
            self.ended = true;
            self.ended = !self.blocks.next_block(&mut self.block)?;
            if self.ended {
                self.block.clear();
            }
        }
        Ok(&self.block[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl<B: Blocks> Read for BlockReader<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}
