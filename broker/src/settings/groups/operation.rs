//! What the operator sees.

use std::time::Duration;

use crate::settings::kind::Allowed::{Any, Between, OneOf};
use crate::settings::setting::settings;
use crate::settings::typed::LogFormat;

settings! {
    /// The admin HTTP server.
    pub struct Admin {
        /// Address of /livez, /readyz and /metrics, as host:port; empty: not served.
        "admin.listen" => listen: String = String(Some("127.0.0.1:9644")), Any, Own, ReadOnly;
    }
}

settings! {
    /// The log on standard error.
    pub struct LogOutput {
        /// Form of the log: text or json (an object a line).
        "log.format" => format: LogFormat =
            String(Some("text")), OneOf(&["text", "json"]), Own, ReadOnly;
        /// What is logged: a level (error, warn, info, debug, trace) or directives by module, such
        /// as info,odradek_storage=debug.
        "log.level" => level: String = String(Some("info,openraft=off")), Any, Own, ReadOnly;
    }
}

settings! {
    /// The process.
    pub struct Process {
        /// How long a shutdown may finish what is in flight and flush before the process ends.
        "shutdown.timeout.ms" => shutdown_timeout: Duration =
            Int(Some("10000")), Between(0, 3_600_000), Own, ReadOnly;
    }
}
