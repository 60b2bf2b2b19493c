//! What each fuzz target does to its input, for the targets and for the test that replays seeds.
//!
//! Everything stored is in an envelope with a CRC, which chance does not guess: each input is read
//! as it is, and as the payload of a sound envelope of each kind.

use bytes::Bytes;
use odradek_common::ids::{BrokerEpoch, BrokerId, ChainId, ClusterId, SlotNumber};
use odradek_storage::envelope::Kind;
use odradek_storage::index::{INDEX_KIND, IndexObject};
use odradek_storage::manifest::{MANIFEST_KIND, Manifest};
use odradek_storage::names::{ChainRef, SlotRef};
use odradek_storage::segment::{SEGMENT_KIND, SegmentFooter};
use odradek_storage::wal::slot::{decode_head, decode_predecessors, decode_tail, decode_whole};

const SLOT_HEADER: Kind = Kind { name: "slot header", magic: *b"ODsh", version: 1 };
const SLOT_LIST: Kind = Kind { name: "slot's list of partitions", magic: *b"ODsp", version: 1 };
const SLOT_FOOTER: Kind = Kind { name: "slot footer", magic: *b"ODsf", version: 1 };
const SEAL: Kind = Kind { name: "seal", magic: *b"ODse", version: 1 };

/// An object of this length, of which the input is said to be the end.
const LONG: u64 = 1 << 30;

/// Slots and seals, from both ends. How much of it was sound.
pub fn slot(data: &[u8]) -> usize {
    let cluster: ClusterId = "cluster".parse().expect("a cluster id");
    let chain = ChainRef { broker: BrokerId(1), epoch: BrokerEpoch(1), chain: ChainId(0) };
    let at = SlotRef { chain, slot: SlotNumber(7) };
    let mut sound = 0;
    let mut read = |bytes: &Bytes| {
        let length = bytes.len() as u64;
        sound += usize::from(decode_head(bytes, &cluster, at).is_ok());
        sound += usize::from(decode_predecessors(bytes, &cluster, at).is_ok());
        for length in [length, LONG] {
            sound += usize::from(decode_tail(bytes, length, &cluster, at).is_ok());
        }
        sound += usize::from(decode_whole(bytes, &cluster, at).is_ok());
    };
    read(&Bytes::copy_from_slice(data));
    read(&SEAL.seal(data));
    read(&SLOT_FOOTER.seal_footer(data));
    read(&SLOT_HEADER.seal(data));
    read(&[SLOT_HEADER.seal(data), SLOT_LIST.seal(data)].concat().into());
    sound
}

/// Footers of segments: what is read can be written, and is the same when read again.
pub fn segment(data: &[u8]) -> usize {
    let mut sound = 0;
    for bytes in [Bytes::copy_from_slice(data), SEGMENT_KIND.seal_footer(data)] {
        for length in [bytes.len() as u64, LONG] {
            let Ok(footer) = SegmentFooter::decode(&bytes, length) else { continue };
            let again = SegmentFooter::decode(&footer.encode(), LONG);
            assert_eq!(again.as_ref(), Ok(&footer));
            sound += 1;
        }
    }
    sound
}

/// Index objects and manifests, likewise.
pub fn lists(data: &[u8]) -> usize {
    let mut sound = 0;
    for bytes in [Bytes::copy_from_slice(data), INDEX_KIND.seal(data)] {
        if let Ok(index) = IndexObject::decode(&bytes) {
            assert_eq!(IndexObject::decode(&index.encode()).as_ref(), Ok(&index));
            sound += 1;
        }
    }
    for bytes in [Bytes::copy_from_slice(data), MANIFEST_KIND.seal(data)] {
        if let Ok(manifest) = Manifest::decode(&bytes) {
            assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Ok(&manifest));
            sound += 1;
        }
    }
    sound
}
