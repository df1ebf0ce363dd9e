//! The primitive encodings of Kafka's protocol and of its record batches: big-endian integers, varints, and
//! lengths in front of strings, bytes and arrays.
//!
//! [`Reader`] is total: whatever the bytes say, it answers with a value or a [`ReadError`], never panics, and
//! allocates nothing. The functions of [`write`] append to any [`bytes::BufMut`] that grows.

mod reader;
pub mod write;

pub use reader::{ReadError, Reader};

/// Bytes that `value` takes as an unsigned varint: 1 to 5.
pub const fn uvarint_len(value: u32) -> usize {
    let bits = 32 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that `value` takes as a zigzag varlong: 1 to 10.
pub const fn varlong_len(value: i64) -> usize {
    let bits = 64 - (zigzag64(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that `value` takes as a zigzag varint: 1 to 5.
pub const fn varint_len(value: i32) -> usize {
    uvarint_len(zigzag32(value))
}

const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests;
