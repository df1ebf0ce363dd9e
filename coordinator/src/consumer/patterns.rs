//! Subscriptions by regular expression.

use alloc::{collections::BTreeSet, format, string::String};

use crate::{GroupError, shard::Topics};

/// A compiled expression may take this much memory. Matching takes time in proportion to the name, whatever the
/// expression.
const SIZE_MAX: usize = 1 << 20;

/// A regular expression over names of topics or transactional ids. It must match all of a name.
pub struct Pattern(regex::bytes::Regex);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// `InvalidRegularExpression` for what is none, or would take too much memory.
    pub fn new(text: &str) -> Result<Pattern, GroupError> {
        regex::bytes::RegexBuilder::new(&format!("^(?:{text})$"))
            // Names of topics are ASCII.
            .unicode(false)
            .size_limit(SIZE_MAX)
            .build()
            .map(Pattern)
            .map_err(|_| GroupError::InvalidRegularExpression)
    }

    /// Whether it matches all of `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name.as_bytes())
    }

    /// The topics it matches.
    pub(crate) fn topics(&self, topics: &dyn Topics) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        topics.for_each_name(&mut |name| {
            if self.matches(name) {
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
        let matches = |name: &str| pattern.matches(name);
        assert!(matches("a") && matches("bc") && !matches("ab") && !matches("b") && !matches("xbc"));
        for text in ["(", "a{1000}{1000}{1000}", "[z-a]"] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }
}
