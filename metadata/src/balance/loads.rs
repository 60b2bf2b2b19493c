//! What partitions carry, as their owners tell it, smoothed: one measurement is short, and that of a partition that
//! has just moved is half of one.

use std::collections::{HashMap, HashSet};

use odradek_common::ids::TopicPartition;

use super::Load;
use crate::ids::Incarnation;
use crate::image::Image;

/// By partition, whoever owns it.
#[derive(Debug, Default)]
pub(crate) struct Loads(HashMap<TopicPartition, Load>);

impl Loads {
    /// Takes in what an owner measured: the heaviest of its partitions at least.
    pub(crate) fn measured(
        &mut self,
        image: &Image,
        of: Incarnation,
        loads: &[(TopicPartition, Load)],
    ) {
        for (at, load) in loads {
            self.note(*at, *load);
        }
        let told: HashSet<_> = loads.iter().map(|(at, _)| *at).collect();
        for (at, _) in image.owned_by(of).filter(|(at, _)| !told.contains(at)) {
            self.note(at, Load::default());
        }
    }

    /// A load is believed at once where there was none, and then by a quarter each time.
    fn note(&mut self, at: TopicPartition, measured: Load) {
        let known = self.0.entry(at).or_default();
        if *known == Load::default() {
            *known = measured;
            return;
        }
        let smooth = |old: u64, new: u64| old - old / 4 + new / 4;
        known.bytes_per_s = smooth(known.bytes_per_s, measured.bytes_per_s);
        known.requests_per_s = smooth(known.requests_per_s, measured.requests_per_s);
    }

    /// What a partition carries, as far as it is known.
    pub(crate) fn of(&self, at: TopicPartition) -> Load {
        self.0.get(&at).copied().unwrap_or_default()
    }

    /// Forgets partitions that are gone.
    pub(crate) fn retain(&mut self, image: &Image) {
        self.0.retain(|at, _| image.partition(*at).is_some());
    }
}

#[cfg(test)]
mod tests {
    use odradek_common::ids::BrokerId;

    use super::*;
    use crate::command::Command;
    use crate::machine::tests::{World, broker_of, create_topic, partition};

    fn load(bytes_per_s: u64) -> Load {
        Load { bytes_per_s, requests_per_s: bytes_per_s / 10 }
    }

    #[test]
    fn a_load_stays_known_while_its_partition_moves_and_fades_when_it_ends() {
        let mut world = World::formed();
        world.ok(Command::RegisterBroker(broker_of(0)));
        world.ok(create_topic("t", 1, &[&[0], &[0]]));
        let owner = world.image.broker(BrokerId(0)).unwrap().incarnation;
        let (one, other) = (partition(1, 0), partition(1, 1));
        let mut loads = Loads::default();
        loads.measured(&world.image, owner, &[(one, load(800)), (other, load(400))]);
        assert_eq!((loads.of(one), loads.of(other)), (load(800), load(400)));
        // Another owner tells of other partitions.
        let stranger = Incarnation { broker: BrokerId(7), ..owner };
        loads.measured(&world.image, stranger, &[(other, load(400))]);
        assert_eq!(loads.of(one), load(800));
        loads.measured(&world.image, owner, &[(other, load(400))]);
        assert_eq!(loads.of(one), load(600));
        loads.measured(&world.image, owner, &[(one, load(1000)), (other, load(400))]);
        assert_eq!(loads.of(one).bytes_per_s, 700);
        loads.retain(&Image::default());
        assert_eq!(loads.of(one), Load::default());
    }
}
