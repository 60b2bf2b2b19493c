//! The bytes of slots and seals: round trips, a golden file, and hostile input.

use std::sync::Arc;

use bytes::Bytes;
use odradek_common::batch::crc32c;
use odradek_common::ids::LeaderEpoch;
use proptest::prelude::*;

use super::*;
use crate::envelope::Kind;
use crate::wal::AppendedBatch;
use crate::wal::testing::{at, batch, cluster, header, partition, slot, whole, with_header};

const NONCE: Nonce = Nonce(*b"0123456789abcdef");

fn producer(id: i64, epoch: i16, sequence: i32, offset: i64) -> AppendedBatch {
    let mut header = header(offset, 2, 100);
    (header.producer_id, header.producer_epoch, header.base_sequence) = (id, epoch, sequence);
    with_header(partition(1), header, 1)
}

fn draft(blocks: Vec<BlockDraft>) -> SlotDraft {
    let predecessors = Arc::from([partition(5), partition(9)]);
    SlotDraft { cluster: cluster(), at: at(7), predecessors, blocks }
}

fn block(batches: Vec<AppendedBatch>) -> BlockDraft {
    BlockDraft { partition: batches[0].partition, batches }
}

#[test]
fn what_is_frozen_is_read_back() {
    let blocks = vec![
        block(vec![batch(0, 10, 100), batch(0, 11, 5000), batch(0, 12, 1)]),
        block(vec![producer(4, 0, 7, 20)]),
    ];
    let frozen = draft(blocks).freeze(NONCE);
    let bytes = whole(&frozen);
    assert_eq!(bytes.len() as u64, frozen.length);
    let (header, footer) = decode_whole(&bytes, &cluster(), at(7)).unwrap();
    assert_eq!((header.nonce, header.length, header.crc), (NONCE, frozen.length, frozen.crc));
    assert_eq!(footer.blocks, frozen.blocks);
    let first = &footer.blocks[0];
    assert_eq!((first.base_offset, first.last_offset, first.max_timestamp), (10, 12, 2012));
    assert_eq!((first.partition, first.leader_epoch), (partition(0), LeaderEpoch(3)));
    let start = usize::try_from(first.position).unwrap();
    let block_bytes = &bytes[start..start + usize::try_from(first.length).unwrap()];
    assert_eq!(crc32c(block_bytes), first.crc);
    let expected: Vec<Bytes> = [batch(0, 10, 100), batch(0, 11, 5000), batch(0, 12, 1)]
        .into_iter()
        .flat_map(|b| [b.encoded_header, b.records])
        .collect();
    assert_eq!(block_bytes, expected.concat());
    let Predecessors::List(list) = decode_predecessors(&bytes, &cluster(), at(7)).unwrap() else {
        panic!("the whole slot is there");
    };
    assert_eq!(list, [partition(5), partition(9)]);
}

#[test]
fn large_records_are_not_copied() {
    let large = batch(0, 0, 100_000);
    let records = large.records.clone();
    let frozen = draft(vec![block(vec![large])]).freeze(NONCE);
    assert!(frozen.chunks.iter().any(|chunk| chunk.as_ptr() == records.as_ptr()));
    // And tiny ones do not make a chunk each.
    let tiny = (0..1000).map(|offset| batch(0, offset, 20)).collect();
    assert!(draft(vec![block(tiny)]).freeze(NONCE).chunks.len() < 10);
}

#[test]
fn the_footer_keeps_the_last_five_batches_of_a_producers_newest_epoch() {
    let mut batches: Vec<_> = (0..3).map(|i| producer(4, 0, 2 * i, 2 * i64::from(i))).collect();
    batches.extend((0..7).map(|i| producer(4, 1, 2 * i, 6 + 2 * i64::from(i))));
    batches.push(producer(5, 0, i32::MAX, 20));
    batches.push(batch(1, 22, 10));
    let frozen = draft(vec![block(batches)]).freeze(NONCE);
    let kept = &frozen.blocks[0].producers;
    let offsets: Vec<_> = kept.iter().map(|b| (b.producer_id, b.base_offset)).collect();
    assert_eq!(offsets, [(4, 10), (4, 12), (4, 14), (4, 16), (4, 18), (5, 20)]);
    assert_eq!((kept[0].producer_epoch, kept[0].first_sequence, kept[0].last_sequence), (1, 4, 5));
    // A sequence wraps to 0.
    assert_eq!((kept[5].first_sequence, kept[5].last_sequence), (i32::MAX, 0));
}

#[test]
fn a_tail_suffices_or_says_how_much_does() {
    let blocks = (0..2000).map(|p| block(vec![batch(p, 0, 10)])).collect();
    let bytes = whole(&draft(blocks).freeze(NONCE));
    let length = bytes.len() as u64;
    let tail = |n: u64| bytes.slice(usize::try_from(length - n).unwrap()..);
    let decode = |n| decode_tail(&tail(n), length, &cluster(), at(7)).unwrap();
    let Tail::More(needed) = decode(TAIL_READ_BYTES) else { panic!("2000 blocks in 64 KiB") };
    assert!(matches!(decode(needed), Tail::Slot(footer) if footer.blocks.len() == 2000));
    assert!(matches!(decode(needed - 1), Tail::More(more) if more == needed));
    let small = whole(&slot(at(7), 10));
    let read = decode_tail(&small, small.len() as u64, &cluster(), at(7)).unwrap();
    assert!(matches!(read, Tail::Slot(_)));
}

#[test]
fn a_long_list_of_predecessors_is_read_in_steps() {
    let predecessors: Vec<_> = (0..500).map(partition).collect();
    let bytes = whole(
        &SlotDraft { predecessors: predecessors.clone().into(), ..draft(vec![]) }.freeze(NONCE),
    );
    let mut wanted = 120;
    for _ in 0..3 {
        let start = bytes.slice(..wanted);
        match decode_predecessors(&start, &cluster(), at(7)).unwrap() {
            Predecessors::More(more) => wanted = usize::try_from(more).unwrap(),
            Predecessors::List(list) => {
                assert_eq!(list, predecessors);
                return;
            }
        }
    }
    panic!("not read in three steps");
}

#[test]
fn a_seal_is_told_from_a_slot_at_both_ends() {
    let seal = Seal { cluster: cluster(), at: at(7), fence: 99 };
    let bytes = seal.encode();
    assert!(bytes.len() as u64 <= HEAD_READ_BYTES);
    assert_eq!(decode_head(&bytes, &cluster(), at(7)), Ok(Head::Seal(seal.clone())));
    let tail = decode_tail(&bytes, bytes.len() as u64, &cluster(), at(7));
    assert_eq!(tail, Ok(Tail::Seal(seal)));
    let longest =
        Seal { cluster: "c".repeat(64).parse().unwrap(), at: at(u64::MAX), fence: u64::MAX };
    assert!(longest.encode().len() as u64 <= HEAD_READ_BYTES);
    let slot = whole(&slot(at(7), 10));
    assert!(matches!(decode_head(&slot, &cluster(), at(7)), Ok(Head::Slot(_))));
    assert!(decode_whole(&bytes, &cluster(), at(7)).is_err());
}

#[test]
fn what_belongs_elsewhere_is_refused() {
    let other: odradek_common::ids::ClusterId = "other".parse().unwrap();
    let slot = whole(&slot(at(7), 10));
    let seal = Seal { cluster: cluster(), at: at(7), fence: 1 }.encode();
    for bytes in [&slot, &seal] {
        let length = bytes.len() as u64;
        for (cluster, place) in [(&cluster(), at(8)), (&other, at(7))] {
            let head = decode_head(bytes, cluster, place).unwrap_err();
            let tail = decode_tail(bytes, length, cluster, place).unwrap_err();
            assert!(head.is_lasting() && tail.is_lasting(), "{head} {tail}");
        }
    }
}

#[test]
fn a_newer_format_is_refused_in_clear_words() {
    let newer = Kind { version: 2, ..HEADER }.seal(b"");
    let error = decode_head(&newer, &cluster(), at(7)).unwrap_err();
    assert!(error.is_lasting() && error.to_string().contains("newer release"), "{error}");
    let newer = Kind { version: 2, ..FOOTER }.seal_footer(b"");
    let error = decode_tail(&newer, newer.len() as u64, &cluster(), at(7)).unwrap_err();
    assert!(error.is_lasting(), "{error}");
}

/// The first release's bytes, which every later one must read. To be written anew only before the
/// first release: run with `ODRADEK_WRITE_GOLDEN=1`.
#[test]
fn the_golden_slot_is_read() {
    let blocks = vec![
        block(vec![batch(0, 10, 100), batch(0, 11, 20)]),
        block(vec![producer(4, 0, 7, 20), producer(4, 0, 9, 22)]),
    ];
    let expected = draft(blocks).freeze(NONCE);
    let seal = Seal { cluster: cluster(), at: at(8), fence: 42 };
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    if std::env::var_os("ODRADEK_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("slot-1.bin"), whole(&expected)).unwrap();
        std::fs::write(dir.join("seal-1.bin"), seal.encode()).unwrap();
    }
    let bytes = Bytes::from(std::fs::read(dir.join("slot-1.bin")).unwrap());
    let (header, footer) = decode_whole(&bytes, &cluster(), at(7)).unwrap();
    assert_eq!((header.nonce, header.crc), (NONCE, expected.crc));
    assert_eq!(footer.blocks, expected.blocks);
    let bytes = Bytes::from(std::fs::read(dir.join("seal-1.bin")).unwrap());
    assert_eq!(decode_head(&bytes, &cluster(), at(8)), Ok(Head::Seal(seal)));
}

/// Feeds `bytes` to everything that reads.
fn read_all(bytes: &Bytes) -> bool {
    let length = bytes.len() as u64;
    let cluster = cluster();
    let head = decode_head(bytes, &cluster, at(7)).is_ok();
    let tail = decode_tail(bytes, length, &cluster, at(7)).is_ok();
    let longer = decode_tail(bytes, length.saturating_mul(1000), &cluster, at(7)).is_ok();
    let list = decode_predecessors(bytes, &cluster, at(7)).is_ok();
    let whole = decode_whole(bytes, &cluster, at(7)).is_ok();
    head || tail || longer || list || whole
}

#[test]
fn a_footer_cannot_ask_for_memory_out_of_proportion() {
    // A million elements of two bytes each: blocks, and producers of a block.
    let blocks = [0x1a, 0].repeat(1 << 20);
    let mut producers = vec![0x1a, 0x80, 0x80, 0x80, 0x01];
    producers.extend([0x52, 0].repeat(1 << 20));
    for payload in [blocks, producers] {
        let end = FOOTER.seal_footer(&payload);
        let error = decode_tail(&end, 1 << 30, &cluster(), at(7)).unwrap_err();
        assert_eq!(error, FormatError::Malformed("an element too short to be one"));
    }
}

fn batches() -> impl Strategy<Value = Vec<AppendedBatch>> {
    let one = (1i32..50, 1usize..6000, -1i64..4, 0i16..2, 0i32..i32::MAX);
    prop::collection::vec(one, 1..12).prop_map(|all| {
        let mut offset = 0;
        let batch = all.into_iter().map(|(count, bytes, producer_id, epoch, sequence)| {
            let mut header = header(offset, count, bytes);
            if producer_id >= 0 {
                header.producer_id = producer_id;
                header.producer_epoch = epoch;
                header.base_sequence = sequence;
            }
            offset += i64::from(count);
            with_header(partition(0), header, 9)
        });
        batch.collect()
    })
}

proptest! {
    #[test]
    fn any_slot_is_read_back(all in prop::collection::vec(batches(), 0..8)) {
        let blocks = all.into_iter().zip(0i32..).map(|(batches, p)| BlockDraft { partition: partition(p), batches });
        let frozen = draft(blocks.collect()).freeze(NONCE);
        let bytes = whole(&frozen);
        prop_assert_eq!(bytes.len() as u64, frozen.length);
        let (_, footer) = decode_whole(&bytes, &cluster(), at(7)).unwrap();
        prop_assert_eq!(footer.blocks, frozen.blocks);
    }

    #[test]
    fn any_flipped_byte_is_seen(index: prop::sample::Index, flip in 1u8..) {
        let mut bytes = whole(&draft(vec![block(vec![producer(4, 0, 7, 20)])]).freeze(NONCE)).to_vec();
        let index = index.index(bytes.len());
        bytes[index] ^= flip;
        prop_assert!(decode_whole(&bytes.into(), &cluster(), at(7)).is_err());
    }

    #[test]
    fn any_cut_is_seen(index: prop::sample::Index) {
        let bytes = whole(&slot(at(7), 100));
        prop_assert!(decode_whole(&bytes.slice(..index.index(bytes.len())), &cluster(), at(7)).is_err());
    }

    #[test]
    fn noise_is_neither_slot_nor_seal(noise: Vec<u8>) {
        prop_assert!(!read_all(&noise.clone().into()));
        // Well packed noise never panics; it may even be read.
        for kind in [HEADER, PREDECESSOR, FOOTER, SEAL] {
            read_all(&kind.seal(&noise));
            read_all(&kind.seal_footer(&noise));
        }
    }

    #[test]
    fn a_mutilated_footer_never_panics(at_index: prop::sample::Index, flip in 1u8.., cut: prop::sample::Index) {
        let bytes = whole(&draft(vec![block(vec![producer(4, 0, 7, 20)]), block(vec![batch(2, 0, 10)])]).freeze(NONCE));
        let mut payload = FOOTER.open_footer(&bytes).unwrap().payload.to_vec();
        let position = at_index.index(payload.len());
        payload[position] ^= flip;
        payload.truncate(payload.len() - cut.index(payload.len()) / 4);
        read_all(&FOOTER.seal_footer(&payload));
    }
}
