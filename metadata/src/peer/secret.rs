//! What the nodes of a cluster know and strangers do not.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use odradek_common::limits::PEER_SECRET_BYTES;
use sha2::Sha256;

/// Bytes of the random number that each side draws for a connection.
pub(super) const NONCE_BYTES: usize = 32;

/// A secret that all nodes of a cluster are given. It never goes over the wire: each side shows that it knows it
/// by an HMAC (RFC 2104, with SHA-256) of what both drew at random and of what it says. It keeps strangers out, not who
/// passes on between two nodes what these say.
#[derive(Clone)]
pub struct PeerSecret(Vec<u8>);

/// Who shows that it knows the secret: what one side showed is of no use to the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// Who called.
    Caller,
    /// Who was called.
    Called,
}

impl PeerSecret {
    /// A secret of these bytes: some, and not more than [`PEER_SECRET_BYTES`].
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (1..=PEER_SECRET_BYTES).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The proof of a side that says `said`, the parts of which are of known lengths but for the last.
    pub(super) fn proof(&self, side: Side, said: &[&[u8]]) -> Vec<u8> {
        self.mac(side, said).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
    }

    /// Whether it is that; how long this takes does not tell how much of it was right.
    pub(super) fn is_proof(&self, side: Side, said: &[&[u8]], proof: &[u8]) -> bool {
        self.mac(side, said).is_some_and(|mac| mac.verify_slice(proof).is_ok())
    }

    /// HMAC takes keys of any length, so there is one.
    fn mac(&self, side: Side, said: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(match side {
            Side::Caller => b"odradek peer caller",
            Side::Called => b"odradek peer called",
        });
        said.iter().for_each(|part| mac.update(part));
        Some(mac)
    }
}

impl fmt::Debug for PeerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_secret_side_and_saying() {
        let secret = |bytes: &[u8]| PeerSecret::new(bytes.to_vec()).unwrap();
        let proof = secret(b"right").proof(Side::Caller, &[b"nonces", b"c"]);
        let shows = |bytes: &[u8], side, said: &[&[u8]]| secret(bytes).is_proof(side, said, &proof);
        assert!(shows(b"right", Side::Caller, &[b"nonces", b"c"]));
        assert!(!shows(b"wrong", Side::Caller, &[b"nonces", b"c"]));
        assert!(!shows(b"right", Side::Called, &[b"nonces", b"c"]));
        assert!(!shows(b"right", Side::Caller, &[b"others", b"c"]));
        assert!(!secret(b"right").is_proof(Side::Caller, &[b"nonces", b"c"], &proof[..31]));
        assert!(!secret(b"right").is_proof(Side::Caller, &[b"nonces", b"c"], b""));
    }
}
