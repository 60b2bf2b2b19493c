//! Consecutive bytes in pieces, as they come out of the blocks of the cache.

use bytes::{Bytes, BytesMut};

/// A piece of a rope and how much memory it keeps alive.
#[derive(Clone, Debug)]
struct Piece {
    /// Where it begins in the rope.
    start: usize,
    bytes: Bytes,
    /// Bytes of the buffer that it is a slice of.
    pinned: usize,
}

/// Consecutive bytes in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Rope {
    pieces: Vec<Piece>,
    length: usize,
}

impl Rope {
    /// Adds `bytes`, a slice of a buffer of `pinned` bytes, at the end.
    pub fn push(&mut self, bytes: Bytes, pinned: usize) {
        if !bytes.is_empty() {
            let start = self.length;
            self.length += bytes.len();
            self.pieces.push(Piece { start, bytes, pinned });
        }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// The bytes from `start` to `end`, which lie within: a slice if they are in one piece, a copy
    /// if not.
    pub fn slice(&self, start: usize, end: usize) -> Bytes {
        if start == end {
            return Bytes::new();
        }
        let piece = &self.pieces[self.piece_at(start)];
        if end <= piece.start + piece.bytes.len() {
            return piece.bytes.slice(start - piece.start..end - piece.start);
        }
        let mut copy = BytesMut::with_capacity(end - start);
        self.each(start, end, |part| copy.extend_from_slice(part));
        copy.freeze()
    }

    /// As [`Self::slice`], and a copy also if the slice would pin more than twice its length.
    pub fn slice_to_keep(&self, start: usize, end: usize) -> Bytes {
        let slice = self.slice(start, end);
        let wasteful = |piece: &Piece| slice.len().saturating_mul(2) < piece.pinned;
        match self.pieces.get(self.piece_at(start)) {
            Some(piece) if self.is_within(piece, start, end) && wasteful(piece) => {
                Bytes::copy_from_slice(&slice)
            }
            _ => slice,
        }
    }

    /// True if `start` and `end` lie in the same piece.
    pub fn is_in_one_piece(&self, start: usize, end: usize) -> bool {
        start < end && self.is_within(&self.pieces[self.piece_at(start)], start, end)
    }

    fn is_within(&self, piece: &Piece, start: usize, end: usize) -> bool {
        piece.start <= start && end <= piece.start + piece.bytes.len()
    }

    /// Calls `visit` with each part of the bytes from `start` to `end`, in order.
    pub fn each(&self, start: usize, end: usize, mut visit: impl FnMut(&[u8])) {
        for piece in &self.pieces[self.piece_at(start).min(self.pieces.len())..] {
            if piece.start >= end {
                break;
            }
            let from = start.saturating_sub(piece.start);
            let to = (end - piece.start).min(piece.bytes.len());
            visit(&piece.bytes[from..to]);
        }
    }

    fn piece_at(&self, position: usize) -> usize {
        self.pieces.partition_point(|piece| piece.start + piece.bytes.len() <= position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_slice_is_what_it_would_be_of_the_whole(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..6),
            a in any::<prop::sample::Index>(),
            b in any::<prop::sample::Index>(),
        ) {
            let whole: Vec<u8> = pieces.concat();
            let mut rope = Rope::default();
            for piece in &pieces {
                rope.push(Bytes::copy_from_slice(piece), piece.len() * 4);
            }
            prop_assert_eq!(rope.len(), whole.len());
            let (a, b) = (a.index(whole.len() + 1), b.index(whole.len() + 1));
            let (start, end) = (a.min(b), a.max(b));
            prop_assert_eq!(&rope.slice(start, end)[..], &whole[start..end]);
            prop_assert_eq!(&rope.slice_to_keep(start, end)[..], &whole[start..end]);
            let mut parts = Vec::new();
            rope.each(start, end, |part| parts.extend_from_slice(part));
            prop_assert_eq!(&parts[..], &whole[start..end]);
        }
    }

    #[test]
    fn what_would_pin_much_is_copied() {
        let block = Bytes::from(vec![7; 1000]);
        let mut rope = Rope::default();
        rope.push(block.slice(100..900), block.len());
        let large = rope.slice_to_keep(0, 600);
        assert_eq!(large.as_ptr(), block[100..].as_ptr(), "a large one is a slice");
        let small = rope.slice_to_keep(0, 499);
        assert_ne!(small.as_ptr(), block[100..].as_ptr(), "a small one is a copy");
    }
}
