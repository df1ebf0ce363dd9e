//! CreatePartitions: topics grow.

use highwater_env::BoxFuture;
use highwater_metadata::decide;
use highwater_records::PartitionIndex;

use crate::{
    Node,
    cluster::ChangeError,
    coordinator::is_internal,
    join_all::{AT_ONCE, join_all},
    request::{Caller, CreatePartitionsError},
};

impl Node {
    /// Adds partitions to topics, each by itself, answered in order. With `validate_only` nothing changes.
    ///
    /// Partitions that are answered `Ok` are durable, and so are their empty logs.
    pub fn create_partitions<'a>(
        &'a self,
        caller: &'a Caller,
        wishes: Vec<decide::CreatePartitions>,
        validate_only: bool,
    ) -> BoxFuture<'a, Vec<Result<(), CreatePartitionsError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(wishes.len());
            for wish in wishes {
                answers.push(match validate_only || is_internal(&wish.topic) {
                    true => self.may_grow(&wish),
                    false => self.grow(&wish).await,
                });
            }
            answers
        })
    }

    fn may_grow(&self, wish: &decide::CreatePartitions) -> Result<(), CreatePartitionsError> {
        decide::create_partitions(&self.image(), wish)?;
        // A group's partition is its name's hash by their number: of the groups that there are most would be forgotten.
        // Kafka does it, and forgets them when it is started next.
        if is_internal(&wish.topic) { Err(CreatePartitionsError::Internal) } else { Ok(()) }
    }

    async fn grow(&self, wish: &decide::CreatePartitions) -> Result<(), CreatePartitionsError> {
        let mut before = 0;
        let changed = self
            .cluster
            .change(|image| {
                let records = decide::create_partitions(image, wish)?;
                if let Some(topic) = image.topic_named(&wish.topic) {
                    before = topic.partitions.len();
                    let added = (0..).map(PartitionIndex).take(records.len() + before).skip(before);
                    self.partitions.grown(topic.id, added);
                }
                Ok(records)
            })
            .await;
        let image = match changed {
            Ok(image) => image,
            Err(ChangeError::Refused(error)) => return Err(CreatePartitionsError::Refused(error)),
            Err(ChangeError::Log(error)) => {
                return Err(CreatePartitionsError::Unavailable(error.to_string()));
            }
        };
        // Deleted meanwhile: it did grow before that.
        let Some(topic) = image.topic_named(&wish.topic) else { return Ok(()) };
        let led: Vec<_> = topic
            .numbered()
            .skip(before)
            .filter(|(_, partition)| partition.leader == Some(self.broker))
            .map(|(index, _)| index)
            .collect();
        for some in led.chunks(AT_ONCE) {
            let work = some
                .iter()
                .map(|index| Box::pin(self.create_log(&image, topic, *index)) as BoxFuture<'_, ()>);
            join_all(work.collect()).await;
        }
        Ok(())
    }
}
