//! Appending primitives to a growing buffer. Fixed-width integers are [`BufMut`]'s own (`put_i32` and so on).

use super::{zigzag32, zigzag64};
use bytes::BufMut;

/// Appends an unsigned varint.
pub fn uvarint(out: &mut impl BufMut, value: u32) {
    raw(out, u64::from(value));
}

/// Appends a zigzag varint.
pub fn varint(out: &mut impl BufMut, value: i32) {
    raw(out, u64::from(zigzag32(value)));
}

/// Appends a zigzag varlong.
pub fn varlong(out: &mut impl BufMut, value: i64) {
    raw(out, zigzag64(value));
}

fn raw(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}
