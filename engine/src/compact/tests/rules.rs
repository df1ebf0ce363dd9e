//! Kafka's rules one by one.

use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchView, split},
};

use super::model::{Pair, config, records};
use crate::{Compaction, Log, LogConfig, StartReason, testing::*};

fn keys(log: &Log) -> Vec<(u64, u8)> {
    records(log, "").into_iter().map(|(_, record)| (record.offset, record.key)).collect()
}

fn with(change: impl FnOnce(&mut Compaction)) -> LogConfig {
    let mut compaction = config().compaction.unwrap();
    change(&mut compaction);
    LogConfig { compaction: Some(compaction), ..config() }
}

/// Headers of all batches: (first offset, last offset, records, control).
fn batches(log: &Log) -> Vec<(u64, u64, u32, bool)> {
    let (reader, mut at) = (log.reader(), log.positions().log_start);
    let mut found = Vec::new();
    while at < log.positions().log_end {
        let range = reader.read(at, 1 << 20, Offset::MAX, true).unwrap();
        for piece in split(range.bytes().unwrap()) {
            let piece = piece.unwrap();
            let view = BatchView::parse(&piece).unwrap();
            let count = view.record_count();
            found.push((view.base_offset().get(), view.last_offset().get(), count, view.is_control()));
        }
        at = range.next_offset();
    }
    found
}

#[test]
fn the_active_segment_and_what_is_not_durable_stay() {
    let mut pair = Pair::new();
    for _ in 0..5 {
        pair.append(&[(1, true), (2, true)], None);
    }
    assert_eq!(pair.log().compaction_debt(NOW), None, "nothing is sealed");
    pair.log().roll(NOW).unwrap();
    assert_eq!(pair.log().compaction_debt(NOW), None, "nothing is durable");
    pair.log().commit().unwrap();
    assert_eq!(pair.log().compaction_debt(NOW), None, "recovery does not know that it is");
    pair.dir.write_checkpoints().unwrap();
    assert!(pair.log().compaction_debt(NOW).unwrap().due);
    pair.append(&[(1, true)], None);
    let report = pair.compact(1 << 20).unwrap();
    assert_eq!((report.up_to, report.segments_after), (offset(10), 2));
    assert!(report.bytes_after < report.bytes_before, "{report:?}");
    assert_eq!(keys(pair.log()), [(8, 1), (9, 2), (10, 1)]);
    let spans = "one batch of each segment spans what was removed";
    assert_eq!(batches(pair.log())[..2], [(0, 5, 0, false), (6, 7, 0, false)], "{spans}");
    assert_eq!(pair.compact(1 << 20), None, "nothing is dirty");
}

#[test]
fn nothing_is_looked_at_beyond_an_open_transaction() {
    let mut pair = Pair::new();
    pair.append(&[(1, true)], None);
    pair.append(&[(1, true)], None);
    pair.settle();
    pair.append(&[(2, true)], Some(20));
    pair.append(&[(1, true)], None);
    pair.settle();
    assert_eq!(pair.compact(1 << 20).unwrap().up_to, offset(2));
    assert_eq!(keys(pair.log()), [(1, 1), (2, 2), (3, 1)]);
    pair.end(20, true);
    pair.settle();
    assert_eq!(pair.compact(1 << 20).unwrap().up_to, offset(5));
    assert_eq!(keys(pair.log()), [(2, 2), (3, 1)]);
    pair.check("");
}

#[test]
fn dirty_ratio_and_lags_decide_when() {
    let mut pair = Pair::new();
    pair.append(&[(1, true), (2, true)], None);
    pair.append(&[(3, true), (4, true)], None);
    pair.settle();
    pair.compact(1 << 20).unwrap();
    pair.append(&[(1, true), (2, true)], None);
    pair.settle();
    let debt = pair.log().compaction_debt(NOW).unwrap();
    assert!(debt.due && debt.dirty_bytes * 2 == debt.clean_bytes, "{debt:?}");
    pair.log().set_config(with(|compaction| compaction.min_dirty_millionths = 340_000));
    assert!(!pair.log().compaction_debt(NOW).unwrap().due);
    assert!(pair.log().begin_compaction(1 << 20, NOW).is_none());
    pair.log().set_config(with(|compaction| compaction.min_dirty_millionths = 330_000));
    assert!(pair.log().compaction_debt(NOW).unwrap().due);

    let later = |ms: i64| TimestampMs(NOW.0 + ms);
    pair.log().set_config(with(|compaction| {
        compaction.min_dirty_millionths = 1_000_000;
        compaction.max_lag_ms = Some(100);
    }));
    assert!(!pair.log().compaction_debt(later(100)).unwrap().due);
    assert!(pair.log().compaction_debt(later(107)).unwrap().due);
    // And the active segment does not outlive the lag.
    pair.append(&[(9, true)], None);
    assert_eq!(pair.log().roll_due(), Some(later(100)));

    pair.log().set_config(with(|compaction| compaction.min_lag_ms = 50));
    assert_eq!(pair.log().compaction_debt(later(55)), None, "the newest record is too young");
    assert!(pair.log().compaction_debt(later(57)).unwrap().due);
}

#[test]
fn a_tombstone_stays_for_its_time() {
    let mut pair = Pair::new();
    pair.append(&[(1, true), (2, true)], None);
    pair.append(&[(1, false)], None);
    pair.settle();
    pair.compact(1 << 20).unwrap();
    assert_eq!(keys(pair.log()), [(1, 2), (2, 1)]);
    // The horizon was set by the first pass that saw it: 1000 ms from then.
    for (pass, expected) in [(999, vec![(1, 2), (2, 1), (3, 9)]), (1, vec![(1, 2), (4, 9)])] {
        pair.now.0 += pass;
        pair.append(&[(9, true)], None);
        pair.settle();
        pair.compact(1 << 20).unwrap();
        assert_eq!(keys(pair.log()), expected);
        pair.check("");
    }
}

#[test]
fn aborted_records_go_and_markers_follow_in_their_time() {
    let mut pair = Pair::new();
    pair.append(&[(1, true), (2, true)], Some(20));
    pair.end(20, false);
    pair.append(&[(3, true)], Some(21));
    pair.end(21, true);
    pair.append(&[(3, true)], None);
    pair.append(&[(4, true)], Some(20));
    pair.end(20, true);
    pair.append(&[(4, true)], Some(21));
    pair.end(21, true);
    pair.settle();
    pair.compact(1 << 20).unwrap();
    assert_eq!(keys(pair.log()), [(5, 3), (8, 4)]);
    let markers = |log: &Log| {
        let markers = batches(log).into_iter().filter(|(.., control)| *control);
        markers.map(|(first, ..)| first).collect::<Vec<_>>()
    };
    assert_eq!(markers(pair.log()), [2, 4, 7, 9], "their transactions had records until now");
    pair.append(&[(9, true)], None);
    pair.settle();
    pair.compact(1 << 20).unwrap();
    // Now the first two are known to have none; 1000 ms from now they may go. The last batch of producer 20 lies in the
    // transaction that 7 ended, which needs its marker as long as it is there.
    assert_eq!(markers(pair.log()), [2, 4, 7, 9]);
    assert_eq!(pair.log().reader().aborted(offset(0), offset(5)).unwrap(), []);
    pair.now.0 += 1000;
    pair.append(&[(9, true)], None);
    pair.settle();
    pair.compact(1 << 20).unwrap();
    assert_eq!(markers(pair.log()), [7, 9]);
    pair.check("");
}

#[test]
fn what_a_producer_wrote_last_tells_its_sequence_after_every_kind_of_loss() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        pair.append(&[(1, true)], Some(7));
    }
    pair.append(&[(1, true)], None);
    pair.settle();
    pair.compact(1 << 20).unwrap();
    assert_eq!(keys(pair.log()), [(3, 1)]);
    assert_eq!(batches(pair.log())[1], (2, 2, 0, false), "its last batch stays without records");
    let files = pair.disk.files();
    pair.log = None;
    pair.disk.kill();
    for file in files {
        let name = file.to_string_lossy();
        if name.ends_with(".snapshot") || name.ends_with(".hwproducers") {
            pair.disk.vandalize(&file).unwrap();
        }
    }
    pair.restart();
    let producer = pair.log().producers().next().unwrap().1.last_sequence().unwrap();
    assert_eq!(producer.as_i32(), 2);
    pair.append(&[(1, true)], Some(7));
}

#[test]
fn small_segments_become_one_and_leader_epochs_stay() {
    let mut pair = Pair::new();
    for epoch in 1..4u32 {
        let base = pair.log().positions().log_end.get();
        let batch = pair.model.batch(base, &[(1, true), (epoch as u8 + 1, true)], None);
        pair.log().append(batch, highwater_records::LeaderEpoch(epoch), NOW).unwrap();
        pair.log().set_high_watermark(offset(base + 2));
        pair.settle();
    }
    let epochs = pair.log().epochs();
    assert_eq!(pair.log().segment_count(), 4);
    let report = pair.compact(1 << 20).unwrap();
    assert_eq!((report.segments_before, pair.log().segment_count()), (3, 2));
    assert_eq!(keys(pair.log()), [(1, 2), (3, 3), (4, 1), (5, 4)]);
    assert_eq!(pair.log().epochs(), epochs);
    // The batches alone tell the same epochs.
    pair.log = None;
    pair.disk.kill();
    let checkpoint = pair.disk.files().into_iter().find(|file| file.ends_with("leader-epoch-checkpoint"));
    pair.disk.vandalize(&checkpoint.unwrap()).unwrap();
    pair.restart();
    assert_eq!(pair.log().epochs(), epochs);
    pair.check("");
}

#[test]
fn a_reader_goes_on_with_what_was_there() {
    let mut pair = Pair::new();
    for _ in 0..4 {
        pair.append(&[(1, true), (2, true)], None);
        pair.settle();
    }
    let opened = pair.log().reader();
    let range = opened.read(offset(0), 1 << 20, Offset::MAX, true).unwrap();
    let before = range.bytes().unwrap();
    let mut pass = pair.log().begin_compaction(1 << 20, NOW).unwrap();
    assert!(pair.log().begin_compaction(1 << 20, NOW).is_none(), "one at a time");
    let group = pass.next_group(|| true).unwrap().unwrap();
    let swap = pair.log().swap_compacted(group).unwrap();
    assert_eq!(pair.log().retain(NOW).unwrap(), []);
    // Between the two steps the new segment is read from files that have other names.
    pair.check("before the files are in their place");
    assert_eq!(opened.read(offset(0), 1 << 20, Offset::MAX, true).unwrap().bytes().unwrap(), before);
    swap.run().unwrap();
    pair.check("after");
    assert_eq!(opened.read(offset(0), 1 << 20, Offset::MAX, true).unwrap().bytes().unwrap(), before);
    assert_eq!(opened.read(offset(2), 1 << 20, Offset::MAX, true).unwrap().base_offset(), offset(2));
    assert!(pass.next_group(|| true).unwrap().is_none());
    assert_eq!(pair.log().finish_compaction(pass).up_to, offset(8));
    pair.check("finished");
}

#[test]
fn what_changes_meanwhile_is_not_compacted() {
    let mut pair = Pair::new();
    for _ in 0..4 {
        pair.append(&[(1, true), (2, true)], None);
        pair.settle();
    }
    let mut pass = pair.log().begin_compaction(1 << 20, NOW).unwrap();
    assert!(matches!(pass.next_group(|| false), Err(crate::CompactError::Stopped)));
    assert!(matches!(pass.next_group(|| true), Err(crate::CompactError::Stopped)), "for good");
    drop(pass);
    let mut pass = pair.log().begin_compaction(1 << 20, NOW).unwrap();
    let group = pass.next_group(|| true).unwrap().unwrap();
    pair.log().advance_start_to(offset(2), StartReason::RecordsDeleted).unwrap();
    pair.log().retain(NOW).unwrap();
    let refused = pair.log().swap_compacted(group).unwrap_err();
    assert!(matches!(refused, crate::CompactError::Changed), "{refused}");
    pair.check("");
    drop(pass);
    assert!(pair.log().begin_compaction(1 << 20, NOW).is_some(), "another pass may begin");
}

#[test]
fn several_passes_do_what_one_has_no_room_for() {
    let mut pair = Pair::new();
    for round in 0..3u8 {
        for key in 0..100u8 {
            pair.append(&[(key, round % 2 == 0 || key % 3 > 0)], None);
        }
    }
    pair.settle();
    let (mut passes, mut up_to) = (0, 0);
    while let Some(report) = pair.compact(1) {
        assert!(report.up_to.get() > up_to);
        up_to = report.up_to.get();
        passes += 1;
        pair.check("");
    }
    assert_eq!(up_to, 300);
    assert!(passes > 3, "{passes}");
    assert_eq!(keys(pair.log()).len(), 100);
}

#[test]
fn how_far_it_got_survives_a_restart_and_a_truncation() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        pair.append(&[(1, true), (2, true)], None);
        pair.settle();
    }
    pair.compact(1 << 20).unwrap();
    pair.dir.write_checkpoints().unwrap();
    pair.append(&[(3, true)], None);
    pair.settle();
    let debt = pair.log().compaction_debt(NOW).unwrap();
    assert!(debt.clean_bytes > 0);
    let Pair { disk, dir, log, .. } = pair;
    close(dir, log.unwrap());
    let text = String::from_utf8(disk.contents("/data/cleaner-offset-checkpoint".as_ref()).unwrap()).unwrap();
    assert_eq!(text, "0\n1\ntopic 0 6\n");
    let (_dir, mut log, _) = reopen(&disk, config());
    log.set_high_watermark(offset(7));
    assert_eq!(log.compaction_debt(NOW), Some(debt));
    log.truncate_to(offset(5), NOW).unwrap();
    let end = log.positions().log_end;
    assert!(end < offset(6), "{end}");
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    read_all(&log.reader(), offset(0)).unwrap();
}

/// What a closed log is owed must be known when it is closed.
#[test]
fn it_says_when_a_pass_may_become_due_though_nobody_appends() {
    let mut pair = Pair::new();
    pair.log().set_config(with(|compaction| {
        compaction.min_dirty_millionths = 900_000;
        compaction.min_lag_ms = 100;
        compaction.max_lag_ms = Some(5_000);
    }));
    pair.append(&[(1, true), (1, true)], None);
    assert_eq!(pair.log().compaction_next_due(NOW), None, "the seal is what it waits for");
    assert!(pair.log().next_due(NOW).is_some());
    pair.log().roll(NOW).unwrap();
    assert_eq!(pair.log().compaction_next_due(NOW), Some(NOW), "nothing is durable");
    pair.settle();
    let old = pair.log().compaction_next_due(NOW).unwrap();
    assert!((NOW.0 + 101..NOW.0 + 110).contains(&old.0), "too young until {old}");
    let before = TimestampMs(old.0 - 2);
    assert_eq!(pair.log().compaction_next_due(before), Some(old));
    assert_eq!(pair.log().compaction_next_due(old), Some(old), "all of it is dirty");
    pair.log().compact(1 << 20, old).unwrap().unwrap();
    assert_eq!(pair.log().compaction_next_due(old), None, "all of it is clean");
}
