use std::io::IoSlice;

use super::*;
use crate::disk::{Disk, DiskFile, Open};

fn write(file: &Arc<dyn DiskFile>, bytes: &[u8], position: u64) -> io::Result<()> {
    file.write_at(&[IoSlice::new(bytes)], position)
}

#[test]
fn synced_bytes_and_names_survive_every_crash() {
    for seed in 0..200 {
        let disk = MemoryDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let file = disk.open(Path::new("/d/f"), Open::CreateNew).unwrap();
        write(&file, &[7; 2000], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        write(&file, &[8; 2000], 2000).unwrap();
        disk.crash(seed);
        let bytes = disk.contents(Path::new("/d/f")).unwrap();
        assert_eq!(bytes[..2000], [7; 2000]);
        assert!(bytes.len() <= 4000);
        assert!(file.read_at(&mut [0; 1], 0).is_err(), "a file that was open before a crash is void");
    }
}

#[test]
fn unsynced_bytes_are_lost_kept_and_torn_and_names_too() {
    let (mut lost, mut kept, mut torn, mut nameless) = (0, 0, 0, 0);
    for seed in 0..400 {
        let disk = MemoryDisk::new();
        let file = disk.open(Path::new("/f"), Open::CreateNew).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        write(&file, &[1; 1024], 0).unwrap();
        disk.open(Path::new("/g"), Open::CreateNew).unwrap();
        disk.crash(seed);
        let bytes = disk.contents(Path::new("/f")).unwrap();
        match bytes.iter().filter(|byte| **byte == 1).count() {
            0 => lost += 1,
            1024 => kept += 1,
            _ => torn += 1,
        }
        nameless += usize::from(disk.contents(Path::new("/g")).is_err());
    }
    assert!(lost > 20 && kept > 20 && torn > 20, "{lost} {kept} {torn}");
    assert!(nameless > 100 && nameless < 300, "{nameless}");
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = || {
        let disk = MemoryDisk::new();
        for name in ["/a", "/b", "/c"] {
            let file = disk.open(Path::new(name), Open::Create).unwrap();
            write(&file, &[3; 3000], 10).unwrap();
        }
        disk.rename(Path::new("/a"), Path::new("/z")).unwrap();
        disk.crash(99);
        disk.files().iter().map(|path| (path.clone(), disk.contents(path).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_rename_is_atomic() {
    for seed in 0..100 {
        let disk = MemoryDisk::new();
        for (name, byte) in [("/old", 1), ("/new", 2)] {
            let file = disk.open(Path::new(name), Open::Create).unwrap();
            write(&file, &[byte], 0).unwrap();
            file.sync_data().unwrap();
        }
        disk.sync_dir(Path::new("/")).unwrap();
        disk.rename(Path::new("/new"), Path::new("/old")).unwrap();
        disk.crash(seed);
        let old = disk.contents(Path::new("/old")).unwrap();
        assert_eq!(disk.contents(Path::new("/new")).is_err(), old == [2]);
    }
}

#[test]
fn a_failed_sync_never_becomes_durable_later() {
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new("/f"), Open::Create).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    write(&file, &[1; 512], 0).unwrap();
    disk.inject(Fault {
        after: 0,
        operations: vec![Operation::Sync],
        error: io::ErrorKind::Other,
        lasting: false,
    });
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    disk.crash_with(Loss::Everything);
    assert_eq!(disk.contents(Path::new("/f")).unwrap(), [0; 512]);
}

#[test]
fn the_power_fails_at_the_change_asked_for() {
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new("/f"), Open::Create).unwrap();
    disk.stop_after(1, true);
    write(&file, b"abcd", 0).unwrap();
    assert!(!disk.stopped());
    assert!(write(&file, b"efgh", 4).is_err());
    assert!(disk.stopped());
    assert!(file.read_at(&mut [0; 1], 0).is_err());
    disk.crash_with(Loss::Nothing);
    assert_eq!(disk.contents(Path::new("/f")).unwrap(), b"abcdef");
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = MemoryDisk::new();
    disk.set_capacity(Some(6));
    let file = disk.open(Path::new("/f"), Open::Create).unwrap();
    write(&file, b"abcd", 0).unwrap();
    assert_eq!(write(&file, b"efgh", 4).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.contents(Path::new("/f")).unwrap(), b"abcdef");
    write(&file, b"xy", 0).unwrap();
}

#[test]
fn locks_and_forks() {
    let disk = MemoryDisk::new();
    let lock = disk.lock(Path::new("/.lock")).unwrap();
    assert_eq!(disk.lock(Path::new("/.lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let fork = disk.fork();
    fork.lock(Path::new("/.lock")).unwrap();
    disk.kill();
    let second = disk.lock(Path::new("/.lock")).unwrap();
    drop(lock);
    assert!(disk.lock(Path::new("/.lock")).is_err(), "a lock of before the kill frees nothing");
    drop(second);
}

#[test]
fn of_the_writes_in_flight_a_power_cut_keeps_any() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = MemoryDisk::new();
        let file = disk.open(Path::new("/f"), Open::Create).unwrap();
        write(&file, &[0; 4 * 4096], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let through = disk.open(Path::new("/f"), Open::Through).unwrap();
        disk.hold_through(true);
        for n in 0..4u8 {
            // One sector of each block is new.
            let mut block = [0; 4096];
            block[..512].fill(n + 1);
            write(&through, &block, u64::from(n) * 4096).unwrap();
        }
        disk.land(2).unwrap();
        disk.crash(seed);
        let bytes = disk.contents(Path::new("/f")).unwrap();
        let kept: Vec<bool> = (0..4).map(|n| bytes[n * 4096] == n as u8 + 1).collect();
        assert!(kept[2], "what has landed is durable");
        seen.insert(kept);
    }
    assert_eq!(seen.len(), 8, "every subset of the others");
}
