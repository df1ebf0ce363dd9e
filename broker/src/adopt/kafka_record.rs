//! The records of Kafka's metadata log, as far as a directory's new owner needs them.
//!
//! A record's value is a frame version (1), a kind and the kind's version, each an unsigned varint, then fields in
//! Kafka's flexible encoding. Of the fields in the order of Kafka's schemas only the leading ones are read that matter;
//! what follows may grow with versions to come.

use highwater_records::{
    TopicId,
    primitive::{ReadError, Reader},
};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KafkaRecord {
    Topic {
        name: String,
        id: TopicId,
    },
    Partition {
        topic: TopicId,
        partition: i32,
        replicas: Vec<i32>,
        leader_epoch: i32,
    },
    PartitionChange {
        topic: TopicId,
        partition: i32,
        leader: Option<i32>,
        replicas: Option<Vec<i32>>,
    },
    RemoveTopic {
        id: TopicId,
    },
    Config {
        resource_type: i8,
        resource: String,
        key: String,
        value: Option<String>,
    },
    ProducerIds {
        next: i64,
    },
    BeginTransaction,
    EndTransaction,
    AbortTransaction,
    /// Something that has to do with who may do what, by the name of its kind; and whether it adds to it.
    Security(&'static str, bool),
    Quota,
    /// Nothing that a directory depends on.
    Other,
}

/// Why a value is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRecord {
    #[error("malformed: {0}")]
    Malformed(#[from] ReadError),
    #[error("frame version {0} is unknown")]
    Frame(u32),
    #[error("a list is null")]
    NullList,
    #[error("a string is null")]
    NullText,
}

impl KafkaRecord {
    pub(super) fn decode(value: &[u8]) -> Result<KafkaRecord, BadRecord> {
        let mut from = Reader::new(value);
        let frame = from.uvarint()?;
        if frame != 1 {
            return Err(BadRecord::Frame(frame));
        }
        let (kind, version) = (from.uvarint()?, from.uvarint()?);
        Ok(match kind {
            2 => {
                let name = text(&mut from)?;
                KafkaRecord::Topic { name, id: id(&mut from)? }
            }
            3 => {
                let (partition, topic) = (from.i32()?, id(&mut from)?);
                let replicas = numbers(&mut from)?.ok_or(BadRecord::NullList)?;
                for _ in ["isr", "removing", "adding"] {
                    numbers(&mut from)?;
                }
                let _leader = from.i32()?;
                KafkaRecord::Partition { topic, partition, replicas, leader_epoch: from.i32()? }
            }
            5 => {
                let (partition, topic) = (from.i32()?, id(&mut from)?);
                let (mut leader, mut replicas) = (None, None);
                for _ in 0..from.uvarint()? {
                    let (tag, length) = (from.uvarint()?, from.uvarint()?);
                    let mut field = Reader::new(from.take(length as usize)?);
                    match tag {
                        // -2 is "as before", which is not written.
                        1 => leader = Some(field.i32()?).filter(|leader| *leader != -2),
                        2 => replicas = numbers(&mut field)?,
                        _ => {}
                    }
                }
                KafkaRecord::PartitionChange { topic, partition, leader, replicas }
            }
            4 => {
                let resource_type = from.i8()?;
                let (resource, key) = (text(&mut from)?, text(&mut from)?);
                KafkaRecord::Config { resource_type, resource, key, value: nullable_text(&mut from)? }
            }
            9 => KafkaRecord::RemoveTopic { id: id(&mut from)? },
            15 => {
                let (_broker, _epoch) = (from.i32()?, from.i64()?);
                KafkaRecord::ProducerIds { next: from.i64()? }
            }
            23 => KafkaRecord::BeginTransaction,
            24 => KafkaRecord::EndTransaction,
            25 => KafkaRecord::AbortTransaction,
            18 => KafkaRecord::Security("ACL", true),
            19 => KafkaRecord::Security("ACL", false),
            11 => KafkaRecord::Security("SCRAM credential", true),
            22 => KafkaRecord::Security("SCRAM credential", false),
            10 => KafkaRecord::Security("delegation token", true),
            26 => KafkaRecord::Security("delegation token", false),
            14 => KafkaRecord::Quota,
            _ => {
                let _ = version;
                KafkaRecord::Other
            }
        })
    }
}

fn id(from: &mut Reader<'_>) -> Result<TopicId, BadRecord> {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(from.take(16)?);
    Ok(TopicId::from_bytes(bytes))
}

fn nullable_text(from: &mut Reader<'_>) -> Result<Option<String>, BadRecord> {
    match from.compact_length()? {
        None => Ok(None),
        Some(length) => Ok(Some(from.text(length)?.to_owned())),
    }
}

fn text(from: &mut Reader<'_>) -> Result<String, BadRecord> {
    nullable_text(from)?.ok_or(BadRecord::NullText)
}

fn numbers(from: &mut Reader<'_>) -> Result<Option<Vec<i32>>, BadRecord> {
    let Some(count) = from.compact_length()? else { return Ok(None) };
    // Grows with what is there, not with what a count promises.
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(from.i32()?);
    }
    Ok(Some(numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Kafka 4.3 wrote them.
    fn partition() -> Vec<u8> {
        let mut bytes = vec![1, 3, 2, 0, 0, 0, 7];
        bytes.extend([9; 16]);
        bytes.extend([2, 0, 0, 0, 1, 2, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 6]);
        bytes.extend([2].into_iter().chain([8; 16]).chain([0]));
        bytes
    }

    #[test]
    fn records_are_read() {
        let topic = TopicId::from_bytes([9; 16]);
        let expected = KafkaRecord::Partition { topic, partition: 7, replicas: vec![1], leader_epoch: 5 };
        assert_eq!(KafkaRecord::decode(&partition()), Ok(expected));
        let mut change = vec![1, 5, 1, 0, 0, 0, 7];
        change.extend([9; 16]);
        change.extend([2, 0, 5, 2, 0, 0, 0, 1, 1, 4, 0, 0, 0, 3]);
        let expected = KafkaRecord::PartitionChange { topic, partition: 7, leader: Some(3), replicas: None };
        assert_eq!(KafkaRecord::decode(&change), Ok(expected));
        let config = b"\x01\x04\x00\x02\x03ab\x02k\x00\x00";
        let expected =
            KafkaRecord::Config { resource_type: 2, resource: "ab".into(), key: "k".into(), value: None };
        assert_eq!(KafkaRecord::decode(config), Ok(expected));
        assert_eq!(KafkaRecord::decode(&[1, 99, 0]), Ok(KafkaRecord::Other));
    }

    #[test]
    fn what_is_cut_or_hostile_is_an_error() {
        // Behind the leader epoch lies what is not read.
        for len in 0..partition().len() - 22 {
            assert!(KafkaRecord::decode(&partition()[..len]).is_err(), "{len}");
        }
        // Whatever a flipped bit makes of it, it ends.
        for bit in 0..partition().len() * 8 {
            let mut bytes = partition();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = KafkaRecord::decode(&bytes);
        }
        assert_eq!(KafkaRecord::decode(&[0, 3, 0]), Err(BadRecord::Frame(0)));
        let mut many = vec![1, 3, 0, 0, 0, 0, 0];
        many.extend([0; 16]);
        many.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(KafkaRecord::decode(&many).is_err());
    }
}
