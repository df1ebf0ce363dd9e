//! OffsetForLeaderEpoch: where a consumer's log and ours part.

use highwater_engine::EpochStart;
use highwater_env::BoxFuture;
use highwater_records::{LeaderEpoch, Offset};

use crate::{
    Node,
    request::{Caller, EpochEnd, EpochQuestion, OfPartition, PartitionError},
};

impl Node {
    /// Where each leader epoch asked for ended, answered in order; `None` where nothing is known of it, which is also
    /// so for an epoch that has not begun yet.
    pub fn offset_for_leader_epoch<'a>(
        &'a self,
        caller: &'a Caller,
        questions: Vec<OfPartition<EpochQuestion>>,
    ) -> BoxFuture<'a, Vec<Result<Option<EpochEnd>, PartitionError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(questions.len());
            for question in questions {
                answers.push(self.epoch_end(question).await);
            }
            answers
        })
    }

    async fn epoch_end(
        &self,
        question: OfPartition<EpochQuestion>,
    ) -> Result<Option<EpochEnd>, PartitionError> {
        let partition = self.partitions.find(&question.topic, question.partition).await?;
        let (epochs, ours, log_end) = partition
            .see(|state| {
                state.leading().map(|ours| (state.log.epochs(), ours, state.log.positions().log_end))
            })
            .await
            .and_then(|led| led)
            .map_err(|_| PartitionError::NotLeader)?;
        match question.asked.current_leader_epoch {
            Some(theirs) if theirs < ours.as_i32() => Err(PartitionError::FencedLeaderEpoch { ours }),
            Some(theirs) if theirs > ours.as_i32() => Err(PartitionError::UnknownLeaderEpoch { ours }),
            _ => Ok(end_of(question.asked.leader_epoch, epochs, ours, log_end)),
        }
    }
}

/// The answer of Kafka's `LeaderEpochFileCache`, whose newest entry is always the epoch of the leader, records or not.
fn end_of(asked: i32, mut epochs: Vec<EpochStart>, ours: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
    if epochs.last().is_none_or(|last| last.epoch < ours) {
        epochs.push(EpochStart { epoch: ours, start: log_end });
    }
    if asked < 0 || asked > ours.as_i32() {
        return None;
    }
    if asked == ours.as_i32() {
        return Some(EpochEnd { epoch: asked, end: log_end });
    }
    let after = epochs.partition_point(|entry| entry.epoch.as_i32() <= asked);
    let next = epochs.get(after)?;
    let epoch = after.checked_sub(1).map_or(asked, |at| epochs[at].epoch.as_i32());
    Some(EpochEnd { epoch, end: next.start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_end_where_the_next_one_begins() {
        let offset = |offset| Offset::new(offset).unwrap();
        let entry = |epoch, start| EpochStart { epoch: LeaderEpoch(epoch), start: offset(start) };
        let epochs = vec![entry(2, 10), entry(4, 20)];
        let ask = |asked| {
            end_of(asked, epochs.clone(), LeaderEpoch(6), offset(30)).map(|end| (end.epoch, end.end.get()))
        };
        assert_eq!(ask(-1), None);
        assert_eq!(ask(0), Some((0, 10)));
        assert_eq!(ask(2), Some((2, 20)));
        assert_eq!(ask(3), Some((2, 20)));
        assert_eq!(ask(4), Some((4, 30)));
        assert_eq!(ask(5), Some((4, 30)));
        assert_eq!(ask(6), Some((6, 30)));
        assert_eq!(ask(7), None);
    }
}
