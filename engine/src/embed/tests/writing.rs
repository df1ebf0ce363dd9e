//! What is written, when it counts, and who was first.

use super::*;
use crate::disk::memory::Loss;
use crate::embed::{FromRecord, NewRecord, Record, ToRecord, UpkeepError, WriteError};

#[derive(Clone, Debug, PartialEq)]
struct Deposit {
    account: String,
    cents: u64,
}

impl ToRecord for Deposit {
    fn to_record(&self) -> NewRecord<'_> {
        NewRecord::new(self.cents.to_be_bytes().to_vec())
            .key(self.account.as_bytes())
            .header("kind", &b"deposit"[..])
    }
}

impl FromRecord for Deposit {
    type Error = &'static str;

    fn from_record(record: &Record) -> Result<Deposit, &'static str> {
        let account =
            record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).ok_or("no account")?;
        let cents = record.bytes().try_into().map_err(|_| "no amount")?;
        Ok(Deposit { account: account.to_owned(), cents: u64::from_be_bytes(cents) })
    }
}

#[test]
fn typed_records_come_back_after_a_restart() {
    let disk = MemoryDisk::new();
    let deposits: Vec<Deposit> =
        (0..5).map(|n| Deposit { account: format!("account {n}"), cents: n * 100 }).collect();
    let logs = open(&disk);
    let log = logs.log("deposits").unwrap();
    assert_eq!(log.append(&deposits[0]).unwrap(), offset(0));
    assert_eq!(log.append_all(deposits[1..4].iter().cloned()).unwrap(), offset(1));
    assert_eq!(log.append_if(offset(4), &deposits[4]).unwrap(), offset(4));
    logs.close().unwrap();
    drop(logs);

    let logs = open(&disk);
    assert_eq!(logs.names(), ["deposits"]);
    let snapshot = logs.log("deposits").unwrap().snapshot().unwrap();
    let found: Vec<Deposit> = snapshot.records().decoded().map(Result::unwrap).collect();
    assert_eq!(found, deposits);
    let newest: Deposit = snapshot.backwards().decoded().next().unwrap().unwrap();
    assert_eq!(newest, deposits[4]);
    let first = snapshot.records().next().unwrap().unwrap();
    assert_eq!(first.headers, [(b"kind"[..].into(), Some(b"deposit"[..].into()))]);
    assert!(snapshot.records().decoded::<String>().next().unwrap().is_ok());
    assert!(logs.log("deposits").unwrap().append("text").is_ok());
    let mixed = logs.log("deposits").unwrap().snapshot().unwrap();
    assert!(mixed.records_from(offset(5)).decoded::<Deposit>().next().unwrap().is_err());
}

#[test]
fn what_append_returned_for_survives_every_power_cut() {
    for seed in 0..50 {
        let disk = MemoryDisk::new();
        let logs = open(&disk);
        let log = logs.log("log").unwrap();
        for n in 0..20 {
            log.append(&format!("durable {n}")).unwrap();
        }
        let unsynced = (0..5).map(|n| log.write(&format!("written {n}")).unwrap()).collect::<Vec<_>>();
        assert!(unsynced.iter().all(|ticket| !ticket.is_durable().unwrap()));
        // What is not durable is not shown either.
        assert_eq!(texts(&log).len(), 20);
        disk.crash(seed);
        drop((logs, log, unsynced));

        let found = texts(&open(&disk).log("log").unwrap());
        let all: Vec<String> =
            (0..20).map(|n| format!("durable {n}")).chain((0..5).map(|n| format!("written {n}"))).collect();
        assert!(found.len() >= 20, "seed {seed}: {found:?}");
        assert_eq!(found, all[..found.len()], "seed {seed}");
    }
}

#[test]
fn a_group_of_writes_shares_one_sync() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    log.append("first").unwrap();
    let before = disk.counts();
    let tickets: Vec<_> = (0..10).map(|n| log.write(&format!("{n}")).unwrap()).collect();
    assert_eq!(disk.counts().syncs, before.syncs);
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(disk.counts().syncs, before.syncs + 1);
}

#[test]
fn only_the_first_of_two_appends_if() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("counter").unwrap();
    const EACH: u64 = 50;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    loop {
                        let now = log.snapshot().unwrap();
                        let last = now
                            .backwards()
                            .next()
                            .map_or(0, |record| record.unwrap().text().unwrap().parse::<u64>().unwrap());
                        match log.append_if(now.end(), &(last + 1).to_string()) {
                            Ok(_) => break,
                            Err(WriteError::Moved { next }) => assert!(next > now.end()),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let expected: Vec<String> = (1..=4 * EACH).map(|n| n.to_string()).collect();
    assert_eq!(texts(&log), expected);
}

#[test]
fn what_can_never_be_written_is_refused_and_leaves_the_log_alone() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    assert!(matches!(log.append(&vec![0; 3000]), Err(WriteError::Invalid { .. })));
    assert!(matches!(log.append_all(Vec::<String>::new()), Err(WriteError::Invalid { .. })));
    assert!(matches!(logs.log("no/slash"), Err(OpenError::Name(_))));
    assert_eq!(log.append("fits").unwrap(), Offset::ZERO);
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_ends_everything() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    log.append("durable").unwrap();
    let mut tail = log.tail(Offset::ZERO);
    disk.inject(failing(Operation::Sync, io::ErrorKind::Other));
    assert!(matches!(log.append("lost"), Err(WriteError::Offline(_))));
    assert!(matches!(log.append("after"), Err(WriteError::Offline(_))));
    assert_eq!(texts(&log), ["durable"]);
    assert_eq!(tail.next().unwrap().unwrap().text(), Some("durable"));
    assert!(tail.next().unwrap().is_err());
    assert!(tail.next().is_none());
    assert!(logs.close().is_err());
}

#[test]
fn a_closed_log_says_so_and_opens_again() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    log.append("one").unwrap();
    logs.close_log("log").unwrap();
    assert!(matches!(log.append("two"), Err(WriteError::Closed)));
    assert!(matches!(log.snapshot(), Err(UpkeepError::Closed)));
    let again = logs.log("log").unwrap();
    assert_eq!(again.append("two").unwrap(), offset(1));
    logs.delete_log("log").unwrap();
    assert!(!logs.contains("log"));
    assert!(matches!(again.append("three"), Err(WriteError::Closed)));
    assert!(matches!(logs.delete_log("log"), Err(UpkeepError::NotFound(_))));
    assert_eq!(logs.log("log").unwrap().append("new").unwrap(), Offset::ZERO);
}

#[test]
fn what_was_deleted_goes_with_the_next_upkeep() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("log").unwrap();
    for n in 0..100 {
        log.append(&format!("{n:0100}")).unwrap();
    }
    let bytes = |disk: &MemoryDisk| {
        let is_log = |file: &&std::path::PathBuf| file.extension().is_some_and(|kind| kind == "log");
        disk.files().iter().filter(is_log).map(|file| disk.contents(file).unwrap().len()).sum::<usize>()
    };
    let before = bytes(&disk);
    assert_eq!(log.delete_before(offset(90)).unwrap(), offset(90));
    assert!(matches!(log.delete_before(offset(101)), Err(UpkeepError::OutOfRange { .. })));
    let done = logs.maintain().unwrap();
    assert!(done.deleted > 3 && done.deleted_bytes > 0, "{done:?}");
    assert!(bytes(&disk) < before / 2);
    assert_eq!(texts(&log).len(), 10);
    disk.crash(3);
    drop((logs, log));
    assert_eq!(texts(&open(&disk).log("log").unwrap()).len(), 10);
}

#[test]
fn gathered_records_are_few_batches_and_nothing_until_they_are_written() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let log = logs.log("small").unwrap();
    let mut gather = log.gather(1000);
    let mut written = Vec::new();
    for n in 0..100 {
        written.extend(gather.push(&format!("record {n:03}")).unwrap());
    }
    assert!((1..20).contains(&written.len()), "{} batches", written.len());
    let next = written.last().unwrap().next_offset();
    assert_eq!(log.positions().unwrap().log_end, next, "the rest has no offset yet");
    let last = gather.write().unwrap().unwrap();
    assert_eq!(last.next_offset(), offset(100));
    assert!(gather.write().unwrap().is_none());
    last.wait().unwrap();
    disk.crash_with(Loss::Everything);
    drop((written, gather, log, logs));
    let logs = open(&disk);
    let snapshot = logs.log("small").unwrap().snapshot().unwrap();
    let found: Vec<String> = snapshot.records().decoded().map(Result::unwrap).collect();
    assert_eq!(found, (0..100).map(|n| format!("record {n:03}")).collect::<Vec<_>>());
}
