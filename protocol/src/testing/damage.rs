//! Messages as chance has them, damaged as chance has it: what the guard takes, the decoder reads
//! to the last byte.

use super::{Style, every_version, generate};
use crate::{guard, schema};
use bytes::Bytes;
use kafka_protocol::messages::RequestKind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

proptest! {
    #[test]
    fn what_the_guard_takes_is_decoded(
        seed: u64,
        damage in vec((any::<Index>(), vec(any::<u8>(), 1..6), any::<bool>()), 1..4),
    ) {
        for (api, version) in every_version() {
            let mut wire = generate(schema::request(api).unwrap(), version, Style::Random, seed);
            for (at, bytes, insert) in &damage {
                let at = at.index(wire.len() + 1);
                let until = if *insert { at } else { wire.len().min(at + bytes.len()) };
                wire.splice(at..until, bytes.iter().copied());
            }
            if let Ok(taken) = guard::check(api, version, &wire) {
                let mut body = Bytes::from(wire);
                body.truncate(taken);
                let decoded = RequestKind::decode(api, &mut body, version);
                prop_assert!(decoded.is_ok(), "{:?} {}: {:?}", api, version, decoded);
                prop_assert!(body.is_empty(), "{:?} {}: {} bytes left", api, version, body.len());
            }
        }
    }
}
