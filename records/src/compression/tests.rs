use proptest::prelude::*;

use super::*;

fn codecs() -> impl Iterator<Item = Codec> {
    Codec::ALL.into_iter().filter(|codec| codec.is_compiled_in())
}

fn packed(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(codec, bytes, &mut out).unwrap();
    out
}

#[test]
fn numbers_and_names() {
    for (id, codec) in (0u8..).zip(Codec::ALL) {
        assert_eq!(codec.id(), id);
        assert_eq!(Codec::from_id(id), Some(codec));
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
    assert_eq!(Codec::from_id(5), None);
    assert_eq!(Codec::from_name("brotli"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn round_trip(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..2_000),
                (any::<u8>(), 0usize..100_000).prop_map(|(byte, count)| vec![byte; count]),
            ],
            0..5,
        ),
    ) {
        let bytes = pieces.concat();
        for codec in codecs() {
            let packed = packed(codec, &bytes);
            let found = decompress(codec, &packed, bytes.len());
            prop_assert_eq!(found.as_ref(), Ok(&bytes));
            if let Some(limit) = bytes.len().checked_sub(1) {
                prop_assert_eq!(decompress(codec, &packed, limit), Err(CompressionError::TooLarge { limit }));
            }
        }
    }

    #[test]
    fn rubbish_is_an_error_or_little(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for codec in codecs() {
            if let Ok(found) = decompress(codec, &bytes, 1 << 20) {
                prop_assert!(found.len() <= 256 * (bytes.len() + 1));
            }
        }
    }
}

#[test]
fn damaged_data_never_comes_out_longer_than_the_limit() {
    let bytes: Vec<u8> = (0..300u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    for codec in codecs().filter(|codec| *codec != Codec::None) {
        let packed = packed(codec, &bytes);
        for bit in 0..packed.len() * 8 {
            let mut copy = packed.clone();
            copy[bit / 8] ^= 1 << (bit % 8);
            if let Ok(found) = decompress(codec, &copy, 4 * bytes.len()) {
                assert!(found.len() <= 4 * bytes.len(), "{codec}: bit {bit}");
            }
        }
        for length in 0..packed.len() {
            // A row of xerial blocks may end after any of them; everything else says where it ends.
            if codec == Codec::Snappy && length == 16 {
                continue;
            }
            assert!(decompress(codec, &packed[..length], 1 << 20).is_err(), "{codec}: {length} bytes");
        }
    }
}

#[cfg(feature = "snappy")]
mod snappy {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let bytes = vec![7u8; 100_000];
        let raw = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        assert_eq!(decompress(Codec::Snappy, &raw, 100_000), Ok(bytes.clone()));
        let framed = packed(Codec::Snappy, &bytes);
        assert_eq!(&framed[..16], b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
        assert_eq!(decompress(Codec::Snappy, &framed, 100_000), Ok(bytes));
    }

    #[test]
    fn the_ratio_bound_holds_for_the_best_there_is() {
        let bytes = vec![7u8; 1 << 20];
        let raw = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        assert!(bytes.len() / raw.len() <= 22, "{} bytes", raw.len());
        assert_eq!(decompress(Codec::Snappy, &raw, 1 << 20).map(|found| found.len()), Ok(1 << 20));
    }

    #[test]
    fn a_block_that_promises_gigabytes_is_refused_before_they_are_reserved() {
        // A raw block of five bytes whose length says 4 GiB - 1.
        let error = decompress(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f], usize::MAX).unwrap_err();
        assert!(matches!(error, CompressionError::Corrupt { .. }), "{error}");
        let mut framed = packed(Codec::Snappy, b"");
        framed.extend_from_slice(&i32::MAX.to_be_bytes());
        assert!(decompress(Codec::Snappy, &framed, usize::MAX).is_err());
        framed.splice(16.., (-1i32).to_be_bytes());
        assert!(decompress(Codec::Snappy, &framed, usize::MAX).is_err());
    }
}

#[cfg(feature = "lz4")]
mod lz4 {
    use twox_hash::XxHash32;

    use super::*;

    /// A frame with these flags and blocks, its header's checksum right.
    fn frame(flags: u8, block_size: u8, rest: &[u8]) -> Vec<u8> {
        let checksum = (XxHash32::oneshot(0, &[flags, block_size]) >> 8) as u8;
        [&[0x04, 0x22, 0x4d, 0x18, flags, block_size, checksum], rest].concat()
    }

    #[test]
    fn the_frame_is_kafkas() {
        let packed = packed(Codec::Lz4, &[1, 2, 3]);
        // Independent blocks of 64 KiB, nothing optional; three stored bytes; the end mark.
        assert_eq!(
            packed,
            [&[4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82][..], &[3, 0, 0, 0x80, 1, 2, 3], &[0; 4]].concat()
        );
    }

    #[test]
    fn checksums_and_sizes_of_other_writers_are_checked() {
        let block = [&3u32.to_le_bytes()[..], b"\x20ab"].concat();
        let sum = XxHash32::oneshot(0, b"\x20ab").to_le_bytes();
        let content = XxHash32::oneshot(0, b"ab").to_le_bytes();
        let rest = [&block[..], &sum, &[0; 4], &content].concat();
        let good = frame(0x74, 0x40, &rest);
        assert_eq!(decompress(Codec::Lz4, &good, 9).as_deref(), Ok(&b"ab"[..]));
        for at in 11..good.len() {
            let mut copy = good.clone();
            copy[at] ^= 1;
            assert!(decompress(Codec::Lz4, &copy, 1 << 20).is_err(), "byte {at}");
        }
        let trailing = [&good[..], &[0]].concat();
        assert!(decompress(Codec::Lz4, &trailing, 9).is_err());
    }

    #[test]
    fn what_java_cannot_read_is_refused() {
        let end = [0; 4];
        assert_eq!(decompress(Codec::Lz4, &frame(0x60, 0x70, &end), 9), Ok(vec![]));
        for (flags, block_size) in
            [(0x40, 0x40), (0x61, 0x40), (0x62, 0x40), (0xa0, 0x40), (0x60, 0x30), (0x60, 0xc0)]
        {
            let refused = decompress(Codec::Lz4, &frame(flags, block_size, &end), 9);
            assert!(refused.is_err(), "flags {flags:x}, block size {block_size:x}");
        }
    }

    #[cfg(feature = "lz4-levels")]
    #[test]
    fn levels_try_harder() {
        let text: String = (0..20_000).map(|at| format!("{} of many ", at * 7919 % 1000)).collect();
        let sizes = [None, Some(1), Some(9), Some(17), Some(18)].map(|level| {
            let mut packed = Vec::new();
            compress(Compression { codec: Codec::Lz4, level }, text.as_bytes(), &mut packed).unwrap();
            assert_eq!(decompress(Codec::Lz4, &packed, text.len()).as_deref(), Ok(text.as_bytes()));
            packed.len()
        });
        assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2] && sizes[2] > sizes[3], "{sizes:?}");
        assert_eq!(sizes[3], sizes[4]);
    }
}
