//! A consumer group as records, and back.

use alloc::{collections::BTreeSet, string::String, sync::Arc, vec::Vec};

use super::{
    Assignment, ConsumerGroup,
    member::{Classic, Member, Progress},
};
use crate::{
    format::{
        ClassicProtocols, ConsumerGroupEpoch, ConsumerMember, CurrentAssignment, Key, ResolvedRegex,
        encode_target, encode_target_epoch,
    },
    group_request::{Caller, Protocol},
    museum::{self, Bug},
};

type Record = (Vec<u8>, Option<Vec<u8>>);

impl ConsumerGroup {
    pub(super) fn epoch_record(&self) -> Record {
        let value = ConsumerGroupEpoch { epoch: self.epoch, metadata_hash: self.metadata_hash };
        (Key::consumer_group(&self.id), Some(value.encode()))
    }

    pub(super) fn member_record(&self, member: &Member) -> Record {
        let value = ConsumerMember {
            instance: member.instance.as_deref().map(String::from),
            rack: member.rack.clone(),
            client_id: member.caller.client_id.clone(),
            client_host: member.caller.host.clone(),
            topics: member.topics.iter().cloned().collect(),
            regex: member.regex.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            assignor: member.assignor.clone(),
            classic: member.classic.as_ref().map(|classic| ClassicProtocols {
                session_timeout: i32::try_from(classic.session_timeout_ms).unwrap_or(i32::MAX),
                protocols: classic
                    .protocols
                    .iter()
                    .map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
                    .collect(),
            }),
        };
        (Key::consumer_member(&self.id, &member.id), Some(value.encode()))
    }

    pub(super) fn current_record(&self, member: &Member) -> Record {
        let value = CurrentAssignment {
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            progress: member.progress.number(),
            assigned: member.assigned.clone(),
            revoking: member.revoking.clone(),
        };
        (Key::current(&self.id, &member.id), Some(value.encode()))
    }

    pub(super) fn target_record(&self, member: &str, target: &Assignment) -> Record {
        (Key::target(&self.id, member), Some(encode_target(target)))
    }

    pub(super) fn target_epoch_record(&self) -> Record {
        (Key::target_epoch(&self.id), Some(encode_target_epoch(self.target_epoch)))
    }

    pub(super) fn regex_record(&self, regex: &str, topics: &BTreeSet<String>, now: i64) -> Record {
        let value = ResolvedRegex { topics: topics.iter().cloned().collect(), version: 0, timestamp: now };
        (Key::regex(&self.id, regex), Some(value.encode()))
    }

    pub(super) fn regex_tombstone(&self, regex: &str) -> Record {
        (Key::regex(&self.id, regex), None)
    }

    /// In the order in which Kafka takes a member apart.
    pub(super) fn member_tombstones(&self, member: &str) -> [Record; 3] {
        [
            (Key::current(&self.id, member), None),
            (Key::target(&self.id, member), None),
            (Key::consumer_member(&self.id, member), None),
        ]
    }

    /// Forgets the group, which has no members.
    pub(crate) fn tombstones(&self) -> Vec<Record> {
        let mut records: Vec<Record> =
            self.patterns.keys().map(|regex| self.regex_tombstone(regex)).collect();
        records.push((Key::target_epoch(&self.id), None));
        records.push((Key::consumer_group(&self.id), None));
        records
    }

    pub(crate) fn replay_epoch(&mut self, value: ConsumerGroupEpoch) {
        self.epoch = value.epoch;
        self.metadata_hash = value.metadata_hash;
    }

    pub(crate) fn replay_member(&mut self, member: String, value: Option<ConsumerMember>) {
        let Some(value) = value else {
            if let Some(removed) = self.members.remove(&*member) {
                self.release(&removed);
                self.instances.retain(|_, current| **current != *member);
            }
            return;
        };
        let id: Arc<str> = member.into();
        let mut member = self.members.get(&id).cloned().unwrap_or_else(|| Member::new(id));
        member.instance = value.instance.map(Arc::from);
        member.rack = value.rack;
        member.caller = Caller { client_id: value.client_id, host: value.client_host };
        member.topics = value.topics.into_iter().collect();
        member.regex = value.regex.filter(|regex| !regex.is_empty());
        member.rebalance_timeout_ms = value.rebalance_timeout;
        member.assignor = value.assignor;
        member.classic = value.classic.map(|classic| Classic {
            session_timeout_ms: u64::try_from(classic.session_timeout).unwrap_or(0),
            protocols: classic
                .protocols
                .into_iter()
                .map(|(name, metadata)| Protocol { name, metadata })
                .collect(),
        });
        self.put(member);
    }

    pub(crate) fn replay_target_epoch(&mut self, epoch: i32) {
        self.target_epoch = epoch;
    }

    pub(crate) fn replay_target(&mut self, member: String, target: Option<Assignment>) {
        match target {
            Some(target) => drop(self.targets.insert(member.into(), target)),
            None => drop(self.targets.remove(&*member)),
        }
    }

    pub(crate) fn replay_current(&mut self, member: String, value: Option<CurrentAssignment>) {
        let Some(mut member) = self.members.get(&*member).cloned() else { return };
        match value {
            Some(value) => {
                member.epoch = value.epoch;
                member.previous_epoch = value.previous_epoch;
                member.progress = Progress::from_number(value.progress);
                member.assigned = value.assigned;
                member.revoking = match museum::has(Bug::ReplayForgetsRevocation) {
                    true => Assignment::default(),
                    false => value.revoking,
                };
            }
            // Its member record goes next.
            None => {
                member.epoch = -1;
                member.assigned = Assignment::default();
                member.revoking = Assignment::default();
            }
        }
        self.put(member);
    }

    pub(crate) fn replay_regex(&mut self, regex: String, value: Option<ResolvedRegex>) {
        match value {
            Some(value) => drop(self.patterns.insert(regex, value.topics.into_iter().collect())),
            None => drop(self.patterns.remove(&regex)),
        }
    }
}
