//! Nobody misses a wake-up, nobody polls.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use super::*;
use crate::embed::watch::Watch;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest runtime there is.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

const RECORDS: usize = 300;

#[test]
fn tails_in_threads_and_in_tasks_see_everything_in_order() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    std::thread::scope(|scope| {
        let blocking = scope.spawn(|| {
            log.tail(Offset::ZERO)
                .take(RECORDS)
                .map(|record| record.unwrap().offset.get())
                .collect::<Vec<_>>()
        });
        let task = scope.spawn(|| {
            block_on(async {
                let mut tail = log.tail(Offset::ZERO);
                let mut found = Vec::new();
                while found.len() < RECORDS {
                    found.push(tail.recv().await.unwrap().unwrap().offset.get());
                }
                found
            })
        });
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..RECORDS / 3 {
                    log.append(&n.to_string()).unwrap();
                }
            });
        }
        let expected: Vec<u64> = (0..RECORDS as u64).collect();
        assert_eq!(blocking.join().unwrap(), expected);
        assert_eq!(task.join().unwrap(), expected);
    });
}

#[test]
fn closing_ends_those_who_wait() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    log.append("only").unwrap();
    std::thread::scope(|scope| {
        let blocking = scope.spawn(|| log.tail(Offset::ZERO).count());
        let task = scope.spawn(|| {
            block_on(async {
                let mut tail = log.tail(offset(1));
                tail.recv().await.is_none()
            })
        });
        let commits = scope.spawn(|| logs.run_commits());
        // Both are about to wait, or will find it closed: either way they end.
        logs.close().unwrap();
        assert_eq!(blocking.join().unwrap(), 1);
        assert!(task.join().unwrap());
        commits.join().unwrap();
    });
}

#[test]
fn tickets_are_futures() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| logs.run_commits());
        for n in 0..50 {
            let ticket = log.write(&n.to_string()).unwrap();
            assert_eq!(block_on(ticket).unwrap(), offset(n));
            assert_eq!(log.positions().unwrap().durable_end, offset(n + 1));
        }
        let many: Vec<_> = (50..60).map(|n| log.write(&n.to_string()).unwrap()).collect();
        for (n, ticket) in many.into_iter().enumerate() {
            assert_eq!(block_on(ticket).unwrap(), offset(50 + n as u64));
        }
        logs.close().unwrap();
    });
}

#[test]
fn a_refusal_reaches_the_task_and_the_next_commit_mends_it() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| logs.run_commits());
        // The first batch of an epoch has its epoch's file written with it.
        disk.inject(failing(Operation::Open, io::ErrorKind::StorageFull));
        let ticket = log.write("one").unwrap();
        let refused = block_on(ticket).unwrap_err();
        assert!(matches!(refused, crate::embed::WriteError::Unsynced { .. }), "{refused}");
        assert_eq!(log.sync().unwrap(), offset(1));
        assert_eq!(texts(&log), ["one"]);
        logs.close().unwrap();
    });
}

#[test]
fn a_task_that_gives_up_is_forgotten() {
    let watch = Arc::new(Watch::default());
    let mut context = Context::from_waker(Waker::noop());
    let mut changed = Box::pin(watch.changed(watch.changes()));
    assert!(changed.as_mut().poll(&mut context).is_pending());
    assert!(changed.as_mut().poll(&mut context).is_pending());
    assert_eq!(watch.waiting_tasks(), 1);
    drop(changed);
    assert_eq!(watch.waiting_tasks(), 0);
    let seen = watch.changes();
    watch.change();
    assert!(Box::pin(watch.changed(seen)).as_mut().poll(&mut context).is_ready());
}

#[test]
fn a_tail_that_does_not_wait_says_that_there_is_nothing() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    let mut tail = log.tail(Offset::ZERO);
    assert!(tail.try_next().is_none());
    assert!(tail.next_within(std::time::Duration::ZERO).is_none());
    log.append("there").unwrap();
    assert_eq!(tail.try_next().unwrap().unwrap().text(), Some("there"));
    assert_eq!(tail.next_offset(), offset(1));
    assert!(tail.try_next().is_none());
}
