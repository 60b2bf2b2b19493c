//! No acknowledged record is lost to the metadata: owners append, freeze, hand over and cancel as law
//! 3.3 tells them to, sealers read what is durable, and what was proposed is committed in any order,
//! late, twice or never.

use proptest::prelude::*;

use super::*;

type Key = (TopicPartition, LeaderEpoch);

#[derive(Default)]
struct Sim {
    world: World,
    /// The end of what was acknowledged under each leader epoch.
    acknowledged: BTreeMap<Key, i64>,
    /// Whether a handover or cancel has left its owner under this leader epoch.
    frozen: BTreeMap<Key, bool>,
    in_flight: Vec<Command>,
    closed: u32,
}

impl Sim {
    fn new() -> Self {
        let (mut world, ..) = World::busy();
        world.register(3);
        let acknowledged = [0, 1].map(|number| ((partition(1, number), LeaderEpoch(0)), 0));
        Self { world, acknowledged: acknowledged.into(), ..Self::default() }
    }

    fn key(&self, number: i32) -> Key {
        (partition(1, number), self.world.partition(number).leader_epoch)
    }

    fn is_frozen(&self, number: i32) -> bool {
        self.frozen.get(&self.key(number)).copied().unwrap_or(false)
    }

    fn owner_lives(&self, number: i32) -> bool {
        self.world.image.is_live(self.world.partition(number).owner)
    }

    fn live(&self, dice: u8) -> Incarnation {
        let live: Vec<_> = self.world.image.live_brokers().map(|one| one.incarnation).collect();
        live[usize::from(dice) % live.len()]
    }

    fn step(&mut self, (kind, a, b): (u8, u8, u8)) {
        let number = i32::from(a % 2);
        match kind % 12 {
            0..=2 if self.owner_lives(number) && !self.is_frozen(number) => {
                *self.acknowledged.get_mut(&self.key(number)).unwrap() += i64::from(b % 4);
            }
            3 | 4 if self.owner_lives(number) => self.flush(number, b),
            5 if self.owner_lives(number) && !self.is_frozen(number) => {
                self.hand_over(number, self.live(b));
            }
            6 if self.owner_lives(number) && self.is_frozen(number) => {
                self.hand_over(number, self.world.partition(number).owner);
            }
            7 if !self.owner_lives(number) => self.take_over(number, b),
            8 if b % 4 == 0 => {
                let owner = self.world.partition(number).owner;
                let _ = self.world.apply(Command::FenceBroker(owner));
                self.world.register(owner.broker.0);
            }
            9..=11 if !self.in_flight.is_empty() => {
                let at = usize::from(a) % self.in_flight.len();
                // Some are committed once more, later.
                let again = b % 4 == 0;
                let command =
                    if again { self.in_flight[at].clone() } else { self.in_flight.remove(at) };
                self.commit(command);
            }
            _ => {}
        }
    }

    fn flush(&mut self, number: i32, dice: u8) {
        let end = self.acknowledged[&self.key(number)];
        let name = format!("flush/{}", self.in_flight.len());
        let count = (end - self.world.partition(number).flushed_end).min(1 + i64::from(dice % 4));
        let flush = self.world.next_flush(&name, number, count);
        self.in_flight.push(Command::CommitFlush(flush));
    }

    fn hand_over(&mut self, number: i32, to: Incarnation) {
        let end = self.acknowledged[&self.key(number)];
        let mut hand = self.world.next_hand_over(to, number, end);
        hand.index_object = Some(format!("handed/{}", self.world.index));
        self.frozen.insert(self.key(number), true);
        self.in_flight.push(Command::HandOver(hand));
        self.world.pass();
    }

    fn take_over(&mut self, number: i32, dice: u8) {
        let end = self.acknowledged[&self.key(number)];
        let mut take = self.world.next_take_over(self.live(dice), number, end);
        take.index_object = Some(format!("taken/{}", self.world.index));
        self.in_flight.push(Command::TakeOver(take));
        self.world.pass();
    }

    fn commit(&mut self, command: Command) {
        let items = match &command {
            Command::HandOver(hand) => hand.items.clone(),
            Command::TakeOver(take) => take.items.clone(),
            _ => Vec::new(),
        };
        if let Ok(Outcome::HandedOver(results) | Outcome::TakenOver(results)) =
            self.world.apply(command)
            && let Ok(next) = results[0]
        {
            let (at, end) = (items[0].partition, items[0].end);
            let acknowledged = self.acknowledged[&(at, items[0].leader_epoch)];
            assert_eq!(end, acknowledged, "{at}: an acknowledged record is in no accepted range");
            let former = self.acknowledged.insert((at, next), end);
            assert_eq!(former, None, "{at}: the leader epoch began twice");
            self.closed += 1;
        }
    }

    fn check(&self) {
        for number in [0, 1] {
            let state = self.world.partition(number);
            let start = state.leader_epochs.last().unwrap().start_offset;
            let end = self.acknowledged[&self.key(number)];
            assert!(start <= state.flushed_end && state.flushed_end <= end, "{state:?} {end}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_was_acknowledged_is_in_the_log(
        dice in prop::collection::vec(any::<(u8, u8, u8)>(), 1..300),
    ) {
        let mut sim = Sim::new();
        for dice in dice {
            sim.step(dice);
            sim.check();
        }
    }
}

/// The random steps must reach what they are to test.
#[test]
fn leader_epochs_are_often_closed() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut closed = 0;
    for _ in 0..50 {
        let dice = prop::collection::vec(any::<(u8, u8, u8)>(), 300);
        let mut sim = Sim::new();
        dice.new_tree(&mut runner).unwrap().current().into_iter().for_each(|dice| sim.step(dice));
        closed += sim.closed;
    }
    assert!(closed > 500, "{closed} leader epochs were closed");
}
