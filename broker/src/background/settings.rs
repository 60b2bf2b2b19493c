//! Puts altered settings into force: those that AlterConfigs stored for all brokers or for this one.

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_metadata::Image;
use tracing::info;

use super::ownership;
use crate::core::Core;
use crate::settings::Settings;

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
            if images.changed().await.is_err() {
                return;
            }
        }
    }
}
