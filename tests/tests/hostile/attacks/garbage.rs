//! What chance makes, from fixed seeds.

use anyhow::Result;
use odradek_common::random::{Random, SeededRandom};

use super::requests::{try_frames, valid_requests};
use crate::target::Target;

const RANDOM_FRAMES: usize = 2_000;
const FLIPPED_FRAMES: usize = 4_000;

fn below(random: &SeededRandom, end: usize) -> usize {
    usize::try_from(random.next_u64() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
}

/// Frames of random bytes, half of them behind an API key and version that are served.
pub async fn random_bytes(target: &Target) -> Result<String> {
    let random = SeededRandom::from_seed(1);
    let valid = valid_requests()?;
    let frames = (0..RANDOM_FRAMES).map(|index| {
        let mut frame = vec![0; below(&random, 600)];
        random.fill(&mut frame);
        if index % 2 == 0 {
            let (_, seed) = &valid[below(&random, valid.len())];
            frame.splice(..0, seed[..8].iter().copied());
        }
        frame
    });
    try_frames(target, frames.collect()).await
}

/// Valid requests with one to four bits flipped behind their API key and version.
pub async fn flipped_bits(target: &Target) -> Result<String> {
    let random = SeededRandom::from_seed(2);
    let valid = valid_requests()?;
    let frames = (0..FLIPPED_FRAMES).map(|_| {
        let (_, mut frame) = valid[below(&random, valid.len())].clone();
        for _ in 0..=below(&random, 4) {
            let at = 8 + below(&random, frame.len() - 8);
            frame[at] ^= 1 << below(&random, 8);
        }
        frame
    });
    try_frames(target, frames.collect()).await
}
