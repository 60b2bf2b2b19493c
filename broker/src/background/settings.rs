//! Puts altered settings into force: those that AlterConfigs stored for all brokers or for this one.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::info;

use crate::core::Core;
use crate::settings::Settings;

/// Follows until the metadata's watch ends. `given` is what file, environment and flags gave.
pub async fn run(core: Arc<Core>, given: Arc<Settings>) {
    let mut images = core.metadata.subscribe();
    let mut applied = (BTreeMap::new(), BTreeMap::new());
    loop {
        let image = images.borrow_and_update().clone();
        let of = |broker| image.broker_configs(broker).cloned().unwrap_or_default();
        let altered = (of(None), of(Some(core.me.broker)));
        if altered != applied {
            core.settings_now.store(Arc::new(given.with_dynamic(&altered.0, &altered.1)));
            info!(for_all = altered.0.len(), for_this = altered.1.len(), "settings were altered");
            applied = altered;
        }
        if images.changed().await.is_err() {
            return;
        }
    }
}
