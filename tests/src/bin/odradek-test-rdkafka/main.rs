//! The `rdkafka` crate against a broker: see `tests/clients/README.md` for the steps.
//!
//! Usage: `odradek-test-rdkafka BOOTSTRAP NAME`

mod group;
mod member;
mod run;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AlterConfig, NewPartitions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use crate::run::{Deadline, PARTITIONS, Run, STEP_LIMIT, TIME_STEP_MS, within};

/// Records of each codec in each partition.
const PER_CODEC: i64 = 40;
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

#[tokio::main]
async fn main() -> Result<std::process::ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let (Some(bootstrap), Some(name), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        bail!("usage: odradek-test-rdkafka BOOTSTRAP NAME");
    };
    let mut run = Run::new(bootstrap, name)?;
    let created = create(&run).await;
    run.step("create", created)?;
    let described = describe(&run).await;
    run.step("describe", described)?;
    for codec in CODECS {
        let produced = run.produce(codec, PER_CODEC).await;
        run.step(&format!("produce.{codec}"), produced)?;
    }
    let read = run.read();
    run.step("read", read)?;
    let offsets = offsets(&run);
    run.step("offsets", offsets)?;
    let listed = list(&run);
    run.step("list", listed)?;
    let configured = config(&run).await;
    run.step("config", configured)?;
    group::steps(&mut run).await?;
    let grown = grow(&run).await;
    run.step("partitions", grown)?;
    let deleted = delete_records(&run).await;
    run.step("delete-records", deleted)?;
    let deleted = group::delete(&run).await;
    run.step("delete-group", deleted)?;
    let deleted = delete_topic(&run).await;
    run.step("delete-topic", deleted)?;
    Ok(run.exit_code())
}

/// What the admin API answers for one name.
type NamedResult = std::result::Result<String, (String, RDKafkaErrorCode)>;

/// The only answer of an admin call, as the error's code if there is one.
fn only(answers: Vec<NamedResult>) -> Result<Option<RDKafkaErrorCode>> {
    let [answer] = &answers[..] else { bail!("{} answers", answers.len()) };
    Ok(answer.as_ref().err().map(|(_, code)| *code))
}

async fn create(run: &Run) -> Result<()> {
    let topic = NewTopic::new(&run.topic, PARTITIONS, TopicReplication::Fixed(1))
        .set("retention.ms", "86400000");
    let answer = only(run.admin.create_topics([&topic], &run.admin_options).await?)?;
    ensure!(answer.is_none(), "created: {answer:?}");
    let again = only(run.admin.create_topics([&topic], &run.admin_options).await?)?;
    ensure!(again == Some(RDKafkaErrorCode::TopicAlreadyExists), "created again: {again:?}");
    Ok(())
}

/// Whether the topic has this many partitions, each with a leader.
fn led(run: &Run, partitions: i32) -> bool {
    let Ok(metadata) = run.admin.inner().fetch_metadata(Some(&run.topic), STEP_LIMIT) else {
        return false;
    };
    let of_topic = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let leaders: Vec<i32> = of_topic.map(|partition| partition.leader()).collect();
    i32::try_from(leaders.len()) == Ok(partitions) && leaders.iter().all(|leader| *leader >= 0)
}

async fn describe(run: &Run) -> Result<()> {
    within("every partition has a leader", || Ok(led(run, PARTITIONS))).await?;
    let metadata = run.admin.inner().fetch_metadata(None, STEP_LIMIT)?;
    ensure!(!metadata.brokers().is_empty(), "no brokers");
    ensure!(run.admin.inner().fetch_cluster_id(STEP_LIMIT).is_some(), "no cluster id");
    Ok(())
}

fn offsets(run: &Run) -> Result<()> {
    let consumer = run.consumer(&[])?;
    for (partition, end) in (0..).zip(run.ends) {
        let marks = consumer.fetch_watermarks(&run.topic, partition, STEP_LIMIT)?;
        ensure!(marks == (0, end), "watermarks of {partition}: {marks:?}, not (0, {end})");
        for wanted in [0, 1, 57, end - 1] {
            let at = run.base_ms + wanted * TIME_STEP_MS - TIME_STEP_MS / 2;
            let found = by_time(run, &consumer, partition, at)?;
            ensure!(
                found == Offset::Offset(wanted),
                "{partition} at {at}: {found:?}, not {wanted}"
            );
        }
        let late = by_time(run, &consumer, partition, run.base_ms + end * TIME_STEP_MS)?;
        ensure!(late == Offset::End, "{partition} past the newest: {late:?}");
    }
    Ok(())
}

fn by_time(run: &Run, consumer: &impl Consumer, partition: i32, at_ms: i64) -> Result<Offset> {
    let mut times = TopicPartitionList::new();
    times.add_partition_offset(&run.topic, partition, Offset::Offset(at_ms))?;
    let found = consumer.offsets_for_times(times, STEP_LIMIT)?;
    let found = found.find_partition(&run.topic, partition).context("no answer")?;
    found.error()?;
    Ok(found.offset())
}

fn is_listed(run: &Run) -> Result<bool> {
    let metadata = run.admin.inner().fetch_metadata(None, STEP_LIMIT)?;
    Ok(metadata.topics().iter().any(|topic| topic.name() == run.topic))
}

fn list(run: &Run) -> Result<()> {
    ensure!(is_listed(run)?, "the topic is not listed");
    Ok(())
}

async fn setting(run: &Run, name: &str) -> Result<(Option<String>, bool)> {
    let topic = ResourceSpecifier::Topic(&run.topic);
    let mut answers = run.admin.describe_configs([&topic], &run.admin_options).await?;
    let resource = answers.pop().context("no answer")??;
    ensure!(resource.specifier == OwnedResourceSpecifier::Topic(run.topic.clone()), "of another");
    let entry = resource.get(name).context("no such setting")?;
    Ok((entry.value.clone(), entry.is_default))
}

async fn config(run: &Run) -> Result<()> {
    let (value, _) = setting(run, "retention.ms").await?;
    ensure!(value.as_deref() == Some("86400000"), "as created: {value:?}");
    // The crate does not pass on the error of a single resource, so a bad value is not tried here.
    let change =
        AlterConfig::new(ResourceSpecifier::Topic(&run.topic)).set("retention.ms", "7200000");
    run.admin.alter_configs([&change], &run.admin_options).await?;
    let deadline = Deadline::new();
    while setting(run, "retention.ms").await? != (Some("7200000".to_owned()), false) {
        deadline.pause("the altered value").await?;
    }
    Ok(())
}

async fn grow(run: &Run) -> Result<()> {
    let count = usize::try_from(PARTITIONS)? + 2;
    let more = NewPartitions::new(&run.topic, count);
    let answer = only(run.admin.create_partitions([&more], &run.admin_options).await?)?;
    ensure!(answer.is_none(), "grown: {answer:?}");
    within("eight partitions", || Ok(led(run, PARTITIONS + 2))).await?;
    let fewer = NewPartitions::new(&run.topic, 2);
    let refused = only(run.admin.create_partitions([&fewer], &run.admin_options).await?)?;
    ensure!(refused == Some(RDKafkaErrorCode::InvalidPartitions), "fewer: {refused:?}");
    Ok(())
}

async fn delete_records(run: &Run) -> Result<()> {
    let mut upto = TopicPartitionList::new();
    upto.add_partition_offset(&run.topic, 0, Offset::Offset(100))?;
    upto.add_partition_offset(&run.topic, 1, Offset::End)?;
    let low = run.admin.delete_records(&upto, &run.admin_options).await?;
    for (partition, start) in [(0, 100), (1, run.ends[1])] {
        let answer = low.find_partition(&run.topic, partition).context("no answer")?;
        answer.error()?;
        ensure!(answer.offset() == Offset::Offset(start), "{partition}: {:?}", answer.offset());
    }
    let consumer = run.consumer(&[])?;
    for (partition, start) in [(0, 100), (1, run.ends[1]), (2, 0)] {
        let (low, _) = consumer.fetch_watermarks(&run.topic, partition, STEP_LIMIT)?;
        ensure!(low == start, "partition {partition} begins at {low}, not {start}");
    }
    Ok(())
}

async fn delete_topic(run: &Run) -> Result<()> {
    let answer = only(run.admin.delete_topics(&[&run.topic], &run.admin_options).await?)?;
    ensure!(answer.is_none(), "deleted: {answer:?}");
    within("the topic is gone", || Ok(!is_listed(run)?)).await?;
    let again = only(run.admin.delete_topics(&[&run.topic], &run.admin_options).await?)?;
    ensure!(again == Some(RDKafkaErrorCode::UnknownTopicOrPartition), "deleted again: {again:?}");
    Ok(())
}
