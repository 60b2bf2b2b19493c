//! The attacks, by what they abuse.

mod admin;
mod answers;
mod batches;
mod bombs;
mod crowds;
mod frames;
mod garbage;
mod groups;
mod readers;
mod requests;

use futures::future::LocalBoxFuture;

pub use crowds::beginning;

use crate::Attack;

/// Names an attack after its function.
macro_rules! attacks {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$(Attack {
            name: stringify!($name),
            run: |target| -> LocalBoxFuture<'_, _> { Box::pin($module::$name(target)) },
        }),*]
    };
}

/// All of them, in the order in which they are run.
pub fn all() -> Vec<Attack> {
    attacks![
        frames::tiny_frames,
        frames::impossible_sizes,
        frames::other_protocols,
        requests::unknown_apis_and_versions,
        requests::lying_counts,
        requests::lies_at_every_position,
        requests::oversized_names,
        requests::partitions_without_end,
        requests::fetch_of_100k_partitions,
        requests::large_fetch_sessions,
        garbage::random_bytes,
        garbage::flipped_bits,
        batches::malformed_batches,
        bombs::bombs_to_a_compacted_topic,
        bombs::bombs_with_bounded_time,
        bombs::bombs_under_timestamps,
        answers::one_topic_many_times,
        answers::one_config_many_times,
        answers::one_offset_many_times,
        answers::one_partition_many_times,
        answers::one_long_name_many_times,
        answers::unknown_topics_many_times,
        answers::many_topics_at_once,
        groups::huge_members,
        groups::huge_members_everywhere,
        groups::many_groups,
        readers::fetches_never_read,
        readers::fetches_of_nothing,
        readers::metadata_never_read,
        batches::padded_frames,
        batches::refused_producers,
        readers::pipelines_never_read,
        crowds::announced_50_mb,
        crowds::half_sent_megabytes,
        crowds::dribbling,
        crowds::opened_and_dropped,
        crowds::silent,
        crowds::more_than_descriptors,
        admin::slow_lorises,
        admin::huge_heads,
        crowds::stalled,
        batches::tiny_batches,
    ]
}
