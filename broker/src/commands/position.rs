//! Where in a log to begin, as people write it.

use std::str::FromStr;

use crate::times;

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The first record that there is.
    Beginning,
    /// After the last record.
    End,
    /// This offset.
    At(i64),
    /// So many records before the end.
    Last(i64),
    /// The first record at or after this time, in milliseconds since 1970.
    Since(i64),
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Position, String> {
        let wrong = || {
            format!(
                "{text:?} is no position: it is one of beginning, end, an offset (42), so many records before the end \
                 (-10), or a time (@2026-11-21T17:30:00Z, @1795282200000 in milliseconds)"
            )
        };
        match text {
            "beginning" | "start" | "earliest" => return Ok(Position::Beginning),
            "end" | "latest" => return Ok(Position::End),
            _ => {}
        }
        if let Some(time) = text.strip_prefix('@') {
            return times::parse(time).map(Position::Since).ok_or_else(wrong);
        }
        let number: i64 = text.parse().map_err(|_| wrong())?;
        if number >= 0 {
            return Ok(Position::At(number));
        }
        number.checked_neg().map(Position::Last).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_people_write_them() {
        for (text, position) in [
            ("beginning", Position::Beginning),
            ("latest", Position::End),
            ("0", Position::At(0)),
            ("-10", Position::Last(10)),
            ("@1500", Position::Since(1500)),
            ("@1970-01-01T00:00:01.5Z", Position::Since(1500)),
        ] {
            assert_eq!(text.parse(), Ok(position), "{text}");
        }
        for text in ["", "begin", "@", "@yesterday", "1.5", "-9223372036854775808"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
