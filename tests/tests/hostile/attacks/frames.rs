//! Frames that are none.

use anyhow::{Result, ensure};

use crate::target::Target;
use crate::wire::{Outcome, closes, try_bytes, with_length};
use std::time::Duration;

/// Frames that are too short to hold a header: Kafka closes the connection.
pub async fn tiny_frames(target: &Target) -> Result<String> {
    for length in 0..10_u8 {
        let frame = with_length(&vec![0xff; length.into()]);
        closes(target.kafka, &frame, &format!("a frame of {length} bytes")).await?;
    }
    Ok("closed".into())
}

/// Lengths below 0 or above `socket.request.max.bytes`: Kafka closes the connection.
pub async fn impossible_sizes(target: &Target) -> Result<String> {
    for size in [-1, i32::MIN, i32::MAX, i32::MAX - 1, 100 * 1024 * 1024 + 1] {
        closes(target.kafka, &size.to_be_bytes(), &format!("a frame of {size} bytes")).await?;
    }
    let largest = (100 * 1024 * 1024_i32).to_be_bytes();
    let outcome = try_bytes(target.kafka, &largest, Duration::from_millis(200)).await?;
    ensure!(outcome == Outcome::Silence, "the largest frame allowed: {outcome:?}");
    Ok("closed".into())
}

/// What speaks another protocol: its first bytes are no length that can be.
pub async fn other_protocols(target: &Target) -> Result<String> {
    let hello = [
        &[0x16, 3, 1, 0, 0xc8, 1, 0, 0, 0xc4, 3, 3][..],
        &[0x5a; 32],
        &[0, 0, 4, 0x13, 1, 0x13, 2, 1, 0, 0, 0x90],
        &[0; 144],
    ]
    .concat();
    closes(target.kafka, &hello, "a TLS ClientHello").await?;
    closes(target.kafka, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "an HTTP request").await?;
    closes(target.kafka, b"SSH-2.0-OpenSSH_9.6\r\n", "SSH").await?;
    Ok("closed".into())
}
