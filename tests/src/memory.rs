//! What a process has in memory, as the kernel tells it.

use anyhow::{Context, Result};

/// Bytes that the process has in memory now.
pub fn resident(id: u32) -> Result<u64> {
    status(id, "VmRSS:")
}

/// The most that it had, in bytes, since [`reset_peak`] or its start.
pub fn peak(id: u32) -> Result<u64> {
    status(id, "VmHWM:")
}

/// Begins to measure the peak anew.
pub fn reset_peak(id: u32) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{id}/clear_refs"), "5")?)
}

fn status(id: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.with_context(|| format!("no {field}"))?.parse::<u64>()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_follows_what_was_in_memory() {
        let id = std::process::id();
        let before = resident(id).unwrap();
        reset_peak(id).unwrap();
        let taken = std::hint::black_box(vec![1_u8; 32 << 20]);
        drop(taken);
        assert!(peak(id).unwrap() >= before + (24 << 20));
    }
}
