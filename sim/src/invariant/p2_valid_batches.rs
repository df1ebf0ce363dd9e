//! P2: what a producer sends in order is not refused: a batch that is tried again is answered as it was the first time, and
//! never with an error that says that it came out of order, twice, or from somebody else. That a second answer names the
//! offset of the first one is checked by [L6](super::l6_linearizable), which knows where each append is.

use highwater_node::request::ProduceError;

use crate::history::Promise;

/// Its number and a few words.
pub const NAME: &str = "P2 valid batches are not refused";

/// Whether no broker may answer a valid batch like this; `gone` says whether its topic may be deleted.
pub fn is_wrong(error: &ProduceError, promise: Promise, gone: bool) -> bool {
    match error {
        ProduceError::UnknownTopicOrPartition | ProduceError::UnknownTopicId => !gone,
        ProduceError::Storage(_)
        | ProduceError::NotLeader
        | ProduceError::TimedOut
        | ProduceError::NotEnoughReplicasAfterAppend => false,
        // Producer state goes with records that were lost, where losing them is allowed.
        ProduceError::OutOfOrderSequence(_) => promise == Promise::Synced && !gone,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_may_say_and_what_not() {
        let out_of_order = ProduceError::OutOfOrderSequence("7".into());
        assert!(is_wrong(&out_of_order, Promise::Synced, false));
        assert!(!is_wrong(&out_of_order, Promise::Replicated, false), "what it knew may be lost");
        assert!(is_wrong(&ProduceError::DuplicateSequence, Promise::Replicated, false));
        assert!(!is_wrong(&ProduceError::NotLeader, Promise::Synced, false));
        assert!(is_wrong(&ProduceError::UnknownTopicId, Promise::Synced, false));
        assert!(!is_wrong(&ProduceError::UnknownTopicId, Promise::Synced, true));
    }
}
