//! R5: what is once known to be in the bucket stays known: neither its beginning nor its end ever goes back, whoever
//! leads, and however many think that they do.

use std::collections::BTreeMap;

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct Manifest {
    known: BTreeMap<TopicIdPartition, (u64, u64)>,
}

impl ClusterInvariant for Manifest {
    fn name(&self) -> &'static str {
        "R5 the bucket's head never goes back"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Bucket
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let Some(now) = partition.tiered else { return Ok(()) };
        let Some(before) = self.known.insert(*at, now) else { return Ok(()) };
        if now.0 < before.0 || now.1 < before.1 {
            return Err(format!("{at}: the bucket had {before:?} and has {now:?}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::{AT, sound};

    #[test]
    fn a_head_that_goes_back() {
        let mut manifest = Manifest::default();
        let mut says = |tiered| manifest.partition(&AT, &PartitionLook { tiered, ..sound() });
        assert_eq!(says(Some((0, 5))), Ok(()));
        assert_eq!(says(None), Ok(()), "not looked at");
        assert_eq!(says(Some((2, 8))), Ok(()));
        assert!(says(Some((2, 7))).is_err());
        assert!(says(Some((0, 8))).is_err());
    }
}
