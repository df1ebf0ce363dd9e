//! The codecs.

use highwater_records::compression::{Codec, CompressionError, Decoder, compress, decompress};

/// Small, so that inputs reach it.
const LIMIT: usize = 64 << 10;

/// The first byte chooses a codec; the rest is compressed data, and data to compress.
pub(crate) fn run(input: &[u8]) {
    let [codec, bytes @ ..] = input else { return };
    let codec = Codec::from_id(codec % 5).unwrap_or_default();

    let whole = decompress(codec, bytes, LIMIT);
    assert_eq!(by_bytes(codec, bytes), whole.clone().map_err(drop));
    match &whole {
        Ok(found) => {
            assert!(found.len() <= LIMIT);
            // A limit that is just met, and one that is just missed.
            assert_eq!(decompress(codec, bytes, found.len()).as_ref(), Ok(found));
            if let Some(limit) = found.len().checked_sub(1) {
                assert!(decompress(codec, bytes, limit).is_err());
            }
        }
        Err(CompressionError::TooLarge { limit }) => assert_eq!(*limit, LIMIT),
        Err(CompressionError::NotCompiledIn(codec)) => panic!("{codec} is compiled in"),
        Err(CompressionError::Corrupt { .. }) => {}
    }

    let mut packed = Vec::new();
    compress(codec, bytes, &mut packed).expect("anything can be compressed");
    assert_eq!(decompress(codec, &packed, bytes.len()).as_deref(), Ok(bytes));
}

/// The same, consumed in pieces of growing size.
fn by_bytes(codec: Codec, bytes: &[u8]) -> Result<Vec<u8>, ()> {
    let mut decoder = Decoder::new(codec, bytes, LIMIT).map_err(drop)?;
    let mut out = Vec::new();
    let mut step = 1;
    loop {
        let there = decoder.fill().map_err(drop)?;
        if there.is_empty() {
            return Ok(out);
        }
        let count = there.len().min(step);
        out.extend_from_slice(&there[..count]);
        decoder.consume(count);
        step = step * 2 + 1;
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let text = b"the quick brown fox jumps over the lazy dog, the quick brown fox jumps again".repeat(3);
    let mut seeds = Vec::new();
    for codec in Codec::ALL {
        for data in [&b""[..], &text, &[b'x'; 5_000]] {
            let mut seed = vec![codec.id()];
            compress(codec, data, &mut seed).expect("anything can be compressed");
            seeds.push(seed);
        }
    }
    // Snappy's other form: one raw block of one literal.
    seeds.push(b"\x02\x05\x10hello".to_vec());
    seeds
}
