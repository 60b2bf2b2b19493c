//! One run: where it runs, what was sent so far, and how a step is judged.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use odradek_common::clock::{Clock, SystemClock};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::topic_partition_list::Offset;
use tokio::time::Instant;

/// Partitions of the topic.
pub const PARTITIONS: i32 = 6;
/// How long a step may take.
pub const STEP_LIMIT: Duration = Duration::from_secs(30);
/// Between the timestamps of one partition.
pub const TIME_STEP_MS: i64 = 1000;

/// The end of a step's time.
pub struct Deadline(Instant);

impl Deadline {
    /// The end of a step that begins now.
    pub fn new() -> Self {
        Self(Instant::now() + STEP_LIMIT)
    }

    /// Fails when the time is over.
    pub fn check(&self, what: &str) -> Result<()> {
        ensure!(Instant::now() < self.0, "not within {STEP_LIMIT:?}: {what}");
        Ok(())
    }

    /// The pause between two looks at a condition.
    pub async fn pause(&self, what: &str) -> Result<()> {
        self.check(what)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    }
}

/// Polls until the condition holds.
pub async fn within(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Deadline::new();
    while !condition()? {
        deadline.pause(what).await?;
    }
    Ok(())
}

/// What is sent as the record of an offset; the same every time it is asked for.
pub struct Sent {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(&'static str, Option<Vec<u8>>)>,
    time_ms: i64,
}

impl Sent {
    fn new(base_ms: i64, partition: i32, offset: i64) -> Result<Self> {
        let seed = u64::try_from(offset)? << 8 | u64::try_from(partition)?;
        let mut draw = StdRng::seed_from_u64(seed);
        let kind = offset % 10;
        let length = match kind {
            4 => 0,
            9 => 100_000,
            _ => draw.random_range(1..600),
        };
        let mut value = vec![0; length];
        draw.fill_bytes(&mut value);
        let mut bytes = vec![0; 20];
        draw.fill_bytes(&mut bytes);
        let headers = vec![
            ("twice", Some(b"1".to_vec())),
            ("twice", Some(b"2".to_vec())),
            ("null", None),
            ("empty", Some(Vec::new())),
            ("bytes", Some(bytes)),
        ];
        Ok(Self {
            key: (kind != 7).then(|| format!("key-{partition}-{offset}").into_bytes()),
            value: (kind != 3).then_some(value),
            headers,
            time_ms: base_ms + offset * TIME_STEP_MS,
        })
    }

    fn owned_headers(&self) -> OwnedHeaders {
        self.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_ref() })
        })
    }
}

/// One run of the steps.
pub struct Run {
    /// Where the broker is.
    pub bootstrap: String,
    /// The topic, and the name of the run.
    pub topic: String,
    /// The group.
    pub group: String,
    /// The timestamp of offset 0.
    pub base_ms: i64,
    /// By partition: the offset of the next record.
    pub ends: [i64; PARTITIONS as usize],
    /// For administration.
    pub admin: AdminClient<DefaultClientContext>,
    /// With the time limits of its calls.
    pub admin_options: AdminOptions,
    failed: bool,
}

impl Run {
    /// A run that has sent nothing.
    pub fn new(bootstrap: String, name: String) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &bootstrap);
        Ok(Self {
            group: format!("{name}-group"),
            topic: name,
            base_ms: SystemClock.now_ms() - 3_600_000,
            ends: [0; PARTITIONS as usize],
            admin: AdminClient::from_config(&config)?,
            admin_options: AdminOptions::new()
                .request_timeout(Some(STEP_LIMIT))
                .operation_timeout(Some(STEP_LIMIT)),
            failed: false,
            bootstrap,
        })
    }

    /// Prints the line of a step.
    pub fn step(&mut self, name: &str, result: Result<()>) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match result {
            Ok(()) => writeln!(out, "ok {name}")?,
            Err(error) => {
                self.failed = true;
                writeln!(out, "FAIL {name}: {}", format!("{error:#}").replace('\n', " "))?;
            }
        }
        Ok(())
    }

    /// Success if no step failed.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.failed))
    }

    /// Records of all partitions together.
    pub fn total(&self) -> i64 {
        self.ends.iter().sum()
    }

    fn config(&self, more: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (key, value) in more {
            config.set(*key, *value);
        }
        config
    }

    fn consumer_config(&self, more: &[(&str, &str)]) -> ClientConfig {
        let mut config = self.config(&[
            ("group.id", "none"),
            ("enable.auto.commit", "false"),
            ("check.crcs", "true"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "300"),
            ("fetch.wait.max.ms", "200"),
        ]);
        for (key, value) in more {
            config.set(*key, *value);
        }
        config
    }

    /// A consumer that commits nothing by itself.
    pub fn consumer(&self, more: &[(&str, &str)]) -> Result<BaseConsumer> {
        Ok(BaseConsumer::from_config(&self.consumer_config(more))?)
    }

    /// A consumer with a context of the caller's.
    pub fn consumer_with<C: ConsumerContext + 'static>(
        &self,
        more: &[(&str, &str)],
        context: C,
    ) -> Result<BaseConsumer<C>> {
        Ok(BaseConsumer::from_config_and_context(&self.consumer_config(more), context)?)
    }

    /// `count` records to each partition, idempotently; each must get the offset that is next.
    pub async fn produce(&mut self, codec: &str, count: i64) -> Result<()> {
        let producer: FutureProducer = FutureProducer::from_config(&self.config(&[
            ("compression.type", codec),
            ("enable.idempotence", "true"),
            ("linger.ms", "5"),
        ]))?;
        let mut answers = Vec::new();
        for _ in 0..count {
            for (partition, end) in (0..).zip(&mut self.ends) {
                let sent = Sent::new(self.base_ms, partition, *end)?;
                let mut record = FutureRecord::<[u8], [u8]>::to(&self.topic)
                    .partition(partition)
                    .timestamp(sent.time_ms)
                    .headers(sent.owned_headers());
                record.key = sent.key.as_deref();
                record.payload = sent.value.as_deref();
                let answer = producer.send_result(record).map_err(|(error, _)| error)?;
                answers.push((*end, answer));
                *end += 1;
            }
        }
        tokio::task::block_in_place(|| producer.flush(STEP_LIMIT))?;
        for (expected, answer) in answers {
            let delivery = answer.await?.map_err(|(error, _)| error)?;
            let (partition, offset) = (delivery.partition, delivery.offset);
            ensure!(offset == expected, "partition {partition}: offset {offset}, not {expected}");
        }
        Ok(())
    }

    /// Fails unless the message is what was sent as its offset.
    pub fn check(&self, got: &BorrowedMessage<'_>) -> Result<()> {
        check_record(self.base_ms, got)
    }

    /// Everything from the beginning: byte for byte, in order, no gap.
    pub fn read(&self) -> Result<()> {
        let consumer = self.consumer(&[])?;
        let mut from = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            from.add_partition_offset(&self.topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&from)?;
        self.read_on(&consumer, [0; PARTITIONS as usize])
    }

    /// Reads exactly the records from these offsets to the ends.
    pub fn read_on(
        &self,
        consumer: &BaseConsumer,
        mut next: [i64; PARTITIONS as usize],
    ) -> Result<()> {
        let deadline = Deadline::new();
        while next != self.ends {
            deadline.check(&format!("read {next:?} of {:?}", self.ends))?;
            let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
            let message = message?;
            let partition = usize::try_from(message.partition())?;
            let expected = next.get_mut(partition).context("an unknown partition")?;
            if message.offset() != *expected {
                bail!("partition {partition}: offset {}, not {expected}", message.offset());
            }
            *expected += 1;
            self.check(&message)?;
        }
        Ok(())
    }
}

/// Fails unless the message is what a run with this base time sent as its offset.
pub fn check_record(base_ms: i64, got: &BorrowedMessage<'_>) -> Result<()> {
    let sent = Sent::new(base_ms, got.partition(), got.offset())?;
    let headers: Vec<_> = got.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    });
    let headers_sent: Vec<_> =
        sent.headers.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let place = format!("partition {} offset {}", got.partition(), got.offset());
    ensure!(got.key() == sent.key.as_deref(), "{place}: another key");
    ensure!(got.payload() == sent.value.as_deref(), "{place}: another value");
    ensure!(headers == headers_sent, "{place}: headers {headers:?}");
    ensure!(got.timestamp().to_millis() == Some(sent.time_ms), "{place}: {:?}", got.timestamp());
    Ok(())
}
