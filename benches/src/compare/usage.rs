//! What a process spends, as the kernel counts it.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

/// How long a server is given to do what a phase left it to do.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at whether it rests.
const SETTLE_STEP: Duration = Duration::from_secs(1);
/// The share of one core below which a server rests.
const REST_CORES: f64 = 0.05;

/// Seconds of CPU that the processes have spent so far, in user and in system mode together.
///
/// # Errors
/// If one of them is not there.
pub fn cpu_seconds(ids: &[u32]) -> Result<f64> {
    let ticks_per_s = rustix::param::clock_ticks_per_second();
    let mut ticks = 0;
    for id in ids {
        let path = format!("/proc/{id}/stat");
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        ticks += cpu_ticks(&text).with_context(|| format!("{path}: {text}"))?;
    }
    #[expect(clippy::cast_precision_loss, reason = "ticks of less than 2^52")]
    Ok(ticks as f64 / ticks_per_s as f64)
}

/// `utime` and `stime` of /proc/PID/stat together. The program's name may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Waits until the processes rest, and gives back the CPU seconds at which they do. What still
/// works after the limit is taken as it is.
///
/// # Errors
/// If one of them is not there.
pub async fn settled(ids: &[u32]) -> Result<f64> {
    let until = Instant::now() + SETTLE_LIMIT;
    let mut before = cpu_seconds(ids)?;
    loop {
        sleep(SETTLE_STEP).await;
        let now = cpu_seconds(ids)?;
        if now - before < REST_CORES * SETTLE_STEP.as_secs_f64() || Instant::now() >= until {
            return Ok(now);
        }
        before = now;
    }
}

/// Lets the peak of resident memory begin anew.
///
/// # Errors
/// If the process is not there or is another user's.
pub fn reset_peak(ids: &[u32]) -> Result<()> {
    for id in ids {
        let path = format!("/proc/{id}/clear_refs");
        std::fs::write(&path, "5").context(path)?;
    }
    Ok(())
}

/// The peak of resident memory in MiB, of the processes together.
///
/// # Errors
/// If one of them is not there.
pub fn peak_mib(ids: &[u32]) -> Result<f64> {
    let mut kib = 0;
    for id in ids {
        let path = format!("/proc/{id}/status");
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        kib += peak_kib(&text).with_context(|| format!("no VmHWM in {path}"))?;
    }
    #[expect(clippy::cast_precision_loss, reason = "below 2^52")]
    Ok(kib as f64 / 1024.0)
}

fn peak_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_no_field() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 31 11 0 0 20 0 9 0 5000 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a) S 1 7 7"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn the_peak_is_read_in_its_unit() {
        assert_eq!(peak_kib("Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2048));
        assert_eq!(peak_kib("VmRSS:\t 1 kB\n"), None);
    }

    #[test]
    fn this_process_spends_and_has_memory() {
        let me = [std::process::id()];
        let before = cpu_seconds(&me).unwrap();
        reset_peak(&me).unwrap();
        assert!(peak_mib(&me).unwrap() > 0.5);
        assert!(cpu_seconds(&me).unwrap() >= before);
        assert!(cpu_seconds(&[u32::MAX]).is_err());
    }
}
