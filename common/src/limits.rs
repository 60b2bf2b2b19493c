//! Every limit of Odradek in one place: what has none grows until the process dies. Units stand
//! last in the names. Settings may lower or raise some within the bounds given here.

/// Bytes at which the open slot of a chain is cut.
pub const SLOT_BYTES: usize = 8 << 20;
/// Slots of one chain that may be in flight at once; fixed at registration, sealers count on it.
pub const SLOT_WINDOW: u32 = 16;
/// Bytes appended to a chain and not yet landed, at which producers wait.
pub const CHAIN_UNLANDED_BYTES: usize = 128 << 20;
/// Partitions of one partition group.
pub const GROUP_PARTITIONS: u32 = 256;
/// Batches of one producer that are remembered, as Kafka does (five requests in flight).
pub const PRODUCER_WINDOW_BATCHES: usize = 5;
/// Bytes at which a partition gets a segment of its own in a flush.
pub const OWN_SEGMENT_BYTES: u64 = 32 << 20;
/// Bytes of batches between two entries of a segment's sparse index.
pub const SPARSE_INDEX_BYTES: u64 = 64 << 10;
/// Bytes of one block of the block cache, and of an aligned ranged read.
pub const CACHE_BLOCK_BYTES: u64 = 1 << 20;
