//! Puts altered settings into force: those that AlterConfigs stored for all brokers or for this one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use odradek_metadata::{Command, Image, SetDraining};
use tokio::time::timeout;
use tracing::{info, warn};

use super::ownership;
use crate::core::Core;
use crate::settings::Settings;

/// What was not agreed upon is tried again after this, if no newer image comes before.
const AGAIN: Duration = Duration::from_secs(1);

/// What was altered, and what it changes.
#[derive(Debug)]
pub struct AlteredSettings {
    /// What file, environment and flags gave.
    given: Arc<Settings>,
    /// What is in force, for all brokers and for this one.
    applied: (BTreeMap<String, String>, BTreeMap<String, String>),
}

impl AlteredSettings {
    /// Nothing is altered yet of what `given` has.
    #[must_use]
    pub fn of(given: Arc<Settings>) -> Self {
        Self { given, applied: Default::default() }
    }

    /// Puts into force what `image` has, for the logs that are there as well.
    pub fn follow(&mut self, core: &Core, image: &Image) {
        let of = |broker| image.broker_configs(broker).cloned().unwrap_or_default();
        let altered = (of(None), of(Some(core.me.broker)));
        if altered == self.applied {
            return;
        }
        core.settings_now.store(Arc::new(self.given.with_dynamic(&altered.0, &altered.1)));
        for log in core.logs.all() {
            ownership::refresh_rules(core, &log);
        }
        info!(for_all = altered.0.len(), for_this = altered.1.len(), "settings were altered");
        self.applied = altered;
    }

    /// Follows until the metadata's watch ends.
    pub async fn run(mut self, core: Arc<Core>) {
        let mut images = core.metadata.subscribe();
        loop {
            let image = images.borrow_and_update().clone();
            self.follow(&core, &image);
            let should_drain = core.settings().node.draining;
            let registration = image.registration(core.me);
            // One that stops drains whatever is set.
            let is_as_set = core.draining.is_cancelled()
                || registration.is_none_or(|of| of.draining == should_drain)
                || set_draining(&core, should_drain).await;
            let changed = if is_as_set {
                images.changed().await
            } else {
                timeout(AGAIN, images.changed()).await.unwrap_or(Ok(()))
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

/// Has the metadata note whether others are preferred to this broker as owners; whether it did.
async fn set_draining(core: &Core, draining: bool) -> bool {
    let command = Command::SetDraining(SetDraining { broker: core.me, draining });
    match core.propose(command).await {
        Ok(_) => {
            info!(draining, "broker.draining is in force");
            true
        }
        Err(error) => {
            warn!(draining, %error, "broker.draining is not in force yet");
            false
        }
    }
}
