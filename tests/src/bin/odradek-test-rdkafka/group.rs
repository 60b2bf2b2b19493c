//! The steps on groups.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::groups::GroupList;
use rdkafka::topic_partition_list::Offset;

use crate::member::{Member, Shared};
use crate::run::{PARTITIONS, Run, STEP_LIMIT, within};

/// All steps, up to the group's deletion.
pub async fn steps(run: &mut Run) -> Result<()> {
    let shared = Arc::new(Shared::default());
    let mut members = Vec::new();
    let joined = join(run, &shared, &mut members).await;
    run.step("group.join", joined)?;
    let left = leave(run, &shared, &mut members).await;
    run.step("group.leave", left)?;
    let rejoined = rejoin(run, &shared, &mut members).await;
    run.step("group.rejoin", rejoined)?;
    let described = describe(run).await;
    run.step("group.describe", described)?;
    let closed = members.into_iter().try_for_each(Member::leave);
    run.step("group.close", closed)?;
    let committed = committed(run);
    run.step("group.offsets", committed)?;
    let resumed = resume(run).await;
    run.step("resume", resumed)?;
    let rewound = rewind(run);
    run.step("rewind", rewound)
}

/// Waits until the partitions are spread evenly and everything was delivered.
async fn caught_up(run: &Run, shared: &Shared, members: &[Member]) -> Result<()> {
    let total = usize::try_from(run.total())?;
    let each = usize::try_from(PARTITIONS)? / members.len();
    let waited = within("spread, delivered and committed", || {
        let held: Vec<_> = members.iter().map(Member::held).collect();
        let mut all: Vec<i32> = held.iter().flatten().copied().collect();
        all.sort_unstable();
        let spread = all == (0..PARTITIONS).collect::<Vec<_>>()
            && held.iter().all(|held| held.len() == each);
        let done = spread
            && shared.delivered.lock().len() == total
            && shared.committed.lock().values().copied().eq(run.ends);
        Ok(done || !shared.problems.lock().is_empty())
    });
    waited.await.with_context(|| {
        let held: Vec<_> = members.iter().map(Member::held).collect();
        let (delivered, committed) = (shared.delivered.lock().len(), shared.committed.lock());
        format!("{delivered} of {total} delivered, committed {committed:?}, held {held:?}")
    })?;
    let problems = shared.problems.lock().clone();
    ensure!(problems.is_empty(), "{problems:?}");
    Ok(())
}

async fn join(run: &Run, shared: &Arc<Shared>, members: &mut Vec<Member>) -> Result<()> {
    for _ in 0..3 {
        members.push(Member::join(run, shared)?);
    }
    caught_up(run, shared, members).await
}

async fn leave(run: &mut Run, shared: &Shared, members: &mut Vec<Member>) -> Result<()> {
    members.pop().context("no member")?.leave()?;
    run.produce("gzip", 10).await?;
    caught_up(run, shared, members).await
}

async fn rejoin(run: &mut Run, shared: &Arc<Shared>, members: &mut Vec<Member>) -> Result<()> {
    members.push(Member::join(run, shared)?);
    run.produce("lz4", 10).await?;
    caught_up(run, shared, members).await
}

fn group_list(run: &Run) -> Result<GroupList> {
    Ok(run.admin.inner().fetch_group_list(None, STEP_LIMIT)?)
}

async fn delete_group(run: &Run) -> Result<Option<RDKafkaErrorCode>> {
    let mut answers = run.admin.delete_groups(&[&run.group], &run.admin_options).await?;
    let answer = answers.pop().context("no answer")?;
    Ok(answer.err().map(|(_, code)| code))
}

async fn describe(run: &Run) -> Result<()> {
    let list = group_list(run)?;
    let group = list.groups().iter().find(|group| group.name() == run.group);
    let group = group.context("the group is not listed")?;
    ensure!(group.state() == "Stable", "state {}", group.state());
    ensure!(group.members().len() == 3, "{} members", group.members().len());
    let assigned = group.members().iter().filter(|m| m.assignment().is_some_and(|a| !a.is_empty()));
    ensure!(assigned.count() == 3, "a member without an assignment");
    let refused = delete_group(run).await?;
    ensure!(refused == Some(RDKafkaErrorCode::NonEmptyGroup), "deleted in use: {refused:?}");
    Ok(())
}

fn committed(run: &Run) -> Result<()> {
    let consumer = run.consumer(&[("group.id", &run.group)])?;
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range(&run.topic, 0, PARTITIONS - 1);
    let found = consumer.committed_offsets(wanted, STEP_LIMIT)?;
    for (partition, end) in (0..).zip(run.ends) {
        let offset = found.find_partition(&run.topic, partition).context("no answer")?.offset();
        ensure!(offset == Offset::Offset(end), "committed of {partition}: {offset:?}, not {end}");
    }
    Ok(())
}

/// A new member reads exactly the records from these offsets to the ends, and commits.
fn consume_rest(run: &Run, from: [i64; PARTITIONS as usize]) -> Result<()> {
    let settings = [("group.id", run.group.as_str()), ("auto.offset.reset", "error")];
    let consumer = run.consumer(&settings)?;
    consumer.subscribe(&[&run.topic])?;
    run.read_on(&consumer, from)?;
    consumer.commit_consumer_state(CommitMode::Sync)?;
    Ok(())
}

async fn resume(run: &mut Run) -> Result<()> {
    let before = run.ends;
    run.produce("zstd", 10).await?;
    consume_rest(run, before)
}

/// Offsets moved by a consumer outside the group's membership while the group is empty.
fn rewind(run: &Run) -> Result<()> {
    let from = run.ends.map(|end| end - 3);
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(from) {
        offsets.add_partition_offset(&run.topic, partition, Offset::Offset(offset))?;
    }
    run.consumer(&[("group.id", &run.group)])?.commit(&offsets, CommitMode::Sync)?;
    consume_rest(run, from)
}

/// The group's deletion.
pub async fn delete(run: &Run) -> Result<()> {
    let answer = delete_group(run).await?;
    ensure!(answer.is_none(), "deleted: {answer:?}");
    if group_list(run)?.groups().iter().any(|group| group.name() == run.group) {
        bail!("the group is still listed");
    }
    Ok(())
}
