//! What Kafka's tools print. Their "MB" is 2^20 bytes.

use anyhow::{Context, Result};

/// The summary of ProducerPerformance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProducerSummary {
    /// Records that were acknowledged.
    pub records: u64,
    /// Throughput.
    pub mib_per_s: f64,
    /// From `send` to the acknowledgement, whole milliseconds but the mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// 99 of 100 are below.
    pub p99_ms: f64,
    /// 999 of 1000 are below.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// Reads the last summary in what ProducerPerformance printed.
///
/// # Errors
/// If there is none, or it reads otherwise than in Kafka 4.1.
pub fn producer(text: &str) -> Result<ProducerSummary> {
    // 10 records sent, 9.8 records/sec (0.01 MB/sec), 4.50 ms avg latency, 9.00 ms max latency,
    // 4 ms 50th, 8 ms 95th, 9 ms 99th, 9 ms 99.9th.
    let line = text.lines().rev().find(|line| line.contains("99.9th"));
    let line = line.with_context(|| format!("no summary in:\n{text}"))?;
    let before = |unit: &str| {
        let end = line.find(unit).with_context(|| format!("no {unit:?} in {line:?}"))?;
        let number = line[..end].rsplit([' ', '(']).next().unwrap_or_default();
        number.parse::<f64>().with_context(|| format!("{number:?} before {unit:?} in {line:?}"))
    };
    let records = line.split(' ').next().unwrap_or_default();
    Ok(ProducerSummary {
        records: records.parse().with_context(|| format!("{records:?} in {line:?}"))?,
        mib_per_s: before(" MB/sec")?,
        mean_ms: before(" ms avg latency")?,
        p50_ms: before(" ms 50th")?,
        p99_ms: before(" ms 99th")?,
        p999_ms: before(" ms 99.9th")?,
        max_ms: before(" ms max latency")?,
    })
}

/// The summary of ConsumerPerformance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConsumerSummary {
    /// Records that were read.
    pub records: u64,
    /// Throughput from start to end, with the time that joining the group took.
    pub mib_per_s: f64,
    /// Throughput without that time.
    pub fetch_mib_per_s: f64,
}

/// Reads the table of one row that ConsumerPerformance prints.
///
/// # Errors
/// If it is not there, or reads otherwise than in Kafka 4.1.
pub fn consumer(text: &str) -> Result<ConsumerSummary> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("start.time"));
    let (head, row) = (lines.next(), lines.next());
    let (Some(head), Some(row)) = (head, row) else {
        anyhow::bail!("no table in:\n{text}");
    };
    let names: Vec<&str> = head.split(',').map(str::trim).collect();
    let values: Vec<&str> = row.split(',').map(str::trim).collect();
    let column = |name: &str| {
        let found = names.iter().position(|found| *found == name);
        let value = found.and_then(|index| values.get(index));
        let value = value.with_context(|| format!("no column {name} in:\n{text}"))?;
        value.parse::<f64>().with_context(|| format!("{value:?} in column {name}"))
    };
    Ok(ConsumerSummary {
        records: whole(column("data.consumed.in.nMsg")?)?,
        mib_per_s: column("MB.sec")?,
        fetch_mib_per_s: column("fetch.MB.sec")?,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn whole(number: f64) -> Result<u64> {
    if !(0.0..1e15).contains(&number) || number.fract() != 0.0 {
        anyhow::bail!("{number} is no count");
    }
    Ok(number as u64)
}

/// The summary of EndToEndLatency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencySummary {
    /// The mean.
    pub mean_ms: f64,
    /// The median, whole milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 are below, whole milliseconds.
    pub p99_ms: f64,
    /// 999 of 1000 are below, whole milliseconds.
    pub p999_ms: f64,
}

/// Reads what EndToEndLatency prints at its end.
///
/// # Errors
/// If it is not there, or reads otherwise than in Kafka 4.1.
pub fn latency(text: &str) -> Result<LatencySummary> {
    let after = |label: &str| {
        let start = text.find(label).with_context(|| format!("no {label:?} in:\n{text}"))?;
        let rest = text[start + label.len()..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        rest[..end].parse::<f64>().with_context(|| format!("what follows {label:?} in:\n{text}"))
    };
    Ok(LatencySummary {
        mean_ms: after("Avg latency:")?,
        p50_ms: after("50th =")?,
        p99_ms: after("99th =")?,
        p999_ms: after("99.9th =")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_summary_of_the_producer_counts() {
        let text = "\
786432 records sent, 157286.4 records/sec (153.60 MB/sec), 151.2 ms avg latency, 420.0 ms max latency.\n\
2500000 records sent, 168067.226891 records/sec (164.13 MB/sec), 142.57 ms avg latency, 431.00 ms max latency, \
139 ms 50th, 244 ms 95th, 301 ms 99th, 402 ms 99.9th.\n";
        let expected = ProducerSummary {
            records: 2_500_000,
            mib_per_s: 164.13,
            mean_ms: 142.57,
            p50_ms: 139.0,
            p99_ms: 301.0,
            p999_ms: 402.0,
            max_ms: 431.0,
        };
        assert_eq!(producer(text).unwrap(), expected);
        assert!(producer("").is_err());
        assert!(producer("x records sent, 99.9th.").is_err());
    }

    #[test]
    fn the_consumers_table_is_read_by_its_head() {
        let text = "\
WARNING: something\n\
start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
2026-01-01 10:00:00:000, 2026-01-01 10:00:05:750, 2441.4063, 424.5924, 2500000, 434782.6087, 3210, 2540, 961.1836, 984251.9685\n";
        let expected =
            ConsumerSummary { records: 2_500_000, mib_per_s: 424.5924, fetch_mib_per_s: 961.1836 };
        assert_eq!(consumer(text).unwrap(), expected);
        assert!(consumer("start.time, end.time\n").is_err());
        assert!(consumer("start.time, end.time\n1, 2\n").is_err());
    }

    #[test]
    fn the_end_to_end_percentiles_are_read() {
        let text = "0\t41.01\n1000\t0.71\nAvg latency: 0.8123 ms\n\nPercentiles: 50th = 0, 99th = 6, 99.9th = 12\n";
        let expected = LatencySummary { mean_ms: 0.8123, p50_ms: 0.0, p99_ms: 6.0, p999_ms: 12.0 };
        assert_eq!(latency(text).unwrap(), expected);
        assert!(latency("Avg latency: ms").is_err());
    }
}
