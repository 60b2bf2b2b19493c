//! One life of a broker: on a runtime of its own, so that a crash ends every task of it.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use odradek_broker::process::{Process, World};
use odradek_broker::settings::{Settings, Sources};
use odradek_common::files::sim::SimFiles;
use odradek_common::random::SeededRandom;
use tokio::runtime::Runtime;

/// How long a start, or the end of all tasks, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker that runs.
pub struct Life {
    runtime: Runtime,
    pub process: Process,
    pub port: u16,
}

/// Settings under which everything happens often.
pub fn settings(more: &[&str]) -> Settings {
    let flags = [
        "data.dir=/data",
        "listeners=PLAINTEXT://127.0.0.1:0",
        "admin.listen=",
        "flush.interval.ms=20",
        "merge.interval.ms=30",
        "collect.interval.ms=30",
        "collect.grace.ms=0",
        "metadata.snapshot.entries=100",
        "wal.disk.file.bytes=1048576",
        "wal.linger.max.ms=5",
        "wal.puts.per.second=10000",
        "offsets.topic.num.partitions=2",
    ];
    let flags = flags.iter().chain(more).map(|flag| (*flag).to_owned()).collect();
    let sources = Sources { file: None, environment: Vec::new(), flags };
    Settings::load(&sources).unwrap().0
}

impl Life {
    /// Starts a broker; an error is what it says, or that it did not come up.
    pub fn start(
        settings: Settings,
        files: &SimFiles,
        store: Option<Arc<dyn ObjectStore>>,
        seed: u64,
    ) -> Result<Self, String> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        let world = World {
            random: Arc::new(SeededRandom::from_seed(seed)),
            files: Arc::new(files.clone()),
            store,
            ..World::of_machine()
        };
        let starting = runtime.spawn(Process::start(settings, world));
        let started = runtime.block_on(async { tokio::time::timeout(PATIENCE, starting).await });
        let failed = match started {
            Ok(Ok(Ok(process))) => {
                let port = process.listening[0].2;
                return Ok(Self { runtime, process, port });
            }
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => "it did not start in time".to_owned(),
        };
        runtime.shutdown_timeout(PATIENCE);
        Err(failed)
    }

    /// The part of a broker that tests look into.
    pub fn core(&self) -> &Arc<odradek_broker::core::Core> {
        &self.process.core
    }

    /// Ends it, as kill -9 does; panics if a task of it lives on.
    pub fn crash(self) {
        let core = Arc::downgrade(&self.process.core);
        drop(self.process);
        self.runtime.shutdown_timeout(PATIENCE);
        assert!(core.upgrade().is_none(), "a task outlived its broker");
    }
}
