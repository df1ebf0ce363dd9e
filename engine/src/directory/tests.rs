use std::{path::Path, sync::Arc};

use highwater_records::{BrokerId, PartitionIndex, TopicId};

use super::{catalog, meta};
use crate::{
    CheckpointError, CreateLogError, DirOptions, LogDir, LogName, OpenDirError, OpenLogError,
    disk::{
        RealDisk,
        memory::{Loss, MemoryDisk},
    },
    testing::*,
};

#[test]
fn a_directory_is_opened_once() {
    let directory = tempfile::tempdir().unwrap();
    let open = || LogDir::open(Arc::new(RealDisk), directory.path(), options(), NOW);
    let first = open().unwrap();
    let refused = open().unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");
    drop(first);
    open().unwrap();
}

#[test]
fn somebody_elses_directory_is_refused_and_left_alone() {
    let disk = MemoryDisk::new();
    let (dir, log) = create(&disk, small());
    close(dir, log);
    let before: Vec<_> =
        disk.files().into_iter().map(|file| (file.clone(), disk.contents(&file).unwrap())).collect();
    let open = |options: DirOptions| {
        LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options, NOW).unwrap_err()
    };
    let other = open(DirOptions { cluster_id: "other".to_owned(), ..options() });
    assert!(matches!(other, OpenDirError::OtherCluster { .. }), "{other}");
    let other = open(DirOptions { node_id: BrokerId(2), ..options() });
    assert!(matches!(other, OpenDirError::OtherBroker { .. }), "{other}");
    let after: Vec<_> =
        disk.files().into_iter().map(|file| (file.clone(), disk.contents(&file).unwrap())).collect();
    assert_eq!(before, after);
    disk.overwrite(Path::new("/data/meta.properties"), b"version=3\ncluster.id=cluster\nnode.id=1\n")
        .unwrap();
    assert!(matches!(open(options()), OpenDirError::Version { .. }));
    disk.vandalize(Path::new("/data/meta.properties")).unwrap();
    assert!(matches!(open(options()), OpenDirError::Unidentified { .. }));
}

#[test]
fn the_mark_of_a_clean_stop_is_there_only_after_one() {
    let disk = MemoryDisk::new();
    let mark = Path::new("/data/.kafka_cleanshutdown");
    let (dir, log) = create(&disk, small());
    assert!(matches!(dir.close(NOW), Err(CheckpointError::StillOpen(_))));
    assert!(disk.contents(mark).is_err());
    close(dir, log);
    assert!(disk.contents(mark).is_ok());
    let (dir, report) = open_dir(&disk);
    assert!(report.clean && report.logs == [name()]);
    assert!(disk.contents(mark).is_err());
    drop(dir);
    let (dir, report) = open_dir(&disk);
    assert!(!report.clean);
    assert!(!dir.close(NOW).unwrap().clean, "nobody recovered its log");
    let (log, _) = dir.open_log(&name(), small(), NOW).unwrap();
    log.close(NOW).unwrap();
    assert!(dir.close(NOW).unwrap().clean);
}

#[test]
fn logs_are_created_opened_and_deleted_once() {
    let disk = MemoryDisk::new();
    let (dir, log) = create(&disk, small());
    let id = TopicId::from_random(3, 3);
    assert!(matches!(dir.create_log(name(), id, small(), NOW), Err(CreateLogError::Exists(_))));
    assert!(matches!(dir.open_log(&name(), small(), NOW), Err(OpenLogError::AlreadyOpen(_))));
    let other = LogName::new("other", PartitionIndex(3));
    assert!(matches!(dir.open_log(&other, small(), NOW), Err(OpenLogError::NotFound(_))));
    let second = dir.create_log(other.clone(), id, small(), NOW).unwrap();
    assert_eq!(dir.logs(), [(other.clone(), id), (name(), TopicId::from_random(2, 2))]);
    dir.delete_log(log).unwrap();
    assert_eq!(dir.logs(), [(other.clone(), id)]);
    assert!(!disk.files().iter().any(|file| file.to_string_lossy().contains("topic-0")));
    // The name is free again, for another topic.
    let mut again = dir.create_log(name(), TopicId::from_random(4, 4), small(), NOW).unwrap();
    assert_eq!(again.append(batch(1, &[1]), EPOCH, NOW).unwrap().base_offset, offset(0));
    drop((again, second));
}

#[test]
fn a_deletion_counts_wherever_the_power_fails() {
    for stop in 0..60 {
        let disk = MemoryDisk::new();
        let (dir, mut log) = create(&disk, small());
        log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
        log.commit().unwrap();
        dir.write_checkpoints().unwrap();
        disk.stop_after(stop, false);
        let deleted = dir.delete_log(log).is_ok();
        drop(dir);
        disk.crash(stop);
        let (dir, report) = open_dir(&disk);
        if deleted {
            assert!(report.logs.is_empty());
            assert!(!disk.files().iter().any(|file| file.to_string_lossy().contains("topic-0")));
            assert!(stop > 2);
            return;
        }
        assert!(report.unidentified.is_empty());
        if report.logs == [name()] {
            let (log, _) = dir.open_log(&name(), small(), NOW).unwrap();
            assert_eq!(read_all(&log.reader(), offset(0)).unwrap().len(), 1);
        }
    }
    panic!("the deletion never came to its end");
}

#[test]
fn a_new_log_is_not_bound_by_what_had_its_name() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    for n in 0..20 {
        log.append(batch(n, &[1]), EPOCH, NOW).unwrap();
    }
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    dir.delete_log(log).unwrap();
    let mut log = dir.create_log(name(), TopicId::from_random(4, 4), small(), NOW).unwrap();
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    log.commit().unwrap();
    drop((dir, log));
    disk.crash(1);
    let (_dir, log, report) = reopen(&disk, small());
    assert!(report.quarantined.is_empty(), "{report:?}");
    assert_eq!(log.positions().log_end, offset(1));
}

#[test]
fn a_log_without_an_identity_is_reported_and_left_alone() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    close(dir, log);
    let file = Path::new("/data/topic-0/partition.metadata");
    let text = disk.contents(file).unwrap();
    // After a clean stop of ours the catalog knows it too.
    disk.overwrite(file, b"version: 0\n").unwrap();
    let (dir, log, report) = reopen(&disk, small());
    assert!(report.notes.len() == 1 && disk.contents(file).unwrap() == text, "{report:?}");
    drop((dir, log));
    disk.kill();
    disk.overwrite(file, b"version: 0\n").unwrap();
    let (_dir, report) = open_dir(&disk);
    assert_eq!((report.logs, report.unidentified), (vec![], vec![name()]));
    assert!(!disk.contents(Path::new("/data/topic-0/00000000000000000000.log")).unwrap().is_empty());
}

#[test]
fn the_catalog_is_believed_only_where_nobody_else_was() {
    let disk = MemoryDisk::new();
    let (dir, log) = create(&disk, small());
    close(dir, log);
    let catalog = Path::new("/data").join(catalog::FILE_NAME);
    let metadata = Path::new("/data/topic-0/partition.metadata");
    let another = TopicId::from_random(9, 9);
    disk.overwrite(metadata, meta::encode_partition_metadata(another).as_bytes()).unwrap();
    let id = |disk: &MemoryDisk| open_dir(disk).0.topic_id_of(&name());
    let as_left = disk.fork();
    assert_eq!(id(&as_left), Some(TopicId::from_random(2, 2)));
    assert!(as_left.contents(&catalog).is_err(), "gone while the directory is open");
    let (dir, _) = open_dir(&disk.fork());
    assert!(dir.open_log(&name(), small(), NOW).is_err(), "the log is not the one that was there");
    let kafkas = disk.fork();
    kafkas.overwrite(Path::new("/data/.kafka_cleanshutdown"), br#"{"version":0,"brokerEpoch":7}"#).unwrap();
    assert_eq!(id(&kafkas), Some(another));
    let changed = disk.fork();
    changed.overwrite(Path::new("/data/recovery-point-offset-checkpoint"), b"0\n0\n").unwrap();
    assert_eq!(id(&changed), Some(another));
    let damaged = disk.fork();
    let mut bytes = damaged.contents(&catalog).unwrap();
    bytes[3] ^= 1;
    damaged.overwrite(&catalog, &bytes).unwrap();
    assert_eq!(id(&damaged), Some(another));
}

#[test]
fn nobody_vouches_for_what_kafka_wrote_until_somebody_does() {
    let disk = MemoryDisk::new();
    let (dir, log) = create(&disk, small());
    assert!(dir.is_vouched(&name()));
    close(dir, log);
    disk.kill();
    let metadata = Path::new("/data/topic-0/partition.metadata");
    let ours = disk.contents(metadata).unwrap();
    let kafkas = format!("version: 0\ntopic_id: {}\n", TopicId::from_random(2, 2));
    disk.overwrite(metadata, kafkas.as_bytes()).unwrap();
    disk.vandalize(&Path::new("/data").join(catalog::FILE_NAME)).unwrap();
    for _ in 0..2 {
        // A clean stop in between does not make it true.
        let (dir, log, _) = reopen(&disk, small());
        assert!(!dir.is_vouched(&name()) && dir.topic_id_of(&name()) == Some(TopicId::from_random(2, 2)));
        close(dir, log);
        disk.kill();
    }
    let (dir, _) = open_dir(&disk);
    dir.vouch(&name()).unwrap();
    disk.crash_with(Loss::Everything);
    assert_eq!(disk.contents(metadata).unwrap(), ours);
    assert!(open_dir(&disk).0.is_vouched(&name()));
}
