//! The steps, one function each.

use highwater_metadata::{Image, decide};
use highwater_records::{BrokerId, Durability, LeaderEpoch, Offset};
use highwater_replication::{
    AckState, Acks, Candidate, FetchOutcome, FollowerFetch, IsrProposal, Leader, Moment, nearest,
};

use super::{
    log::Log,
    script::{brokers, list, number},
    stage::{AT, Answer, Broker, Role, Stage},
};

type Said = Result<String, String>;

impl Stage {
    /// `cluster 1 2 3 brokers 4 min-isr 2 synced`
    pub(super) fn open(words: &[&str]) -> Result<Stage, String> {
        let options = words.iter().position(|word| word.parse::<u32>().is_err()).unwrap_or(words.len());
        let (replicas, mut rest) = (brokers(&words[..options])?, &words[options..]);
        let mut count = replicas.iter().map(|id| id.0).max().ok_or("without replicas there is nothing")?;
        let (mut min_isr, mut durability) = (2, Durability::Replicated);
        loop {
            rest = match rest {
                [] => return Ok(Stage::new(count, &replicas, min_isr, durability)),
                ["brokers", number_of, rest @ ..] => {
                    count = number(number_of)?;
                    rest
                }
                ["min-isr", least, rest @ ..] => {
                    min_isr = number(least)?;
                    rest
                }
                ["synced", rest @ ..] => {
                    durability = Durability::Synced;
                    rest
                }
                _ => return Err(format!("{rest:?} says nothing")),
            };
        }
    }

    /// Does a step and says what came of it.
    pub(super) fn step(&mut self, words: &[&str]) -> Said {
        let before = self.partition_line();
        let mut said = match *words {
            ["produce", id, ref texts @ ..] => self.produce(number(id)?, texts)?,
            ["sync", id] => self.sync(number(id)?)?,
            ["ask", id] => self.ask(number(id)?)?,
            ["take", id] => self.take(number(id)?)?,
            ["fetch", id] => {
                let asked = self.ask(number(id)?)?;
                format!("{asked}\n{}", self.take(number(id)?)?)
            }
            ["lag", id, ms] => self.lag(number(id)?, number(ms)?)?,
            ["propose", id] => self.propose(number(id)?)?,
            ["refuse", id] => self.refuse(number(id)?)?,
            ["deaf", id] => self.hears(number(id)?, false)?,
            ["hear", id] => self.hears(number(id)?, true)?,
            ["crash", id] => self.crash(number(id)?, 0)?,
            ["crash", id, "lose", records] => self.crash(number(id)?, number(records)?)?,
            ["boot", id, ref how @ ..] => {
                if how.contains(&"empty") {
                    self.broker(number(id)?)?.empty();
                }
                self.register(number(id)?, how.contains(&"clean"))?;
                String::new()
            }
            ["beat", id] => self.beat(number(id)?, |_| {}).map(|()| String::new())?,
            ["beat", id, "stop"] => {
                self.beat(number(id)?, |beat| beat.wants_stop = true).map(|()| String::new())?
            }
            ["beat", id, "io", ms] => {
                let ms = number(ms)?;
                self.beat(number(id)?, |beat| beat.oldest_io_ms = ms).map(|()| String::new())?
            }
            ["beat", id, "offline"] => {
                self.beat(number(id)?, |beat| beat.offline = true).map(|()| String::new())?
            }
            ["fence", id] => {
                self.decided(decide::fence_broker(&self.image, self.rules, BrokerId(number(id)?)));
                String::new()
            }
            ["elect", kind] => self.elect(kind)?,
            ["reassign", "cancel"] => self.reassign(None)?,
            ["reassign", ref replicas @ ..] => self.reassign(Some(&brokers(replicas)?))?,
            ["latest", id] => self.latest(number(id)?)?,
            ["epoch-end", id, epoch] => self.epoch_end(number(id)?, number(epoch)?)?,
            ["nearest", id, rack, from] => self.nearest(number(id)?, rack, number(from)?)?,
            ["show"] => return Ok(self.show()),
            _ => return Err("no such step".to_owned()),
        };
        self.brokers.values_mut().for_each(Broker::settle);
        let after = self.partition_line();
        if before != after {
            said = format!("{said}\n{after}");
        }
        Ok(said.trim_start().to_owned())
    }

    fn broker(&mut self, id: u32) -> Result<&mut Broker, String> {
        self.brokers.get_mut(&id).ok_or_else(|| format!("there is no broker {id}"))
    }

    fn leader(&mut self, id: u32) -> Result<(&mut Leader, &mut Log), String> {
        match self.broker(id)? {
            Broker { on: true, role: Some(Role::Leader(leader)), log, .. } => Ok((leader, log)),
            _ => Err(format!("broker {id} does not lead")),
        }
    }

    fn produce(&mut self, id: u32, texts: &[&str]) -> Said {
        let Ok((leader, log)) = self.leader(id) else { return Ok("NOT_LEADER_OR_FOLLOWER".to_owned()) };
        if let Err(error) = leader.admit(Acks::All) {
            return Ok(format!("NOT_ENOUGH_REPLICAS: {error}"));
        }
        let epoch = leader.leader_epoch();
        log.records.extend(texts.iter().map(|text| ((*text).to_owned(), epoch)));
        leader.on_local(log.positions());
        let end = log.end();
        let state = match leader.ack(Acks::All, end) {
            AckState::Satisfied => "acknowledged",
            AckState::Waiting => "waits",
            AckState::NotEnoughReplicasAfterAppend => "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        };
        Ok(format!("end {end}, watermark {}: {state}", leader.high_watermark()))
    }

    fn sync(&mut self, id: u32) -> Said {
        let broker = self.broker(id)?;
        broker.log.durable = broker.log.records.len();
        if let Some(Role::Leader(leader)) = &mut broker.role
            && let Some(watermark) = leader.on_local(broker.log.positions())
        {
            return Ok(format!("watermark {watermark}"));
        }
        Ok(format!("durable to {}", broker.log.durable))
    }

    /// The request of a follower's fetch arrives and is answered.
    fn ask(&mut self, id: u32) -> Said {
        let now = self.now;
        let broker = self.broker(id)?;
        let Some(Role::Follower(follower)) = &broker.role else { return Err(format!("{id} follows nobody")) };
        let Some(sent) = follower.fetch_from(broker.log.end()) else { return Ok("nobody leads".to_owned()) };
        let (positions, last_epoch, broker_epoch) =
            (broker.log.positions(), broker.log.last_epoch(), broker.epoch);
        let Ok(leader) = self.broker(sent.leader.0) else { return Err("an unknown leader".to_owned()) };
        let asked = format!("{id} asks {} from {} in epoch {}", sent.leader, sent.offset, sent.leader_epoch);
        let registered = leader.image.registration(BrokerId(id)).is_some_and(|one| one.epoch == broker_epoch);
        let eligible = leader.image.is_active(BrokerId(id)) && registered;
        let (log, on) = (leader.log.clone(), leader.on);
        let answer = match &mut leader.role {
            Some(Role::Leader(leads)) if on => {
                let fetch = FollowerFetch {
                    replica: BrokerId(id),
                    broker_epoch,
                    leader_epoch: sent.leader_epoch,
                    positions,
                    last_epoch,
                    eligible,
                };
                match leads.on_fetch(fetch, Offset::ZERO, now, |epoch| log.epoch_end(epoch)) {
                    Ok(FetchOutcome::Counted { proposal, watermark }) => {
                        let mut answered = asked;
                        if let Some(watermark) = watermark {
                            answered += &format!("; watermark {watermark}");
                        }
                        if let Some(proposal) = proposal {
                            answered += &format!("; leader {} proposes {}", sent.leader, members(&proposal));
                        }
                        let records = log.from(positions.log_end);
                        let answer = Answer::Records(records, leads.high_watermark());
                        self.broker(id)?.answer = Some((sent, answer));
                        return Ok(answered);
                    }
                    Ok(outcome) => Answer::Outcome(outcome),
                    Err(refused) => Answer::Refused(refused),
                }
            }
            _ => Answer::NotLeader,
        };
        self.broker(id)?.answer = Some((sent, answer));
        Ok(asked)
    }

    /// The answer arrives.
    fn take(&mut self, id: u32) -> Said {
        let broker = self.broker(id)?;
        let Some((sent, answer)) = broker.answer.take() else { return Ok("no answer comes".to_owned()) };
        let Broker { role: Some(Role::Follower(follower)), log, .. } = broker else {
            return Ok("it follows no more: the answer is dropped".to_owned());
        };
        if !follower.accepts(&sent, log.end()) {
            return Ok("it answers what is no longer asked: dropped".to_owned());
        }
        Ok(match answer {
            Answer::NotLeader => "NOT_LEADER_OR_FOLLOWER".to_owned(),
            Answer::Refused(refused) => format!("refused: {refused}"),
            Answer::Records(records, watermark) => {
                let appended = Log::show(&records);
                log.records.extend(records);
                let told = follower.on_appended(watermark, log.end());
                let told = told.map(|watermark| format!(", watermark {watermark}")).unwrap_or_default();
                format!("{id} appends {appended}: end {}{told}", log.end())
            }
            Answer::Outcome(FetchOutcome::Diverges(at)) => {
                let cut = follower.diverges(at, Offset::ZERO, log.end(), |epoch| log.epoch_end(epoch));
                let gone = Log::show(&log.from(cut.to));
                log.cut(cut.to);
                let below = if cut.below_watermark { ", BELOW ITS WATERMARK" } else { "" };
                format!(
                    "diverges at the end of epoch {}, {}: {id} cuts to {}{below}, gone: {gone}",
                    at.epoch, at.end, cut.to
                )
            }
            Answer::Outcome(_) => {
                log.cut(Offset::ZERO);
                follower.restarted_at(Offset::ZERO);
                format!("{id} begins again")
            }
        })
    }

    fn lag(&mut self, id: u32, ms: u64) -> Said {
        self.now = Moment(self.now.0 + ms);
        let now = self.now;
        Ok(match self.leader(id)?.0.check_lag(now, 10_000) {
            Some(proposal) => format!("leader {id} proposes {}", members(&proposal)),
            None => "nobody is late".to_owned(),
        })
    }

    fn propose(&mut self, id: u32) -> Said {
        let broker_epoch = self.broker(id)?.epoch;
        let Some(proposal) = self.leader(id)?.0.proposal() else {
            return Ok("nothing is proposed".to_owned());
        };
        let wish = decide::IsrChange {
            partition: AT,
            leader: BrokerId(id),
            broker_epoch,
            leader_epoch: proposal.leader_epoch,
            partition_epoch: proposal.partition_epoch,
            isr: proposal.isr,
        };
        Ok(match decide::change_isr(&self.image, self.rules, &wish) {
            Ok(records) => {
                self.decided(records);
                "committed".to_owned()
            }
            Err(error) => format!("refused: {error}"),
        })
    }

    fn refuse(&mut self, id: u32) -> Said {
        Ok(match self.leader(id)?.0.on_refused() {
            Some(proposal) => format!("leader {id} proposes {}", members(&proposal)),
            None => "nothing is in flight".to_owned(),
        })
    }

    fn hears(&mut self, id: u32, hears: bool) -> Said {
        self.broker(id)?.hears = hears;
        self.hear(id);
        Ok(self.brokers[&id].describe(id))
    }

    fn crash(&mut self, id: u32, lose: usize) -> Said {
        let broker = self.broker(id)?;
        (broker.on, broker.role, broker.answer) = (false, None, None);
        let keep = broker.log.records.len().saturating_sub(lose).max(broker.log.durable);
        let gone = broker.log.records.split_off(keep);
        broker.image = Image::new();
        broker.watermark = broker.watermark.min(broker.log.end());
        Ok(format!("gone with it: {}", Log::show(&gone)))
    }

    fn elect(&mut self, kind: &str) -> Said {
        let kind = match kind {
            "preferred" => decide::ElectionType::Preferred,
            "unclean" => decide::ElectionType::Unclean,
            _ => return Err("an election is preferred or unclean".to_owned()),
        };
        Ok(match decide::elect_leader(&self.image, self.rules, AT, kind) {
            Ok(records) => {
                self.decided(records);
                String::new()
            }
            Err(error) => format!("refused: {error}"),
        })
    }

    fn reassign(&mut self, wish: Option<&[BrokerId]>) -> Said {
        Ok(match decide::reassign_partition(&self.image, self.rules, AT, wish) {
            Ok(records) => {
                self.decided(records);
                String::new()
            }
            Err(error) => format!("refused: {error}"),
        })
    }

    fn latest(&mut self, id: u32) -> Said {
        let Ok((leader, _)) = self.leader(id) else { return Ok("NOT_LEADER_OR_FOLLOWER".to_owned()) };
        Ok(leader.exposed_watermark().map_or("OFFSET_NOT_AVAILABLE".to_owned(), |at| at.to_string()))
    }

    fn epoch_end(&mut self, id: u32, epoch: u32) -> Said {
        let (_, log) = self.leader(id)?;
        let found = log.epoch_end(LeaderEpoch(epoch));
        Ok(found.map_or("unknown".to_owned(), |at| format!("epoch {} ends at {}", at.epoch, at.end)))
    }

    fn nearest(&mut self, id: u32, rack: &str, from: u64) -> Said {
        let offset = Offset::new(from).ok_or("no offset")?;
        let isr = self.partition().isr.clone();
        let image = self.image.clone();
        let replicas = self.partition().replicas.clone();
        let racks: Vec<String> = replicas.iter().map(|one| format!("rack-{one}")).collect();
        let (leader, log) = self.leader(id)?;
        let candidates = replicas.iter().zip(&racks).map(|(one, rack)| Candidate {
            broker: *one,
            rack: Some(rack),
            is_leader: one.0 == id,
            is_in_sync: isr.contains(one) && image.is_active(*one),
            log_end: if one.0 == id {
                log.end()
            } else {
                leader.follower(*one).map_or(Offset::ZERO, |positions| positions.log_end)
            },
        });
        Ok(nearest(rack, offset, candidates).map_or("the leader".to_owned(), |one| format!("broker {one}")))
    }

    /// What the metadata log says of the partition.
    pub(super) fn partition_line(&self) -> String {
        let partition = self.partition();
        let mut line = format!(
            "t-0: leader {}, epoch {}, version {}, replicas {}, in sync {}",
            partition.leader.map_or("none".to_owned(), |leader| leader.to_string()),
            self.image.leader_epoch(partition),
            partition.partition_epoch,
            list(partition.replicas.iter().copied()),
            list(partition.isr.iter().copied()),
        );
        for (what, who) in [
            ("eligible", &partition.eligible_leaders),
            ("adding", &partition.adding),
            ("removing", &partition.removing),
        ] {
            if !who.is_empty() {
                line += &format!(", {what} {}", list(who.iter().copied()));
            }
        }
        if partition.unclean_epoch == Some(self.image.leader_epoch(partition)) {
            line += ", ELECTED UNCLEANLY";
        }
        line
    }

    fn show(&self) -> String {
        let lines = self.brokers.iter().map(|(id, broker)| broker.describe(*id));
        let lines: Vec<String> = std::iter::once(self.partition_line()).chain(lines).collect();
        lines.join("\n")
    }
}

impl Broker {
    fn describe(&self, id: u32) -> String {
        let role = match &self.role {
            _ if !self.on => "is off".to_owned(),
            None => "has no replica".to_owned(),
            Some(Role::Leader(leader)) => format!(
                "leads in epoch {}, counts {}",
                leader.leader_epoch(),
                list(leader.isr().maximal().collect::<std::collections::BTreeSet<_>>())
            ),
            Some(Role::Follower(follower)) => match follower.leader() {
                Some(leader) => format!("follows {leader} in epoch {}", follower.leader_epoch()),
                None => format!("follows nobody in epoch {}", follower.leader_epoch()),
            },
        };
        let deaf = if self.hears { "" } else { " (deaf)" };
        format!(
            "{id}{deaf} {role}: {}, durable {}, watermark {}",
            Log::show(&self.log.records),
            self.log.durable,
            self.watermark
        )
    }
}

fn members(proposal: &IsrProposal) -> String {
    format!(
        "{} in place of version {}",
        list(proposal.isr.iter().map(|(member, _)| *member)),
        proposal.partition_epoch
    )
}
