use super::SharedMap;
use alloc::{collections::BTreeMap, vec::Vec};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u8),
    Remove(u16),
    Change(u16),
    /// Keeps a copy, which nothing may change any more.
    Keep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few keys, so that nodes run full and empty; long runs, so that there are several levels.
    let key = 0..2_500u16;
    let step = prop_oneof![
        5 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
        3 => key.clone().prop_map(Step::Remove),
        1 => key.prop_map(Step::Change),
        1 => Just(Step::Keep),
    ];
    proptest::collection::vec(step, 0..3_000)
}

fn check(map: &SharedMap<u16, u8>, model: &BTreeMap<u16, u8>) {
    assert_eq!(map.len(), model.len());
    assert!(map.iter().eq(model.iter()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_is_a_map_and_its_copies_stay_as_they_were(first in 0..2_500u16, steps in steps()) {
        // Ascending, as most things are numbered.
        let mut model: BTreeMap<u16, u8> = (0..first).map(|key| (key, 0)).collect();
        let mut map = SharedMap::new();
        for (key, value) in &model {
            map.insert(*key, *value);
        }
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Step::Insert(key, value) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                Step::Change(key) => {
                    if let Some(value) = model.get_mut(&key) {
                        *value = value.wrapping_add(1);
                    }
                    if let Some(value) = map.get_mut(&key) {
                        *value = value.wrapping_add(1);
                    }
                    prop_assert_eq!(map.get(&key), model.get(&key));
                }
                Step::Keep if kept.len() < 8 => kept.push((map.clone(), model.clone())),
                Step::Keep => {}
            }
        }
        check(&map, &model);
        for (map, model) in &kept {
            check(map, model);
        }
        for key in model.keys() {
            map.remove(key);
        }
        prop_assert!(map.is_empty() && map.iter().next().is_none());
    }
}
