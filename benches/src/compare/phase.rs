//! One load on one server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::java::{LOAD_HEAP, TOOL_HEAP, java, output};
use super::options::{Options, PhaseKind};
use super::results::{Better, Results};
use super::server::{Server, ServerKind};
use super::{parse, usage};

/// How long the making of a topic may take.
const TOPIC_LIMIT: Duration = Duration::from_secs(90);
/// The topic of the producer and of the consumer phase.
const LOAD: &str = "load";
/// That of the records before the phases.
const WARMUP: &str = "warmup";
/// That of the phase of fixed rates.
const STEADY: &str = "steady";
/// That of the latency phase.
const SINGLE: &str = "single";

/// The phases on one server in one round.
#[derive(Debug)]
pub struct Phases<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// The server.
    pub server: &'a Server,
    /// Its kind.
    pub kind: ServerKind,
    /// Where the figures go.
    pub results: &'a mut Results,
}

impl Phases<'_> {
    /// Runs all, after the records that nobody measures.
    ///
    /// # Errors
    /// Of the first phase that fails.
    pub async fn run(&mut self) -> Result<()> {
        let phases = self.options.phases();
        if self.options.warmup_records > 0 {
            self.topic(WARMUP, self.options.partitions).await?;
            self.produce(WARMUP, self.options.warmup_records, None).await.context("warm-up")?;
        }
        if phases.contains(&PhaseKind::Producer) || phases.contains(&PhaseKind::Consumer) {
            self.topic(LOAD, self.options.partitions).await?;
        }
        if phases.contains(&PhaseKind::Consumer) && !phases.contains(&PhaseKind::Producer) {
            self.produce(LOAD, self.options.records, None).await?;
        }
        for phase in phases {
            match phase {
                PhaseKind::Producer => self.producer().await.context("producer")?,
                PhaseKind::Rates => self.rates().await.context("fixed rates")?,
                PhaseKind::Consumer => self.consumer().await.context("consumer")?,
                PhaseKind::Latency => self.latency().await.context("latency")?,
            }
        }
        Ok(())
    }

    async fn producer(&mut self) -> Result<()> {
        self.measured("producer", LOAD, self.options.records, None).await
    }

    async fn rates(&mut self) -> Result<()> {
        self.topic(STEADY, self.options.partitions).await?;
        for rate in self.options.rates.clone() {
            let per_s = u64::from(rate) * 1_000_000 / u64::from(self.options.record_size.max(1));
            let records = per_s * u64::from(self.options.rate_s);
            let phase = format!("producer at {rate} MB/s");
            self.measured(&phase, STEADY, records, Some(per_s)).await?;
        }
        Ok(())
    }

    /// Produces records, at a rate if one is given, and adds what that took.
    async fn measured(
        &mut self,
        phase: &str,
        topic: &str,
        records: u64,
        per_s: Option<u64>,
    ) -> Result<()> {
        let before = Spent::begin(self.server).await?;
        let text = self.produce(topic, records, per_s).await?;
        let spent = before.end(self.server).await?;
        let summary = parse::producer(&text)?;
        ensure!(summary.records == records, "{} of {records} records were sent", summary.records);
        self.add(phase, "MiB/s", Better::Higher, summary.mib_per_s);
        self.add(phase, "mean ms", Better::Lower, summary.mean_ms);
        self.add(phase, "p50 ms", Better::Lower, summary.p50_ms);
        self.add(phase, "p99 ms", Better::Lower, summary.p99_ms);
        self.add(phase, "p99.9 ms", Better::Lower, summary.p999_ms);
        self.add(phase, "max ms", Better::Lower, summary.max_ms);
        self.spent(phase, &spent, records);
        Ok(())
    }

    async fn consumer(&mut self) -> Result<()> {
        let (phase, records) = ("consumer", self.options.records);
        let before = Spent::begin(self.server).await?;
        let mut command = java(LOAD_HEAP, &[], "org.apache.kafka.tools.ConsumerPerformance")?;
        command.args(["--bootstrap-server", &self.server.bootstrap().to_string()]).args([
            "--topic",
            LOAD,
            "--messages",
            &records.to_string(),
        ]);
        let text = output("ConsumerPerformance", command, self.options.phase_limit()).await?;
        let spent = before.end(self.server).await?;
        let summary = parse::consumer(&text)?;
        ensure!(summary.records >= records, "{} of {records} records were read", summary.records);
        self.add(phase, "MiB/s", Better::Higher, summary.fetch_mib_per_s);
        self.add(phase, "MiB/s with join", Better::Higher, summary.mib_per_s);
        self.spent(phase, &spent, records);
        Ok(())
    }

    async fn latency(&mut self) -> Result<()> {
        let phase = "one record at a time, end to end";
        self.topic(SINGLE, 1).await?;
        let before = Spent::begin(self.server).await?;
        let (records, size) = (self.options.latency_records, self.options.record_size);
        let mut command = java(TOOL_HEAP, &[], "org.apache.kafka.tools.EndToEndLatency")?;
        command.arg(self.server.bootstrap().to_string()).args([
            SINGLE,
            &records.to_string(),
            "all",
            &size.to_string(),
        ]);
        let text = output("EndToEndLatency", command, self.options.phase_limit()).await?;
        let spent = before.end(self.server).await?;
        let summary = parse::latency(&text)?;
        self.add(phase, "mean ms", Better::Lower, summary.mean_ms);
        self.add(phase, "p50 ms", Better::Lower, summary.p50_ms);
        self.add(phase, "p99 ms", Better::Lower, summary.p99_ms);
        self.add(phase, "p99.9 ms", Better::Lower, summary.p999_ms);
        self.spent(phase, &spent, records);
        Ok(())
    }

    async fn produce(&self, topic: &str, records: u64, per_s: Option<u64>) -> Result<String> {
        let throughput = per_s.map_or_else(|| "-1".to_owned(), |per_s| per_s.to_string());
        let mut command = java(LOAD_HEAP, &[], "org.apache.kafka.tools.ProducerPerformance")?;
        command
            .args(["--topic", topic, "--num-records", &records.to_string()])
            .args(["--record-size", &self.options.record_size.to_string()])
            .args(["--throughput", &throughput, "--producer-props"])
            .arg(format!("bootstrap.servers={}", self.server.bootstrap()))
            .args(["acks=all", "enable.idempotence=true", "batch.size=131072", "linger.ms=5"]);
        output("ProducerPerformance", command, self.options.phase_limit()).await
    }

    async fn topic(&self, name: &str, partitions: u32) -> Result<()> {
        let mut command = java(TOOL_HEAP, &[], "org.apache.kafka.tools.TopicCommand")?;
        command
            .args(["--bootstrap-server", &self.server.bootstrap().to_string()])
            .args(["--create", "--topic", name, "--partitions", &partitions.to_string()])
            .args(["--replication-factor", "1"]);
        output("TopicCommand", command, TOPIC_LIMIT).await?;
        Ok(())
    }

    fn add(&mut self, phase: &str, name: &'static str, better: Better, value: f64) {
        self.results.add(self.kind, phase, name, better, value);
    }

    fn spent(&mut self, phase: &str, spent: &Spent, records: u64) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let gib = (records * u64::from(self.options.record_size)) as f64 / (1u64 << 30) as f64;
        self.add(phase, "broker CPU s/GiB", Better::Lower, spent.during_s / gib);
        self.add(phase, "broker CPU s/GiB until at rest", Better::Lower, spent.settled_s / gib);
        self.add(phase, "broker peak memory MiB", Better::Lower, spent.peak_mib);
    }
}

/// What a server spends on a phase.
#[derive(Clone, Copy, Debug)]
struct Spent {
    /// CPU seconds until the load ended.
    during_s: f64,
    /// CPU seconds until the server rested, with all that the load left it to do.
    settled_s: f64,
    /// Peak of resident memory.
    peak_mib: f64,
}

/// The state of a server at the begin of a phase.
#[derive(Clone, Copy, Debug)]
struct Begun {
    cpu_s: f64,
}

impl Spent {
    /// Begins a phase: what was written before is on disk, and the server rests.
    async fn begin(server: &Server) -> Result<Begun> {
        let ids = server.ids()?;
        usage::settled(&ids).await?;
        tokio::task::spawn_blocking(rustix::fs::sync).await?;
        usage::reset_peak(&ids)?;
        Ok(Begun { cpu_s: usage::cpu_seconds(&ids)? })
    }
}

impl Begun {
    async fn end(self, server: &Server) -> Result<Spent> {
        let ids = server.ids()?;
        let during_s = usage::cpu_seconds(&ids)? - self.cpu_s;
        let settled_s = usage::settled(&ids).await? - self.cpu_s;
        Ok(Spent { during_s, settled_s, peak_mib: usage::peak_mib(&ids)? })
    }
}
