//! Who this process is and where it is reached.

use crate::settings::kind::Allowed::{Any, AtLeast, Between, EachOf};
use crate::settings::setting::settings;

settings! {
    /// The process within its cluster.
    pub struct Node {
        /// Id of this process, unique in the cluster. Kafka has no default; 1 suits a broker alone.
        "node.id" => id: i32 = Int(Some("1")), AtLeast(0), Kafka, ReadOnly;
        /// Older name of node.id. It is taken where node.id is not given; the two must not differ.
        "broker.id" => broker_id: i32 = Int(Some("-1")), AtLeast(-1), Kafka, ReadOnly;
        /// What the process does. In this release there is one broker, which is its own controller,
        /// so it has to be both. Kafka has no default.
        "process.roles" => roles: Vec<String> =
            List(Some("broker,controller")), EachOf(&["broker", "controller"]), Kafka, ReadOnly;
        /// Rack or availability zone, shown to clients and used to place partitions.
        "broker.rack" => rack: Option<String> = String(None), Any, Kafka, ReadOnly;
        /// Directory of what stays on this machine: Raft log, disk WAL, lock, and the objects
        /// themselves where storage.url is not given. Takes the place of Kafka's log.dirs.
        "data.dir" => data_dir: std::path::PathBuf =
            String(Some("./odradek-data")), Any, Own, ReadOnly;
    }
}

settings! {
    /// Listeners as they were written; `Settings::listeners` holds what they mean.
    pub struct ListenerTexts {
        /// Where the broker listens, as NAME://host:port, separated by commas. An empty host,
        /// 0.0.0.0 or its like in IPv6 listens on all interfaces and then needs
        /// advertised.listeners. Kafka's default listens on all interfaces; this one on loopback, in
        /// IPv4 and IPv6 as the system resolves it. Port 0 takes a free port.
        "listeners" => listeners: Vec<String> =
            String(Some("PLAINTEXT://localhost:9092")), Any, Kafka, ReadOnly;
        /// What clients and other brokers are told to connect to, as NAME://host:port. A listener
        /// that is not in it is advertised as it stands in listeners.
        "advertised.listeners" => advertised: Option<Vec<String>> = String(None), Any, Kafka, ReadOnly;
        /// Which protocol each listener name speaks, as NAME:PROTOCOL. PLAINTEXT is served; SSL,
        /// SASL_PLAINTEXT and SASL_SSL are not yet.
        "listener.security.protocol.map" => protocols: Vec<String> = String(Some(
            "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"
        )), Any, Kafka, ReadOnly;
        /// Listener that brokers use among themselves; if not given, the one named PLAINTEXT, else
        /// the first.
        "inter.broker.listener.name" => inter_broker: Option<String> =
            String(None), Any, Kafka, ReadOnly;
        /// Names of the listeners that are the controller's. They are accepted and left out of what
        /// clients are told; while all roles are in one process none is opened.
        "controller.listener.names" => controllers: Option<Vec<String>> =
            String(None), Any, Kafka, ReadOnly;
    }
}

settings! {
    /// The metadata quorum.
    pub struct Metadata {
        /// Entries of the Raft log after which a snapshot is taken and the log before it dropped.
        "metadata.snapshot.entries" => snapshot_entries: u64 =
            Int(Some("10000")), Between(10, 10_000_000), Own, ReadOnly;
    }
}
