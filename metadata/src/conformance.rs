//! What every implementation of [`MetadataLog`] must pass. Runs on whatever executor drives the implementation.
//!
//! A failure is a panic that says which duty was not done.

use crate::{BoxFuture, Entry, EntryId, MetadataLog, MetadataRecord, News};
use alloc::{format, sync::Arc, vec, vec::Vec};
use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};
use highwater_records::{BrokerId, ProducerId};

/// One implementation under test, starting empty, with this broker as the leader.
pub trait Subject {
    /// The log as it stands.
    fn log(&self) -> Arc<dyn MetadataLog>;

    /// Stops it, as a crash would if the implementation can play that, and opens it again on what is durable.
    fn restart(&mut self) -> BoxFuture<'_, ()>;
}

/// The whole suite, in order, on one subject.
///
/// # Panics
/// When a duty is not done.
pub async fn run(subject: &mut dyn Subject) {
    let log = subject.log();
    assert_eq!(log.committed(), None, "an empty log has committed nothing");
    let leadership = log.leadership();
    assert!(leadership.is_local, "the suite wants the leader");
    assert_eq!(log.confirm_leadership().await, Ok(leadership.term), "the leader confirms its term");

    waits_for_the_first_entry(&*log).await;
    keeps_order_and_ignores_expects(&*log).await;
    commits_each_of_many_at_once(&*log).await;

    let before = replay(&*log).await;
    drop(log);
    for _ in 0..3 {
        subject.restart().await;
        let log = subject.log();
        assert_eq!(replay(&*log).await, before, "a restart neither loses nor changes an entry");
        assert_eq!(log.committed(), before.last().map(|entry| entry.id), "committed after a restart");
    }
    let log = subject.log();
    let id = log.propose(None, one(99)).await.expect("proposing after a restart");
    assert!(Some(id) > before.last().map(|entry| entry.id), "ids grow across restarts");
    assert_eq!(replay(&*log).await.len(), before.len() + 1, "one more after one more proposal");
    assert_eq!(
        log.leadership().is_local,
        log.confirm_leadership().await.is_ok(),
        "leading and confirming agree"
    );
}

async fn waits_for_the_first_entry(log: &dyn MetadataLog) {
    let mut next = pin!(log.next_after(None));
    let early = poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_ready())).await;
    assert!(!early, "an empty log has no next entry");
    let (id, news) = both(log.propose(None, one(1)), next).await;
    let (id, news) = (id.expect("first proposal"), news.expect("first entry"));
    assert_eq!(news, News::Entry(Entry { id, expects: None, records: one(1) }));
    assert_eq!(log.committed(), Some(id), "a confirmed proposal is committed");
}

async fn keeps_order_and_ignores_expects(log: &dyn MetadataLog) {
    let mut last = log.committed();
    // What the second and third expect is not what came before them: committed all the same.
    for (number, expects) in [(2, last), (3, None), (4, EntryId::new(1 << 40))] {
        let id = log.propose(expects, one(number)).await.expect("proposal");
        assert!(Some(id) > last, "ids grow");
        let entry = entry_after(log, last).await;
        assert_eq!(entry, Entry { id, expects, records: one(number) }, "delivered as proposed");
        last = Some(id);
    }
    let id = log.propose(last, Vec::new()).await.expect("an empty decision is a decision");
    assert_eq!(entry_after(log, last).await, Entry { id, expects: last, records: Vec::new() });
}

async fn commits_each_of_many_at_once(log: &dyn MetadataLog) {
    let before = replay(log).await.len();
    let mut proposals: Vec<_> = (100..140).map(|number| log.propose(None, one(number))).collect();
    let mut ids = vec![None; proposals.len()];
    poll_fn(|context| {
        for (proposal, id) in proposals.iter_mut().zip(&mut ids) {
            if id.is_none()
                && let Poll::Ready(answer) = proposal.as_mut().poll(context)
            {
                *id = Some(answer.expect("one of many proposals"));
            }
        }
        if ids.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let entries = replay(log).await;
    assert_eq!(entries.len(), before + ids.len(), "each of many proposals is committed once");
    for (number, id) in (100..).zip(ids) {
        let entry = entries.iter().find(|entry| Some(entry.id) == id);
        let entry = entry.unwrap_or_else(|| panic!("{}", format!("proposal {number} is not in the stream")));
        assert_eq!(entry.records, one(number), "the id names what was proposed under it");
    }
}

/// The next entry: nothing is forgotten of what the suite proposes.
async fn entry_after(log: &dyn MetadataLog, last: Option<EntryId>) -> Entry {
    let news = log.next_after(last).await.expect("there is a next entry");
    news.entry().expect("an entry, not a snapshot")
}

/// Everything committed so far, read twice from the beginning.
async fn replay(log: &dyn MetadataLog) -> Vec<Entry> {
    let mut passes = Vec::new();
    for _ in 0..2 {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let last = entries.last().map(|entry| entry.id);
            if last >= log.committed() {
                break;
            }
            let entry = entry_after(log, last).await;
            assert!(Some(entry.id) > last, "the stream goes forward");
            entries.push(entry);
        }
        passes.push(entries);
    }
    let first = passes.swap_remove(0);
    assert_eq!(passes.first(), Some(&first), "two readers see the same stream");
    first
}

fn one(number: u64) -> Vec<MetadataRecord> {
    vec![MetadataRecord::ProducerIdsAllocated { broker: BrokerId(1), next: ProducerId(number) }]
}

async fn both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut a, mut b) = (None, None);
    poll_fn(|context| {
        if a.is_none()
            && let Poll::Ready(value) = first.as_mut().poll(context)
        {
            a = Some(value);
        }
        if b.is_none()
            && let Poll::Ready(value) = second.as_mut().poll(context)
        {
            b = Some(value);
        }
        match (a.take(), b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (one, other) => {
                (a, b) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests;
