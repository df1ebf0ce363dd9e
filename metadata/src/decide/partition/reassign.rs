//! Other replicas for a partition.

use super::{
    Change, Rules,
    change::{Assignment, change_partition},
};
use crate::{Image, MetadataRecord, Partition};
use alloc::vec::Vec;
use highwater_records::{BrokerId, TopicIdPartition};

/// Why a partition is not reassigned. Nothing was decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReassignError {
    /// There is no such partition.
    #[error("unknown topic or partition")]
    UnknownPartition,
    /// Nobody, somebody unknown, or somebody twice.
    #[error("not a list of replicas: {0:?}")]
    InvalidReplicas(Vec<BrokerId>),
    /// Cancelling what is not under way.
    #[error("no reassignment is under way")]
    NotUnderWay,
    /// Going back would leave nobody who has everything.
    #[error("only replicas that would go have everything")]
    CannotCancel,
}

/// Gives a partition other replicas, the preferred leader first; `None` cancels a reassignment that is under way.
///
/// The old and the new ones replicate together until every new one is in sync; then the old ones go. Who goes and who
/// comes are never swapped in one step.
pub fn reassign_partition(
    image: &Image,
    rules: Rules,
    at: TopicIdPartition,
    wish: Option<&[BrokerId]>,
) -> Result<Vec<MetadataRecord>, ReassignError> {
    let topic = image.topic(at.topic_id).ok_or(ReassignError::UnknownPartition)?;
    let partition = topic.partition(at.partition).ok_or(ReassignError::UnknownPartition)?;
    let assignment = match wish {
        Some(target) => towards(image, partition, target)?,
        None => back(partition)?,
    };
    let has_everything =
        |member: &BrokerId| partition.isr.contains(member) || partition.eligible_leaders.contains(member);
    if !assignment.replicas.iter().any(has_everything) && partition.replicas.iter().any(has_everything) {
        return Err(ReassignError::CannotCancel);
    }
    let change = Change { assignment: Some(assignment), ..Change::none() };
    Ok(change_partition(image, rules, topic, at.partition, &change))
}

fn towards(image: &Image, partition: &Partition, target: &[BrokerId]) -> Result<Assignment, ReassignError> {
    let once = target.iter().enumerate().all(|(at, replica)| !target[..at].contains(replica));
    let known = target.iter().all(|replica| image.registration(*replica).is_some());
    if target.is_empty() || !once || !known {
        return Err(ReassignError::InvalidReplicas(target.to_vec()));
    }
    let old = before(partition);
    let removing: Vec<BrokerId> = old.iter().copied().filter(|replica| !target.contains(replica)).collect();
    let adding: Vec<BrokerId> = target.iter().copied().filter(|replica| !old.contains(replica)).collect();
    let replicas = target.iter().chain(&removing).copied().collect();
    Ok(Assignment { replicas, adding, removing })
}

fn back(partition: &Partition) -> Result<Assignment, ReassignError> {
    if partition.adding.is_empty() && partition.removing.is_empty() {
        return Err(ReassignError::NotUnderWay);
    }
    Ok(Assignment { replicas: before(partition), adding: Vec::new(), removing: Vec::new() })
}

/// The replicas without those that a reassignment under way adds.
fn before(partition: &Partition) -> Vec<BrokerId> {
    partition.replicas.iter().copied().filter(|replica| !partition.adding.contains(replica)).collect()
}
