//! Load whose history is kept: producers, readers and a group by librdkafka, and a look at all that is in the
//! partitions, for tests in which brokers die.

mod config;
mod ending;
mod judge;
mod overheard;
mod producer;
mod readers;
mod record;
mod watch;

pub use config::{client, consumer};
pub use ending::end_clients;
pub use judge::{caught_up, look, settle};
pub use producer::{Kind, Producers, guarantees};
pub use readers::Readers;
pub use record::{Record, Topic};
