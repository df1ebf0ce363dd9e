//! Making a failing run smaller: what is left out of its plan while it still fails in the same way.

use std::{fmt, str::FromStr};

use super::{ClusterFault, ClusterPlan, run_plan};
use crate::simulation::{Options, Outcome};

/// Something that is left out of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Without {
    /// One kind of fault.
    Fault(ClusterFault),
    /// Topics that come and go.
    Passing,
    /// Every topic but the first.
    Topics,
    /// Every partition but the first of each topic.
    Partitions,
    /// The bucket.
    Bucket,
    /// Producers without an id.
    Plain,
    /// Every producer with an id but one.
    Idempotent,
    /// Readers.
    Readers,
    /// Brokers that have no part in the metadata log.
    Tails,
    /// Groups and transactions.
    Work,
    /// Groups, but not producers without one.
    Groups,
    /// A time in which little happens.
    Lull,
}

const OTHERS: [(Without, &str); 11] = [
    (Without::Lull, "lull"),
    (Without::Passing, "passing"),
    (Without::Topics, "topics"),
    (Without::Partitions, "partitions"),
    (Without::Bucket, "bucket"),
    (Without::Plain, "plain"),
    (Without::Idempotent, "idempotent"),
    (Without::Readers, "readers"),
    (Without::Tails, "tails"),
    (Without::Work, "work"),
    (Without::Groups, "groups"),
];

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Without::Fault(kind) => f.write_str(&kind.word()),
            other => {
                let named = OTHERS.iter().find(|(one, _)| one == other);
                f.write_str(named.map_or("", |(_, word)| word))
            }
        }
    }
}

impl FromStr for Without {
    type Err = String;

    fn from_str(word: &str) -> Result<Without, String> {
        let other = OTHERS.iter().find(|(_, known)| *known == word).map(|(one, _)| *one);
        let fault = ClusterFault::ALL.into_iter().find(|kind| kind.word() == word).map(Without::Fault);
        other.or(fault).ok_or_else(|| format!("`{word}` is nothing that can be left out"))
    }
}

impl Without {
    /// Everything that can be left out.
    pub fn all() -> Vec<Without> {
        let faults = ClusterFault::ALL.into_iter().map(Without::Fault);
        OTHERS.iter().map(|(one, _)| *one).chain(faults).collect()
    }

    /// Leaves it out; whether it was there.
    pub fn take_from(self, plan: &mut ClusterPlan) -> bool {
        let run = &mut plan.run;
        match self {
            Without::Fault(kind) => run.faults.remove(&kind),
            Without::Passing => !std::mem::take(&mut run.passing).is_empty(),
            Without::Topics => {
                let many = run.topics.len() > 1;
                run.topics.truncate(1);
                many
            }
            Without::Partitions => {
                let mut topics = run.topics.iter().chain(&run.passing);
                let many = topics.any(|topic| topic.partitions > 1);
                run.topics.iter_mut().chain(&mut run.passing).for_each(|topic| topic.partitions = 1);
                many
            }
            Without::Bucket => {
                run.topics.iter_mut().chain(&mut run.passing).for_each(|topic| topic.tiered = false);
                std::mem::replace(&mut run.bucket, false)
            }
            Without::Plain => std::mem::take(&mut run.plain_producers) > 0,
            Without::Idempotent => std::mem::replace(&mut run.idempotent_producers, 1) > 1,
            Without::Readers => std::mem::take(&mut run.readers) > 0,
            Without::Tails => std::mem::take(&mut plan.tails) > 0,
            Without::Lull => plan.lull.take().is_some(),
            Without::Work => plan.work.take().is_some(),
            Without::Groups => plan.work.as_mut().is_some_and(|work| {
                let many = work.groups.len() > 1;
                work.groups.truncate(1);
                many
            }),
        }
    }
}

/// Leaves out of a failing seed's plan what it fails without, in the same way; answers with what was left out and the
/// smallest run that fails.
pub fn shrink(failed: Outcome, plan: &ClusterPlan) -> (Vec<Without>, Outcome) {
    let way = |outcome: &Outcome| outcome.violation.as_ref().map(|violation| violation.invariant);
    let (mut plan, mut smallest, mut left_out) = (plan.clone(), failed, Vec::new());
    loop {
        let before = left_out.len();
        for one in Without::all() {
            let mut smaller = plan.clone();
            if !one.take_from(&mut smaller) {
                continue;
            }
            let outcome = run_plan(smallest.seed, smaller.clone(), Options::default());
            if way(&outcome) == way(&smallest) {
                (plan, smallest) = (smaller, outcome);
                left_out.push(one);
            }
        }
        if left_out.len() == before {
            return (left_out, smallest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_word_and_can_be_taken_out_once() {
        for one in Without::all() {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        let mut plan = ClusterPlan::draw(1);
        plan.run.faults.extend(ClusterFault::ALL);
        assert!(Without::Fault(ClusterFault::Kill).take_from(&mut plan));
        assert!(!Without::Fault(ClusterFault::Kill).take_from(&mut plan));
        assert!("fault".parse::<Without>().is_err());
    }
}
