use proptest::prelude::*;

use super::model::Pair;

#[derive(Clone, Debug)]
enum Operation {
    Append { keys: Vec<(u8, bool)> },
    Produce { keys: Vec<(u8, bool)> },
    Transact { producer: u64, keys: Vec<(u8, bool)> },
    End { producer: u64, committed: bool },
    Hold,
    KeepOpen { most: usize },
    Roll,
    Settle,
    Compact { key_bytes: usize },
    Pass { ms: i64 },
    CleanRestart,
    Kill,
    PowerCut { seed: u64 },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let keys = || prop::collection::vec((0..12u8, prop::bool::weighted(0.8)), 1..4);
    prop_oneof![
        10 => keys().prop_map(|keys| Append { keys }),
        5 => keys().prop_map(|keys| Produce { keys }),
        8 => (20..22u64, keys()).prop_map(|(producer, keys)| Transact { producer, keys }),
        6 => (20..22u64, any::<bool>()).prop_map(|(producer, committed)| End { producer, committed }),
        2 => Just(Hold),
        1 => (0..4usize).prop_map(|most| KeepOpen { most }),
        2 => Just(Roll),
        5 => Just(Settle),
        5 => prop_oneof![Just(1usize), Just(1 << 20)].prop_map(|key_bytes| Compact { key_bytes }),
        2 => (0..1500i64).prop_map(|ms| Pass { ms }),
        1 => Just(CleanRestart),
        1 => Just(Kill),
        2 => any::<u64>().prop_map(|seed| PowerCut { seed }),
    ]
}

fn step(pair: &mut Pair, operation: &Operation) {
    match operation {
        Operation::Append { keys } => pair.append(keys, None),
        Operation::Produce { keys } => pair.append(keys, Some(7)),
        Operation::Transact { producer, keys } => pair.append(keys, Some(*producer)),
        Operation::End { producer, committed } => pair.end(*producer, *committed),
        Operation::Hold => pair.hold(),
        Operation::KeepOpen { most } => pair.dir.set_open_files(*most),
        Operation::Roll => {
            let now = pair.now;
            pair.log().roll(now).unwrap();
        }
        Operation::Settle => pair.settle(),
        Operation::Compact { key_bytes } => drop(pair.compact(*key_bytes)),
        Operation::Pass { ms } => pair.now.0 += ms,
        Operation::CleanRestart => {
            let now = pair.now;
            pair.held = None;
            pair.log.take().unwrap().close(now).unwrap();
            assert!(pair.dir.close(now).unwrap().clean);
            pair.disk.kill();
            pair.restart();
        }
        Operation::Kill => {
            pair.log = None;
            pair.disk.kill();
            pair.restart();
        }
        Operation::PowerCut { seed } => {
            pair.log = None;
            pair.disk.crash(*seed);
            pair.restart();
        }
    }
    pair.check(&format!("{operation:?}"));
}

proptest! {
    #![proptest_config(crate::tests::random::cases())]

    #[test]
    fn the_last_record_of_each_key_stays_and_no_aborted_one_comes_back(
        operations in prop::collection::vec(operation(), 1..80),
    ) {
        let mut pair = Pair::new();
        for operation in &operations {
            step(&mut pair, operation);
        }
        // Whatever happened: once everything is settled, one pass with room for all keys leaves one record of each.
        for producer in 20..22 {
            pair.end(producer, true);
        }
        pair.append(&[(0, true)], None);
        pair.settle();
        let report = pair.compact(1 << 20).unwrap();
        assert_eq!(report.up_to, pair.log().positions().log_end);
        pair.check("at the end");
    }
}
