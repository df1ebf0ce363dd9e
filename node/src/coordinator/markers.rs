//! Writing the markers that end transactions, until every partition has its own, whichever broker leads it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_coordinator::{EndMarkers, TransactionRequest};
use highwater_env::{BoxFuture, EnvExt, Lane};
use highwater_records::{BrokerId, LeaderEpoch, PartitionIndex, TopicIdPartition};
use parking_lot::Mutex;

use super::{running::Life, topic::TRANSACTIONS};
use crate::{
    Node,
    first_of::first_of,
    join_all::join_all,
    peers::{MarkerRefusal, WriteMarkers},
};

/// Between attempts at partitions that do not take their marker now.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A partition as the coordinator's records name it.
type Named = (String, i32);

/// Partitions of one leader, as they are named and as it is asked.
type Places = (Vec<Named>, Vec<(TopicIdPartition, LeaderEpoch)>);

/// What an attempt has left to do.
#[derive(Default)]
struct Left {
    partitions: Vec<Named>,
    /// A later coordinator was there: all of it is left to that one.
    fenced: bool,
}

impl Node {
    /// Writes what shards ask for, each transaction by itself, until the node stops. What is left then is asked for
    /// again by whoever coordinates next.
    pub(crate) async fn write_asked_markers(self: Arc<Self>) {
        let work = async {
            loop {
                for (life, markers) in self.markers.take().await {
                    let node = self.clone();
                    self.tasks.spawn(&self.env, Lane::Control, async move {
                        first_of(node.stops(), node.end_everywhere(life, markers)).await;
                    });
                }
            }
        };
        first_of(self.stops(), work).await;
    }

    async fn end_everywhere(&self, life: Life, markers: EndMarkers) {
        let named = |(topic, partitions): (&String, &Vec<i32>)| {
            partitions.iter().map(|partition| (topic.clone(), *partition)).collect::<Vec<_>>()
        };
        let mut left: Vec<Named> = markers.partitions.iter().flat_map(named).collect();
        let mut pause = PAUSE;
        while !left.is_empty() {
            // In this order: if the shard ends after it, everything that the next one sends has a larger number.
            let attempt = self.markers.next_attempt();
            if life.has_ended() || !self.coordinates(&life) {
                // Whoever coordinates now has read the decision, and writes the markers.
                return;
            }
            let after = self.end_in(&life, attempt, &markers, left).await;
            if after.fenced {
                return;
            }
            left = after.partitions;
            if !left.is_empty() {
                self.env.sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        let request = TransactionRequest::Marked {
            id: markers.id.clone(),
            producer_id: markers.producer_id,
            producer_epoch: markers.producer_epoch,
        };
        // Only of the shard that decided: a later one may be ending another transaction under the same epoch.
        match self.transactions.ask_in(&life, request) {
            Ok(reply) => drop(reply.await),
            Err(error) => {
                tracing::debug!(id = markers.id, %error, "the next coordinator writes its markers again");
            }
        }
    }

    /// Whether this broker leads a shard's partition in this epoch.
    fn coordinates(&self, life: &Life) -> bool {
        let image = self.image();
        let partition = PartitionIndex(life.partition);
        let found = image.topic_named(TRANSACTIONS).and_then(|topic| topic.partition(partition));
        found
            .is_some_and(|found| found.leader == Some(self.broker) && image.leader_epoch(found) == life.epoch)
    }

    /// Has the leaders of some partitions write their markers, all at once.
    async fn end_in(&self, life: &Life, attempt: u64, markers: &EndMarkers, partitions: Vec<Named>) -> Left {
        let left = Mutex::new(Left::default());
        let running = self
            .by_leader(markers, partitions, &mut left.lock().partitions)
            .into_iter()
            .map(|(leader, (named, partitions))| {
                let request = WriteMarkers {
                    from: self.broker,
                    broker_epoch: self.membership.as_ref().map(|own| own.broker_epoch()).unwrap_or_default(),
                    coordinator: PartitionIndex(life.partition),
                    coordinator_epoch: life.epoch.0,
                    attempt,
                    producer_id: markers.producer_id,
                    producer_epoch: markers.producer_epoch,
                    epoch_is_newer: markers.epoch_is_newer,
                    committed: markers.committed,
                    partitions,
                };
                let left = &left;
                Box::pin(async move {
                    let answers = match &self.membership {
                        Some(membership) if leader != self.broker => {
                            membership.write_markers(leader, request).await.unwrap_or_default()
                        }
                        _ => self.end_here(request).await,
                    };
                    left.lock().take_in(markers, named, answers);
                }) as BoxFuture<'_, ()>
            })
            .collect();
        join_all(running).await;
        left.into_inner()
    }

    /// Partitions by who leads them; those that nobody leads are left for later, and deleted ones for ever.
    fn by_leader(
        &self,
        markers: &EndMarkers,
        partitions: Vec<Named>,
        left: &mut Vec<Named>,
    ) -> BTreeMap<BrokerId, Places> {
        let image = self.image();
        let mut by_leader = BTreeMap::<_, Places>::new();
        for (topic, number) in partitions {
            let found = image.topic_named(&topic).and_then(|known| {
                let partition = PartitionIndex(u32::try_from(number).ok()?);
                Some((TopicIdPartition { topic_id: known.id, partition }, known.partition(partition)?))
            });
            match found {
                None => {
                    tracing::debug!(id = markers.id, topic, number, "deleted before its transaction ended")
                }
                Some((at, state)) => match state.leader {
                    None => left.push((topic, number)),
                    Some(leader) => {
                        let (named, places) = by_leader.entry(leader).or_default();
                        named.push((topic, number));
                        places.push((at, image.leader_epoch(state)));
                    }
                },
            }
        }
        by_leader
    }
}

impl Left {
    /// What a leader said of each partition; without an answer all are left.
    fn take_in(&mut self, markers: &EndMarkers, named: Vec<Named>, answers: Vec<Result<(), MarkerRefusal>>) {
        let silence = || Err(MarkerRefusal::Later("no answer".into()));
        let answers = answers.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        for ((topic, partition), answer) in named.into_iter().zip(answers) {
            match answer.unwrap_or_else(silence) {
                // With an error it has its marker, from an attempt whose answer was lost.
                Ok(()) | Err(MarkerRefusal::Ended) => {}
                Err(MarkerRefusal::Fenced) => self.fenced = true,
                Err(refusal @ (MarkerRefusal::NotLeader | MarkerRefusal::Later(_))) => {
                    tracing::debug!(id = markers.id, topic, partition, %refusal, "no marker yet");
                    self.partitions.push((topic, partition));
                }
            }
        }
    }
}
