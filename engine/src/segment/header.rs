//! What the log needs of a batch, from its first 61 bytes.

use highwater_records::{
    LeaderEpoch, Offset, TimestampMs,
    batch::{BatchError, BatchView, HEADER_LEN, LENGTH_OVERHEAD, Producer, TimestampType, peek_size},
};

/// A batch without its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Bytes of the whole batch.
    pub(crate) size: u64,
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) next_offset: Offset,
    pub(crate) last_offset_delta: u32,
    pub(crate) leader_epoch: Option<LeaderEpoch>,
    pub(crate) first_timestamp: Option<TimestampMs>,
    /// The largest of its records' timestamps; `None` where it has no records.
    pub(crate) max_timestamp: Option<TimestampMs>,
    /// When its producer wrote it: the largest timestamp of the records that it had.
    pub(crate) produced_at: Option<TimestampMs>,
    pub(crate) log_append_time: bool,
    pub(crate) producer: Option<Producer>,
    pub(crate) is_transactional: bool,
    pub(crate) is_control: bool,
    /// The checksum that it carries.
    pub(crate) crc: u32,
}

impl BatchHeader {
    /// Reads a header without the rest of its batch.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN]) -> Result<BatchHeader, BatchError> {
        let size =
            peek_size(bytes)?.ok_or(BatchError::Truncated { needed: HEADER_LEN, available: bytes.len() })?;
        // A view is of a whole batch; with the length of a batch that ends here the header is one.
        let mut alone = *bytes;
        alone[8..LENGTH_OVERHEAD].copy_from_slice(&((HEADER_LEN - LENGTH_OVERHEAD) as i32).to_be_bytes());
        let header = BatchHeader::of(&BatchView::parse(&alone)?);
        Ok(BatchHeader { size: size as u64, ..header })
    }

    pub(crate) fn of(view: &BatchView<'_>) -> BatchHeader {
        BatchHeader {
            size: view.size() as u64,
            base_offset: view.base_offset(),
            last_offset: view.last_offset(),
            next_offset: view.next_offset(),
            last_offset_delta: view.last_offset_delta(),
            leader_epoch: view.leader_epoch(),
            first_timestamp: view.first_timestamp(),
            max_timestamp: view.max_timestamp().filter(|_| view.record_count() > 0),
            produced_at: view.max_timestamp(),
            log_append_time: view.timestamp_type() == TimestampType::LogAppendTime,
            producer: view.producer(),
            is_transactional: view.is_transactional(),
            is_control: view.is_control(),
            crc: view.stored_crc(),
        }
    }

    /// The same batch where the log put it.
    pub(crate) fn placed(self, base_offset: Offset, next_offset: Offset, epoch: LeaderEpoch) -> BatchHeader {
        let last_offset = Offset::new(next_offset.get() - 1).unwrap_or(base_offset);
        BatchHeader { base_offset, last_offset, next_offset, leader_epoch: Some(epoch), ..self }
    }
}
