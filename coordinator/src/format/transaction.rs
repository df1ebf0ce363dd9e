//! The records of `__transaction_state`: a transactional id, and all that is known of its transaction.

use alloc::{string::String, vec::Vec};
use bytes::BufMut;
use highwater_records::primitive::write;

use super::fields::{Fields, FormatError, put_compact_count, put_compact_string, put_string};

/// The key of a transactional id.
pub fn transaction_key(id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + id.len());
    out.put_i16(0);
    put_string(&mut out, id);
    out
}

/// The transactional id of a key; `None` for a kind of record that this program does not know.
///
/// # Errors
/// When the bytes are not a key of the kind they say.
pub fn transactional_id(bytes: &[u8]) -> Result<Option<String>, FormatError> {
    let mut fields = Fields::new(bytes);
    if fields.reader.i16()? != 0 {
        return Ok(None);
    }
    let id = fields.string()?;
    fields.end()?;
    Ok(Some(id))
}

/// The value behind a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionValue {
    /// The producer id in use.
    pub producer_id: i64,
    /// The one before, or -1.
    pub previous_producer_id: i64,
    /// The one that the producer has been told and that counts after this transaction, or -1.
    pub next_producer_id: i64,
    /// The epoch in use.
    pub producer_epoch: i16,
    /// The producer's time-out in milliseconds.
    pub timeout_ms: i32,
    /// The state's number.
    pub status: i8,
    /// Topics and partitions in the transaction; `None` where there can be none.
    pub partitions: Option<Vec<(String, Vec<i32>)>>,
    /// When anything last happened, in milliseconds of the broker's clock.
    pub updated_ms: i64,
    /// When the transaction began, or -1.
    pub started_ms: i64,
    /// The protocol of the client that ended it: 2 for KIP-890.
    pub client_version: i16,
}

const NEWEST: i16 = 1;
const FLEXIBLE: i16 = 1;

const PREVIOUS_PRODUCER_ID: u32 = 0;
const NEXT_PRODUCER_ID: u32 = 1;
const CLIENT_VERSION: u32 = 2;

impl TransactionValue {
    /// The bytes, as Kafka 4.3 writes them: version 1.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.put_i16(1);
        out.put_i64(self.producer_id);
        out.put_i16(self.producer_epoch);
        out.put_i32(self.timeout_ms);
        out.put_i8(self.status);
        match &self.partitions {
            None => out.put_u8(0),
            Some(topics) => {
                put_compact_count(&mut out, topics.len());
                for (topic, partitions) in topics {
                    put_compact_string(&mut out, topic);
                    put_compact_count(&mut out, partitions.len());
                    partitions.iter().for_each(|partition| out.put_i32(*partition));
                    out.put_u8(0);
                }
            }
        }
        out.put_i64(self.updated_ms);
        out.put_i64(self.started_ms);
        let ids =
            [(PREVIOUS_PRODUCER_ID, self.previous_producer_id), (NEXT_PRODUCER_ID, self.next_producer_id)];
        let told = ids.iter().filter(|(_, id)| *id != -1).count() + usize::from(self.client_version != 0);
        write::uvarint(&mut out, u32::try_from(told).unwrap_or(0));
        for (tag, id) in ids.into_iter().filter(|(_, id)| *id != -1) {
            write::uvarint(&mut out, tag);
            write::uvarint(&mut out, 8);
            out.put_i64(id);
        }
        if self.client_version != 0 {
            write::uvarint(&mut out, CLIENT_VERSION);
            write::uvarint(&mut out, 2);
            out.put_i16(self.client_version);
        }
        out
    }

    /// Reads any version.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<TransactionValue, FormatError> {
        let (mut fields, _) = Fields::versioned(bytes, NEWEST, FLEXIBLE)?;
        let producer_id = fields.reader.i64()?;
        let producer_epoch = fields.reader.i16()?;
        let timeout_ms = fields.reader.i32()?;
        let status = fields.reader.i8()?;
        let partitions = match fields.nullable_count()? {
            None => None,
            Some(count) => {
                let mut topics = Vec::new();
                for _ in 0..count {
                    let topic = fields.string()?;
                    let mut partitions = Vec::new();
                    for _ in 0..fields.count()? {
                        partitions.push(fields.reader.i32()?);
                    }
                    fields.tagged(|_, _| Ok(()))?;
                    topics.push((topic, partitions));
                }
                Some(topics)
            }
        };
        let updated_ms = fields.reader.i64()?;
        let started_ms = fields.reader.i64()?;
        let mut value = TransactionValue {
            producer_id,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch,
            timeout_ms,
            status,
            partitions,
            updated_ms,
            started_ms,
            client_version: 0,
        };
        fields.tagged(|tag, bytes| {
            match tag {
                PREVIOUS_PRODUCER_ID => value.previous_producer_id = i64::from_be_bytes(whole(bytes)?),
                NEXT_PRODUCER_ID => value.next_producer_id = i64::from_be_bytes(whole(bytes)?),
                CLIENT_VERSION => value.client_version = i16::from_be_bytes(whole(bytes)?),
                _ => {}
            }
            Ok(())
        })?;
        fields.end()?;
        Ok(value)
    }
}

fn whole<const N: usize>(bytes: &[u8]) -> Result<[u8; N], FormatError> {
    bytes.try_into().map_err(|_| FormatError::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_is_written_is_read() {
        let ongoing = TransactionValue {
            producer_id: 4711,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: 3,
            timeout_ms: 60_000,
            status: 1,
            partitions: Some(vec![("orders".into(), vec![0, 7]), ("__consumer_offsets".into(), vec![31])]),
            updated_ms: 1_700_000_000_001,
            started_ms: 1_700_000_000_000,
            client_version: 0,
        };
        let rolled = TransactionValue {
            previous_producer_id: 4710,
            next_producer_id: 4712,
            client_version: 2,
            partitions: Some(vec![]),
            ..ongoing.clone()
        };
        let empty = TransactionValue { partitions: None, started_ms: -1, status: 0, ..ongoing.clone() };
        for value in [ongoing, rolled, empty] {
            let bytes = value.encode();
            assert_eq!(TransactionValue::decode(&bytes), Ok(value));
            for length in 0..bytes.len() {
                assert!(TransactionValue::decode(&bytes[..length]).is_err(), "{length}");
            }
        }
        assert_eq!(transactional_id(&transaction_key("t-1")), Ok(Some("t-1".into())));
        assert_eq!(transactional_id(&[0, 1, 0, 0]), Ok(None));
    }

    #[test]
    fn the_first_version_is_read() {
        let mut bytes = vec![0, 0];
        bytes.put_i64(9);
        bytes.put_i16(2);
        bytes.put_i32(1000);
        bytes.put_i8(1);
        bytes.put_i32(1);
        put_string(&mut bytes, "t");
        bytes.put_i32(1);
        bytes.put_i32(5);
        bytes.put_i64(8);
        bytes.put_i64(7);
        let value = TransactionValue::decode(&bytes).unwrap();
        assert_eq!((value.producer_id, value.producer_epoch, value.updated_ms), (9, 2, 8));
        assert_eq!(value.partitions, Some(vec![("t".into(), vec![5])]));
        let count = bytes.len() - 16 - 4 - 4 - 3 - 4;
        bytes[count..count + 4].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(TransactionValue::decode(&bytes).is_err(), "a count that lies");
    }
}
