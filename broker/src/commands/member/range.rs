//! The assignor that classic consumers know best: of each topic every member has a run of partitions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::commands::{
    CommandError,
    cluster::Cluster,
    members::{encode_assignment, subscribed},
};

/// Its name among the members.
pub(super) const NAME: &str = "range";

/// The assignment of each member, in bytes. Of topics that do not exist nobody has anything.
pub(super) async fn share(
    cluster: &mut Cluster,
    members: &[(String, Bytes)],
) -> Result<Vec<(String, Bytes)>, CommandError> {
    let mut readers: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (member, metadata) in members {
        for topic in subscribed(metadata.clone()).unwrap_or_default() {
            readers.entry(topic).or_default().insert(member);
        }
    }
    let mut shares: BTreeMap<&str, Vec<(String, Vec<i32>)>> =
        members.iter().map(|(member, _)| (member.as_str(), Vec::new())).collect();
    for (name, readers) in readers {
        let topic = match cluster.topic(&name).await {
            Ok(topic) => topic,
            Err(CommandError::Unknown { .. }) => continue,
            Err(error) => return Err(error),
        };
        let partitions: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
        for (member, run) in runs(&partitions, &readers) {
            if let Some(share) = shares.get_mut(member) {
                share.push((name.clone(), run));
            }
        }
    }
    Ok(shares.into_iter().map(|(member, share)| (member.to_owned(), encode_assignment(&share))).collect())
}

/// Runs of partitions, for readers in order. The first of them have one more where it does not come out even.
fn runs<'m>(partitions: &[i32], readers: &BTreeSet<&'m str>) -> Vec<(&'m str, Vec<i32>)> {
    let (each, more) = (partitions.len() / readers.len().max(1), partitions.len() % readers.len().max(1));
    let mut rest = partitions;
    let mut runs = Vec::with_capacity(readers.len());
    for (at, reader) in readers.iter().enumerate() {
        let (run, after) = rest.split_at(each + usize::from(at < more));
        rest = after;
        if !run.is_empty() {
            runs.push((*reader, run.to_vec()));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_given_once_and_as_evenly_as_it_goes() {
        let readers = BTreeSet::from(["a", "b", "c"]);
        let all: Vec<i32> = (0..7).collect();
        assert_eq!(runs(&all, &readers), [("a", vec![0, 1, 2]), ("b", vec![3, 4]), ("c", vec![5, 6])]);
        assert_eq!(runs(&all[..2], &readers), [("a", vec![0]), ("b", vec![1])]);
        assert_eq!(runs(&[], &readers), []);
    }
}
