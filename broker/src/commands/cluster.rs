//! The brokers of a cluster, and which of them to ask.

use std::collections::BTreeMap;

use highwater_records::{ProducerEpoch, ProducerId};
use highwater_wire::{
    ErrorCode, Request,
    messages::{
        find_coordinator::FindCoordinatorRequest,
        metadata::{MetadataResponse, MetadataResponseTopic},
    },
};
use tokio::time::{Duration, Instant, sleep};

use super::{CommandError, names::unknown};
use crate::client::{Client, ClientError, Connection, check};

const CLIENT: &str = "highwater-cli";
/// The last version that names one key in a field of its own.
const COORDINATOR_OF_ONE: i16 = 3;
/// How long a coordinator may take to appear, and partitions to have a leader.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(100);

/// Connections to the brokers of a cluster, opened when they are needed.
pub(super) struct Cluster {
    /// What was given to begin with.
    addresses: String,
    bootstrap: Client,
    brokers: BTreeMap<i32, String>,
    controller: i32,
    open: BTreeMap<i32, Client>,
    /// Topics that were asked for: who leads each partition, by what was heard last.
    leaders: BTreeMap<String, BTreeMap<i32, Option<i32>>>,
}

/// How long somebody goes on trying what does not work at the moment.
pub(super) struct Patience {
    limit: Option<Duration>,
    since: Option<Instant>,
}

impl Patience {
    /// For ever, or as long as brokers need to be started again.
    pub(super) const fn new(for_ever: bool) -> Patience {
        Patience { limit: if for_ever { None } else { Some(PATIENCE) }, since: None }
    }

    /// It works again.
    pub(super) const fn reset(&mut self) {
        self.since = None;
    }

    /// Whether it has been tried for too long. The first time it is said that it is tried again.
    fn is_over(&mut self, error: &CommandError) -> bool {
        let since = *self.since.get_or_insert_with(|| {
            eprintln!("highwater: {error}; trying again");
            Instant::now()
        });
        self.limit.is_some_and(|limit| since.elapsed() >= limit)
    }
}

/// A topic as its cluster describes it.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    /// In the order of their numbers.
    pub(super) partitions: Vec<Partition>,
    pub(super) internal: bool,
    pub(super) id: highwater_records::TopicId,
}

impl Topic {
    /// One of its partitions.
    pub(super) fn partition(&self, index: i32) -> Result<&Partition, CommandError> {
        self.partitions.iter().find(|known| known.index == index).ok_or_else(|| {
            let count = self.partitions.len();
            let what = format!("topic {:?} has no partition {index}; it has {count}, from 0 on", self.name);
            CommandError::Unknown { what }
        })
    }
}

/// A partition as its cluster describes it.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) index: i32,
    /// `None` while it has none.
    pub(super) leader: Option<i32>,
    pub(super) replicas: Vec<i32>,
    pub(super) in_sync: Vec<i32>,
}

impl Cluster {
    /// Connects to the first of `bootstrap` (`host:port`, separated by commas) that answers.
    pub(super) async fn connect(addresses: &str) -> Result<Cluster, CommandError> {
        let mut failed = CommandError::Invalid("--bootstrap names no broker".to_owned());
        for address in addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            match Client::connect(address, CLIENT).await {
                Ok(bootstrap) => {
                    let mut cluster = Cluster {
                        addresses: addresses.to_owned(),
                        bootstrap,
                        brokers: BTreeMap::new(),
                        controller: -1,
                        open: BTreeMap::new(),
                        leaders: BTreeMap::new(),
                    };
                    cluster.metadata(Some(&[])).await?;
                    return Ok(cluster);
                }
                Err(error) => failed = CommandError::Unreachable { address: address.to_owned(), error },
            }
        }
        Err(failed)
    }

    /// Closes every connection and begins anew, where an answer may still be on its way to nobody: with what was given to
    /// begin with, or any broker that was known since.
    pub(super) async fn reconnect(&mut self) -> Result<(), CommandError> {
        let known = self.brokers.values().map(String::as_str);
        let all: Vec<&str> = std::iter::once(self.addresses.as_str()).chain(known).collect();
        let found = Cluster::connect(&all.join(",")).await?;
        let (addresses, leaders) = (std::mem::take(&mut self.addresses), std::mem::take(&mut self.leaders));
        *self = Cluster { addresses, leaders, ..found };
        Ok(())
    }

    /// Makes what failed with `error` worth trying again: waits a moment, connects anew, and looks who leads now.
    ///
    /// # Errors
    /// `error` itself if it is not of the kind that passes, or patience is over; that a topic is gone.
    pub(super) async fn recover(
        &mut self,
        mut error: CommandError,
        patience: &mut Patience,
    ) -> Result<(), CommandError> {
        while error.is_passing() && !patience.is_over(&error) {
            sleep(RETRY).await;
            match self.look_again().await {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
        Err(error)
    }

    async fn look_again(&mut self) -> Result<(), CommandError> {
        self.reconnect().await?;
        let names: Vec<String> = self.leaders.keys().cloned().collect();
        for name in names {
            self.topic(&name).await?;
        }
        Ok(())
    }

    async fn metadata(&mut self, topics: Option<&[&str]>) -> Result<MetadataResponse, CommandError> {
        let answer =
            self.bootstrap.metadata(topics).await.map_err(CommandError::request("asking for the topics"))?;
        let address = |host: &str, port: i32| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let brokers =
            answer.brokers.iter().map(|broker| (broker.node_id, address(&broker.host, broker.port)));
        self.brokers = brokers.collect();
        self.controller = answer.controller_id;
        Ok(answer)
    }

    /// Brokers by their number, as `host:port`.
    pub(super) fn brokers(&self) -> &BTreeMap<i32, String> {
        &self.brokers
    }

    /// All topics, by name.
    pub(super) async fn topics(&mut self) -> Result<Vec<Topic>, CommandError> {
        let mut topics: Vec<Topic> = Vec::new();
        for topic in self.metadata(None).await?.topics {
            topics.push(described(topic)?);
        }
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    /// One topic.
    pub(super) async fn topic(&mut self, name: &str) -> Result<Topic, CommandError> {
        let answer = self.metadata(Some(&[name])).await?.topics.into_iter().next();
        let topic = answer.ok_or(CommandError::Request {
            doing: format!("looking for topic {name:?}"),
            error: ClientError::Protocol("not one answer to one question"),
        })?;
        if ErrorCode::from_code(topic.error_code) == Some(ErrorCode::UnknownTopicOrPartition) {
            let all = self.topics().await?;
            return Err(unknown(
                "topic",
                name,
                all.iter().filter(|topic| !topic.internal).map(|topic| topic.name.as_str()),
            ));
        }
        let topic = described(topic)?;
        let leaders = topic.partitions.iter().map(|partition| (partition.index, partition.leader));
        self.leaders.insert(topic.name.clone(), leaders.collect());
        Ok(topic)
    }

    /// The broker that leads a partition, for reading and writing.
    pub(super) async fn leader(
        &mut self,
        topic: &Topic,
        partition: i32,
    ) -> Result<&mut Client, CommandError> {
        let described = topic.partition(partition)?.leader;
        let heard = self.leaders.get(&topic.name).and_then(|leaders| leaders.get(&partition));
        let leader = heard.copied().unwrap_or(described).filter(|leader| self.brokers.contains_key(leader));
        let leader = leader.ok_or_else(|| CommandError::Unavailable {
            what: format!("partition {partition} of topic {:?} has no leader at the moment", topic.name),
        })?;
        self.broker(leader).await
    }

    /// A broker by its number.
    pub(super) async fn broker(&mut self, id: i32) -> Result<&mut Client, CommandError> {
        if !self.open.contains_key(&id) {
            let address = self
                .brokers
                .get(&id)
                .cloned()
                .ok_or_else(|| CommandError::Unknown { what: format!("there is no broker {id}") })?;
            let client = Client::connect(&address, CLIENT).await;
            let client = client.map_err(|error| CommandError::Unreachable { address, error })?;
            self.open.insert(id, client);
        }
        Ok(self.open.get_mut(&id).unwrap_or_else(|| unreachable!("it was opened above")))
    }

    /// An identity for somebody who writes.
    pub(super) async fn producer(&mut self) -> Result<(ProducerId, ProducerEpoch), CommandError> {
        let doing = "asking for a producer's id";
        let mut patience = Patience::new(false);
        loop {
            match self.bootstrap.init_producer_id().await.map_err(CommandError::request(doing)) {
                // Kafka's are not negative.
                Ok((id, epoch)) => {
                    return Ok((ProducerId(id.cast_unsigned()), ProducerEpoch(epoch.cast_unsigned())));
                }
                Err(error) => self.recover(error, &mut patience).await?,
            }
        }
    }

    /// Asks the controller, or whoever passes for it.
    pub(super) async fn control<R: Request>(
        &mut self,
        doing: &str,
        request: &R,
    ) -> Result<R::Response, CommandError> {
        let controller = self.controller;
        let connection = match self.brokers.contains_key(&controller) {
            true => self.broker(controller).await?.connection(),
            false => self.bootstrap.connection(),
        };
        connection.call(request).await.map_err(CommandError::request(doing))
    }

    /// The broker that coordinates a group, once there is one.
    pub(super) async fn coordinator(&mut self, group: &str) -> Result<&mut Connection, CommandError> {
        let doing = || CommandError::request(format!("looking for the coordinator of group {group:?}"));
        let deadline = Instant::now() + PATIENCE;
        let request = FindCoordinatorRequest { key: group.to_owned(), ..FindCoordinatorRequest::default() };
        loop {
            let connection = self.bootstrap.connection();
            connection.send(&request, COORDINATOR_OF_ONE).await.map_err(doing())?;
            let answer: highwater_wire::messages::find_coordinator::FindCoordinatorResponse =
                connection.receive().await.map_err(doing())?;
            match check(answer.error_code, answer.error_message) {
                Ok(()) => return Ok(self.broker(answer.node_id).await?.connection()),
                Err(ClientError::Refused { code, .. })
                    if code.is_retriable() && Instant::now() < deadline =>
                {
                    sleep(RETRY).await;
                }
                Err(error) => return Err(doing()(error)),
            }
        }
    }
}

fn described(topic: MetadataResponseTopic) -> Result<Topic, CommandError> {
    let name = topic.name.unwrap_or_default();
    check(topic.error_code, None).map_err(CommandError::request(format!("looking for topic {name:?}")))?;
    let mut partitions: Vec<Partition> = topic
        .partitions
        .into_iter()
        .map(|partition| Partition {
            index: partition.partition_index,
            leader: (partition.leader_id >= 0).then_some(partition.leader_id),
            replicas: partition.replica_nodes,
            in_sync: partition.isr_nodes,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Ok(Topic { name, partitions, internal: topic.is_internal, id: topic.topic_id })
}
