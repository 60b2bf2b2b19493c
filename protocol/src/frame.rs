//! Frames cut out of a byte stream: four bytes of length, then the request.
//!
//! A peer costs about what it has sent, whatever it announces: the buffer of a half-read frame
//! grows with what has come, and is in the end exactly as large as the frame, so that what is
//! sliced from it pins no more than the frame.

use bytes::buf::Limit;
use bytes::{BufMut, Bytes};
use odradek_common::limits::{FRAME_FIRST_STEP_BYTES, FRAME_GROWTH_FACTOR, FRAME_STAGING_BYTES};

/// Bytes of the length in front of a frame.
const LENGTH_BYTES: usize = 4;

/// A stream that cannot be read on: the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A negative length.
    #[error("a frame of {0} bytes")]
    Negative(i32),
    /// A frame over the cap.
    #[error("a frame of {length_bytes} bytes where {cap_bytes} are allowed{}", other_protocol(*length_bytes))]
    OverCap {
        /// What the peer announces.
        length_bytes: usize,
        /// What is allowed.
        cap_bytes: usize,
    },
}

/// What the length is, if it is none: what peers begin with that speak another protocol.
fn other_protocol(length_bytes: usize) -> &'static str {
    let begin = u32::try_from(length_bytes).unwrap_or(0).to_be_bytes();
    match &begin {
        [0x16, 0x03, ..] => ": this looks like TLS, which this listener does not speak",
        b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" => {
            ": this looks like HTTP; /metrics is on admin.listen"
        }
        _ => "",
    }
}

/// Cuts a byte stream into frames. Read into [`space`](Self::space), then take what is complete
/// with [`next_frame`](Self::next_frame) until it has no more:
///
/// ```
/// # use odradek_protocol::frame::FrameReader;
/// # use bytes::BufMut;
/// let mut reader = FrameReader::new(1024);
/// reader.space().put_slice(&[0, 0, 0, 2, 7, 8, 0]);
/// assert_eq!(reader.next_frame()?.as_deref(), Some(&[7, 8][..]));
/// assert_eq!(reader.next_frame()?, None);
/// # Ok::<(), odradek_protocol::frame::FrameError>(())
/// ```
#[derive(Debug)]
pub struct FrameReader {
    cap_bytes: usize,
    /// What was read and belongs to no frame yet; empty while `body` is not complete.
    staging: Vec<u8>,
    /// How much of `staging` was already given out as frames.
    taken: usize,
    /// The frame that is being read, if it did not fit into `staging`.
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    bytes: Vec<u8>,
    length: usize,
}

impl Body {
    /// Capacity that the buffer should have now.
    fn wanted(&self) -> usize {
        if self.bytes.len() < self.bytes.capacity() {
            return self.bytes.capacity();
        }
        let step = self.bytes.len().saturating_mul(FRAME_GROWTH_FACTOR);
        step.max(FRAME_FIRST_STEP_BYTES).min(self.length)
    }
}

impl FrameReader {
    /// A reader that refuses frames of more than `cap_bytes`.
    #[must_use]
    pub fn new(cap_bytes: usize) -> Self {
        Self { cap_bytes, staging: Vec::new(), taken: 0, body: None }
    }

    /// Sets the cap for the frames whose length was not read yet: raised once a peer has
    /// authenticated.
    pub fn set_cap_bytes(&mut self, cap_bytes: usize) {
        self.cap_bytes = cap_bytes;
    }

    /// Bytes by which the next call of [`space`](Self::space) will enlarge what this reader holds:
    /// for the budget of half-read frames.
    #[must_use]
    pub fn growth_bytes(&self) -> usize {
        match &self.body {
            Some(body) => body.wanted() - body.bytes.capacity(),
            None => FRAME_STAGING_BYTES.saturating_sub(self.staging.capacity()),
        }
    }

    /// Bytes that this reader holds in memory now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.staging.capacity() + self.body.as_ref().map_or(0, |body| body.bytes.capacity())
    }

    /// True between two frames: a stream that ends here ends cleanly.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.body.is_none() && self.taken == self.staging.len()
    }

    /// Where to read the next bytes to. Never of no room, once [`next_frame`](Self::next_frame)
    /// has answered `None`.
    pub fn space(&mut self) -> Limit<&mut Vec<u8>> {
        if let Some(body) = &mut self.body {
            let wanted = body.wanted();
            body.bytes.reserve_exact(wanted - body.bytes.len());
            let room = body.bytes.capacity().min(body.length) - body.bytes.len();
            return (&mut body.bytes).limit(room);
        }
        self.staging.drain(..self.taken);
        self.taken = 0;
        self.staging.reserve_exact(FRAME_STAGING_BYTES.saturating_sub(self.staging.len()));
        let room = self.staging.capacity() - self.staging.len();
        (&mut self.staging).limit(room)
    }

    /// The next complete frame, without its length; `None` until more was read.
    ///
    /// # Errors
    /// A length that is negative or over the cap. The stream has then lost its place.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(body) = self.body.take_if(|body| body.bytes.len() == body.length) {
            return Ok(Some(Bytes::from(body.bytes)));
        }
        let unread = self.staging.get(self.taken..).unwrap_or_default();
        let Some((head, rest)) = unread.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = self.checked_length(i32::from_be_bytes(*head))?;
        if let Some(frame) = rest.get(..length) {
            let frame = Bytes::copy_from_slice(frame);
            self.taken += LENGTH_BYTES + length;
            return Ok(Some(frame));
        }
        self.body = Some(Body { bytes: rest.to_vec(), length });
        self.staging.clear();
        self.taken = 0;
        Ok(None)
    }

    fn checked_length(&self, length: i32) -> Result<usize, FrameError> {
        let length_bytes = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
        if length_bytes > self.cap_bytes {
            return Err(FrameError::OverCap { length_bytes, cap_bytes: self.cap_bytes });
        }
        Ok(length_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAP: usize = 64 << 20;

    /// Gives `bytes` to the reader in reads of at most `read` bytes; the frames that come out.
    fn feed(reader: &mut FrameReader, mut bytes: &[u8], read: usize) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let mut space = reader.space();
            let amount = space.remaining_mut().min(read).min(bytes.len());
            assert!(amount > 0, "no room to read to");
            space.put_slice(&bytes[..amount]);
            bytes = &bytes[amount..];
            while let Some(frame) = reader.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        frames
    }

    #[test]
    fn other_protocols_are_told_of() {
        let told = |first: &[u8]| {
            let mut reader = FrameReader::new(CAP);
            reader.space().put_slice(first);
            reader.next_frame().unwrap_err().to_string()
        };
        assert!(told(b"GET / HTTP/1.1").contains("HTTP"));
        assert!(told(&[0x16, 0x03, 0x01, 0x02, 0x00]).contains("TLS"));
        assert!(told(&[0x7f, 0, 0, 0]).ends_with("are allowed"));
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        [&u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
    }

    #[test]
    fn a_half_read_frame_costs_about_what_has_come() {
        let mut reader = FrameReader::new(CAP);
        let mut stream = framed(&[]);
        stream[..4].copy_from_slice(&(50_u32 << 20).to_be_bytes());
        stream.extend([7; 1 << 10]);
        assert!(feed(&mut reader, &stream, 100).is_empty());
        let _ = reader.space();
        assert!(reader.held_bytes() <= 8 << 10, "{} bytes held", reader.held_bytes());
        assert!(!reader.is_between_frames());

        feed(&mut reader, &vec![7; 1 << 20], 1 << 16);
        let _ = reader.space();
        assert!(reader.held_bytes() <= 5 << 20, "{} bytes held", reader.held_bytes());
    }

    #[test]
    fn growth_is_told_before_it_happens() {
        let mut reader = FrameReader::new(CAP);
        let stream = framed(&vec![1; 100_000]);
        for chunk in stream.chunks(4096) {
            let before = reader.held_bytes();
            let told = reader.growth_bytes();
            let room = reader.space().remaining_mut();
            assert_eq!(reader.held_bytes(), before + told);
            feed(&mut reader, chunk, room);
        }
        assert!(reader.is_between_frames());
        assert!(reader.held_bytes() <= FRAME_STAGING_BYTES, "at rest nothing else is held");
    }

    #[test]
    fn lengths_that_cannot_be_end_the_stream() {
        let mut reader = FrameReader::new(100);
        reader.space().put_slice(&(-1_i32).to_be_bytes());
        assert_eq!(reader.next_frame(), Err(FrameError::Negative(-1)));

        let mut reader = FrameReader::new(100);
        reader.space().put_slice(&framed(&[0; 101])[..4]);
        let over = FrameError::OverCap { length_bytes: 101, cap_bytes: 100 };
        assert_eq!(reader.next_frame(), Err(over));

        let mut reader = FrameReader::new(100);
        reader.set_cap_bytes(101);
        assert_eq!(feed(&mut reader, &framed(&[3; 101]), 7), [Bytes::from_static(&[3; 101])]);
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            bodies in proptest::collection::vec((0_usize..6000, any::<u8>()), 0..8),
            read in 1_usize..5000,
        ) {
            let bodies: Vec<_> = bodies.into_iter().map(|(n, byte)| vec![byte; n]).collect();
            let stream: Vec<_> = bodies.iter().flat_map(|body| framed(body)).collect();
            let mut reader = FrameReader::new(CAP);
            prop_assert_eq!(feed(&mut reader, &stream, read), bodies);
            prop_assert!(reader.is_between_frames());
        }
    }
}
