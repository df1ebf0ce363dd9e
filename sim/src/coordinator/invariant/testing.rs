use super::Invariant;
use crate::coordinator::happening::{Commit, Happening, Incarnation, Owner, Question, Told, Txn, Write};

/// Each event of a story a second after the one before; what the first that does not hold says.
pub(super) fn tell(mut invariant: impl Invariant, story: &[Happening]) -> Result<(), String> {
    (1..).zip(story).try_for_each(|(second, event)| invariant.check(second * 1_000_000_000, event))
}

/// The story is refused at its last event, for that reason.
pub(super) fn refused(make: impl Fn() -> Box<dyn Invariant>, story: &[Happening], why: &str) {
    let (_, before) = story.split_last().expect("a story");
    assert_eq!(tell(Held(make()), before), Ok(()));
    let said = tell(Held(make()), story).expect_err("it is not refused");
    assert!(said.contains(why), "{said}");
}

struct Held(Box<dyn Invariant>);

impl Invariant for Held {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn check(&mut self, now: u64, event: &Happening) -> Result<(), String> {
        self.0.check(now, event)
    }
}

pub(super) fn joins(owner: u64) -> Happening {
    Happening::Joins { group: 0, owner: Owner(owner), session: 10_000_000_000, instance: None }
}

pub(super) fn assigned(owner: u64, generation: i32, parts: &[u32]) -> Happening {
    Happening::Assigned { owner: Owner(owner), generation, parts: parts.iter().copied().collect() }
}

pub(super) fn heard(owner: u64, second: u64) -> Happening {
    Happening::Heard { owner: Owner(owner), sent: second * 1_000_000_000 }
}

pub(super) fn commits(commit: u64, owner: u64, part: u32, offset: u64) -> Happening {
    Happening::CommitAsked { commit: Commit(commit), group: 0, part, offset, owner: Owner(owner), txn: None }
}

pub(super) fn commits_in(commit: u64, txn: u64, offset: u64) -> Happening {
    let txn = Some(Txn(txn));
    Happening::CommitAsked { commit: Commit(commit), group: 0, part: 0, offset, owner: Owner(1), txn }
}

pub(super) fn committed(commit: u64) -> Happening {
    Happening::CommitAnswered { commit: Commit(commit) }
}

pub(super) fn asks(question: u64) -> Happening {
    Happening::OffsetAsked { question: Question(question), group: 0, part: 0, stable: true }
}

pub(super) fn told(question: u64, told: Told) -> Happening {
    Happening::OffsetTold { question: Question(question), told }
}

pub(super) fn began(incarnation: u64, id: u64) -> [Happening; 2] {
    let incarnation = Incarnation(incarnation);
    let identity = (4, incarnation.0 as u16);
    [Happening::ProducerAsks { incarnation, id }, Happening::ProducerBegan { incarnation, identity }]
}

pub(super) fn begins(txn: u64, incarnation: u64) -> Happening {
    Happening::TxnBegins { txn: Txn(txn), incarnation: Incarnation(incarnation), timeout: 60_000_000_000 }
}

pub(super) fn writes(write: u64, txn: u64, part: u32) -> Happening {
    Happening::WriteAsked { write: Write(write), txn: Txn(txn), part, used: None }
}

pub(super) fn written(write: u64) -> Happening {
    written_at(write, write)
}

pub(super) fn written_at(write: u64, base: u64) -> Happening {
    Happening::WriteAnswered { write: Write(write), base }
}

pub(super) fn ends(txn: u64, committed: bool) -> Happening {
    Happening::EndAsked { txn: Txn(txn), committed }
}

pub(super) fn ended(txn: u64) -> Happening {
    Happening::EndAnswered { txn: Txn(txn) }
}

pub(super) fn read(write: u64, part: u32) -> Happening {
    Happening::Read { write: Write(write), part }
}
