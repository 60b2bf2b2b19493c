//! Identities that pass between crates, one newtype each, so that none is taken for another.

use std::fmt;
use std::str::FromStr;

/// Kafka's `node.id` of a broker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub i32);

/// The epoch of one registration of a broker: given by Raft, rising, never a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerEpoch(pub u64);

/// A chain of write-ahead slots within a (broker, epoch), dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub u32);

/// A slot of a chain, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotNumber(pub u64);

impl SlotNumber {
    /// The slot after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Kafka's leader epoch of a partition: rises by one at every change of owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// The epoch of the next owner.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A partition group: some 256 partitions that share a manifest and shared segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

/// A topic's id (KIP-516): 16 bytes, shown as Kafka shows a Uuid (URL-safe base64, 22 characters).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub uuid::Uuid);

impl TopicId {
    /// The id that stands for "none" on the wire.
    pub const NIL: Self = Self(uuid::Uuid::nil());

    /// The id's 16 bytes, as they stand on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From 16 bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        uuid::Uuid::from_slice(bytes).ok().map(Self)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64_url(self.0.as_bytes()))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A partition of a topic, by the topic's id: it never means a later topic of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition's number within it, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The cluster's id: 16 random bytes in URL-safe base64, 22 characters, as Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(String);

/// A text that is not a cluster id.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a cluster id: 1 to 64 letters, digits, '-' or '_'")]
pub struct NotAClusterId(String);

impl ClusterId {
    /// A new id from 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(base64_url(&bytes))
    }

    /// The id as text: safe in object keys and file names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterId {
    type Err = NotAClusterId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits { Ok(Self(text.to_owned())) } else { Err(NotAClusterId(text.to_owned())) }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// URL-safe base64 without padding (RFC 4648, section 5) of 16 bytes: 22 characters.
#[must_use]
pub fn base64_url(bytes: &[u8; 16]) -> String {
    let number = u128::from_be_bytes(*bytes);
    (0..22)
        .map(|i| {
            let six = if i < 21 { (number >> (122 - 6 * i)) & 63 } else { (number << 4) & 63 };
            char::from(ALPHABET[usize::try_from(six).unwrap_or(0)])
        })
        .collect()
}

/// The 16 bytes of which `text` is the [`base64_url`].
#[must_use]
pub fn from_base64_url(text: &str) -> Option<[u8; 16]> {
    let six = |byte: u8| ALPHABET.iter().position(|letter| *letter == byte);
    let digits: Option<Vec<u128>> =
        text.bytes().map(|byte| six(byte).and_then(|six| u128::try_from(six).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 22)?;
    let (last, first) = digits.split_last()?;
    // The last digit has two bits of the number, and zeros.
    let number = first.iter().fold(0_u128, |number, six| (number << 6) | six);
    (last % 16 == 0).then(|| ((number << 2) | (last >> 4)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_it_is_written() {
        for bytes in [[0; 16], [0xff; 16], *b"0123456789abcdef"] {
            assert_eq!(from_base64_url(&base64_url(&bytes)), Some(bytes));
        }
        for wrong in
            ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAA+Q"]
        {
            assert_eq!(from_base64_url(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn base64_is_that_of_kafka() {
        // org.apache.kafka.common.Uuid: new Uuid(0, 1) and the all-ones id.
        let mut one = [0; 16];
        one[15] = 1;
        assert_eq!(base64_url(&one), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(base64_url(&[0xff; 16]), "_____________________w");
    }

    #[test]
    fn cluster_id_refuses_what_could_leave_its_key() {
        assert!("../other".parse::<ClusterId>().is_err());
        assert!("".parse::<ClusterId>().is_err());
        assert!("MkU3OEVBNTcwNTJENDM2Qk".parse::<ClusterId>().is_ok());
    }
}
