//! AlterPartitionReassignments and ListPartitionReassignments: partitions on their way to other brokers.

use super::{Decoded, late, reply};
use crate::server::Reply;
use highwater_metadata::{Partition, decide::ReassignError};
use highwater_node::{LeadershipError, Node, request::Caller};
use highwater_records::{BrokerId, PartitionIndex, TopicIdPartition};
use highwater_wire::{
    ErrorCode,
    messages::{
        alter_partition_reassignments::{
            AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
            ReassignablePartitionResponse, ReassignableTopicResponse,
        },
        list_partition_reassignments::{
            ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
            OngoingPartitionReassignment, OngoingTopicReassignment,
        },
    },
};

/// Why a partition stays where it is.
enum Refused {
    Leadership(LeadershipError<ReassignError>),
    /// It would have another number of replicas, which the request does not want (KIP-860).
    ReplicaCount {
        has: usize,
        wanted: usize,
    },
}

pub(super) async fn alter(call: Decoded<AlterPartitionReassignmentsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let may_resize = request.allow_replication_factor_change;
    let late = late(request.timeout_ms) && !request.topics.is_empty();
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wish in topic.partitions {
            let partition_index = wish.partition_index;
            let done = match late {
                true => {
                    Err(Refused::Leadership(LeadershipError::Unavailable("no time is left for it".into())))
                }
                false => reassign(&node, &caller, &topic.name, wish, may_resize).await,
            };
            let (code, message) = match done {
                Ok(()) => (ErrorCode::None, None),
                Err(refused) => {
                    let (code, message) = said(refused);
                    (code, Some(message))
                }
            };
            partitions.push(ReassignablePartitionResponse {
                partition_index,
                error_code: code.code(),
                error_message: message,
            });
        }
        responses.push(ReassignableTopicResponse { name: topic.name, partitions });
    }
    let response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: may_resize,
        error_code: if late { ErrorCode::RequestTimedOut } else { ErrorCode::None }.code(),
        responses,
        ..AlterPartitionReassignmentsResponse::default()
    };
    reply(start, &response)
}

async fn reassign(
    node: &Node,
    caller: &Caller,
    topic: &str,
    wish: ReassignablePartition,
    may_resize: bool,
) -> Result<(), Refused> {
    let refused = |error| Refused::Leadership(LeadershipError::Refused(error));
    let image = node.image();
    let index = u32::try_from(wish.partition_index).map(PartitionIndex);
    let found = image.topic_named(topic).zip(index.ok());
    let (topic, index) = found.ok_or(refused(ReassignError::UnknownPartition))?;
    let partition = topic.partition(index).ok_or(refused(ReassignError::UnknownPartition))?;
    let replicas = match wish.replicas {
        None => None,
        Some(wanted) => {
            // Who is nobody, or is there twice, comes before how many they are.
            let known = |id: i32| {
                let id = u32::try_from(id).map(BrokerId).ok();
                id.filter(|id| image.brokers().contains_key(id))
            };
            let (has, wants) = (count(partition), wanted.len());
            let brokers: Option<Vec<BrokerId>> = wanted.into_iter().map(known).collect();
            let brokers = brokers.ok_or(refused(ReassignError::InvalidReplicas(Vec::new())))?;
            let once = brokers.iter().enumerate().all(|(at, broker)| !brokers[..at].contains(broker));
            if brokers.is_empty() || !once {
                return Err(refused(ReassignError::InvalidReplicas(brokers)));
            }
            if !may_resize && has != wants {
                return Err(Refused::ReplicaCount { has, wanted: wants });
            }
            Some(brokers)
        }
    };
    let at = TopicIdPartition { topic_id: topic.id, partition: index };
    node.reassign_partition(caller, at, replicas).await.map_err(Refused::Leadership)
}

/// How many replicas a partition has once what is under way is done.
fn count(partition: &Partition) -> usize {
    partition.replicas.iter().filter(|replica| !partition.removing.contains(replica)).count()
}

fn said(refused: Refused) -> (ErrorCode, String) {
    match refused {
        Refused::ReplicaCount { has, wanted } => (
            ErrorCode::InvalidReplicationFactor,
            format!("the partition has {has} replicas, and {wanted} would be another replication factor"),
        ),
        Refused::Leadership(error) => {
            let code = match &error {
                LeadershipError::Refused(refused) => match refused {
                    ReassignError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
                    ReassignError::InvalidReplicas(_) | ReassignError::CannotCancel => {
                        ErrorCode::InvalidReplicaAssignment
                    }
                    ReassignError::NotUnderWay => ErrorCode::NoReassignmentInProgress,
                },
                LeadershipError::Unavailable(_) => ErrorCode::RequestTimedOut,
            };
            (code, error.to_string())
        }
    }
}

pub(super) fn list(call: Decoded<ListPartitionReassignmentsRequest>) -> Reply {
    let Decoded { node, start, request, .. } = call;
    let image = node.image();
    let mut topics = Vec::new();
    let mut add = |name: &str, partitions: &mut dyn Iterator<Item = (PartitionIndex, &Partition)>| {
        let partitions: Vec<_> = partitions.filter_map(under_way).collect();
        if !partitions.is_empty() {
            topics.push(OngoingTopicReassignment { name: name.to_owned(), partitions });
        }
    };
    match request.topics {
        None => image.topics().for_each(|topic| add(&topic.name, &mut topic.numbered())),
        // What does not exist is not under way.
        Some(wanted) => {
            for wish in wanted {
                let Some(topic) = image.topic_named(&wish.name) else { continue };
                let indexes =
                    wish.partition_indexes.into_iter().filter_map(|index| u32::try_from(index).ok());
                let mut found = indexes.filter_map(|index| {
                    Some((PartitionIndex(index), topic.partition(PartitionIndex(index))?))
                });
                add(&wish.name, &mut found);
            }
        }
    }
    let response =
        ListPartitionReassignmentsResponse { topics, ..ListPartitionReassignmentsResponse::default() };
    reply(start, &response)
}

fn under_way((index, partition): (PartitionIndex, &Partition)) -> Option<OngoingPartitionReassignment> {
    if partition.adding.is_empty() && partition.removing.is_empty() {
        return None;
    }
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0.cast_signed()).collect();
    Some(OngoingPartitionReassignment {
        partition_index: index.0.cast_signed(),
        replicas: ids(&partition.replicas),
        adding_replicas: ids(&partition.adding),
        removing_replicas: ids(&partition.removing),
    })
}
