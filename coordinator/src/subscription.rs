//! What consumers of the classic protocol say and are told, in the protocol that they embed in it: their subscriptions
//! and their assignments. All versions begin alike, and newer ones add fields at the end.

use alloc::{string::String, vec::Vec};
use bytes::{BufMut, Bytes};
use highwater_records::primitive::{ReadError, Reader};

/// What a consumer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The version it speaks.
    pub(crate) version: i16,
    /// What it reads.
    pub(crate) topics: Vec<String>,
    /// What it has; nothing where its version does not say.
    pub(crate) owned: Vec<(String, Vec<i32>)>,
    /// Where it stands.
    pub(crate) rack: Option<String>,
}

impl Subscription {
    /// Reads one.
    pub(crate) fn read(bytes: &[u8]) -> Result<Subscription, ReadError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        let mut subscription = Subscription { version, ..Subscription::default() };
        for _ in 0..reader.i32_length()?.unwrap_or(0) {
            subscription.topics.push(text(&mut reader)?);
        }
        if let Some(length) = reader.i32_length()? {
            reader.take(length)?;
        }
        if version >= 1 {
            subscription.owned = partitions(&mut reader)?;
        }
        if version >= 2 {
            let _generation = reader.i32()?;
        }
        if version >= 3
            && let Some(length) = reader.i16_length()?
        {
            subscription.rack = Some(reader.text(length)?.into());
        }
        Ok(subscription)
    }
}

/// The topics in a consumer's subscription, which all versions begin with.
pub(crate) fn topics(bytes: &[u8]) -> Result<Vec<String>, ReadError> {
    let mut reader = Reader::new(bytes);
    reader.i16()?;
    let count = reader.i32_length()?.unwrap_or(0);
    let mut topics = Vec::new();
    for _ in 0..count {
        topics.push(text(&mut reader)?);
    }
    Ok(topics)
}

/// The partitions in an assignment; none in an empty one, which a member has that was not given any yet.
pub(crate) fn read_assignment(bytes: &[u8]) -> Result<Vec<(String, Vec<i32>)>, ReadError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    reader.i16()?;
    partitions(&mut reader)
}

/// An assignment for a consumer that speaks this version, without anything else for it.
pub(crate) fn write_assignment(version: i16, topics: &[(String, Vec<i32>)]) -> Bytes {
    // Counts are of what the cluster has, and names came through a protocol with the same bound.
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let mut out = Vec::new();
    out.put_i16(version);
    out.put_i32(count(topics.len()));
    for (topic, partitions) in topics {
        out.put_i16(i16::try_from(topic.len()).unwrap_or(i16::MAX));
        out.put_slice(topic.as_bytes());
        out.put_i32(count(partitions.len()));
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.put_i32(-1);
    out.into()
}

fn text(reader: &mut Reader<'_>) -> Result<String, ReadError> {
    let length = reader.i16_length()?.ok_or(ReadError::NegativeLength(-1))?;
    Ok(reader.text(length)?.into())
}

fn partitions(reader: &mut Reader<'_>) -> Result<Vec<(String, Vec<i32>)>, ReadError> {
    let mut topics = Vec::new();
    for _ in 0..reader.i32_length()?.unwrap_or(0) {
        let topic = text(reader)?;
        let mut partitions = Vec::new();
        for _ in 0..reader.i32_length()?.unwrap_or(0) {
            partitions.push(reader.i32()?);
        }
        topics.push((topic, partitions));
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_subscription_of_any_version_begins_with_its_topics() {
        let bytes = [0, 3, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c', 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(topics(&bytes).unwrap(), ["a", "bc"]);
        assert!(topics(&[0, 0, 0, 0, 0, 1]).is_err());
        assert!(topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0]).is_err());
        assert!(topics(&[]).is_err());
    }

    #[test]
    fn a_subscription_tells_what_its_version_has() {
        let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 9];
        let oldest = Subscription { topics: vec!["a".into()], ..Subscription::default() };
        assert_eq!(Subscription::read(&bytes).unwrap(), oldest);
        bytes[1] = 3;
        assert!(Subscription::read(&bytes).is_err());
        // Partition 5 of `a`, generation 7, rack `r`.
        bytes.extend([0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 7, 0, 1, b'r']);
        let newest =
            Subscription { version: 3, owned: vec![("a".into(), vec![5])], rack: Some("r".into()), ..oldest };
        assert_eq!(Subscription::read(&bytes).unwrap(), newest);
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let given = vec![("a".into(), vec![1, 2]), ("b".into(), vec![])];
        assert_eq!(read_assignment(&write_assignment(1, &given)).unwrap(), given);
        assert_eq!(read_assignment(&[]).unwrap(), []);
    }
}
