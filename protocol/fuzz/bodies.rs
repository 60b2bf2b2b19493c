//! What each fuzz target does to its input, for the targets and for the test that replays seeds.

use bytes::{BufMut, Bytes, BytesMut};
use odradek_common::batch::batches;
use odradek_protocol::frame::FrameReader;
use odradek_protocol::messages::RequestKind;
use odradek_protocol::{records, request};

/// Frames and decompressed batches over this are refused.
const CAP_BYTES: usize = 1 << 20;

/// A stream, read `data[0]` bytes at a time: no frame comes out that did not go in, and what is
/// held stays in proportion to what was read.
pub fn frame(data: &[u8]) {
    let Some((read, mut stream)) = data.split_first() else { return };
    let mut reader = FrameReader::new(CAP_BYTES);
    let (mut fed, mut framed) = (0, 0);
    while !stream.is_empty() {
        let mut space = reader.space();
        let room = space.remaining_mut();
        assert!(room > 0, "no room to read to");
        let amount = room.min(usize::from(*read) + 1).min(stream.len());
        space.put_slice(&stream[..amount]);
        stream = &stream[amount..];
        fed += amount;
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => framed += 4 + frame.len(),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(framed <= fed, "more came out than went in");
        assert!(reader.held_bytes() <= 8 * 1024 + 8 * fed, "{} bytes held", reader.held_bytes());
    }
}

/// A request: what is decoded can be encoded, and is the same when decoded again.
pub fn request(data: &[u8]) {
    let Ok(request) = request::decode(Bytes::copy_from_slice(data)) else { return };
    let mut again = BytesMut::new();
    let version = request.header.version;
    request.body.encode(&mut again, version).expect("a decoded request can be encoded");
    let again = request::decode_body(&request.header, again.freeze());
    let again: RequestKind = again.expect("an encoded request can be decoded");
    assert_eq!(again, request.body);
}

/// Batches: headers, CRC, and the records, whatever the CRC says; who looks at them in passing sees
/// the same as who takes them all.
pub fn batch(data: &[u8]) {
    for batch in batches(Bytes::copy_from_slice(data)).flatten() {
        let _ = batch.verify();
        let heads =
            records::heads(&batch, CAP_BYTES).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let whole = records::decode(&batch, CAP_BYTES)
            .and_then(|records| Ok(records.collect::<Result<Vec<_>, _>>()?));
        assert_eq!(heads.is_ok(), whole.is_ok(), "{heads:?} {whole:?}");
        if let (Ok(heads), Ok(whole)) = (heads, whole) {
            let of = |r: &records::Record| (r.offset, r.timestamp_ms, r.key.is_some());
            let seen = heads.iter().map(|h| (h.offset, h.timestamp_ms, h.has_key));
            assert!(seen.eq(whole.iter().map(of)), "other records were seen");
        }
        let Ok(records) = records::decode(&batch, CAP_BYTES) else { continue };
        let bytes: usize =
            records.flatten().map(|record| record.value.map_or(0, |v| v.len())).sum();
        assert!(bytes <= CAP_BYTES, "records of {bytes} bytes");
    }
}
