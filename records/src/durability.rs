//! What it takes for a record to count.

use std::{fmt, str::FromStr};

/// What it takes for a record to count: the promise a topic makes, under the name `highwater.durability`.
///
/// Chosen when the topic is created and not altered afterwards, because acknowledgements already given rest on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// A record counts once every in-sync replica has it on stable storage. Survives power loss of every broker at
    /// once: nothing that a power cut can take is ever shown or acknowledged.
    Synced,
    /// A record counts once every in-sync replica has it, in memory at least. Survives the loss of all but one of
    /// them; a power cut of all at once can take what their kernels had not yet written.
    Replicated,
}

impl Durability {
    /// Every value, in the order in which documentation lists them.
    pub const ALL: [Durability; 2] = [Durability::Synced, Durability::Replicated];

    /// The word used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Synced => "synced",
            Durability::Replicated => "replicated",
        }
    }

    /// What a topic gets unless told: `synced` for one replica, `replicated` for more.
    pub const fn for_replicas(replicas: usize) -> Durability {
        if replicas <= 1 { Durability::Synced } else { Durability::Replicated }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDurability;

impl fmt::Display for UnknownDurability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("durability is `synced` or `replicated`")
    }
}

impl std::error::Error for UnknownDurability {}

impl FromStr for Durability {
    type Err = UnknownDurability;

    fn from_str(word: &str) -> Result<Durability, UnknownDurability> {
        Durability::ALL.into_iter().find(|d| d.name() == word).ok_or(UnknownDurability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for durability in Durability::ALL {
            assert_eq!(durability.name().parse(), Ok(durability));
        }
        assert_eq!("Synced".parse::<Durability>(), Err(UnknownDurability));
    }

    #[test]
    fn one_replica_is_synced_and_more_are_replicated() {
        assert_eq!(Durability::for_replicas(1), Durability::Synced);
        assert_eq!(Durability::for_replicas(3), Durability::Replicated);
    }
}
