//! Two members of a group share four partitions, one leaves, the other is restarted.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

use crate::{Outcome, Program, check, is_nothing, poll, until, values};

/// One group and what its members have read so far.
pub(crate) struct Story<'a> {
    program: &'a Program,
    topic: String,
    settings: Vec<(String, String)>,
    members: Vec<BaseConsumer>,
    seen: BTreeMap<String, usize>,
}

impl<'a> Story<'a> {
    pub(crate) fn new(program: &'a Program, name: &str, settings: &[(&str, &str)]) -> Self {
        let topic = program.topic(name);
        let fixed = [
            ("group.id", topic.as_str()),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
        ];
        let settings =
            fixed.iter().chain(settings).map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Self { program, topic, settings, members: Vec::new(), seen: BTreeMap::new() }
    }

    /// Both have two partitions, and all records come.
    pub(crate) fn two_share(&mut self) -> Outcome {
        self.program.make(&self.topic, 4)?;
        let mut written = self.write("first", 10)?;
        self.members = vec![self.member()?, self.member()?];
        until("two partitions for each", || {
            self.poll();
            self.shared()
        })?;
        // Read by whom they were given to: so both have something to commit for each of their partitions.
        written.extend(self.write("shared", 5)?);
        until("all records", || {
            self.poll();
            Ok(self.has(&written))
        })
    }

    /// The other takes its partitions over, from where it committed.
    pub(crate) fn one_leaves(&mut self) -> Outcome {
        check(self.members.len() == 2, "there are no two members")?;
        self.commit()?;
        self.members.pop();
        self.seen.clear();
        let written = self.write("second", 5)?;
        until("all partitions and records for one", || {
            self.poll();
            Ok(self.members[0].assignment()?.count() == 4 && self.has(&written))
        })?;
        self.only("second")
    }

    /// A member that comes back reads what was written since its commit, and nothing else.
    pub(crate) fn resumes(&mut self) -> Outcome {
        check(self.members.len() == 1, "there is no single member")?;
        self.commit()?;
        self.members.clear();
        self.seen.clear();
        let written = self.write("third", 3)?;
        self.members = vec![self.member()?];
        until("the new records", || {
            self.poll();
            Ok(self.has(&written))
        })?;
        self.commit()?;
        self.members.clear();
        self.only("third")?;
        check(self.seen.values().all(|times| *times == 1), "a record came twice")
    }

    fn member(&self) -> Outcome<BaseConsumer> {
        let settings: Vec<_> =
            self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let member: BaseConsumer = self.program.config(&settings).create()?;
        member.subscribe(&[&self.topic])?;
        Ok(member)
    }

    fn commit(&self) -> Outcome {
        for member in &self.members {
            match member.commit_consumer_state(CommitMode::Sync) {
                Err(error) if !is_nothing(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, kind: &str, count: usize) -> Outcome<Vec<String>> {
        let mut written = Vec::new();
        for partition in 0..4 {
            let made = values(count, &format!("{kind}-{partition}"));
            self.program.write(&self.topic, partition, &made, &[])?;
            written.extend(made);
        }
        Ok(written)
    }

    fn poll(&mut self) {
        for value in self.members.iter().flat_map(poll) {
            *self.seen.entry(value).or_default() += 1;
        }
    }

    fn has(&self, written: &[String]) -> bool {
        written.iter().all(|value| self.seen.contains_key(value))
    }

    fn shared(&self) -> Outcome<bool> {
        let mut all = BTreeSet::new();
        for member in &self.members {
            let held = member.assignment()?;
            if held.count() != 2 {
                return Ok(false);
            }
            all.extend(held.elements().iter().map(|each| each.partition()));
        }
        Ok(all.len() == 4)
    }

    fn only(&self, kind: &str) -> Outcome {
        let old = self.seen.keys().find(|value| !value.starts_with(kind));
        check(
            old.is_none(),
            &format!("a committed record was read again: {:.20}", old.map_or("", String::as_str)),
        )
    }
}
