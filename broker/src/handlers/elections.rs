//! ElectLeaders (API 43, KIP-183 and KIP-460). A preferred election is a handover: the target is set, and
//! the owner hands over; it is answered when that is done or the client's time is over. What a broker
//! left that is gone others take over by themselves, which is all that an unclean one can wait for.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use odradek_common::ids::{BrokerId, LeaderEpoch, TopicPartition};
use odradek_common::limits::COMMAND_RANGES;
use odradek_metadata::image::{Partition, Registration};
use odradek_metadata::{Command, Image, ProposeError, SetTargets};
use tokio::time::{Instant, timeout_at};

use super::topics::deadline;
use super::{Answer, Body, text};
use crate::core::Core;
use crate::topics::{Failure, LiveTopics};

/// Serves ElectLeaders.
pub(super) fn elect_leaders(core: &Arc<Core>, request: ElectLeadersRequest) -> Answer {
    let core = Arc::clone(core);
    Answer::Later(Box::pin(async move { Body::of(elect(&core, request).await) }))
}

/// Which election is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ElectionType {
    Preferred,
    Unclean,
}

/// One partition that is asked for.
#[derive(Debug)]
struct Asked {
    topic: TopicName,
    partition: i32,
    at: Option<TopicPartition>,
    /// The broker that it is sent to.
    wanted: Option<BrokerId>,
    /// What became of it, once that is known.
    result: Option<Result<(), Failure>>,
}

/// What is to be done next for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing more.
    Over(Result<(), ResponseError>),
    /// Its owner should hand it over to this broker.
    Target(BrokerId, LeaderEpoch),
    /// A handover or a takeover is under way.
    Wait,
}

async fn elect(core: &Core, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let election = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        _ => {
            let code = ResponseError::InvalidRequest.code();
            return ElectLeadersResponse::default().with_error_code(code);
        }
    };
    let deadline = deadline(request.timeout_ms);
    let of_all = request.topic_partitions.is_none();
    let mut asked = asked(&core.image(), request);
    decide(core, election, &mut asked, deadline).await;
    if of_all {
        // As Kafka: who asks for all is not told of those that are where they should be.
        let not_needed = |failure: &Failure| failure.code == ResponseError::ElectionNotNeeded;
        asked.retain(|one| !matches!(&one.result, Some(Err(failure)) if not_needed(failure)));
    }
    told(asked, election)
}

fn asked(image: &Arc<Image>, request: ElectLeadersRequest) -> Vec<Asked> {
    let one = |topic, partition, at| Asked { topic, partition, at, wanted: None, result: None };
    let Some(topics) = request.topic_partitions else {
        let of =
            |name: &str, at: TopicPartition| one(TopicName(text(name)), at.partition, Some(at));
        let topics = image.live_topics();
        let all = topics
            .flat_map(|topic| image.partitions_of(topic.id).map(|(at, _)| of(&topic.name, at)));
        return all.collect();
    };
    let mut all = Vec::new();
    for named in topics {
        let topic = image.live_topic_named(&named.topic).map(|topic| topic.id);
        for partition in named.partitions {
            let at = topic.map(|topic| TopicPartition { topic, partition });
            all.push(one(named.topic.clone(), partition, at));
        }
    }
    all
}

/// Goes on until all is decided, or to the deadline.
async fn decide(core: &Core, election: ElectionType, asked: &mut [Asked], deadline: Instant) {
    let mut images = core.metadata.subscribe();
    let mut is_first_look = true;
    loop {
        let image = images.borrow_and_update().clone();
        let mut targets = Vec::new();
        for one in asked.iter_mut().filter(|one| one.result.is_none()) {
            match look(&image, one, election, is_first_look) {
                Next::Over(result) => {
                    one.result = Some(result.map_err(failure));
                }
                Next::Target(to, epoch) => {
                    one.wanted = Some(to);
                    targets.extend(one.at.map(|at| (at, epoch, Some(to))));
                }
                Next::Wait => {}
            }
        }
        is_first_look = false;
        if let Err(error) = set_targets(core, &targets).await {
            let failure = Failure::from(error);
            for one in asked.iter_mut().filter(|one| one.result.is_none()) {
                one.result = Some(Err(failure.clone()));
            }
        }
        let is_decided = asked.iter().all(|one| one.result.is_some());
        if is_decided || !matches!(timeout_at(deadline, images.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn look(image: &Arc<Image>, one: &Asked, election: ElectionType, is_first_look: bool) -> Next {
    let partition = one.at.filter(|at| image.live_topic(at.topic).is_some());
    let Some(partition) = partition.and_then(|at| image.partition(at)) else {
        return Next::Over(Err(ResponseError::UnknownTopicOrPartition));
    };
    if !image.is_live(partition.owner) {
        return Next::Wait;
    }
    let owner = partition.owner.broker;
    let is_elected = match election {
        ElectionType::Unclean => true,
        ElectionType::Preferred => {
            one.wanted == Some(owner) || partition.replicas.first() == Some(&owner)
        }
    };
    if is_elected {
        let needed = if is_first_look { Err(ResponseError::ElectionNotNeeded) } else { Ok(()) };
        return Next::Over(needed);
    }
    let takes = |broker| image.broker(broker).is_some_and(Registration::takes_partitions);
    match candidate(partition, takes) {
        Some(to) if partition.target == Some(to) => Next::Wait,
        Some(to) => Next::Target(to, partition.leader_epoch),
        None => Next::Over(Err(ResponseError::PreferredLeaderNotAvailable)),
    }
}

/// The preferred owner. Where it cannot be had, a partition that is with one of its replicas stays, as
/// in Kafka, and any other goes to the first that can.
fn candidate(partition: &Partition, takes: impl Fn(BrokerId) -> bool) -> Option<BrokerId> {
    let is_at_home = partition.replicas.contains(&partition.owner.broker);
    let candidates = if is_at_home { 1 } else { partition.replicas.len() };
    partition.replicas.iter().copied().take(candidates).find(|broker| takes(*broker))
}

/// What is refused has changed meanwhile, and is looked at again.
async fn set_targets(
    core: &Core,
    targets: &[(TopicPartition, LeaderEpoch, Option<BrokerId>)],
) -> Result<(), ProposeError> {
    for items in targets.chunks(COMMAND_RANGES) {
        let command = Command::SetTargets(SetTargets { items: items.to_vec() });
        core.propose(command).await?;
    }
    Ok(())
}

/// Without words, where clients have their own for the code. The partition is named beside it in the answer.
fn failure(code: ResponseError) -> Failure {
    let message = match code {
        ResponseError::UnknownTopicOrPartition => "No such partition",
        _ => "",
    };
    Failure::new(code, message)
}

/// The code for who is not decided when the time is over.
fn late(election: ElectionType) -> ResponseError {
    match election {
        ElectionType::Preferred => ResponseError::RequestTimedOut,
        ElectionType::Unclean => ResponseError::EligibleLeadersNotAvailable,
    }
}

fn told(asked: Vec<Asked>, election: ElectionType) -> ElectLeadersResponse {
    let mut topics: BTreeMap<TopicName, Vec<PartitionResult>> = BTreeMap::new();
    for one in asked {
        let result =
            PartitionResult::default().with_partition_id(one.partition).with_error_message(None);
        let decided = one.result.unwrap_or_else(|| Err(Failure::new(late(election), "")));
        let result = match decided {
            Ok(()) => result,
            Err(Failure { code, message }) => {
                let message = Some(message).filter(|message| !message.is_empty());
                result.with_error_code(code.code()).with_error_message(message.map(text))
            }
        };
        topics.entry(one.topic).or_default().push(result);
    }
    let topics = topics.into_iter().map(|(topic, results)| {
        ReplicaElectionResult::default().with_topic(topic).with_partition_result(results)
    });
    ElectLeadersResponse::default().with_replica_election_results(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::testing::partition;

    #[test]
    fn the_preferred_replica_is_the_candidate() {
        let owned = partition(2, &[1, 2, 3]);
        assert_eq!(candidate(&owned, |_| true), Some(BrokerId(1)));
    }

    #[test]
    fn without_it_a_partition_stays_with_a_replica() {
        let owned = partition(2, &[1, 2, 3]);
        assert_eq!(candidate(&owned, |broker| broker.0 != 1), None);
    }

    #[test]
    fn a_partition_that_is_with_no_replica_goes_to_the_first_that_takes_it() {
        let stray = partition(4, &[1, 2, 3]);
        assert_eq!(candidate(&stray, |broker| broker.0 != 1), Some(BrokerId(2)));
        assert_eq!(candidate(&stray, |broker| broker.0 == 4), None);
    }

    #[test]
    fn results_stand_by_topic_and_what_is_late_is_told_so() {
        let one = |topic: &'static str, partition, result| {
            let topic = TopicName(text(topic));
            Asked { topic, partition, at: None, wanted: None, result }
        };
        let asked = || vec![one("b", 1, Some(Ok(()))), one("a", 0, None), one("b", 2, None)];
        let codes = |election| {
            let topics = told(asked(), election).replica_election_results;
            let of = |topic: &ReplicaElectionResult| {
                let results = topic.partition_result.iter();
                results.map(|one| (one.partition_id, one.error_code)).collect::<Vec<_>>()
            };
            topics.iter().map(|topic| (topic.topic.to_string(), of(topic))).collect::<Vec<_>>()
        };
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let preferred = [(a.clone(), vec![(0, 7)]), (b.clone(), vec![(1, 0), (2, 7)])];
        assert_eq!(codes(ElectionType::Preferred), preferred);
        let unclean = [(a, vec![(0, 83)]), (b, vec![(1, 0), (2, 83)])];
        assert_eq!(codes(ElectionType::Unclean), unclean);
    }
}
