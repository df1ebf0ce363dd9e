//! Ranges of a log that could not be read (`highwater-quarantine`).

use std::ops::Range;

use highwater_records::Offset;

use crate::text::{self, Damaged, plain_number};

/// A range that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Base offset of the segment that holds, or held, it.
    pub segment: Offset,
    /// Where its bytes lie in that segment; empty where they are gone.
    pub positions: Range<u64>,
    /// The offsets that cannot be read.
    pub offsets: Range<Offset>,
}

pub(crate) const FILE_NAME: &str = "highwater-quarantine";

pub(crate) fn encode(ranges: &[Quarantined]) -> String {
    text::seal(text::encode(ranges.iter().map(|range| {
        let (positions, offsets) = (&range.positions, &range.offsets);
        format!("{} {} {} {} {}", range.segment, positions.start, positions.end, offsets.start, offsets.end)
    })))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Quarantined>, Damaged> {
    text::decode(text::unseal(bytes)?)?
        .into_iter()
        .map(|line| decode_line(line).ok_or(Damaged("a line is not a quarantined range")))
        .collect()
}

fn decode_line(line: &str) -> Option<Quarantined> {
    let numbers: Vec<u64> = line.split(' ').map(plain_number).collect::<Option<_>>()?;
    let [segment, from_position, to_position, from, to] = numbers[..] else { return None };
    let (from, to) = (Offset::new(from)?, Offset::new(to)?);
    if from >= to || from_position > to_position {
        return None;
    }
    Some(Quarantined {
        segment: Offset::new(segment)?,
        positions: from_position..to_position,
        offsets: from..to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let offset = |value| Offset::new(value).unwrap();
        let ranges = vec![
            Quarantined { segment: offset(0), positions: 100..300, offsets: offset(5)..offset(9) },
            Quarantined { segment: offset(9), positions: 0..0, offsets: offset(9)..offset(50) },
        ];
        let text = encode(&ranges);
        assert_eq!(decode(text.as_bytes()), Ok(ranges));
        for len in 0..text.len() {
            assert!(decode(&text.as_bytes()[..len]).is_err());
        }
        assert!(decode(text::seal("0\n1\n0 0 0 9 9\n".to_owned()).as_bytes()).is_err());
    }
}
