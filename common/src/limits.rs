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
/// Bytes that one batch may decompress to where its records must be looked at.
pub const DECOMPRESSED_BATCH_BYTES: usize = 256 << 20;
/// Partitions that one fetch session may hold.
pub const FETCH_SESSION_PARTITIONS: usize = 100_000;
/// Requests of one connection that may wait for their answers at once.
pub const CONNECTION_IN_FLIGHT: usize = 128;
/// Bytes of half-read and unanswered requests of all connections together.
pub const REQUEST_BYTES: usize = 512 << 20;
/// Bytes of fetch answers of all connections together that are not yet written.
pub const ANSWER_BYTES: usize = 512 << 20;
/// Bytes that a connection at rest keeps ready for the next request's first bytes.
pub const FRAME_STAGING_BYTES: usize = 1 << 10;
/// Bytes reserved for a frame before more than its first bytes have come.
pub const FRAME_FIRST_STEP_BYTES: usize = 4 << 10;
/// A half-read frame's buffer grows to this many times what has come of it.
pub const FRAME_GROWTH_FACTOR: usize = 4;
/// Elements (array entries, and unknown tagged fields, which weigh more) of one request.
pub const REQUEST_ELEMENTS: usize = 1 << 19;
/// What an unknown tagged field weighs against [`REQUEST_ELEMENTS`]: a map of its own is some 400
/// bytes, other elements are some 100.
pub const UNKNOWN_TAG_ELEMENTS: usize = 4;
/// Base-2 logarithm of the largest zstd window taken, that of Kafka's own reader (128 MiB).
pub const ZSTD_WINDOW_LOG: u32 = 27;

/// Bytes of one Raft entry: the encoded commands that one append takes.
pub const METADATA_ENTRY_BYTES: usize = 4 << 20;
/// Commands of one Raft entry.
pub const METADATA_ENTRY_COMMANDS: usize = 256;
/// Proposals that wait for their turn; the next proposer waits for room.
pub const METADATA_QUEUED_PROPOSALS: usize = 1024;
/// Partitions that one metadata command may speak of; a round of more takes several commands.
pub const METADATA_ITEMS: usize = 10_000;
/// Bytes of a host, rack, listener name or setting's name in the metadata.
pub const METADATA_TEXT_BYTES: usize = 1024;
/// How long a proposal may take until its outcome counts as unknown, in ms.
pub const METADATA_PROPOSE_MS: u64 = 10_000;
/// Voters of the metadata quorum.
pub const VOTERS: usize = 9;
/// Brokers that a cluster has ever seen.
pub const BROKERS: usize = 1000;
/// Listeners of one broker.
pub const BROKER_LISTENERS: usize = 16;
/// Chains of one registration of a broker.
pub const BROKER_CHAINS: u32 = 64;
/// Partitions of the cluster.
pub const PARTITIONS: usize = 1_000_000;
/// Partitions that one command may give a topic, as Kafka's controller has it.
pub const TOPIC_PARTITIONS: usize = 10_000;
/// Replicas of one partition.
pub const REPLICAS: usize = 32;
/// Settings of one topic or broker.
pub const CONFIG_ENTRIES: usize = 512;
/// Bytes of the value of one setting.
pub const CONFIG_VALUE_BYTES: usize = 64 << 10;
/// Bytes of the name of an object in a command.
pub const OBJECT_NAME_BYTES: usize = 256;
/// Leader epochs with records that one partition remembers; Kafka's clients ask for recent ones.
pub const LEADER_EPOCHS_KEPT: usize = 1000;
/// Index objects that wait to be merged, at which flushes are refused until merging catches up.
pub const INDEX_OBJECTS_LIVE: usize = 10_000;
/// Producer ids of one block, as Kafka hands them to a broker.
pub const PRODUCER_ID_BLOCK: u32 = 1000;
