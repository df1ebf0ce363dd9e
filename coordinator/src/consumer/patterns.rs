//! Subscriptions by regular expression.

use alloc::{collections::BTreeSet, format, string::String};

use crate::{GroupError, shard::Topics};

/// A compiled expression may take this much memory. Matching takes time in proportion to the name, whatever the
/// expression.
const SIZE_MAX: usize = 1 << 20;

/// A regular expression over topic names. It must match all of a name.
pub(crate) struct Pattern(regex::bytes::Regex);

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Pattern, GroupError> {
        regex::bytes::RegexBuilder::new(&format!("^(?:{text})$"))
            // Names are ASCII.
            .unicode(false)
            .size_limit(SIZE_MAX)
            .build()
            .map(Pattern)
            .map_err(|_| GroupError::InvalidRegularExpression)
    }

    /// The topics it matches.
    pub(crate) fn topics(&self, topics: &dyn Topics) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        topics.for_each_name(&mut |name| {
            if self.0.is_match(name.as_bytes()) {
                found.insert(name.into());
            }
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_name_must_match_and_monsters_are_refused() {
        let pattern = Pattern::new("a|b\\w").ok().unwrap();
        let matches = |name: &str| pattern.0.is_match(name.as_bytes());
        assert!(matches("a") && matches("bc") && !matches("ab") && !matches("b") && !matches("xbc"));
        for text in ["(", "a{1000}{1000}{1000}", "[z-a]"] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }
}
