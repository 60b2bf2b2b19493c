//! The segment: an immutable object with ranges of one or many partitions of a group.
//!
//! ```text
//! per range   sparse index, if it has more than one entry · batches, one behind the other
//! at the end  footer (see crate::envelope): mark, name, what lies where
//! ```
//!
//! A range's sparse index stands in front of its batches, so that who reads the range from its
//! start has it in the same request. Readers find ranges by index objects and manifests; the
//! footer is for tools that have the segment alone.

mod batches;
mod build;
mod footer;
mod plan;
mod sparse;
mod write;

pub use batches::{BadBatches, Walk};
pub use build::{SegmentBuilder, WrittenSegment};
pub use footer::{FooterRange, SEGMENT_KIND, SegmentFooter};
pub use plan::{Input, Source};
pub use sparse::{ENTRY_BYTES, Stretch, Stretches};
pub(crate) use sparse::{crc_of, new_digest};
pub use write::{WriteError, Written, write};

#[cfg(test)]
mod tests;
