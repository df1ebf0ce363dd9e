//! What a producer waits for.

/// What a producer asked to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acks {
    /// Nothing (`acks=0`): no response is expected.
    None,
    /// The leader's own position (`acks=1`): durable on a synced topic, appended otherwise.
    Leader,
    /// The high watermark (`acks=all`): every in-sync replica.
    All,
}

impl Acks {
    /// From the wire's number: 0, 1, or -1 for all; `None` for anything else.
    pub const fn from_i16(value: i16) -> Option<Acks> {
        match value {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        }
    }
}

/// How far an append has come towards what its producer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckState {
    /// Answer with success. Never becomes untrue while this leader leads.
    Satisfied,
    /// Ask again once the watermark (or, for [`Acks::Leader`], the leader's own position) has moved.
    Waiting,
    /// The in-sync set fell below its minimum after the append, so that the watermark stands still. Answer
    /// NOT_ENOUGH_REPLICAS_AFTER_APPEND: the record is in the log and may yet be committed; its producer retries.
    NotEnoughReplicasAfterAppend,
}

/// Too few replicas are in sync for `acks=all`; nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{in_sync} replicas are in sync and {required} are required")]
pub struct NotEnoughReplicas {
    /// Members of the committed in-sync set.
    pub in_sync: u32,
    /// `min.insync.replicas`, but at most the number of assigned replicas.
    pub required: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kafkas_three_numbers() {
        assert_eq!(Acks::from_i16(0), Some(Acks::None));
        assert_eq!(Acks::from_i16(1), Some(Acks::Leader));
        assert_eq!(Acks::from_i16(-1), Some(Acks::All));
        assert_eq!(Acks::from_i16(2), None);
        assert_eq!(Acks::from_i16(-2), None);
    }
}
