//! Administration under load: records deleted, topics made and deleted, all the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use odradek_tests::history::Event;
use odradek_tests::load::{Readers, Record, client};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use crate::settings::TOPICS;

const PAUSE: Duration = Duration::from_millis(150);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Records of a shortened partition that DeleteRecords leaves.
const LEFT: i64 = 300;

/// A topic for records that nobody waits long for.
pub const IMPATIENT: &str = "impatient";

/// Whether a topic was made or deleted; none while nobody has said.
type Topics = BTreeMap<String, Option<bool>>;

/// Changes that go on in the background.
pub struct Changes {
    admin: Arc<Admin>,
    stopped: Arc<AtomicBool>,
    task: JoinHandle<Result<()>>,
}

struct Admin {
    client: AdminClient<DefaultClientContext>,
    options: AdminOptions,
    /// Locked over every change.
    topics: Mutex<Topics>,
}

/// No change is under way while this is there.
pub struct Held<'a>(MutexGuard<'a, Topics>);

impl Held<'_> {
    /// What differs between the topics that there are and those that there have to be.
    pub fn compare(&self, bootstrap: &str) -> Result<Vec<String>> {
        let consumer: BaseConsumer = client(bootstrap).create()?;
        let listed = tokio::task::block_in_place(|| consumer.fetch_metadata(None, REQUEST_LIMIT))?;
        let is_listed = |name: &str| listed.topics().iter().any(|topic| topic.name() == name);
        let wrong = |(name, told): (&String, &Option<bool>)| match (is_listed(name), *told) {
            (true, Some(false)) => Some(format!("the deletion of topic {name} is forgotten")),
            (false, Some(true)) => Some(format!("topic {name} is lost")),
            _ => None,
        };
        Ok(self.0.iter().filter_map(wrong).collect())
    }
}

/// Makes the topics of the load.
pub async fn create_topics(bootstrap: &str) -> Result<()> {
    let admin = Admin::new(bootstrap)?;
    let mut new = vec![NewTopic::new(IMPATIENT, 1, TopicReplication::Fixed(1))];
    for topic in TOPICS {
        let one = NewTopic::new(topic.name, topic.partitions, TopicReplication::Fixed(1));
        new.push(if topic.shortened { one.set("retention.bytes", "200000") } else { one });
    }
    for answer in admin.client.create_topics(&new, &admin.options).await? {
        answer.map_err(|(topic, code)| anyhow!("{topic} is not created: {code}"))?;
    }
    Ok(())
}

impl Changes {
    /// Starts them.
    pub fn start(bootstrap: &str, record: &Record, readers: &Arc<Readers>) -> Result<Self> {
        let admin = Arc::new(Admin::new(bootstrap)?);
        let stopped = Arc::new(AtomicBool::new(false));
        let (own, stop) = (Arc::clone(&admin), Arc::clone(&stopped));
        let (record, readers) = (record.clone(), Arc::clone(readers));
        let task = tokio::spawn(async move {
            let mut number = 0_u64;
            while !stop.load(Ordering::Acquire) {
                own.change(number, &record, &readers).await?;
                number += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        });
        Ok(Self { admin, stopped, task })
    }

    /// Holds them, so that who looks meets no change halfway.
    pub async fn hold(&self) -> Held<'_> {
        Held(self.admin.topics.lock().await)
    }

    /// Ends them.
    pub async fn stop(self) -> Result<()> {
        self.stopped.store(true, Ordering::Release);
        self.task.await?
    }
}

impl Admin {
    fn new(bootstrap: &str) -> Result<Self> {
        let client = client(bootstrap).create()?;
        let options = AdminOptions::new()
            .request_timeout(Some(REQUEST_LIMIT))
            .operation_timeout(Some(REQUEST_LIMIT));
        Ok(Self { client, options, topics: Mutex::default() })
    }

    async fn change(&self, number: u64, record: &Record, readers: &Readers) -> Result<()> {
        let mut topics = self.topics.lock().await;
        self.delete_records(record, readers).await?;
        self.change_topics(number, &mut topics).await;
        Ok(())
    }

    async fn delete_records(&self, record: &Record, readers: &Readers) -> Result<()> {
        for place in record.places().into_iter().filter(|place| record.topic_of(*place).shortened) {
            let low = readers.tail(place) - LEFT;
            if low <= 0 {
                continue;
            }
            let mut upto = TopicPartitionList::new();
            let topic = record.topic_of(place).name;
            upto.add_partition_offset(topic, place.partition, Offset::Offset(low))?;
            // An error leaves it open whether they are deleted, which the checker allows.
            let Ok(answer) = self.client.delete_records(&upto, &self.options).await else {
                continue;
            };
            let found = answer.find_partition(topic, place.partition);
            if found.is_some_and(|found| found.error().is_ok()) {
                record.note(Event::Deleted { place, low });
            }
        }
        Ok(())
    }

    /// Makes a topic and deletes the one before the last.
    async fn change_topics(&self, number: u64, topics: &mut Topics) {
        let name = |number: u64| format!("passing-{number}");
        let made = name(number);
        topics.insert(made.clone(), None);
        let new = NewTopic::new(&made, 1, TopicReplication::Fixed(1));
        let answer = self.client.create_topics([&new], &self.options).await;
        if answer.is_ok_and(|answers| answers.iter().all(Result::is_ok)) {
            topics.insert(made, Some(true));
        }
        let Some(old) = number.checked_sub(2).map(name) else { return };
        topics.insert(old.clone(), None);
        let answer = self.client.delete_topics(&[&old], &self.options).await;
        if answer.is_ok_and(|answers| answers.iter().all(Result::is_ok)) {
            topics.insert(old, Some(false));
        }
    }
}
