/// A small seeded generator (splitmix64). The same seed gives the same numbers on every machine. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator whose numbers depend on `seed` alone.
    pub const fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// A generator for a part of a run: its numbers depend on this one's seed and on `name`, and drawing from it
    /// does not change what this one draws.
    pub fn fork(&self, name: &str) -> Random {
        let mut state = self.state;
        for byte in name.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        Random { state }
    }

    /// Sixty-four random bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number in `[0, bound)`; zero for a bound of zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: even enough for choices, and without a division.
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[low, high]`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        debug_assert!(low <= high);
        low + self.below((high - low).saturating_add(1))
    }

    /// `true` about `numerator` times out of `denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// The finalizer of splitmix64: every bit of the input changes every bit of the output.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_differ_by_name_and_leave_the_parent_alone() {
        let mut parent = Random::new(7);
        let untouched = parent.clone().draw();
        let (mut a, mut b) = (parent.fork("a"), parent.fork("b"));
        assert_ne!(a.draw(), b.draw());
        assert_eq!(parent.draw(), untouched);
    }

    #[test]
    fn bounds_hold_and_every_value_comes() {
        let mut random = Random::new(1);
        let mut seen = [false; 5];
        for _ in 0..200 {
            let value = random.between(3, 7);
            assert!((3..=7).contains(&value));
            seen[(value - 3) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
    }
}
