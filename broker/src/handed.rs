//! Partitions that pass to another owner, as the commands name them: takeover and handover alike.

use std::collections::HashMap;

use odradek_common::ids::TopicPartition;
use odradek_common::limits::COMMAND_RANGES;
use odradek_metadata::HandedPartition;
use odradek_storage::flush::FlushedRound;

/// What one command names: partitions of which at most one index object holds what was not flushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) index_object: Option<String>,
    pub(crate) items: Vec<HandedPartition>,
}

/// `items` in commands of a bounded size. Those of which nothing was written go with any index object.
pub(crate) fn named(items: Vec<HandedPartition>, rounds: &[FlushedRound]) -> Vec<Named> {
    let objects = rounds.iter().zip(0..);
    let object_of: HashMap<TopicPartition, usize> = objects
        .flat_map(|(round, number)| round.parts.iter().map(move |part| (part.partition, number)))
        .collect();
    let mut by_object = vec![Vec::new(); rounds.len().max(1)];
    for item in items {
        by_object[object_of.get(&item.partition).copied().unwrap_or(0)].push(item);
    }
    let mut all = Vec::new();
    for (number, items) in by_object.into_iter().enumerate() {
        let index_object = rounds.get(number).map(|round| round.index_object.to_string());
        let commands = items
            .chunks(COMMAND_RANGES)
            .map(|items| Named { index_object: index_object.clone(), items: items.to_vec() });
        all.extend(commands);
    }
    all
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::{LeaderEpoch, TopicId};
    use odradek_storage::flush::FlushedPart;
    use odradek_storage::names::{ObjectKind, ObjectName};
    use uuid::Uuid;

    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicId::NIL, partition }
    }

    fn item(partition: i32) -> HandedPartition {
        let leader_epoch = LeaderEpoch(0);
        HandedPartition { partition: at(partition), leader_epoch, flushed_end: 0, end: 0 }
    }

    fn round(number: u128, partitions: &[i32]) -> FlushedRound {
        let unique = Uuid::from_u128(number);
        let part = |partition: &i32| FlushedPart {
            partition: at(*partition),
            leader_epoch: LeaderEpoch(0),
            base_offset: 0,
            next_offset: 1,
        };
        FlushedRound {
            index_object: ObjectName { kind: ObjectKind::Index, mark: 1, unique },
            mark: 1,
            parts: partitions.iter().map(part).collect(),
        }
    }

    #[test]
    fn each_partition_goes_with_the_object_that_holds_it() {
        let rounds = [round(1, &[0, 1]), round(2, &[3])];
        let found: Vec<(Option<String>, Vec<i32>)> = named((0..5).map(item).collect(), &rounds)
            .into_iter()
            .map(|n| (n.index_object, n.items.iter().map(|i| i.partition.partition).collect()))
            .collect();
        let name = |number: usize| Some(rounds[number].index_object.to_string());
        assert_eq!(found, [(name(0), vec![0, 1, 2, 4]), (name(1), vec![3])]);
    }

    #[test]
    fn commands_are_bounded_and_need_no_object() {
        let count = i32::try_from(COMMAND_RANGES).unwrap();
        let found = named((0..=count).map(item).collect(), &[]);
        assert_eq!(found.iter().map(|n| n.items.len()).collect::<Vec<_>>(), [COMMAND_RANGES, 1]);
        assert!(found.iter().all(|named| named.index_object.is_none()));
        assert!(named(Vec::new(), &[]).is_empty());
    }
}
