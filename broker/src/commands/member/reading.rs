//! `highwater consume --group`: reads what the group gives it, and commits what was written out.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, Instant, sleep};

use super::{Heard, Member, SOON, offsets};
use crate::{
    client::ClientError,
    commands::{
        CommandError, ConsumeArguments,
        cluster::{Cluster, Patience, Topic},
        consume::{Progress, resolve, turn},
        groups::committed,
        output::Output,
        topics::{END, START, offset},
    },
    first_of::{First, first_of},
    signals::StopSignals,
};

/// How often offsets are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long one that does not follow waits for its share.
const SHARE_WITHIN: Duration = Duration::from_secs(15);

/// Reads as a member of `group` until everything it has is read, or until interrupted; then commits and leaves.
///
/// What was committed had been written out before; what was written out last may come again after a crash.
pub(in crate::commands) async fn run(
    cluster: &mut Cluster,
    group: &str,
    arguments: &ConsumeArguments,
    out: &mut Output,
) -> Result<(), CommandError> {
    let mut signals = StopSignals::catch().map_err(CommandError::io("catching signals"))?;
    let topic = cluster.topic(&arguments.topic).await?;
    let member = Member::new(cluster, group, &topic, arguments.protocol).await?;
    let mut reading = Reading {
        member,
        topic: &topic,
        arguments,
        all: Vec::new(),
        written: BTreeMap::new(),
        kept: BTreeMap::new(),
        wanted: None,
        has_had: false,
        share_by: Instant::now() + SHARE_WITHIN,
        commit_at: Instant::now() + COMMIT_EVERY,
        left: arguments.count.unwrap_or(u64::MAX),
    };
    let first = first_of(reading.work(cluster, out), signals.next()).await;
    let done = match first {
        First::Left(done) => done,
        First::Right(_) => {
            // In the middle of a request, perhaps: that connection is of no more use.
            cluster.reconnect().await?;
            Ok(())
        }
    };
    let ended = reading.end(cluster, out).await;
    done.and(ended)
}

struct Reading<'t> {
    member: Member<'t>,
    topic: &'t Topic,
    arguments: &'t ConsumeArguments,
    /// What it has and how far it came.
    all: Vec<Progress>,
    /// How far it had come when everything was written out.
    written: BTreeMap<i32, i64>,
    /// What the group keeps.
    kept: BTreeMap<i32, i64>,
    /// What it is to have, until it has.
    wanted: Option<BTreeSet<i32>>,
    has_had: bool,
    share_by: Instant,
    commit_at: Instant,
    /// How many records it is still to read.
    left: u64,
}

impl Reading<'_> {
    async fn work(&mut self, cluster: &mut Cluster, out: &mut Output) -> Result<(), CommandError> {
        let mut patience = Patience::new(self.arguments.follow);
        loop {
            match self.once(cluster, out).await {
                Ok(true) => return Ok(()),
                Ok(false) => patience.reset(),
                Err(error) => cluster.recover(error, &mut patience).await?,
            }
        }
    }

    /// Whether it is through. What an error interrupts is done again the next time.
    async fn once(&mut self, cluster: &mut Cluster, out: &mut Output) -> Result<bool, CommandError> {
        if self.left == 0 {
            return Ok(true);
        }
        match self.member.beat(cluster).await? {
            Heard::Nothing => {}
            Heard::Has(parts) => self.wanted = Some(parts),
            Heard::Lost => {
                self.wanted = None;
                self.all.clear();
                self.written.clear();
                self.kept.clear();
            }
        }
        if let Some(parts) = self.wanted.clone() {
            self.gives_up(cluster, &parts).await?;
            self.takes(cluster, &parts).await?;
            self.member.takes(parts);
            self.wanted = None;
        }
        self.has_had |= !self.all.is_empty();
        if !self.arguments.follow && self.member.is_in() && self.is_through() {
            if self.has_had {
                return Ok(true);
            }
            if Instant::now() >= self.share_by {
                let (topic, group) = (&self.topic.name, self.member.name.group);
                return Err(CommandError::Unknown {
                    what: format!(
                        "the other members of group {group:?} have all partitions of {topic:?}; with --follow this \
                         one waits for some"
                    ),
                });
            }
        }
        if self.all.iter().all(Progress::is_over) {
            sleep(SOON).await;
            return Ok(false);
        }
        let read = turn(cluster, self.topic, &mut self.all, self.arguments, &mut self.left, out).await;
        self.write_out(out)?;
        read?;
        if Instant::now() >= self.commit_at {
            self.commit(cluster).await?;
        }
        Ok(false)
    }

    /// Whether everything that it has is read.
    fn is_through(&self) -> bool {
        self.member.is_settled() && self.all.iter().all(Progress::is_over)
    }

    fn write_out(&mut self, out: &mut Output) -> Result<(), CommandError> {
        out.flush()?;
        self.written = self.all.iter().map(|progress| (progress.partition, progress.next)).collect();
        Ok(())
    }

    /// Commits, and forgets what is not among `stays`.
    async fn gives_up(&mut self, cluster: &mut Cluster, stays: &BTreeSet<i32>) -> Result<(), CommandError> {
        if self.all.iter().any(|progress| !stays.contains(&progress.partition)) {
            self.commit(cluster).await?;
            self.all.retain(|progress| stays.contains(&progress.partition));
            self.written.retain(|partition, _| stays.contains(partition));
            self.kept.retain(|partition, _| stays.contains(partition));
        }
        Ok(())
    }

    /// Begins to read what is new, where the group has come to.
    async fn takes(&mut self, cluster: &mut Cluster, parts: &BTreeSet<i32>) -> Result<(), CommandError> {
        let has = |all: &[Progress], part: &i32| all.iter().any(|progress| progress.partition == *part);
        if parts.iter().all(|part| has(&self.all, part)) {
            return Ok(());
        }
        let kept = self.offsets(cluster).await?;
        for part in parts {
            if has(&self.all, part) {
                continue;
            }
            let start = offset(cluster, self.topic, *part, START).await?.unwrap_or(0);
            let end = offset(cluster, self.topic, *part, END).await?.unwrap_or(start);
            // What the group had not read before is gone, or the topic is another one by now.
            let known = kept.get(&(self.topic.name.clone(), *part)).copied();
            let next = match known.filter(|known| (start..=end).contains(known)) {
                Some(known) => known,
                None => resolve(cluster, self.topic, *part, self.arguments.from).await?,
            };
            self.kept.extend(known.map(|known| (*part, known)));
            self.all.push(Progress { partition: *part, next, end: (!self.arguments.follow).then_some(end) });
        }
        Ok(())
    }

    /// What the group has committed, once no transaction holds it back.
    async fn offsets(&mut self, cluster: &mut Cluster) -> Result<BTreeMap<(String, i32), i64>, CommandError> {
        loop {
            match committed(cluster, self.member.name.group, true).await {
                Err(CommandError::Request { error: ClientError::Refused { code, .. }, .. })
                    if code.is_retriable() =>
                {
                    sleep(SOON).await;
                }
                answer => return answer,
            }
        }
    }

    /// Commits what was written out, if the group does not have it yet.
    async fn commit(&mut self, cluster: &mut Cluster) -> Result<(), CommandError> {
        self.commit_at = Instant::now() + COMMIT_EVERY;
        let is_new = |(partition, offset): &(&i32, &i64)| self.kept.get(partition) != Some(offset);
        let new: BTreeMap<i32, i64> =
            self.written.iter().filter(is_new).map(|(partition, offset)| (*partition, *offset)).collect();
        if new.is_empty() {
            return Ok(());
        }
        if offsets::commit(&self.member.name, cluster, &new).await? {
            self.kept.extend(new);
        } else {
            self.member.due = Instant::now();
        }
        Ok(())
    }

    async fn end(&mut self, cluster: &mut Cluster, out: &mut Output) -> Result<(), CommandError> {
        self.write_out(out)?;
        self.commit(cluster).await?;
        if self.written.iter().any(|(partition, offset)| self.kept.get(partition) != Some(offset)) {
            // Of another epoch: once more, as the member that it is now.
            self.member.beat(cluster).await?;
            self.commit(cluster).await?;
        }
        self.member.leave(cluster).await
    }
}
