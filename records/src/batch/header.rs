//! The layout of a batch's first 61 bytes. All numbers are big-endian.
//!
//! ```text
//!  0  base offset          i64   outside the checksum: the log assigns it
//!  8  length               i32   bytes after this field
//! 12  leader epoch         i32   outside the checksum: the log assigns it; -1 = none
//! 16  magic                i8    always 2
//! 17  checksum             u32   CRC-32C of everything from 21 to the end
//! 21  attributes           i16
//! 23  last offset delta    i32   last offset - base offset
//! 27  base timestamp       i64   what the records' timestamp deltas add to, or the delete horizon
//! 35  max timestamp        i64   -1 = none
//! 43  producer id          i64   -1 = none
//! 51  producer epoch       i16   -1 = none
//! 53  base sequence        i32   -1 = none
//! 57  record count         i32
//! 61  records
//! ```

/// Bytes before the first record.
pub const HEADER_LEN: usize = 61;

/// Bytes from a batch's start that its length field does not count.
pub const LENGTH_OVERHEAD: usize = 12;

/// The only format there is: record batch v2.
pub const MAGIC: i8 = 2;

pub(super) const BASE_OFFSET: usize = 0;
pub(super) const LENGTH: usize = 8;
pub(super) const LEADER_EPOCH: usize = 12;
pub(super) const MAGIC_AT: usize = 16;
pub(super) const CRC: usize = 17;
pub(super) const ATTRIBUTES: usize = 21;
pub(super) const LAST_OFFSET_DELTA: usize = 23;
pub(super) const BASE_TIMESTAMP: usize = 27;
pub(super) const MAX_TIMESTAMP: usize = 35;
pub(super) const PRODUCER_ID: usize = 43;
pub(super) const PRODUCER_EPOCH: usize = 51;
pub(super) const BASE_SEQUENCE: usize = 53;
pub(super) const RECORD_COUNT: usize = 57;

const _: () = assert!(RECORD_COUNT + 4 == HEADER_LEN && LENGTH + 4 == LENGTH_OVERHEAD);

/// Kafka's "none" in the header's timestamps, producer fields and leader epoch.
pub(super) const NONE: i64 = -1;

/// What a batch's attribute bits say. Bits without a meaning yet are kept and ignored, as Kafka does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(pub u16);

impl Attributes {
    pub(super) const CODEC: u16 = 0b111;
    pub(super) const LOG_APPEND_TIME: u16 = 1 << 3;
    pub(super) const TRANSACTIONAL: u16 = 1 << 4;
    pub(super) const CONTROL: u16 = 1 << 5;
    pub(super) const DELETE_HORIZON: u16 = 1 << 6;

    /// The codec's number; 5 to 7 mean nothing.
    pub const fn codec_id(self) -> u8 {
        (self.0 & Self::CODEC) as u8
    }

    /// Which clock stamped the records.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME != 0 {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether the batch is part of a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether its records are for brokers and clients rather than for applications.
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is a delete horizon.
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

/// Which clock stamped a batch's records (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer's: each record has its own.
    #[default]
    CreateTime,
    /// The broker's at the time of the append: all records have the batch's max timestamp.
    LogAppendTime,
}

/// The `N` bytes at `at`, which the caller knows to exist.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
