//! Kafka's text form of small tables: a version, a count, and one line per entry; ours add a checksum line.

use std::fmt::{self, Write as _};

/// A small file that cannot be understood. It is a hint, and is rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damaged(pub(crate) &'static str);

/// `lines` under version 0 and their count.
pub(crate) fn encode(lines: impl ExactSizeIterator<Item = impl fmt::Display>) -> String {
    let mut text = format!("0\n{}\n", lines.len());
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The lines of a file that [`encode`] or Kafka wrote: complete, every line ended, the count exact.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<&str>, Damaged> {
    let text = std::str::from_utf8(bytes).map_err(|_| Damaged("not text"))?;
    let body = text.strip_suffix('\n').ok_or(Damaged("the last line is not ended"))?;
    let mut lines = body.split('\n');
    if lines.next() != Some("0") {
        return Err(Damaged("its version is not 0"));
    }
    let count: usize = lines.next().and_then(plain_number).ok_or(Damaged("it has no count"))?;
    let lines: Vec<&str> = lines.collect();
    if lines.len() != count {
        return Err(Damaged("its count is wrong"));
    }
    Ok(lines)
}

/// Adds a last line with the checksum of everything before it.
pub(crate) fn seal(mut text: String) -> String {
    let crc = crc32c::crc32c(text.as_bytes());
    text.push_str(&format!("crc {crc:08x}\n"));
    text
}

/// What [`seal`] was given.
pub(crate) fn unseal(bytes: &[u8]) -> Result<&[u8], Damaged> {
    const LINE: usize = "crc 00000000\n".len();
    let split = bytes.len().checked_sub(LINE).ok_or(Damaged("it has no checksum"))?;
    let (body, line) = bytes.split_at(split);
    if line == format!("crc {:08x}\n", crc32c::crc32c(body)).as_bytes() {
        Ok(body)
    } else {
        Err(Damaged("its checksum is wrong"))
    }
}

/// A number in its one plain spelling: no sign, no leading zero.
pub(crate) fn plain_number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let text = encode(["a 1".to_owned(), "b 2".to_owned()].into_iter());
        assert_eq!(text, "0\n2\na 1\nb 2\n");
        assert_eq!(decode(text.as_bytes()), Ok(vec!["a 1", "b 2"]));
        assert_eq!(decode(encode(std::iter::empty::<String>()).as_bytes()), Ok(vec![]));
    }

    #[test]
    fn every_cut_is_noticed() {
        let text = encode(["a 10".to_owned(), "b 20".to_owned()].into_iter());
        for len in 0..text.len() {
            assert!(decode(&text.as_bytes()[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn every_flip_of_a_sealed_text_is_noticed() {
        let sealed = seal(encode(["a 10".to_owned()].into_iter())).into_bytes();
        assert!(unseal(&sealed).is_ok());
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&bytes).is_err(), "{bit}");
        }
    }
}
