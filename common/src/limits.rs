//! Every limit of Odradek in one place: what has none grows until the process dies. Units stand
//! last in the names. Settings may lower or raise some within the bounds given here.

use std::time::Duration;

/// Bytes at which the open slot of a chain is cut.
pub const SLOT_BYTES: usize = 8 << 20;
/// The most that [`SLOT_BYTES`] may be raised to: with the smallest batches that there are, a slot's
/// footer stays below [`SLOT_FOOTER_BYTES`].
pub const SLOT_BYTES_MAX: usize = 16 << 20;
/// Slots of one chain that may be in flight at once; fixed at registration, sealers count on it.
pub const SLOT_WINDOW: u32 = 16;
/// Bytes appended to a chain and not yet landed, at which producers wait.
pub const CHAIN_UNLANDED_BYTES: usize = 128 << 20;
/// Partitions of one partition group.
pub const GROUP_PARTITIONS: u32 = 256;
/// Batches of one producer that are remembered, as Kafka does (five requests in flight).
pub const PRODUCER_WINDOW_BATCHES: usize = 5;
/// Batches of idempotent producers that one partition remembers: at most some 60 bytes each in a checkpoint, so
/// that the manifest of a whole group stays below [`LIST_OBJECT_BYTES`].
pub const PRODUCER_BATCHES_KEPT: usize = 16_384;
/// Bytes of memory that a remembered batch of a producer takes, by and large: with what holds the producer where it
/// has one alone, with the room that its window grows by where it has five.
pub const PRODUCER_BATCH_BYTES: usize = 160;
/// How often what all partitions remember of producers is held against its limit.
pub const PRODUCERS_LOOK: Duration = Duration::from_secs(1);
/// Milliseconds after which a producer counts as idle where a partition has too many: longer than clients
/// try again.
pub const PRODUCER_IDLE_MS: i64 = 600_000;
/// Bytes at which a partition gets a segment of its own in a flush.
pub const OWN_SEGMENT_BYTES: u64 = 32 << 20;
/// Bytes of batches between two entries of a segment's sparse index.
pub const SPARSE_INDEX_BYTES: u64 = 64 << 10;
/// Bytes of one block of the block cache, and of an aligned ranged read.
pub const CACHE_BLOCK_BYTES: u64 = 1 << 20;
/// Bytes that one batch may decompress to where its records must be looked at.
pub const DECOMPRESSED_BATCH_BYTES: usize = 256 << 20;
/// Bytes that a batch may decompress to on the thread that serves its connection; what becomes more is
/// looked through aside ...
pub const DECOMPRESSED_AT_ONCE_BYTES: usize = 2 << 20;
/// ... so many batches at once.
pub const BATCHES_LOOKED_INTO: usize = 2;
/// Partitions that one fetch session may hold.
pub const FETCH_SESSION_PARTITIONS: usize = 100_000;
/// Partitions that all fetch sessions may hold together; a fetch beyond has no session.
pub const FETCH_SESSIONS_PARTITIONS: usize = 1_000_000;
/// Requests of one connection that may wait for their answers at once.
pub const CONNECTION_IN_FLIGHT: usize = 128;
/// Bytes of answers of all connections together that are not yet written.
pub const ANSWER_BYTES: usize = 512 << 20;
/// Bytes of answers of one connection that wait behind the one that is being written; at more, no
/// further request of it is taken up. One answer may be longer.
pub const CONNECTION_ANSWER_BYTES: usize = 1 << 20;
/// Bytes that a connection at rest keeps ready for the next request's first bytes.
pub const FRAME_STAGING_BYTES: usize = 1 << 10;
/// Bytes reserved for a frame before more than its first bytes have come.
pub const FRAME_FIRST_STEP_BYTES: usize = 4 << 10;
/// A half-read frame's buffer grows to this many times what has come of it.
pub const FRAME_GROWTH_FACTOR: usize = 4;
/// Elements (array entries, and unknown tagged fields, which weigh more) of one request.
pub const REQUEST_ELEMENTS: usize = 1 << 19;
/// Bytes up to which a request may take the last eighth of the budget of all requests.
pub const REQUEST_SMALL_BYTES: usize = 64 << 10;
/// Elements of a request that is decoded and answered at once; those of more take turns.
pub const REQUEST_ELEMENTS_AT_ONCE: usize = 4_096;
/// How long a connection's requests are taken up one behind the other before others have theirs.
pub const CONNECTION_TURN: Duration = Duration::from_millis(1);
/// For so long after a partition was taken up, a batch may be missing before another one because its client is still
/// to hear that the leader before refused it.
pub const SEQUENCES_SETTLE: Duration = Duration::from_secs(10);
/// Bytes that all connections together may remember of refused batches of idempotent producers; a
/// connection for which there is no room is closed ...
pub const REFUSED_BATCHES_BYTES: usize = 32 << 20;
/// ... as is one that would have to remember more of them ...
pub const REFUSED_BATCHES: usize = 4_096;
/// ... and those that one takes beside its topic's name, by and large.
pub const REFUSED_BATCH_BYTES: usize = 192;
/// Bytes of memory that an element of a decoded request takes, by and large.
pub const REQUEST_ELEMENT_BYTES: usize = 128;
/// What an unknown tagged field weighs against [`REQUEST_ELEMENTS`]: a map of its own is some 400
/// bytes, other elements are some 100.
pub const UNKNOWN_TAG_ELEMENTS: usize = 4;
/// Base-2 logarithm of the largest zstd window taken, that of Kafka's own reader (128 MiB).
pub const ZSTD_WINDOW_LOG: u32 = 27;

/// Bytes of one Raft entry: the encoded commands that one append takes.
pub const METADATA_ENTRY_BYTES: usize = 4 << 20;
/// Bytes of the Raft log at which a snapshot is taken, whatever the number of entries.
pub const METADATA_LOG_BYTES: usize = 64 << 20;
/// Commands of one Raft entry.
pub const METADATA_ENTRY_COMMANDS: usize = 256;
/// Proposals that wait for their turn; the next proposer waits for room.
pub const METADATA_QUEUED_PROPOSALS: usize = 1024;
/// Bytes of the proposals that wait for their turn or their outcome.
pub const METADATA_QUEUED_BYTES: usize = 64 << 20;
/// Partitions that one metadata command may speak of; a round of more takes several commands.
pub const METADATA_ITEMS: usize = 10_000;
/// Elements of one metadata command: items, and the messages in them.
pub const METADATA_COMMAND_ELEMENTS: usize = 8 * METADATA_ITEMS;
/// Bytes of a host, rack, listener name or setting's name in the metadata.
pub const METADATA_TEXT_BYTES: usize = 1024;
/// How long a proposal may take until its outcome counts as unknown, in ms.
pub const METADATA_PROPOSE_MS: u64 = 10_000;
/// How long a node waits for the leader's answer to proposals before it goes on to the next, in ms.
pub const METADATA_FORWARD_MS: u64 = 3_000;
/// How long a read waits to be confirmed by the quorum, in ms: longer than an election takes.
pub const METADATA_CONFIRM_MS: u64 = 2_500;
/// How long a client's read waits for the quorum alone before a slot may confirm it too, in ms: an answer
/// takes a few, and librdkafka gives the whole request 3 s where a user asks for short time-outs.
pub const CONFIRM_BY_QUORUM_MS: u64 = 300;
/// How long it waits for a slot where the quorum did not answer, in ms.
pub const CONFIRM_BY_SLOT_MS: u64 = 5_000;
/// How long what is committed may wait to be copied into the store together with what follows it, if nobody
/// waits for the copy, in ms.
pub const METADATA_COPY_INTERVAL_MS: u64 = 5_000;
/// Copies of the log behind a copied snapshot, after which the next snapshot is copied.
pub const METADATA_COPY_TAILS: usize = 500;
/// Bytes of them after which it is, unless the snapshot has more.
pub const METADATA_COPY_TAIL_BYTES: usize = 4 << 20;
/// How long a copy of the metadata in the store is waited for, in ms.
pub const METADATA_COPY_MS: u64 = 10_000;
/// Reads that wait to be confirmed by the quorum, of one node.
pub const METADATA_QUEUED_CONFIRMATIONS: usize = 16_384;
/// Partitions of whose load one heartbeat tells.
pub const HEARTBEAT_LOADS: usize = 1_000;
/// Bytes of the members of the quorum, as they stand in an entry.
pub const METADATA_MEMBERSHIP_BYTES: usize = 64 << 10;
/// Bytes of entries that one append to a follower carries, or one answer of the feed; one entry may be
/// longer.
pub const METADATA_APPEND_BYTES: usize = 1 << 20;
/// Entries that one append to a follower carries, or one answer of the feed.
pub const METADATA_APPEND_ENTRIES: usize = 300;
/// Bytes of one piece of a snapshot on its way to a follower.
pub const METADATA_SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;
/// How long a piece of a snapshot may take to arrive, and the last one to be taken up, in ms.
pub const METADATA_SNAPSHOT_CHUNK_MS: u64 = 10_000;
/// Bytes of a snapshot of the metadata.
pub const METADATA_SNAPSHOT_BYTES: u64 = 4 << 30;
/// Entries that are kept in the log before a snapshot, for followers that are not far behind.
pub const METADATA_KEPT_ENTRIES: u64 = 1_000;
/// How often the leader of the quorum says that it is there, in ms.
pub const QUORUM_HEARTBEAT_MS: u64 = 150;
/// The shortest and the longest time without a leader after which a voter stands for election, in ms;
/// the longest is also how long after the last word of a leader nobody votes for another.
pub const QUORUM_ELECTION_MS: (u64, u64) = (250, 500);
/// The largest term and index of Raft that is believed: numbers are counted on from what is told.
pub const QUORUM_NUMBER_MAX: u64 = 1 << 62;
/// How far a term that is told may lie above the own one: no node has been away for so many elections,
/// and after a lie the terms go on below [`QUORUM_NUMBER_MAX`].
pub const QUORUM_TERM_STEP: u64 = 1 << 32;
/// Answers of the feed, of [`METADATA_APPEND_BYTES`] or one piece of a snapshot, that may be on their way
/// at once; a follower more waits.
pub const FEED_ANSWERS: usize = 64;
/// How long a voter leaves a request of the feed unanswered if it has nothing new, in ms.
pub const FEED_WAIT_MS: u64 = 1_000;
/// Bytes of a frame between brokers: one entry and what stands around it.
pub const PEER_FRAME_BYTES: usize = METADATA_ENTRY_BYTES + METADATA_APPEND_BYTES;
/// Bytes of the first frame of a connection between brokers.
pub const PEER_HELLO_BYTES: usize = 1 << 10;
/// Bytes of the secret that the nodes of a cluster share.
pub const PEER_SECRET_BYTES: usize = 256;
/// Connections of other brokers.
pub const PEER_CONNECTIONS: usize = 2 * BROKERS;
/// Connections to the quorum's listener whose hello has not come; the oldest goes for one more.
pub const PEER_STRANGERS: usize = 64;
/// Requests of one connection between brokers that wait for their answers.
pub const PEER_IN_FLIGHT: usize = 64;
/// Bytes of requests of all other brokers that are being read or answered.
pub const PEER_REQUEST_BYTES: usize = 128 << 20;
/// Bytes reserved for a frame between brokers before more than its first bytes have come.
pub const PEER_FRAME_FIRST_STEP_BYTES: usize = 16 << 10;
/// How long connecting to another broker may take, with the exchange of who is who, in ms.
pub const PEER_CONNECT_MS: u64 = 2_000;
/// A side of a connection between brokers that has nothing to say says so this often, in ms ...
pub const PEER_KEEPALIVE_MS: u64 = 500;
/// ... and takes the other for gone after so long without a word, in ms.
pub const PEER_SILENCE_MS: u64 = 2_500;
/// How long a frame between brokers may take from its first byte to its last, in ms.
pub const PEER_FRAME_MS: u64 = 10_000;
/// Milliseconds waited before another broker is connected to again, doubled after each failure ...
pub const PEER_BACKOFF_FIRST_MS: u64 = 25;
/// ... up to this.
pub const PEER_BACKOFF_MAX_MS: u64 = 400;
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
pub const CONFIG_VALUE_BYTES: usize = 32_767;
/// Bytes of the name of an object in a command.
pub const OBJECT_NAME_BYTES: usize = 256;
/// Leader epochs with records that one partition remembers; Kafka's clients ask for recent ones.
pub const LEADER_EPOCHS_KEPT: usize = 1000;
/// Index objects that wait to be merged, at which flushes are refused until merging catches up.
pub const INDEX_OBJECTS_LIVE: usize = 10_000;
/// Partitions that are on their way to another broker at once, to even out load.
pub const BALANCE_MOVES: usize = 50;
/// Partitions of a broker that are looked at for one move, where racks forbid the first.
pub const BALANCE_CANDIDATES: usize = 100;
/// Producer ids of one block, as Kafka hands them to a broker.
pub const PRODUCER_ID_BLOCK: u32 = 1000;
/// Calls that may wait in the mailbox of one coordinator shard.
pub const COORDINATOR_MAILBOX_CALLS: usize = 1024;
/// Calls of a mailbox that are handled together, their records in one batch.
pub const COORDINATOR_DRAIN_CALLS: usize = 64;
/// Answers of one coordinator shard that may wait for durability; at more it takes no calls.
pub const COORDINATOR_WAITING_ANSWERS: usize = 16_384;
/// Bytes of the answers of one coordinator shard that may wait; at more it takes no calls.
pub const COORDINATOR_WAITING_BYTES: usize = 16 << 20;
/// Bytes of records at which a coordinator cuts a batch.
pub const COORDINATOR_BATCH_BYTES: usize = 512 << 10;
/// A coordinator's log is written anew when it exceeds its live records this many times ...
pub const COORDINATOR_REWRITE_FACTOR: u64 = 4;
/// ... and this many bytes.
pub const COORDINATOR_REWRITE_FLOOR_BYTES: u64 = 1 << 20;
/// Bytes of memory of the live records of one coordinator shard, at which it takes no new groups or offsets.
pub const COORDINATOR_LIVE_BYTES: u64 = 256 << 20;
/// The same of all shards of a broker together: some millions of offsets where groups have many each.
pub const COORDINATORS_LIVE_BYTES: u64 = 512 << 20;
/// Milliseconds until a coordinator shard that failed is loaded anew.
pub const COORDINATOR_RELOAD_MS: u64 = 500;
/// Members of one group that have an id and have not yet joined with it.
pub const GROUP_PENDING_MEMBERS: usize = 10_000;
/// Bytes of the record of one group: protocol data and assignments of all its members.
pub const GROUP_RECORD_BYTES: usize = 4 << 20;
/// Bytes of a file of settings.
pub const SETTINGS_FILE_BYTES: u64 = 1 << 20;
/// Bytes that a round of flushing takes, if `flush.bytes` is not more: what has gathered beyond
/// that is left to the next round, which follows at once.
pub const FLUSH_ROUND_BYTES: u64 = 256 << 20;
/// Bytes at which a segment of a flush is full; one batch alone may be longer.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Segments that one attempt puts together and creates at once: with [`SEGMENT_BYTES`] the memory
/// that a flush from slots takes.
pub const SEGMENTS_AT_ONCE: usize = 2;
/// Bytes that are read together at most for one reader: a stretch of a segment (some
/// [`SPARSE_INDEX_BYTES`], but at least one batch) or one partition's block in a slot.
pub const STRETCH_BYTES: u64 = 512 << 20;
/// Reads of slots at once for one attempt.
pub const SLOT_READS: usize = 8;
/// Bytes at which neighbouring ranges of a slot are no longer added to the same read.
pub const SLOT_SPAN_BYTES: u64 = 16 << 20;
/// Bytes that are read for nothing at most to save a request.
pub const READ_GAP_BYTES: u64 = 64 << 10;
/// Bytes at which an index object is full, if it has more than one partition.
pub const INDEX_OBJECT_BYTES: usize = 16 << 20;
/// Bytes of one index object or manifest: some ten million ranges.
pub const LIST_OBJECT_BYTES: u64 = 256 << 20;
/// Bytes of the block cache in one shard of it, of which there are at most 16.
pub const CACHE_SHARD_BYTES: usize = 32 << 20;
/// Bytes that an entry of the block cache takes beside its block, roughly.
pub const CACHE_ENTRY_BYTES: usize = 256;
/// Bytes of one ranged read of a segment.
pub const READ_REQUEST_BYTES: u64 = 4 << 20;
/// Reads of segments and slots at once in the lane of catch-up reads.
pub const READ_REQUESTS: usize = 16;
/// Bytes that one read returns at most, beside a first batch that is larger.
pub const READ_BYTES: usize = 8 << 20;
/// Bytes that all reads together may have in hand in the lane of catch-up reads.
pub const READ_LANE_BYTES: usize = 128 << 20;
/// Bytes that are read ahead of one sequential reader at most.
pub const READ_AHEAD_BYTES: u64 = 4 << 20;
/// Sequential readers that are remembered.
pub const READ_AHEAD_READERS: usize = 4096;
/// Ranges behind the first that one read asks for at once.
pub const READ_AHEAD_RANGES: usize = 8;
/// Ranges or partitions that one metadata command names at most, so that none grows with the
/// cluster.
pub const COMMAND_RANGES: usize = 1_000;
/// Partitions that are frozen together while they are handed over.
pub const HANDOVER_PARTITIONS: usize = 256;
/// Live index objects of a partition group at which they are merged.
pub const MERGE_INDEX_OBJECTS: usize = 8;
/// How long a partition with slots that cannot be read is left out of merges before it is tried again.
pub const MERGE_LEFT_OUT: Duration = Duration::from_secs(600);
/// Bytes of a slot's footer, and of the list of its predecessor's partitions.
pub const SLOT_FOOTER_BYTES: u64 = 64 << 20;
/// Bytes of memory of the index of what is durable and not yet in segments, at which producers wait.
pub const BACKLOG_INDEX_BYTES: u64 = 256 << 20;
/// The longest that a producer is slowed while what it fills is below its limit.
pub const ROOM_DELAY_MAX: Duration = Duration::from_millis(100);
/// Slots of a chain on the disk: one is written while the next waits, complete.
pub const DISK_WINDOW: u32 = 2;
/// Trimmed slots that are deleted together.
pub const TRIM_BATCH_SLOTS: u64 = 256;
/// How long a chain waits before it tries again to delete trimmed slots.
pub const TRIM_RETRY: Duration = Duration::from_secs(5);
/// Footers that recovery reads at once, and slots that are deleted at once.
pub const SLOTS_AT_ONCE: usize = 16;
/// How often something damaged is read again before it counts as damaged where it lies.
pub const DAMAGED_READS: u32 = 3;
/// The share of a log's puts that may be hedged ...
pub const HEDGE_SHARE: f64 = 0.05;
/// ... and how many hedges may have been saved up.
pub const HEDGES_SAVED_MAX: f64 = 4.0;
/// Measured puts of one class of sizes that are remembered.
pub const PUT_SAMPLES: usize = 64;
/// Bytes of a file of the disk's write-ahead log; one that a larger slot needs is larger.
pub const WAL_FILE_BYTES: u64 = 64 << 20;
/// Files of the disk's write-ahead log that are kept for use again.
pub const WAL_SPARE_FILES: usize = 4;
/// How often a full disk is tried again.
pub const DISK_FULL_RETRY: Duration = Duration::from_secs(1);
/// Calls that a store in a directory has on blocking threads at once.
pub const FILE_STORE_THREADS: usize = 32;
/// Deletes of one stream that a store in a directory does at once.
pub const FILE_STORE_DELETES: usize = 10;
/// Directories that a store in a directory remembers to be durable.
pub const FILE_STORE_DIRS_KNOWN: usize = 10_000;
/// Bytes that a store in a directory reads at a time.
pub const FILE_READ_BYTES: u64 = 4 << 20;
/// Index objects and manifests that are read at once.
pub const LISTS_AT_ONCE: usize = 8;
/// Objects that one request to delete names.
pub const DELETE_CHUNK_OBJECTS: usize = 1000;
/// Slots at once of which the collector reads whether they are seals.
pub const SEAL_CHECKS_AT_ONCE: usize = 8;
/// Seals that the collector remembers, so as not to read them again in every round.
pub const KNOWN_SEALS: usize = 100_000;
/// Unneeded objects of which the collector remembers since when they are.
pub const UNNEEDED_REMEMBERED: usize = 100_000;
/// Milliseconds that one attempt at putting an object in the background may take, without its bytes.
pub const STORE_PUT_ATTEMPT_MS: u64 = 10_000;
/// Milliseconds until putting an object in the background is given up, without its bytes.
pub const STORE_PUT_TOTAL_MS: u64 = 120_000;
/// Milliseconds that one attempt at reading from an object may take, without its bytes.
pub const STORE_GET_ATTEMPT_MS: u64 = 5_000;
/// Milliseconds until reading from an object is given up, without its bytes.
pub const STORE_GET_TOTAL_MS: u64 = 20_000;
/// Milliseconds that one page of a listing may take.
pub const STORE_LIST_ATTEMPT_MS: u64 = 20_000;
/// Milliseconds without progress until a listing is given up.
pub const STORE_LIST_TOTAL_MS: u64 = 120_000;
/// Milliseconds that one attempt at deleting a batch of objects may take.
pub const STORE_DELETE_ATTEMPT_MS: u64 = 20_000;
/// Milliseconds until deleting a batch of objects is given up.
pub const STORE_DELETE_TOTAL_MS: u64 = 120_000;
/// Milliseconds that each MiB of an object is granted on top, by attempt and in all.
pub const STORE_MIB_MS: u64 = 1_000;
/// Milliseconds waited before the second attempt; doubled before each further one ...
pub const STORE_RETRY_WAIT_FIRST_MS: u64 = 50;
/// ... up to this.
pub const STORE_RETRY_WAIT_MAX_MS: u64 = 3_000;
/// Objects that are deleted by one request.
pub const STORE_DELETE_BATCH: usize = 1_000;
/// Bytes up to which what is read from an object is gathered and checked before it is passed on.
pub const STORE_GET_GATHERED_BYTES: u64 = 64 << 20;
/// Milliseconds after which who gives up waiting for a store has waited long enough to say that it
/// did not answer.
pub const STORE_SILENT_MS: u64 = 4_000;
/// Milliseconds without an answer of a store that is asked after which people are told.
pub const STORE_AWAY_MS: u64 = 5_000;
/// Seconds after which a request to a store ends whoever waits for it.
pub const STORE_REQUEST_SECONDS: u64 = 300;
/// Seconds that connecting to a store may take.
pub const STORE_CONNECT_SECONDS: u64 = 5;
/// Bytes of a text in the records of groups and offsets.
pub const GROUP_TEXT_BYTES: usize = 0x7fff;
/// Groups that one request may name.
pub const GROUPS_OF_A_REQUEST: usize = 50_000;
/// Bytes of decoded index objects and manifests kept in memory.
pub const CATALOG_CACHE_BYTES: u64 = 64 << 20;
/// The longest wait of a fetch, whatever it asks for, in ms.
pub const FETCH_WAIT_MAX_MS: u64 = 60_000;
/// File descriptors that connections leave to files and the store; a quarter of all where there are
/// few.
pub const FILES_RESERVED: usize = 1024;
/// Connections to the admin server at once; for one more, the oldest is closed.
pub const ADMIN_CONNECTIONS: usize = 64;
/// Bytes of the head of a request to the admin server; bodies are not read.
pub const ADMIN_REQUEST_HEAD_BYTES: usize = 16 << 10;
/// Milliseconds that the admin server waits for the head of a request, or for the next request.
pub const ADMIN_REQUEST_HEAD_MS: u64 = 30_000;
/// Milliseconds that one connection to the admin server lives.
pub const ADMIN_CONNECTION_MS: u64 = 300_000;
/// Bytes of the formation marker.
pub const FORMATION_BYTES: u64 = 64 << 10;
/// Milliseconds within which a store has to answer at all when it is opened: a start that waits
/// longer looks hung, and whatever started the process starts it again.
pub const CHECK_REACHABLE_MS: u64 = 30_000;
/// Milliseconds that one put of a race of `check-store` may take.
pub const CHECK_RACE_PUT_MS: u64 = 15_000;
/// Bytes of a chunk of a segment below which it is copied to its neighbours.
pub const COPIED_CHUNK_BYTES: usize = 4 << 10;
/// Milliseconds that one call of a command line's client may take, connecting included.
pub const CLIENT_CALL_MS: u64 = 10_000;
/// Milliseconds that a command line's client gives a broker within such a call.
pub const CLIENT_BROKER_WAIT_MS: i32 = 8_000;
/// Bytes of an answer to a command line's client, without records.
pub const CLIENT_ANSWER_BYTES: usize = 64 << 20;
/// Elements (as [`REQUEST_ELEMENTS`]) of such an answer.
pub const CLIENT_ANSWER_ELEMENTS: usize = 1 << 21;
/// Bytes of records that such a client fetches at once ...
pub const CLIENT_FETCH_BYTES: i32 = 16 << 20;
/// ... and of one partition.
pub const CLIENT_FETCH_PARTITION_BYTES: i32 = 1 << 20;
/// Milliseconds that a fetch of such a client waits for records.
pub const CLIENT_FETCH_WAIT_MS: i32 = 500;
/// Headers of one record that is taken apart; walking records knows no such limit.
pub const RECORD_HEADERS: i32 = 1 << 20;
/// Bytes that the records of one batch may decompress to.
pub const CLIENT_BATCH_BYTES: usize = 256 << 20;
/// Milliseconds for which errors that pass are tried again.
pub const CLIENT_RETRY_MS: u64 = 30_000;
/// Milliseconds for which a topic that is being created is waited for.
pub const CLIENT_TOPIC_WAIT_MS: u64 = 10_000;
/// Milliseconds waited before the first further attempt, doubled before each that follows ...
pub const CLIENT_BACKOFF_FIRST_MS: u64 = 100;
/// ... up to this.
pub const CLIENT_BACKOFF_MAX_MS: u64 = 1_000;
/// Milliseconds that a command line's client gives partitions to move.
pub const CLIENT_MOVE_WAIT_MS: u64 = 60_000;
/// Milliseconds that a command line's client gives a node to catch up and become a voter.
pub const CLIENT_VOTER_WAIT_MS: u64 = 90_000;
/// Bytes of a line that is written as a record.
pub const CLIENT_LINE_BYTES: usize = 16 << 20;
/// Lines that are read ahead.
pub const CLIENT_LINES_AHEAD: usize = 16;
/// Bytes of a batch that a command line's client makes, but for a record that is larger.
pub const CLIENT_PRODUCE_BATCH_BYTES: usize = 256 << 10;
/// Bytes of all batches that are gathered before they are sent.
pub const CLIENT_PRODUCE_BYTES: usize = 4 << 20;
/// Milliseconds without a further line after which what is gathered is sent.
pub const CLIENT_LINGER_MS: u64 = 20;
/// Bytes of records of one coordinator shard that have not landed, at which it refuses what may
/// write.
pub const COORDINATOR_UNLANDED_BYTES: usize = 4 << 20;
/// Bytes of memory that the live groups of one partition of `__consumer_offsets` may take beside
/// their records.
pub const GROUP_MEMORY_BYTES: u64 = 64 << 20;
/// The same of all partitions that a broker coordinates together.
pub const GROUPS_MEMORY_BYTES: u64 = 256 << 20;
/// Committed offsets whose lag is shown among the metrics.
pub const GROUP_LAG_SERIES: usize = 10_000;
/// Protocols that one member may offer.
pub const GROUP_PROTOCOLS: usize = 256;
/// Offsets that one request may commit, fetch or delete.
pub const OFFSETS_OF_A_REQUEST: usize = 100_000;
