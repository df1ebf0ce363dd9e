//! A classic group: its generation and, while there is one, who does what.

use alloc::{string::String, vec::Vec};
use bytes::{BufMut, Bytes};

use super::fields::{Fields, FormatError, put_bytes, put_count, put_nullable_string, put_string};

/// The value behind [`Key::Group`](super::Key::Group).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `consumer`, `connect` and so on; empty if the group never had members.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The chosen protocol.
    pub protocol: Option<String>,
    /// The member that divides the work.
    pub leader: Option<String>,
    /// Since when the group is in its state, in milliseconds of the broker's clock; -1 if unknown.
    pub state_timestamp: i64,
    /// The members; none if the group is empty.
    pub members: Vec<MemberMetadata>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its id.
    pub member: String,
    /// Its instance, if it is a static one.
    pub instance: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// Milliseconds; -1 for the session timeout.
    pub rebalance_timeout: i32,
    /// Milliseconds.
    pub session_timeout: i32,
    /// What it says for the chosen protocol.
    pub subscription: Bytes,
    /// What it is to do.
    pub assignment: Bytes,
}

const NEWEST: i16 = 4;
const FLEXIBLE: i16 = 4;

impl GroupMetadata {
    /// The bytes, in version 3 as Kafka 4.3 writes them.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_i16(3);
        put_string(&mut out, &self.protocol_type);
        out.put_i32(self.generation);
        put_nullable_string(&mut out, self.protocol.as_deref());
        put_nullable_string(&mut out, self.leader.as_deref());
        out.put_i64(self.state_timestamp);
        put_count(&mut out, self.members.len());
        for member in &self.members {
            put_string(&mut out, &member.member);
            put_nullable_string(&mut out, member.instance.as_deref());
            put_string(&mut out, &member.client_id);
            put_string(&mut out, &member.client_host);
            out.put_i32(member.rebalance_timeout);
            out.put_i32(member.session_timeout);
            put_bytes(&mut out, &member.subscription);
            put_bytes(&mut out, &member.assignment);
        }
        out
    }

    /// Reads any version.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<GroupMetadata, FormatError> {
        let (mut fields, version) = Fields::versioned(bytes, NEWEST, FLEXIBLE)?;
        let protocol_type = fields.string()?;
        let generation = fields.reader.i32()?;
        let protocol = fields.nullable_string()?;
        let leader = fields.nullable_string()?;
        let state_timestamp = if version >= 2 { fields.reader.i64()? } else { -1 };
        let mut members = Vec::new();
        for _ in 0..fields.count()? {
            let member = MemberMetadata {
                member: fields.string()?,
                instance: if version >= 3 { fields.nullable_string()? } else { None },
                client_id: fields.string()?,
                client_host: fields.string()?,
                rebalance_timeout: if version >= 1 { fields.reader.i32()? } else { -1 },
                session_timeout: fields.reader.i32()?,
                subscription: fields.bytes()?,
                assignment: fields.bytes()?,
            };
            fields.tagged(|_, _| Ok(()))?;
            members.push(member);
        }
        fields.tagged(|_, _| Ok(()))?;
        fields.end()?;
        Ok(GroupMetadata { protocol_type, generation, protocol, leader, state_timestamp, members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_is_written_is_read_and_nothing_shorter() {
        let member = MemberMetadata {
            member: "m-1".into(),
            instance: Some("i".into()),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout: 300_000,
            session_timeout: 45_000,
            subscription: Bytes::from_static(&[0, 1]),
            assignment: Bytes::new(),
        };
        let group = GroupMetadata {
            protocol_type: "consumer".into(),
            generation: 4,
            protocol: Some("range".into()),
            leader: Some("m-1".into()),
            state_timestamp: 77,
            members: vec![member.clone(), MemberMetadata { instance: None, ..member }],
        };
        let bytes = group.encode();
        assert_eq!(GroupMetadata::decode(&bytes), Ok(group));
        for length in 0..bytes.len() {
            assert!(GroupMetadata::decode(&bytes[..length]).is_err(), "{length}");
        }
        let empty = GroupMetadata {
            protocol_type: String::new(),
            generation: 0,
            protocol: None,
            leader: None,
            state_timestamp: -1,
            members: vec![],
        };
        assert_eq!(GroupMetadata::decode(&empty.encode()), Ok(empty));
    }

    #[test]
    fn a_lying_count_allocates_nothing() {
        let lie = [0, 3, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 127, 255, 255, 255];
        assert!(GroupMetadata::decode(&lie).is_err());
    }
}
