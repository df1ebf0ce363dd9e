//! Consumer groups (KIP-848): the group's epoch, its members, what each is to have, and what each has. All flexible.

use alloc::{string::String, vec::Vec};
use bytes::{BufMut, Bytes};
use highwater_records::{TopicId, primitive::write};

use super::fields::{Fields, FormatError, put_compact_count, put_compact_string};
use crate::consumer::Assignment;

/// All of them have one version, and it is flexible.
fn begin(bytes: &[u8]) -> Result<Fields<'_>, FormatError> {
    Fields::versioned(bytes, 0, 0).map(|(fields, _)| fields)
}

fn new() -> Vec<u8> {
    Vec::from([0, 0])
}

fn put_nullable(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_compact_string(out, text),
        None => out.put_u8(0),
    }
}

/// The value behind [`Key::ConsumerGroup`](super::Key::ConsumerGroup).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerGroupEpoch {
    /// Counts what members must be told of.
    pub epoch: i32,
    /// Tells whether the topics that are read have changed; 0 if unknown.
    pub metadata_hash: i64,
}

impl ConsumerGroupEpoch {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = new();
        out.put_i32(self.epoch);
        if self.metadata_hash == 0 {
            out.put_u8(0);
        } else {
            out.put_slice(&[1, 0, 8]);
            out.put_i64(self.metadata_hash);
        }
        out
    }

    /// Reads them.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<ConsumerGroupEpoch, FormatError> {
        let mut fields = begin(bytes)?;
        let epoch = fields.reader.i32()?;
        let mut metadata_hash = 0;
        fields.tagged(|tag, bytes| {
            if tag == 0 {
                let bytes = bytes.try_into().map_err(|_| FormatError::Missing)?;
                metadata_hash = i64::from_be_bytes(bytes);
            }
            Ok(())
        })?;
        fields.end()?;
        Ok(ConsumerGroupEpoch { epoch, metadata_hash })
    }
}

/// The value behind [`Key::ConsumerMember`](super::Key::ConsumerMember).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerMember {
    /// Its instance, if it is a static one.
    pub instance: Option<String>,
    /// Where it stands.
    pub rack: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// The topics it names.
    pub topics: Vec<String>,
    /// The topics it describes.
    pub regex: Option<String>,
    /// Milliseconds, or -1.
    pub rebalance_timeout: i32,
    /// The assignor it asks for.
    pub assignor: Option<String>,
    /// What it says in the classic protocol, if it speaks that still.
    pub classic: Option<ClassicProtocols>,
}

/// What a member of a consumer group says in the classic protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicProtocols {
    /// How long it may be silent, in milliseconds.
    pub session_timeout: i32,
    /// The ways of dividing the work it knows, and what it says for each.
    pub protocols: Vec<(String, Bytes)>,
}

impl ClassicProtocols {
    /// A nullable struct behind a tag: whether it is there, its fields, its own tagged fields.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from([1]);
        out.put_i32(self.session_timeout);
        put_compact_count(&mut out, self.protocols.len());
        for (name, metadata) in &self.protocols {
            put_compact_string(&mut out, name);
            put_compact_count(&mut out, metadata.len());
            out.put_slice(metadata);
            out.put_u8(0);
        }
        out.put_u8(0);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Option<ClassicProtocols>, FormatError> {
        let mut fields = Fields::flexible(bytes);
        if fields.reader.take(1)? == [0xff] {
            return Ok(None);
        }
        let mut classic = ClassicProtocols { session_timeout: fields.reader.i32()?, protocols: Vec::new() };
        for _ in 0..fields.count()? {
            classic.protocols.push((fields.string()?, fields.bytes()?));
            fields.tagged(|_, _| Ok(()))?;
        }
        fields.tagged(|_, _| Ok(()))?;
        fields.end()?;
        Ok(Some(classic))
    }
}

impl ConsumerMember {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = new();
        put_nullable(&mut out, self.instance.as_deref());
        put_nullable(&mut out, self.rack.as_deref());
        put_compact_string(&mut out, &self.client_id);
        put_compact_string(&mut out, &self.client_host);
        put_compact_count(&mut out, self.topics.len());
        for topic in &self.topics {
            put_compact_string(&mut out, topic);
        }
        put_nullable(&mut out, self.regex.as_deref());
        out.put_i32(self.rebalance_timeout);
        put_nullable(&mut out, self.assignor.as_deref());
        match &self.classic {
            None => out.put_u8(0),
            Some(classic) => {
                let classic = classic.encode();
                out.put_slice(&[1, 0]);
                write::uvarint(&mut out, u32::try_from(classic.len()).unwrap_or(u32::MAX));
                out.put_slice(&classic);
            }
        }
        out
    }

    /// Reads them.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<ConsumerMember, FormatError> {
        let mut fields = begin(bytes)?;
        let instance = fields.nullable_string()?;
        let rack = fields.nullable_string()?;
        let client_id = fields.string()?;
        let client_host = fields.string()?;
        let mut topics = Vec::new();
        for _ in 0..fields.count()? {
            topics.push(fields.string()?);
        }
        let regex = fields.nullable_string()?;
        let rebalance_timeout = fields.reader.i32()?;
        let assignor = fields.nullable_string()?;
        let mut classic = None;
        fields.tagged(|tag, bytes| {
            if tag == 0 {
                classic = ClassicProtocols::decode(bytes)?;
            }
            Ok(())
        })?;
        fields.end()?;
        Ok(ConsumerMember {
            instance,
            rack,
            client_id,
            client_host,
            topics,
            regex,
            rebalance_timeout,
            assignor,
            classic,
        })
    }
}

/// The value behind [`Key::TargetEpoch`](super::Key::TargetEpoch): the epoch of everybody's targets.
pub fn encode_target_epoch(epoch: i32) -> Vec<u8> {
    let mut out = new();
    out.put_i32(epoch);
    out.put_u8(0);
    out
}

/// Reads what [`encode_target_epoch`] writes.
///
/// # Errors
/// When the bytes are none.
pub fn decode_target_epoch(bytes: &[u8]) -> Result<i32, FormatError> {
    let mut fields = begin(bytes)?;
    let epoch = fields.reader.i32()?;
    fields.tagged(|_, _| Ok(()))?;
    fields.end()?;
    Ok(epoch)
}

fn put_assignment(out: &mut Vec<u8>, assignment: &Assignment) {
    put_compact_count(out, assignment.topics().count());
    for (topic, partitions) in assignment.topics() {
        out.put_slice(topic.as_bytes());
        put_compact_count(out, partitions.len());
        for partition in partitions {
            out.put_i32(partition);
        }
        out.put_u8(0);
    }
}

fn assignment(fields: &mut Fields<'_>) -> Result<Assignment, FormatError> {
    let mut assignment = Assignment::default();
    for _ in 0..fields.count()? {
        let id = fields.reader.take(16)?.try_into().map_err(|_| FormatError::Missing)?;
        let topic = TopicId::from_bytes(id);
        for _ in 0..fields.count()? {
            assignment.add(topic, fields.reader.i32()?);
        }
        fields.tagged(|_, _| Ok(()))?;
    }
    Ok(assignment)
}

/// The value behind [`Key::Target`](super::Key::Target): what a member is to have.
pub fn encode_target(target: &Assignment) -> Vec<u8> {
    let mut out = new();
    put_assignment(&mut out, target);
    out.put_u8(0);
    out
}

/// Reads what [`encode_target`] writes.
///
/// # Errors
/// When the bytes are none.
pub fn decode_target(bytes: &[u8]) -> Result<Assignment, FormatError> {
    let mut fields = begin(bytes)?;
    let target = assignment(&mut fields)?;
    fields.tagged(|_, _| Ok(()))?;
    fields.end()?;
    Ok(target)
}

/// The value behind [`Key::Current`](super::Key::Current): what a member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentAssignment {
    /// Its epoch.
    pub epoch: i32,
    /// The one before.
    pub previous_epoch: i32,
    /// How far it has come: 0 stable, 1 to give up, 2 waits.
    pub progress: i8,
    /// What it has.
    pub assigned: Assignment,
    /// What it is to give up.
    pub revoking: Assignment,
}

impl CurrentAssignment {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = new();
        out.put_i32(self.epoch);
        out.put_i32(self.previous_epoch);
        out.put_i8(self.progress);
        put_assignment(&mut out, &self.assigned);
        put_assignment(&mut out, &self.revoking);
        out.put_u8(0);
        out
    }

    /// Reads them.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<CurrentAssignment, FormatError> {
        let mut fields = begin(bytes)?;
        let value = CurrentAssignment {
            epoch: fields.reader.i32()?,
            previous_epoch: fields.reader.i32()?,
            progress: fields.reader.i8()?,
            assigned: assignment(&mut fields)?,
            revoking: assignment(&mut fields)?,
        };
        fields.tagged(|_, _| Ok(()))?;
        fields.end()?;
        Ok(value)
    }
}

/// The value behind [`Key::Regex`](super::Key::Regex): the topics that an expression was found to match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedRegex {
    /// Their names, in order.
    pub topics: Vec<String>,
    /// Of the cluster's metadata, or 0.
    pub version: i64,
    /// When, in milliseconds of the broker's clock.
    pub timestamp: i64,
}

impl ResolvedRegex {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = new();
        put_compact_count(&mut out, self.topics.len());
        for topic in &self.topics {
            put_compact_string(&mut out, topic);
        }
        out.put_i64(self.version);
        out.put_i64(self.timestamp);
        write::uvarint(&mut out, 0);
        out
    }

    /// Reads them.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<ResolvedRegex, FormatError> {
        let mut fields = begin(bytes)?;
        let mut topics = Vec::new();
        for _ in 0..fields.count()? {
            topics.push(fields.string()?);
        }
        let (version, timestamp) = (fields.reader.i64()?, fields.reader.i64()?);
        fields.tagged(|_, _| Ok(()))?;
        fields.end()?;
        Ok(ResolvedRegex { topics, version, timestamp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn cut<T: core::fmt::Debug>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, FormatError>) {
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_shorter() {
        let two = Assignment::of([(TopicId::from_bytes([1; 16]), 3), (TopicId::from_bytes([2; 16]), 0)]);
        for epoch in [
            ConsumerGroupEpoch { epoch: 7, metadata_hash: 0 },
            ConsumerGroupEpoch { epoch: 8, metadata_hash: -5 },
        ] {
            assert_eq!(ConsumerGroupEpoch::decode(&epoch.encode()), Ok(epoch));
            cut(&epoch.encode(), ConsumerGroupEpoch::decode);
        }
        let member = ConsumerMember {
            instance: Some("i".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            topics: vec!["a".into(), "b".into()],
            regex: Some("x.*".into()),
            rebalance_timeout: 300_000,
            ..ConsumerMember::default()
        };
        assert_eq!(ConsumerMember::decode(&member.encode()), Ok(member.clone()));
        cut(&member.encode(), ConsumerMember::decode);
        assert_eq!(decode_target_epoch(&encode_target_epoch(9)), Ok(9));
        assert_eq!(decode_target(&encode_target(&two)), Ok(two.clone()));
        cut(&encode_target(&two), decode_target);
        let current = CurrentAssignment {
            epoch: 4,
            previous_epoch: 3,
            progress: 1,
            assigned: two,
            revoking: Assignment::default(),
        };
        assert_eq!(CurrentAssignment::decode(&current.encode()), Ok(current.clone()));
        cut(&current.encode(), CurrentAssignment::decode);
        let regex = ResolvedRegex { topics: vec!["t".into()], version: 1, timestamp: 2 };
        assert_eq!(ResolvedRegex::decode(&regex.encode()), Ok(regex));
    }
}
