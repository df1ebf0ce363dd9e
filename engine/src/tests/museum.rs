//! The museum: each known bug is built in, and one of this room's tests must find it, within a bound; the same test
//! passes without it. Prints the table of `docs/engine-checks.md`.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    thread,
};

use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::{batches, crash, crash_transactions, failing, flights, flips, journal, random, table};
use crate::museum::{Bug, build_in};

/// A test, as it is run here: smaller than when it stands alone.
struct Check {
    name: &'static str,
    /// What it counts.
    unit: &'static str,
    run: fn(&Cell<u64>),
}

const MODEL: Check = Check { name: "the model beside the log", unit: "cases", run: beside_the_model };
const CRASHES: Check =
    Check { name: "every crash of one log", unit: "states", run: |states| crash::every_crash(6, states) };
const TRANSACTIONS: Check = Check {
    name: "every crash of transactions",
    unit: "states",
    run: |states| crash_transactions::every_crash(6, states),
};
const JOURNAL: Check =
    Check { name: "every crash of a journal", unit: "states", run: |states| journal::every_crash(6, states) };
const FLIGHTS: Check = Check {
    name: "every crash of groups in flight",
    unit: "states",
    run: |states| flights::every_crash(2, 3, states, &Cell::new(0)),
};
const BATCHES: Check = Check {
    name: "every crash of appends to several logs",
    unit: "states",
    run: |states| batches::every_crash(6, states),
};
const FAILURES: Check = Check { name: "every operation fails", unit: "runs", run: failing::every_failure };
const TABLE: Check = Check { name: "the table of recovery", unit: "cells", run: table::every_cell };
const FLIPS: Check =
    Check { name: "every bit", unit: "damages", run: |damages| flips::every_damage_of_a_log(false, damages) };

fn beside_the_model(cases: &Cell<u64>) {
    let config = Config {
        cases: 2_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        max_shrink_iters: 0,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&random::case(), |(operations, bounded)| {
        cases.set(cases.get() + 1);
        random::side_by_side(&operations, bounded);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// A bug and the test that must find it.
struct Piece {
    name: &'static str,
    bug: Bug,
    check: &'static Check,
}

const fn piece(name: &'static str, bug: Bug, check: &'static Check) -> Piece {
    Piece { name, bug, check }
}

const PIECES: &[Piece] = &[
    piece("leader epochs outlive a truncation (KAFKA-10706)", Bug::EpochsOutliveTruncation, &MODEL),
    piece(
        "the first unstable offset outlives a truncation (KAFKA-12153)",
        Bug::UnstableOutlivesTruncation,
        &MODEL,
    ),
    piece("aborted transactions outlive a truncation", Bug::AbortsOutliveTruncation, &MODEL),
    piece("a producer snapshot above the end counts later (P4)", Bug::SnapshotsOutliveTruncation, &MODEL),
    piece("retention goes beyond the watermark (KAFKA-5634)", Bug::RetentionAboveWatermark, &MODEL),
    piece(
        "the start is written after what it hides is deleted (KAFKA-15352)",
        Bug::DeletedBeforeStartIsWritten,
        &MODEL,
    ),
    piece("a restart moves the log start (KAFKA-16146)", Bug::StartForgotten, &CRASHES),
    piece("sequences do not wrap (KAFKA-7692)", Bug::SequencesDoNotWrap, &MODEL),
    piece("a window of four batches (Redpanda #3039)", Bug::ShortWindow, &MODEL),
    piece("a duplicate of an older producer epoch (Redpanda #5026)", Bug::DuplicateOfOlderEpoch, &MODEL),
    piece("a marker counts before it is committed (T2)", Bug::EndedIsStable, &MODEL),
    piece("a commit syncs nothing (NATS JetStream, lazy fsync)", Bug::LazySync, &CRASHES),
    piece("the sync after a failed one is believed (fsyncgate)", Bug::FailedSyncForgiven, &FAILURES),
    piece("a new segment's name is not synced (KAFKA-3968)", Bug::NameNotSynced, &CRASHES),
    piece("a commit covers what came while it ran", Bug::CommitCoversLaterAppends, &CRASHES),
    piece("the recovery point is ahead of the sync", Bug::RecoveryPointAhead, &CRASHES),
    piece("damage ends the log (Kafka's loader)", Bug::DamageEndsLog, &TABLE),
    piece("what nobody can identify is removed (NATS JetStream)", Bug::UnreadableIsRemoved, &FLIPS),
    piece("the clean mark outlives the opening", Bug::MarkOutlivesOpening, &MODEL),
    piece("a torn batch is believed", Bug::TornBatchBelieved, &CRASHES),
    piece("a recovered tail is not synced", Bug::RecoveredTailNotSynced, &MODEL),
    piece("a truncation begins while the tail is promised", Bug::TruncatedWhilePromised, &CRASHES),
    piece("a trusted point outlives a truncation", Bug::PointsOutliveTruncation, &MODEL),
    piece("a trusted point is written before the sync", Bug::PointBeforeCommit, &CRASHES),
    piece("a replay brings back what was truncated", Bug::ReplayForgetsTruncation, &JOURNAL),
    piece("a replay takes groups of an earlier lap", Bug::StaleGroupsReplayed, &JOURNAL),
    piece("a group counts before the one before it", Bug::GroupCountsByItself, &FLIGHTS),
    piece("a group behind a gap is taken for proof of damage", Bug::GapTakenForDamage, &FLIGHTS),
    piece("a void group is replayed once the gap is filled", Bug::VoidGroupReplayed, &FLIGHTS),
    piece("an extent is used again too early", Bug::ExtentFreedTooEarly, &JOURNAL),
    piece("a floor covers what no segment has yet", Bug::FloorCoversAhead, &BATCHES),
    piece("an append to several logs is written in parts", Bug::PartsApart, &BATCHES),
];

/// Runs a check. How much it had looked at when it failed, and the first line of what it said; `Ok` if it passed.
fn run(check: &Check) -> Result<u64, (u64, String)> {
    let count = Cell::new(0);
    match catch_unwind(AssertUnwindSafe(|| (check.run)(&count))) {
        Ok(()) => Ok(count.get()),
        Err(panic) => Err((count.get(), message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}

#[test]
fn every_piece_is_caught() {
    // These panics are expected; other tests keep theirs.
    let (before, here) = (take_hook(), thread::current().id());
    set_hook(Box::new(move |panic| {
        if thread::current().id() != here {
            before(panic);
        }
    }));
    let mut wrong = Vec::new();
    println!("| Bug | Caught by | After | It said |\n|---|---|---:|---|");
    for Piece { name, bug, check } in PIECES {
        build_in(Some(*bug));
        let outcome = run(check);
        build_in(None);
        match outcome {
            Err((count, said)) => println!("| {name} | {} | {count} {} | {said} |", check.name, check.unit),
            Ok(count) => {
                println!("| {name} | nothing | {count} {} | |", check.unit);
                wrong.push(format!("{name} escaped from {count} {} of {}", check.unit, check.name));
            }
        }
    }
    for check in [&MODEL, &CRASHES, &TRANSACTIONS, &JOURNAL, &FLIGHTS, &BATCHES, &FAILURES, &TABLE, &FLIPS] {
        match run(check) {
            Ok(count) => println!("without a bug: {}, {count} {}", check.name, check.unit),
            Err((_, said)) => wrong.push(format!("{} fails without a bug: {said}", check.name)),
        }
    }
    drop(take_hook());
    assert!(wrong.is_empty(), "{wrong:#?}");
}
