//! The suite passes a plain log in memory, and catches logs that neglect a duty.

extern crate std;

use super::*;
use crate::{ConfirmError, Leadership, NextError, ProposeError, Term};
use alloc::boxed::Box;
use core::task::{Context, Waker};
use std::sync::Mutex;

#[derive(Clone, Copy, PartialEq)]
enum Neglect {
    Nothing,
    ForgetsOnRestart,
    ReadsExpects,
    CommitsTwice,
    DoesNotWait,
}

struct MemoryLog {
    entries: Mutex<Vec<Entry>>,
    neglect: Neglect,
}

const LEADERSHIP: Leadership = Leadership { term: Term(1), leader: Some(BrokerId(1)), is_local: true };

impl MetadataLog for MemoryLog {
    fn propose(
        &self,
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'_, Result<EntryId, ProposeError>> {
        Box::pin(async move {
            let mut entries = self.entries.lock().unwrap();
            let last = entries.last().map(|entry| entry.id);
            if self.neglect == Neglect::ReadsExpects && expects != last {
                return Err(ProposeError::Busy);
            }
            let id = EntryId::after(last).unwrap();
            entries.push(Entry { id, expects, records });
            if self.neglect == Neglect::CommitsTwice {
                let mut again = entries[entries.len() - 1].clone();
                again.id = EntryId::after(Some(id)).unwrap();
                entries.push(again);
            }
            Ok(id)
        })
    }

    fn next_after(&self, after: Option<EntryId>) -> BoxFuture<'_, Result<News, NextError>> {
        Box::pin(poll_fn(move |_| {
            let entries = self.entries.lock().unwrap();
            match entries.iter().find(|entry| Some(entry.id) > after) {
                Some(entry) => Poll::Ready(Ok(News::Entry(entry.clone()))),
                None if self.neglect == Neglect::DoesNotWait => Poll::Ready(Err(NextError::Closed)),
                None => Poll::Pending,
            }
        }))
    }

    fn committed(&self) -> Option<EntryId> {
        self.entries.lock().unwrap().last().map(|entry| entry.id)
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<Term, ConfirmError>> {
        Box::pin(async { Ok(LEADERSHIP.term) })
    }

    fn leadership(&self) -> Leadership {
        LEADERSHIP
    }

    fn leadership_changed(&self, known: Leadership) -> BoxFuture<'_, Leadership> {
        Box::pin(poll_fn(move |_| if known == LEADERSHIP { Poll::Pending } else { Poll::Ready(LEADERSHIP) }))
    }
}

struct InMemory(Arc<MemoryLog>);

impl Subject for InMemory {
    fn log(&self) -> Arc<dyn MetadataLog> {
        self.0.clone()
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        let neglect = self.0.neglect;
        let mut entries = self.0.entries.lock().unwrap().clone();
        if neglect == Neglect::ForgetsOnRestart {
            entries.pop();
        }
        self.0 = Arc::new(MemoryLog { entries: Mutex::new(entries), neglect });
        Box::pin(async {})
    }
}

/// Everything in memory is ready after a few polls, so nobody needs to be woken.
fn examine(neglect: Neglect) {
    let mut subject = InMemory(Arc::new(MemoryLog { entries: Mutex::default(), neglect }));
    let mut suite = pin!(run(&mut subject));
    let mut context = Context::from_waker(Waker::noop());
    assert!((0..1000).any(|_| suite.as_mut().poll(&mut context).is_ready()), "the suite does not end");
}

#[test]
fn a_log_that_does_its_duty_passes() {
    examine(Neglect::Nothing);
}

#[test]
#[should_panic(expected = "a restart neither loses nor changes an entry")]
fn a_log_that_forgets_is_caught() {
    examine(Neglect::ForgetsOnRestart);
}

#[test]
#[should_panic(expected = "proposal: Busy")]
fn a_log_that_reads_expects_is_caught() {
    examine(Neglect::ReadsExpects);
}

#[test]
#[should_panic(expected = "is committed")]
fn a_log_that_commits_twice_is_caught() {
    examine(Neglect::CommitsTwice);
}

#[test]
#[should_panic(expected = "an empty log has no next entry")]
fn a_log_that_does_not_wait_is_caught() {
    examine(Neglect::DoesNotWait);
}
