//! A committed offset.

use alloc::{string::String, vec::Vec};
use bytes::BufMut;
use highwater_records::{TopicId, primitive::write};

use super::fields::{Fields, FormatError, put_compact_string, put_string};

/// The value behind [`Key::Offset`](super::Key::Offset).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The next offset to process.
    pub offset: i64,
    /// The epoch of the record before, or -1.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: String,
    /// When, in milliseconds of the broker's clock.
    pub commit_timestamp: i64,
    /// When to forget it, or -1 for the rules of KIP-211.
    pub expire_timestamp: i64,
    /// The topic's identity; zero if it was not known.
    pub topic_id: TopicId,
}

const NEWEST: i16 = 4;
const FLEXIBLE: i16 = 4;

impl OffsetCommit {
    /// The bytes, as Kafka 4.3 writes them: version 1 with an expiry, else version 4.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.metadata.len());
        if self.expire_timestamp >= 0 {
            out.put_i16(1);
            out.put_i64(self.offset);
            put_string(&mut out, &self.metadata);
            out.put_i64(self.commit_timestamp);
            out.put_i64(self.expire_timestamp);
            return out;
        }
        out.put_i16(4);
        out.put_i64(self.offset);
        out.put_i32(self.leader_epoch);
        put_compact_string(&mut out, &self.metadata);
        out.put_i64(self.commit_timestamp);
        if self.topic_id.is_zero() {
            out.put_u8(0);
        } else {
            out.put_u8(1);
            write::uvarint(&mut out, 0);
            write::uvarint(&mut out, 16);
            out.put_slice(self.topic_id.as_bytes());
        }
        out
    }

    /// Reads any version.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<OffsetCommit, FormatError> {
        let (mut fields, version) = Fields::versioned(bytes, NEWEST, FLEXIBLE)?;
        let offset = fields.reader.i64()?;
        let leader_epoch = if version >= 3 { fields.reader.i32()? } else { -1 };
        let metadata = fields.string()?;
        let commit_timestamp = fields.reader.i64()?;
        let expire_timestamp = if version == 1 { fields.reader.i64()? } else { -1 };
        let mut topic_id = TopicId::ZERO;
        fields.tagged(|tag, bytes| {
            if tag == 0 {
                let bytes = bytes.try_into().map_err(|_| FormatError::Missing)?;
                topic_id = TopicId::from_bytes(bytes);
            }
            Ok(())
        })?;
        fields.end()?;
        Ok(OffsetCommit { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp, topic_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> OffsetCommit {
        OffsetCommit {
            offset: 42,
            leader_epoch: 7,
            metadata: "note".into(),
            commit_timestamp: 1_700_000_000_000,
            expire_timestamp: -1,
            topic_id: TopicId::from_bytes([9; 16]),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let expiring =
            OffsetCommit { expire_timestamp: 9, leader_epoch: -1, topic_id: TopicId::ZERO, ..commit() };
        let nameless = OffsetCommit { topic_id: TopicId::ZERO, metadata: String::new(), ..commit() };
        for value in [commit(), expiring, nameless] {
            let bytes = value.encode();
            assert_eq!(OffsetCommit::decode(&bytes), Ok(value));
            for length in 0..bytes.len() {
                assert!(OffsetCommit::decode(&bytes[..length]).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn older_versions_are_read() {
        let old = [0, 3, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 7, 0, 1, b'm', 0, 0, 0, 0, 0, 0, 0, 5];
        let value = OffsetCommit::decode(&old).unwrap();
        assert_eq!((value.offset, value.leader_epoch, value.metadata.as_str()), (42, 7, "m"));
        assert_eq!((value.commit_timestamp, value.expire_timestamp), (5, -1));
        assert_eq!(OffsetCommit::decode(&[0, 5]), Err(FormatError::UnknownVersion(5)));
    }
}
