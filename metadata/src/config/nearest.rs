//! Which key somebody may have meant.

use super::{GROUP_KEYS, TOPIC_KEYS, broker_keys, known::known_but_unused};
use alloc::vec::Vec;

/// The broker key that is spelt most like `name`, used or not.
pub fn nearest_broker_key(name: &str) -> &'static str {
    // Used keys first: at equal distance they are the likelier wish.
    nearest(name, broker_keys().map(|key| key.name).chain(known_but_unused().iter().copied())).unwrap_or("")
}

/// The topic key that is spelt most like `name`.
pub fn nearest_topic_key(name: &str) -> &'static str {
    nearest(
        name,
        TOPIC_KEYS.iter().filter(|definition| !definition.internal).map(|definition| definition.name),
    )
    .unwrap_or("")
}

/// The key of groups that is spelt most like `name`.
pub fn nearest_group_key(name: &str) -> &'static str {
    nearest(name, GROUP_KEYS.iter().map(|definition| definition.name)).unwrap_or("")
}

/// The one of `names` that is spelt most like `name`, the first of several; `None` if there are none.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    names.min_by_key(|known| distance(name, known))
}

/// The one of `names` that somebody may have meant by `name`: the one that is spelt most like it, if at most half of the
/// longer one's letters differ; the first of several.
pub fn similar<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    nearest(name, names)
        .filter(|known| distance(name, known) * 2 <= name.chars().count().max(known.chars().count()))
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour.
fn distance(given: &str, key: &str) -> usize {
    // Names come from a file and may be long; keys are not, and a prefix tells enough.
    let given: Vec<char> = given.chars().take(200).collect();
    let key: Vec<char> = key.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=key.len()).collect();
    for (row, letter) in given.iter().enumerate() {
        let mut line = Vec::with_capacity(above.len());
        line.push(row + 1);
        for (column, wanted) in key.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != wanted);
            let mut best = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && given[row - 1] == *wanted && key[column - 1] == *letter {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = core::mem::replace(&mut above, line);
    }
    above[key.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("acb", "abc"), 1);
        assert_eq!(distance("ab", "abc"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("xyz", ""), 3);
    }

    #[test]
    fn slips_of_the_finger() {
        assert_eq!(nearest_broker_key("log.retnetion.ms"), "log.retention.ms");
        assert_eq!(nearest_broker_key("listner"), "listeners");
        assert_eq!(nearest_broker_key("ssl.keystore.locatoin"), "ssl.keystore.location");
        assert_eq!(nearest_topic_key("retention_ms"), "retention.ms");
        assert_eq!(nearest_topic_key(""), "flush.ms");
    }

    #[test]
    fn only_what_may_have_been_meant() {
        let names = || ["orders", "payments"].into_iter();
        assert_eq!(similar("oders", names()), Some("orders"));
        assert_eq!(similar("order", names()), Some("orders"));
        assert_eq!(similar("nope", names()), None);
        assert_eq!(similar("", names()), None);
        assert_eq!(similar("nope", [].into_iter()), None);
    }
}
