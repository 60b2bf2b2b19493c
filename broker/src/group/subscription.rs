//! What a consumer's subscription says, read as far as the coordinator needs it: the topics. Every
//! version of the consumer protocol begins like version 0, by design, so that this need not know
//! the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Buf;

/// The protocol type of consumers; all others are opaque.
pub const CONSUMER: &str = "consumer";

/// The topics of a serialized `ConsumerProtocolSubscription`; `None` if it is malformed.
#[must_use]
pub fn topics(mut bytes: &[u8]) -> Option<BTreeSet<Arc<str>>> {
    let version = bytes.try_get_i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    if count > bytes.len() / 2 {
        return None;
    }
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(name).ok()?.into());
        bytes = rest;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::ConsumerProtocolSubscription;
    use kafka_protocol::protocol::{Encodable, StrBytes};
    use proptest::prelude::*;

    use super::*;

    fn encoded(names: &[&'static str], version: i16) -> BytesMut {
        let names = names.iter().map(|n| StrBytes::from_static_str(n)).collect();
        let subscription = ConsumerProtocolSubscription::default().with_topics(names);
        let mut bytes = BytesMut::new();
        bytes.extend(version.to_be_bytes());
        subscription.encode(&mut bytes, version).unwrap();
        bytes
    }

    #[test]
    fn topics_of_all_versions_are_read() {
        for version in 0..=3 {
            let read = topics(&encoded(&["b", "a"], version)).unwrap();
            assert_eq!(read.iter().map(|t| &**t).collect::<Vec<_>>(), vec!["a", "b"]);
        }
        assert_eq!(topics(&encoded(&[], 1)), Some(BTreeSet::new()));
    }

    #[test]
    fn what_lies_is_refused() {
        assert_eq!(topics(&[]), None);
        assert_eq!(topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0]), None);
        assert_eq!(topics(&[0, 0, 0, 0, 0, 1, 0, 9, 97]), None);
        assert_eq!(topics(&[0xff, 0xff, 0, 0, 0, 0]), None);
        assert_eq!(topics(&[0, 0, 0, 0, 0, 1, 0, 1, 0xff]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = topics(&bytes);
        }
    }
}
