use super::*;

/// Values around every border between encoded lengths.
fn borders() -> Vec<i64> {
    let mut values = vec![0, i64::MIN, i64::MAX];
    for shift in 0..63 {
        let power = 1i64 << shift;
        values.extend([power - 1, power, -power, -power - 1]);
    }
    values
}

#[test]
fn varints_come_back_in_the_length_that_was_said() {
    for value in borders() {
        let mut out = Vec::new();
        write::varlong(&mut out, value);
        assert_eq!(out.len(), varlong_len(value), "{value}");
        assert_eq!(Reader::new(&out).varlong(), Ok(value));
        for length in 0..out.len() {
            assert!(Reader::new(&out[..length]).varlong().is_err(), "{value} cut to {length}");
        }
        if let Ok(value) = i32::try_from(value) {
            let mut out = Vec::new();
            write::varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(Reader::new(&out).varint(), Ok(value));
        }
        if let Ok(value) = u32::try_from(value) {
            let mut out = Vec::new();
            write::uvarint(&mut out, value);
            assert_eq!(out.len(), uvarint_len(value), "{value}");
            assert_eq!(Reader::new(&out).uvarint(), Ok(value));
        }
    }
}

#[test]
fn varints_beyond_their_type_are_refused() {
    let five_full = [0xff, 0xff, 0xff, 0xff, 0x1f];
    assert_eq!(Reader::new(&five_full).uvarint(), Err(ReadError::VarintTooLarge));
    assert_eq!(Reader::new(&[0x80; 12]).uvarint(), Err(ReadError::VarintTooLarge));
    assert_eq!(Reader::new(&[0x80; 12]).varlong(), Err(ReadError::VarintTooLarge));
    let ten_full = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert_eq!(Reader::new(&ten_full).varlong(), Err(ReadError::VarintTooLarge));
    // The longest that fits.
    assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).uvarint(), Ok(u32::MAX));
}

#[test]
fn lengths_know_null_and_refuse_other_negatives() {
    assert_eq!(Reader::new(&[0xff, 0xff]).i16_length(), Ok(None));
    assert_eq!(Reader::new(&[0xff, 0xfe]).i16_length(), Err(ReadError::NegativeLength(-2)));
    assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff]).i32_length(), Ok(None));
    assert_eq!(
        Reader::new(&[0x80, 0, 0, 0]).i32_length(),
        Err(ReadError::NegativeLength(i64::from(i32::MIN)))
    );
    assert_eq!(Reader::new(&[0]).compact_length(), Ok(None));
    assert_eq!(Reader::new(&[1]).compact_length(), Ok(Some(0)));
    assert_eq!(Reader::new(&[1]).varint_length(), Ok(None));
    assert_eq!(Reader::new(&[3]).varint_length(), Err(ReadError::NegativeLength(-2)));
}

#[test]
fn nothing_is_taken_beyond_the_end() {
    let mut reader = Reader::new(&[0, 1, 2]);
    assert_eq!(reader.i16(), Ok(1));
    assert_eq!(reader.i16(), Err(ReadError::Truncated { needed: 2, remaining: 1 }));
    assert_eq!(reader.take(usize::MAX), Err(ReadError::Truncated { needed: usize::MAX, remaining: 1 }));
    assert_eq!(reader.take(1), Ok(&[2][..]));
    assert_eq!(reader.remaining(), 0);
    assert_eq!(Reader::new(&[0xff]).text(1), Err(ReadError::NotUtf8));
}
