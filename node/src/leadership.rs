//! Other replicas and other leaders for partitions, as operators ask for them.

use highwater_env::BoxFuture;
use highwater_metadata::decide::{self, ElectError, ElectionType, ReassignError, Rules};
use highwater_records::{BrokerId, TopicIdPartition};

use crate::{Node, cluster::ChangeError, request::Caller};

/// Why a partition keeps the replicas or the leader it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeadershipError<E> {
    /// The decision was refused: fix the call.
    #[error("{0}")]
    Refused(E),
    /// Whether it is in force is not known, or it could not be made now: look, and ask again.
    #[error("{0}")]
    Unavailable(String),
}

impl Node {
    /// Gives a partition other replicas, the preferred leader first; `None` cancels a reassignment that is under way.
    /// The decision is in force on return, the copying is not done.
    pub fn reassign_partition<'a>(
        &'a self,
        caller: &'a Caller,
        at: TopicIdPartition,
        replicas: Option<Vec<BrokerId>>,
    ) -> BoxFuture<'a, Result<(), LeadershipError<ReassignError>>> {
        Box::pin(async move {
            let _ = caller;
            let rules = Rules::of(&self.config);
            let changed = self
                .cluster
                .change(|image| decide::reassign_partition(image, rules, at, replicas.as_deref()))
                .await;
            changed.map(drop).map_err(unavailable)
        })
    }

    /// Elects the preferred leader of a partition, or anybody who is alive; see [`ElectionType`]. The decision is in force
    /// on return.
    pub fn elect_leader<'a>(
        &'a self,
        caller: &'a Caller,
        at: TopicIdPartition,
        election: ElectionType,
    ) -> BoxFuture<'a, Result<(), LeadershipError<ElectError>>> {
        Box::pin(async move {
            let _ = caller;
            let rules = Rules::of(&self.config);
            if election == ElectionType::Unclean {
                tracing::warn!(partition = %at, "an unclean election was asked for: records may be lost");
            }
            let changed = self.cluster.change(|image| decide::elect_leader(image, rules, at, election)).await;
            changed.map(drop).map_err(unavailable)
        })
    }
}

fn unavailable<E>(error: ChangeError<E>) -> LeadershipError<E> {
    match error {
        ChangeError::Refused(error) => LeadershipError::Refused(error),
        ChangeError::Log(error) => LeadershipError::Unavailable(error.to_string()),
    }
}
