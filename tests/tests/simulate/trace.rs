//! All that happens, folded into one number: two runs of a seed must come to the same.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use odradek_common::batch::crc32c;
use parking_lot::Mutex;

/// A running trace; clones are the same.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    digest: u64,
    events: u64,
    now_ms: u64,
    text: Option<BufWriter<File>>,
}

impl Trace {
    /// A trace that is also written to a file, if one is named.
    pub fn new(path: Option<&Path>) -> std::io::Result<Self> {
        let text = path.map(File::create).transpose()?.map(BufWriter::new);
        Ok(Self(Arc::new(Mutex::new(State { text, ..State::default() }))))
    }

    /// What is noted from now on happened at this time.
    pub fn at(&self, now_ms: u64) {
        self.0.lock().now_ms = now_ms;
    }

    /// Notes an event by its bytes and, where somebody reads along, in words.
    pub fn note(&self, bytes: &[u8], words: impl FnOnce() -> String) {
        let mut state = self.0.lock();
        let event = u64::from(crc32c(bytes)) ^ (state.now_ms << 32);
        state.digest = (state.digest ^ event).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        state.events += 1;
        let (now_ms, digest) = (state.now_ms, state.digest);
        if let Some(text) = &mut state.text {
            // A trace that cannot be written is missed by who looks at it.
            let _ = writeln!(text, "{now_ms:>6} {digest:016x} {}", words());
        }
    }

    /// Writes words for who reads along, and notes nothing.
    pub fn tell(&self, words: impl FnOnce() -> String) {
        let mut state = self.0.lock();
        let now_ms = state.now_ms;
        if let Some(text) = &mut state.text {
            // As in `note`.
            let _ = writeln!(text, "{now_ms:>6} {:>16} {}", "", words());
        }
    }

    /// Notes words.
    pub fn say(&self, words: &str) {
        self.note(words.as_bytes(), || words.to_owned());
    }

    /// The number, and of how many events.
    pub fn digest(&self) -> (u64, u64) {
        let mut state = self.0.lock();
        if let Some(text) = &mut state.text {
            let _ = text.flush();
        }
        (state.digest, state.events)
    }
}
