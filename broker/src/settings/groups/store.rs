//! The object store, the write-ahead log, the caches and the work in the background.

use std::time::Duration;

use crate::settings::kind::Allowed::{Any, AtLeast, Between, OneOf};
use crate::settings::setting::settings;
use crate::settings::typed::{Secret, WalChoice};

settings! {
    /// The object store.
    pub struct Storage {
        /// Where the objects are: file:///directory, s3://bucket/prefix, gs://bucket/prefix,
        /// az://container/prefix or memory:// (for tests: gone with the process). If not given, the
        /// directory objects in data.dir.
        "storage.url" => url: Option<String> = String(None), Any, Own, ReadOnly;
        /// Address of the store where it is not the cloud's own, such as http://127.0.0.1:9000 for
        /// MinIO; for an emulator of Azure with the account in the path.
        "storage.endpoint" => endpoint: Option<String> = String(None), Any, Own, ReadOnly;
        /// Region of the bucket; if not given, AWS_REGION, else us-east-1.
        "storage.region" => region: Option<String> = String(None), Any, Own, ReadOnly;
        /// Id of the access key, for Azure the name of the account; if not given, the credentials
        /// of the environment, of the instance or of the web identity count.
        "storage.access.key.id" => access_key_id: Option<String> =
            String(None), Any, Own, ReadOnly;
        /// Secret of the access key, for Azure the key of the account.
        "storage.secret.access.key" => secret_access_key: Option<Secret> =
            Password(None), Any, Own, ReadOnly;
        /// Session token of an access key that is temporary; S3 only.
        "storage.session.token" => session_token: Option<Secret> =
            Password(None), Any, Own, ReadOnly;
        /// File with the key of a service account, in JSON; Google only. If not given, the
        /// credentials of the environment or of the instance count.
        "storage.service.account" => service_account: Option<String> =
            String(None), Any, Own, ReadOnly;
        /// Whether the store may be spoken to without TLS; if not given, it may where
        /// storage.endpoint begins with http://.
        "storage.allow.http" => allow_http: Option<bool> = Boolean(None), Any, Own, ReadOnly;
        /// Whether the bucket stands in the host name of requests and not in their path.
        "storage.virtual.hosted.style" => virtual_hosted_style: bool =
            Boolean(Some("false")), Any, Own, ReadOnly;
    }
}

settings! {
    /// The write-ahead log.
    pub struct Wal {
        /// Where acknowledged records lie until they are flushed: object (in the store; survives
        /// the machine), disk (in data.dir; survives the process and a power cut; for one broker
        /// alone) or auto, which is disk for a file:// store and object for the others.
        "wal.kind" => kind: WalChoice =
            String(Some("auto")), OneOf(&["auto", "object", "disk"]), Own, ReadOnly;
        /// Longest time that records gather for a write. The wait follows the measured latency of
        /// the store below this.
        "wal.linger.max.ms" => linger_max: Duration =
            Int(Some("50")), Between(0, 10_000), Own, ReadOnly;
        /// Shortest time that records gather for a write while another is in flight.
        "wal.linger.floor.ms" => linger_floor: Duration =
            Int(Some("1")), Between(0, 10_000), Own, ReadOnly;
        /// Writes to the store per second that the linger aims not to exceed, of all chains. It
        /// bounds the bill: at 5 USD a million, 100 a second are 1,300 USD a month. The disk WAL
        /// has no such bound.
        "wal.puts.per.second" => puts_per_second: u32 =
            Int(Some("100")), Between(1, 100_000), Own, ReadOnly;
        /// Bytes at which gathered records are written without further wait.
        "wal.slot.bytes" => slot_bytes: usize =
            Int(Some("8388608")), Between(65_536, 268_435_456), Own, ReadOnly;
        /// Writes of one chain that may be in flight at once.
        "wal.window" => window: u32 = Int(Some("16")), Between(1, 256), Own, ReadOnly;
        /// Bytes appended and not yet durable at which producers wait.
        "wal.unlanded.bytes" => unlanded_bytes: usize =
            Long(Some("134217728")), AtLeast(1_048_576), Own, ReadOnly;
        /// Bytes of one file of the disk WAL's ring.
        "wal.disk.file.bytes" => disk_file_bytes: u64 =
            Int(Some("67108864")), Between(1_048_576, 1_073_741_824), Own, ReadOnly;
    }
}

settings! {
    /// Memory of the caches.
    pub struct Cache {
        /// Bytes of the log cache, which holds what was appended last.
        "cache.bytes" => log_bytes: usize =
            Long(Some("268435456")), AtLeast(1_048_576), Own, ReadOnly;
        /// Bytes of the block cache, which holds what was read from the store.
        "cache.block.bytes" => block_bytes: usize =
            Long(Some("134217728")), AtLeast(1_048_576), Own, ReadOnly;
    }
}

settings! {
    /// Work in the background.
    pub struct Background {
        /// Age of the oldest record outside segments at which a flush begins.
        "flush.interval.ms" => flush_interval: Duration =
            Long(Some("30000")), Between(10, 86_400_000), Own, ReadOnly;
        /// Bytes of records outside segments at which a flush begins.
        "flush.bytes" => flush_bytes: u64 =
            Long(Some("134217728")), AtLeast(1024), Own, ReadOnly;
        /// Bytes of records outside segments at which producers wait, where the write-ahead log is a disk; from half
        /// of it on they are slowed. Small writes take more of the disk than their records. Four times `flush.bytes`
        /// at least.
        "flush.backlog.max.bytes" => backlog_max_bytes: u64 =
            Long(Some("8589934592")), AtLeast(1_048_576), Own, ReadOnly;
        /// How often index objects are merged into manifests.
        "merge.interval.ms" => merge_interval: Duration =
            Long(Some("60000")), Between(10, 86_400_000), Own, ReadOnly;
        /// How often objects that nothing refers to are looked for and deleted.
        "collect.interval.ms" => collect_interval: Duration =
            Long(Some("300000")), Between(10, 86_400_000), Own, ReadOnly;
        /// How long such an object is spared, so that who still reads it does not fail. Safety does
        /// not depend on it.
        "collect.grace.ms" => collect_grace: Duration =
            Long(Some("300000")), Between(0, 604_800_000), Own, ReadOnly;
    }
}
