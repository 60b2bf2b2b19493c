//! What the filesystem gives by itself: the time of one durable write.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use rustix::fs::fdatasync;
use tokio::time::Instant;

/// Sizes of the writes, in bytes.
pub const SIZES_BYTES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];
/// Writes of each size.
const WRITES: usize = 100;

/// Median milliseconds of a write of each of [`SIZES_BYTES`] at the end of a new file, followed by
/// fdatasync, in the directory for temporary files.
///
/// # Errors
/// Of the filesystem.
pub fn fdatasync_ms(dir: &Path) -> Result<Vec<(usize, f64)>> {
    SIZES_BYTES.iter().map(|size| Ok((*size, median_ms(dir, *size)?))).collect()
}

fn median_ms(dir: &Path, size_bytes: usize) -> Result<f64> {
    let mut file: File = tempfile::tempfile_in(dir)?;
    let block = vec![0x5a; size_bytes];
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&block)?;
        fdatasync(&file)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_takes_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let times = fdatasync_ms(dir.path()).unwrap();
        assert_eq!(times.iter().map(|(size, _)| *size).collect::<Vec<_>>(), SIZES_BYTES);
        assert!(times.iter().all(|(_, ms)| *ms > 0.0));
    }
}
