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
        /// What the process does: a broker serves clients, a controller votes in the metadata quorum. Each
        /// process is a broker; where controller.quorum.voters names others it need not be a controller.
        /// Kafka has no default.
        "process.roles" => roles: Vec<String> =
            List(Some("broker,controller")), EachOf(&["broker", "controller"]), Kafka, ReadOnly;
        /// Rack or availability zone, shown to clients and used to place partitions.
        "broker.rack" => rack: Option<String> = String(None), Any, Kafka, ReadOnly;
        /// Whether this broker gives its partitions to the others and gets none, while there are others that
        /// take them and auto.leader.rebalance.enable is true.
        "broker.draining" => draining: bool = Boolean(Some("false")), Any, Own, PerBroker;
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
        /// Names of the listeners that are the controller's, of which the first is served: the nodes of the
        /// cluster talk there about metadata, in a protocol of Odradek's own. It is left out of what clients
        /// are told, and not opened where controller.quorum.voters is empty.
        "controller.listener.names" => controllers: Option<Vec<String>> =
            String(None), Any, Kafka, ReadOnly;
    }
}

settings! {
    /// The metadata quorum, and the brokers that it watches over.
    pub struct Metadata {
        /// The voters of the metadata quorum, as ID@HOST:PORT of their listeners for controllers, the same in
        /// each process of the cluster. Empty for a process that is the whole cluster.
        "controller.quorum.voters" => voters: Vec<String> = List(Some("")), Any, Kafka, ReadOnly;
        /// What the nodes of a cluster share, so that nobody else takes part in its metadata: 16 to 256
        /// bytes, the same in each. Without it the listener for controllers answers to this machine
        /// alone.
        "controller.quorum.secret" => quorum_secret: Option<crate::settings::Secret> =
            Password(None), Any, Own, ReadOnly;
        /// How long a broker may be silent until its partitions go to others. One that is killed is noticed
        /// sooner, by its connections. Kafka's default is 9000.
        "broker.session.timeout.ms" => session_timeout: std::time::Duration =
            Int(Some("3000")), Between(500, 3_600_000), Kafka, ReadOnly;
        /// Whether partitions are moved so that brokers carry alike, by the bytes and requests that were
        /// measured. Kafka moves leaders to their preferred replicas; here the one is the other.
        "auto.leader.rebalance.enable" => rebalance: bool =
            Boolean(Some("true")), Any, Kafka, ReadOnly;
        /// How often a broker says that it is there. Kafka's default is 2000.
        "broker.heartbeat.interval.ms" => heartbeat_interval: std::time::Duration =
            Int(Some("300")), Between(20, 600_000), Kafka, ReadOnly;
        /// Entries of the Raft log after which a snapshot is taken and the log before it dropped.
        "metadata.snapshot.entries" => snapshot_entries: u64 =
            Int(Some("10000")), Between(10, 10_000_000), Own, ReadOnly;
    }
}
