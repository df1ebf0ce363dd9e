//! Which way of dividing the work a group takes: one that all members know, by the most votes.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use super::{CONSUMER, ClassicGroup};
use crate::{group_request::Protocol, subscription};

/// Each name once, the first one counts.
pub(super) fn distinct(protocols: Vec<Protocol>) -> Vec<Protocol> {
    let mut names = BTreeSet::new();
    protocols.into_iter().filter(|protocol| names.insert(protocol.name.clone())).collect()
}

impl ClassicGroup {
    /// Whether somebody of this kind, who knows these protocols, can be a member.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let known_by_all = |name: &str| self.supported.get(name).copied() == Some(self.members.len());
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| known_by_all(&protocol.name))
    }

    pub(super) fn count_protocols_in(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    pub(super) fn count_protocols_out(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.supported.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
    }

    /// Every member votes for the first of its protocols that all know. Of as many votes the first by name wins.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let all = self.members.len();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote =
                member.protocols.iter().find(|known| self.supported.get(&known.name).copied() == Some(all));
            if let Some(vote) = vote {
                *votes.entry(&vote.name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.into())
    }

    /// The topics that the members of a group of consumers read; `None` if that cannot be told.
    pub(super) fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type() != CONSUMER {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let metadata = member.metadata(self.protocol.as_deref()?);
            topics.extend(subscription::topics(&metadata).ok()?);
        }
        Some(topics)
    }
}
