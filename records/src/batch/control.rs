//! What control records say: Kafka's transaction markers.

use super::builder::{BatchBuilder, BuildError, Record};
use crate::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs,
    batch::{BatchError, Producer},
    compression::Codec,
    primitive::Reader,
};
use bytes::Bytes;

/// The kind of a control record, from its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// The producer's transaction was aborted.
    Abort,
    /// The producer's transaction was committed.
    Commit,
    /// One of Kafka's others (leader change, snapshot markers, ...), which mean nothing in a topic's partition.
    Other(i16),
}

impl ControlType {
    /// Reads a control record's key: version and kind, two bytes each. Newer versions may add bytes after them.
    ///
    /// # Errors
    /// [`BatchError::Corrupt`].
    pub fn from_key(key: Option<&[u8]>) -> Result<ControlType, BatchError> {
        let bad = |_| BatchError::Corrupt("a control record's key is too short");
        let mut reader = Reader::new(key.unwrap_or_default());
        if reader.i16().map_err(bad)? < 0 {
            return Err(BatchError::Corrupt("a control record's version is negative"));
        }
        Ok(match reader.i16().map_err(bad)? {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            other => ControlType::Other(other),
        })
    }
}

/// The end of a producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Whether it was committed; aborted otherwise.
    pub committed: bool,
    /// Epoch of the transaction coordinator that decided it.
    pub coordinator_epoch: u32,
}

impl EndTxnMarker {
    /// Reads a control record; `None` if it is of another kind.
    ///
    /// # Errors
    /// [`BatchError::Corrupt`].
    pub fn from_record(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<EndTxnMarker>, BatchError> {
        let committed = match ControlType::from_key(key)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            ControlType::Other(_) => return Ok(None),
        };
        let bad = BatchError::Corrupt("a transaction marker's value is too short or negative");
        let mut reader = Reader::new(value.unwrap_or_default());
        match (reader.i16(), reader.i32()) {
            (Ok(0..), Ok(epoch @ 0..)) => {
                Ok(Some(EndTxnMarker { committed, coordinator_epoch: epoch.unsigned_abs() }))
            }
            _ => Err(bad),
        }
    }

    /// The control batch that carries this marker.
    ///
    /// # Errors
    /// As [`BatchBuilder::build`]; none of them can happen to a marker with a coordinator epoch below 2^31.
    pub fn to_batch(
        self,
        id: ProducerId,
        epoch: ProducerEpoch,
        time: TimestampMs,
        base: Offset,
        leader_epoch: Option<LeaderEpoch>,
    ) -> Result<Bytes, BuildError> {
        let kind: i16 = if self.committed { 1 } else { 0 };
        let mut key = [0; 4];
        key[2..].copy_from_slice(&kind.to_be_bytes());
        let mut value = [0; 6];
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new(Codec::None)
            .producer(Producer { id, epoch, base_sequence: None })
            .transactional()
            .control();
        builder.push(Record { timestamp: time, key: Some(&key), value: Some(&value), headers: &[] })?;
        builder.build(base, leader_epoch)
    }
}
