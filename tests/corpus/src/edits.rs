//! Damage to named files or objects, as an input describes it.

/// Reads edits off an input: each chooses one of `count` things and says what happens to it.
pub(crate) struct Edits<'a> {
    input: &'a [u8],
}

/// What happens to the bytes of one thing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit<'a> {
    Remove,
    /// Cut at this position, counted round its end.
    Truncate(usize),
    Overwrite {
        at: usize,
        bytes: &'a [u8],
    },
    Insert {
        at: usize,
        bytes: &'a [u8],
    },
    Append(&'a [u8]),
    Replace(&'a [u8]),
}

impl<'a> Edits<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Edits<'a> {
        Edits { input }
    }

    /// The next edit, and which of `count` things it is for.
    pub(crate) fn next(&mut self, count: usize) -> Option<(usize, Edit<'a>)> {
        // thing, kind, position (two bytes), length, bytes
        let [thing, kind, high, low, length, rest @ ..] = self.input else { return None };
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        self.input = rest;
        let at = usize::from(u16::from_be_bytes([*high, *low]));
        let edit = match kind % 8 {
            0 => Edit::Remove,
            1 => Edit::Truncate(at),
            2 => Edit::Insert { at, bytes },
            3 => Edit::Append(bytes),
            4 => Edit::Replace(bytes),
            _ => Edit::Overwrite { at, bytes },
        };
        Some((usize::from(*thing) % count.max(1), edit))
    }
}

impl Edit<'_> {
    /// The bytes afterwards; `None` for a thing that is no more.
    pub(crate) fn apply(self, mut before: Vec<u8>) -> Option<Vec<u8>> {
        let within = |at: usize| if before.is_empty() { 0 } else { at % before.len() };
        match self {
            Edit::Remove => return None,
            Edit::Truncate(at) => {
                let length = within(at);
                before.truncate(length);
            }
            Edit::Overwrite { at, bytes } => {
                let at = within(at);
                let length = bytes.len().min(before.len() - at);
                before[at..at + length].copy_from_slice(&bytes[..length]);
            }
            Edit::Insert { at, bytes } => {
                let at = within(at);
                before.splice(at..at, bytes.iter().copied());
            }
            Edit::Append(bytes) => before.extend_from_slice(bytes),
            Edit::Replace(bytes) => before = bytes.to_vec(),
        }
        Some(before)
    }
}

/// An input with one edit.
pub(crate) fn seed(flags: u8, thing: u8, kind: u8, at: u16, bytes: &[u8]) -> Vec<u8> {
    let [high, low] = at.to_be_bytes();
    let length = u8::try_from(bytes.len()).expect("short edits");
    [&[flags, thing, kind, high, low, length], bytes].concat()
}
