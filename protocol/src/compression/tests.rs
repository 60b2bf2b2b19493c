use super::*;
use proptest::prelude::*;
use std::io::Write;

const CAP: usize = 1 << 20;
const COMPRESSED: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// `data` compressed; snappy in xerial's framing, in blocks of 32 KiB as the Java client does.
fn compress(compression: Compression, data: &[u8]) -> Bytes {
    let compressed = match compression {
        Compression::None => data.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Snappy => {
            let mut out = [XERIAL_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
            for block in data.chunks(32 << 10) {
                let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                out.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
                out.extend(block);
            }
            out
        }
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::stream::encode_all(data, 3).unwrap(),
    };
    compressed.into()
}

#[test]
fn a_bomb_stops_at_the_cap() {
    let zeros = vec![0; 64 << 20];
    for compression in COMPRESSED {
        let bomb = compress(compression, &zeros);
        let result = decompress(compression, &bomb, CAP);
        assert!(matches!(result, Err(DecompressError::OverCap { .. })), "{compression:?}");
        assert_eq!(decompress(compression, &bomb, zeros.len()).unwrap().len(), zeros.len());
        let one_less = decompress(compression, &bomb, zeros.len() - 1);
        assert!(matches!(one_less, Err(DecompressError::OverCap { .. })), "{compression:?}");
    }
}

#[test]
fn uncompressed_data_is_capped_and_not_copied() {
    let data = Bytes::from(vec![1; 100]);
    assert_eq!(decompress(Compression::None, &data, 100).unwrap().as_ptr(), data.as_ptr());
    assert!(decompress(Compression::None, &data, 99).is_err());
}

#[test]
fn snappy_is_taken_raw_and_in_joined_streams() {
    let raw: Bytes = snap::raw::Encoder::new().compress_vec(b"raw raw raw raw").unwrap().into();
    assert_eq!(decompress(Compression::Snappy, &raw, CAP).unwrap(), "raw raw raw raw");
    let half = compress(Compression::Snappy, b"half ");
    let joined = [&half[..], &half[..]].concat().into();
    assert_eq!(decompress(Compression::Snappy, &joined, CAP).unwrap(), "half half ");
}

#[test]
fn snappy_that_announces_more_than_it_can_hold_is_corrupt() {
    // A length of 2^20 in front of two bytes.
    let lying = Bytes::from_static(&[0x80, 0x80, 0x40, 0, 0]);
    let result = decompress(Compression::Snappy, &lying, CAP);
    assert!(matches!(result, Err(DecompressError::Corrupt { .. })), "{result:?}");
}

#[test]
fn a_zstd_window_over_the_limit_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(b"small").unwrap();
    let wide = encoder.finish().unwrap().into();
    let result = decompress(Compression::Zstd, &wide, CAP);
    assert!(matches!(result, Err(DecompressError::Corrupt { .. })), "{result:?}");
}

proptest! {
    #[test]
    fn what_was_compressed_comes_back(
        pieces in proptest::collection::vec((any::<u8>(), 1_usize..5000), 0..40),
    ) {
        let data: Vec<u8> = pieces.into_iter().flat_map(|(byte, n)| vec![byte; n]).collect();
        for compression in COMPRESSED {
            let compressed = compress(compression, &data);
            prop_assert_eq!(decompress(compression, &compressed, CAP).unwrap(), &data);
        }
    }

    #[test]
    fn damaged_bytes_are_errors_or_capped(at: usize, byte: u8, end: usize) {
        let data: Vec<u8> = (0..4000_u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        for compression in COMPRESSED {
            let mut damaged = compress(compression, &data).to_vec();
            let at = at % damaged.len();
            damaged[at] = byte;
            damaged.truncate(end % (damaged.len() + 1));
            if let Ok(out) = decompress(compression, &damaged.into(), CAP) {
                prop_assert!(out.len() <= CAP);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        for compression in COMPRESSED {
            if let Ok(out) = decompress(compression, &bytes, CAP) {
                prop_assert!(out.len() <= CAP);
            }
        }
    }
}
