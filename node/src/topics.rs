//! Topics: creating, deleting, finding.

use std::{collections::BTreeMap, sync::Arc};

use highwater_env::{BoxFuture, Lane};
use highwater_metadata::{Entry, EntryId, Image, MetadataRecord, Topic, config::BrokerConfig, decide};
use highwater_records::{BrokerId, PartitionIndex, TopicId};

use crate::{
    Node,
    cluster::ChangeError,
    first_of::first_of,
    join_all::{AT_ONCE, join_all},
    request::{
        Caller, CreateTopic, CreateTopicError, CreatedTopic, DeleteTopicError, DeletedTopic,
        EnsureTopicError, TopicRef,
    },
};

impl Node {
    /// The identities of topics that a client wants to use; those that are missing are created with the broker's
    /// defaults where `create` asks for it and `auto.create.topics.enable` allows it.
    pub fn ensure_topics<'a>(
        &'a self,
        caller: &'a Caller,
        names: &'a [String],
        create: bool,
    ) -> BoxFuture<'a, Vec<Result<TopicId, EnsureTopicError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(names.len());
            for name in names {
                answers.push(self.ensure_topic(name, create && self.config.auto_create_topics).await);
            }
            answers
        })
    }

    async fn ensure_topic(&self, name: &str, create: bool) -> Result<TopicId, EnsureTopicError> {
        if let Some(topic) = self.image().topic_named(name) {
            return Ok(topic.id);
        }
        if !create {
            return match decide::check_topic_name(name) {
                Ok(()) => Err(EnsureTopicError::Unknown),
                Err(error) => Err(EnsureTopicError::InvalidName(error.to_string())),
            };
        }
        let wished = CreateTopic {
            name: name.to_owned(),
            partitions: None,
            replication_factor: None,
            assignments: BTreeMap::new(),
            configs: Vec::new(),
        };
        match self.create_topic(wished, false).await {
            Ok(created) => Ok(created.id),
            // Somebody else was first.
            Err(CreateTopicError::AlreadyExists(_)) => {
                self.image().topic_named(name).map(|topic| topic.id).ok_or(EnsureTopicError::Unknown)
            }
            Err(CreateTopicError::InvalidName(detail)) => Err(EnsureTopicError::InvalidName(detail)),
            Err(error) => Err(EnsureTopicError::Unavailable(error.to_string())),
        }
    }

    /// Creates topics, each by itself, answered in order. With `validate_only` nothing is created.
    ///
    /// A topic that is answered `Ok` is durable, and so are its empty logs. All are refused if they have more than
    /// [`decide::PARTITIONS_MAX`] partitions together.
    pub fn create_topics<'a>(
        &'a self,
        caller: &'a Caller,
        topics: Vec<CreateTopic>,
        validate_only: bool,
    ) -> BoxFuture<'a, Vec<Result<CreatedTopic, CreateTopicError>>> {
        Box::pin(async move {
            let _ = caller;
            // As in Kafka before anything else is looked at, and for all of them.
            if partitions_of(&topics, &self.live.get()) > u64::from(decide::PARTITIONS_MAX) {
                return topics.iter().map(|_| Err(CreateTopicError::TooManyPartitions)).collect();
            }
            let mut answers = Vec::with_capacity(topics.len());
            for topic in topics {
                answers.push(self.create_topic(topic, validate_only).await);
            }
            answers
        })
    }

    async fn create_topic(
        &self,
        topic: CreateTopic,
        validate_only: bool,
    ) -> Result<CreatedTopic, CreateTopicError> {
        let name = topic.name.clone();
        // What is wrong with the name comes before whatever else is.
        let wished = wished(topic).map_err(|error| match decide::check_topic_name(&name) {
            Err(invalid) => CreateTopicError::InvalidName(invalid.to_string()),
            Ok(()) if self.image().topic_named(&name).is_some() => CreateTopicError::AlreadyExists(name),
            Ok(()) => error,
        })?;
        let config = self.live.get();
        let id = TopicId::from_random(self.env.random(), self.env.random());
        if validate_only {
            let image = self.image();
            let records = decide::create_topic(&image, &wished, &config, id).map_err(refused)?;
            let planned = planned(&image, id, records)
                .ok_or_else(|| CreateTopicError::Unavailable("the decision could not be tried".into()))?;
            return Ok(self.created(&planned, TopicId::ZERO));
        }
        self.partitions.created(id);
        let changed = self.cluster.change(|image| decide::create_topic(image, &wished, &config, id)).await;
        let image = match changed {
            Ok(image) => image,
            Err(ChangeError::Refused(error)) => return Err(refused(error)),
            Err(ChangeError::Log(error)) => return Err(CreateTopicError::Unavailable(error.to_string())),
        };
        let topic = image
            .topic(id)
            .ok_or_else(|| CreateTopicError::Unavailable("deleted as soon as it was created".into()))?;
        // Syncs of several new directories share the file system's work.
        let led: Vec<_> = topic
            .numbered()
            .filter(|(_, partition)| partition.leader == Some(self.broker))
            .map(|(index, _)| index)
            .collect();
        for some in led.chunks(AT_ONCE) {
            let work = some
                .iter()
                .map(|index| Box::pin(self.create_log(&image, topic, *index)) as BoxFuture<'_, ()>);
            join_all(work.collect()).await;
        }
        Ok(self.created(topic, id))
    }

    pub(crate) async fn create_log(&self, image: &Image, topic: &Arc<Topic>, index: PartitionIndex) {
        if let Err(error) = self.partitions.get(image, topic, index).await {
            // The topic exists all the same; whoever uses the partition next tries again and is told.
            tracing::warn!(topic = %topic.name, partition = %index, %error, "its log cannot be created now");
        }
    }

    fn created(&self, topic: &Topic, id: TopicId) -> CreatedTopic {
        CreatedTopic {
            id,
            partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
            replication_factor: topic
                .partitions
                .first()
                .map_or(0, |partition| i16::try_from(partition.replicas.len()).unwrap_or(i16::MAX)),
            configs: self.topic_config_entries(topic),
        }
    }

    /// Deletes topics, each by itself, answered in order. A topic that is answered `Ok` is gone for every client, and
    /// stays so; its local files go now, its objects in the bucket after their grace period.
    pub fn delete_topics<'a>(
        self: &'a Arc<Self>,
        caller: &'a Caller,
        topics: Vec<TopicRef>,
    ) -> BoxFuture<'a, Vec<Result<DeletedTopic, DeleteTopicError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(topics.len());
            for topic in topics {
                answers.push(self.delete_topic(topic).await);
            }
            answers
        })
    }

    async fn delete_topic(self: &Arc<Self>, topic: TopicRef) -> Result<DeletedTopic, DeleteTopicError> {
        if !self.config.delete_topic {
            return Err(DeleteTopicError::Disabled);
        }
        let image = self.image();
        let found = match &topic {
            TopicRef::Name(name) => image.topic_named(name).ok_or(DeleteTopicError::UnknownTopic)?,
            TopicRef::Id(id) => image.topic(*id).ok_or(DeleteTopicError::UnknownTopicId)?,
        }
        .clone();
        match self.cluster.change(|image| decide::delete_topic(image, found.id)).await {
            Ok(_) => {}
            Err(ChangeError::Refused(_)) => {
                return Err(match topic {
                    TopicRef::Name(_) => DeleteTopicError::UnknownTopic,
                    TopicRef::Id(_) => DeleteTopicError::UnknownTopicId,
                });
            }
            Err(ChangeError::Log(error)) => return Err(DeleteTopicError::Unavailable(error.to_string())),
        }
        let deleted = DeletedTopic { name: found.name.clone(), id: found.id };
        self.close_topic(&found).await;
        // What the bucket has of it need not keep the client waiting.
        let node = self.clone();
        self.tasks.spawn(&self.env, Lane::Background, async move {
            first_of(node.stops(), node.purge_topic(&found)).await;
        });
        Ok(deleted)
    }
}

/// How many partitions these topics have together.
fn partitions_of(topics: &[CreateTopic], config: &BrokerConfig) -> u64 {
    let of_one = |topic: &CreateTopic| match topic.partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len() as u64,
        // A number that is none is refused when the topic's turn comes.
        Some(number) => u64::try_from(number).unwrap_or(0),
        None => u64::from(config.num_partitions),
    };
    topics.iter().map(of_one).sum()
}

/// What a topic would be if `records` were in force.
fn planned(image: &Image, id: TopicId, records: Vec<MetadataRecord>) -> Option<Arc<Topic>> {
    let mut scratch = image.clone();
    let entry = Entry { id: EntryId::after(image.applied())?, expects: image.last_effective(), records };
    scratch.apply(&entry);
    scratch.topic(id).cloned()
}

fn wished(topic: CreateTopic) -> Result<decide::CreateTopic, CreateTopicError> {
    let mut configs = BTreeMap::new();
    for (key, value) in topic.configs {
        let Some(value) = value else {
            return Err(CreateTopicError::InvalidConfig(format!("no value for topic configuration {key}")));
        };
        configs.insert(key, value);
    }
    // What is negative becomes what cannot be either: it is refused in its turn, behind a name that is taken.
    let some = |number: i32| u32::try_from(number).unwrap_or(0);
    let known = |number: i32| u32::try_from(number).unwrap_or(u32::MAX);
    let mut assignments = BTreeMap::new();
    for (partition, replicas) in topic.assignments {
        let replicas = replicas.into_iter().map(|id| BrokerId(known(id))).collect();
        assignments.insert(PartitionIndex(known(partition)), replicas);
    }
    Ok(decide::CreateTopic {
        name: topic.name,
        partitions: topic.partitions.map(some),
        replication_factor: topic.replication_factor.map(|factor| some(factor.into())),
        assignments,
        configs,
    })
}

fn refused(error: decide::CreateTopicError) -> CreateTopicError {
    use decide::CreateTopicError as Refused;
    let detail = error.to_string();
    match error {
        Refused::Exists(name) => CreateTopicError::AlreadyExists(name),
        Refused::InvalidName(_) | Refused::NameCollides { .. } => CreateTopicError::InvalidName(detail),
        Refused::InvalidPartitions(_) => CreateTopicError::InvalidPartitions(detail),
        Refused::InvalidReplicationFactor { .. } => CreateTopicError::InvalidReplicationFactor(detail),
        Refused::InvalidAssignment(_) => CreateTopicError::InvalidAssignment(detail),
        Refused::AssignmentAndNumbers => CreateTopicError::InvalidRequest(detail),
        Refused::InvalidConfig(_) => CreateTopicError::InvalidConfig(detail),
        Refused::IdInUse(_) => CreateTopicError::Unavailable(detail),
    }
}
