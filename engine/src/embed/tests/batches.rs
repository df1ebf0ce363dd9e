//! Appends to several logs, from threads and from tasks.

use super::{waiting::block_on, *};
use crate::embed::{Batches, WriteAllError, WriteError};

/// Threads that write the same number into two logs at once, in either order, beside others that write into one.
#[test]
fn what_is_in_one_log_is_in_the_other() {
    const EACH: usize = 30;
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let (a, b) = (logs.log("a").unwrap(), logs.log("b").unwrap());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (a, b) = (&a, &b);
            scope.spawn(move || {
                for n in 0..EACH {
                    let text = format!("both {thread}.{n}");
                    let mut batches = Batches::new();
                    let (first, second) = if n % 2 == 0 { (a, b) } else { (b, a) };
                    batches.append(first, &text).unwrap().append(second, &text).unwrap();
                    assert_eq!(batches.commit().unwrap().len(), 2);
                }
            });
            scope.spawn(move || {
                (0..EACH).for_each(|n| assert!(a.append(&format!("alone {thread}.{n}")).is_ok()))
            });
        }
        // Whoever sees it in one log finds it in the other.
        for _ in 0..50 {
            let in_a = texts(&a).into_iter().filter(|text| text.starts_with("both"));
            let in_a: Vec<String> = in_a.collect();
            let in_b = texts(&b);
            assert!(in_a.iter().all(|text| in_b.contains(text)));
        }
    });
    let both = |log| {
        let mut found: Vec<String> = texts(log).into_iter().filter(|text| text.starts_with("both")).collect();
        found.sort();
        found
    };
    assert_eq!(both(&a).len(), 3 * EACH);
    assert_eq!(both(&a), both(&b));
    assert_eq!(texts(&a).len(), 6 * EACH);
    let before = (texts(&a), texts(&b));
    // Everything was acknowledged, so that it is all there after a power cut.
    drop((a, b, logs));
    disk.crash_with(crate::disk::memory::Loss::Everything);
    let logs = open(&disk);
    assert_eq!((texts(&logs.log("a").unwrap()), texts(&logs.log("b").unwrap())), before);
    logs.close().unwrap();
}

#[test]
fn a_task_awaits_it() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let (a, b) = (logs.log("a").unwrap(), logs.log("b").unwrap());
    let both = |text: &str| {
        let mut batches = Batches::new();
        batches.append(&b, text).unwrap().append(&a, text).unwrap();
        batches.write()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| logs.run_commits());
        assert_eq!(block_on(both("first")).unwrap(), [offset(0), offset(0)]);
        assert_eq!(both("second").wait().unwrap(), [offset(1), offset(1)]);
        drop(both("never"));
        assert_eq!(block_on(Batches::new().write()).unwrap(), []);
        logs.close().unwrap();
    });
    assert!(matches!(block_on(both("late")), Err(WriteAllError::Closed)));
    assert!(matches!(both("late").wait(), Err(WriteAllError::Closed)));
    let logs = open(&disk);
    assert_eq!(texts(&logs.log("a").unwrap()), ["first", "second"]);
}

#[test]
fn all_of_it_is_refused_or_nothing() {
    let disk = MemoryDisk::new();
    let logs = open(&disk);
    let (a, b) = (logs.log("a").unwrap(), logs.log("b").unwrap());
    a.append("there").unwrap();
    let mut batches = Batches::new();
    batches.append(&b, "x").unwrap().append_if(&a, offset(0), "x").unwrap();
    let refused = batches.append(&b, "again").err();
    assert!(matches!(refused, Some(WriteError::Invalid { .. })), "{refused:?}");
    match batches.commit() {
        Err(WriteAllError::Moved { log, next }) => assert_eq!((log.as_str(), next), ("a", offset(1))),
        other => panic!("{other:?}"),
    }
    assert!(texts(&b).is_empty());
    // The disk has no room for the journal's next file: nothing happened, and it goes on when there is.
    disk.set_capacity(Some(0));
    let both = || {
        let mut batches = Batches::new();
        batches.append(&b, "x").unwrap().append_if(&a, offset(1), "x").unwrap();
        batches.commit()
    };
    let refused = both();
    disk.set_capacity(None);
    if let Err(error) = refused {
        assert!(!matches!(error, WriteAllError::Offline(_)), "{error}");
        if !matches!(error, WriteAllError::Unshown { .. }) {
            assert_eq!(both().unwrap(), [offset(0), offset(1)]);
        }
    }
    a.append("after").unwrap();
    b.append("after").unwrap();
    assert_eq!(
        (texts(&a), texts(&b)),
        (vec!["there".into(), "x".into(), "after".into()], vec!["x".into(), "after".into()])
    );
    let other = open(&MemoryDisk::new());
    let mut batches = Batches::new();
    batches.append(&a, "x").unwrap();
    assert!(batches.append(&other.log("a").unwrap(), "x").is_err());
    logs.close().unwrap();
    other.close().unwrap();
}
