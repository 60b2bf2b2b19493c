//! Names on their way: an object that has got its name but may still lose it in a power cut. Nobody
//! may act on having seen it, so readers wait until it is durable.

use std::collections::HashSet;
use std::sync::Arc;

use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The names that are being created, replaced or removed. There are no more of them than requests.
#[derive(Debug, Default)]
pub(super) struct Publishing(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<HashSet<Path>>,
    /// Notified when a name has gone from `names`.
    gone: Notify,
}

/// The right to change what a name stands for, one at a time; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    shared: Arc<Shared>,
    name: Path,
}

impl Publishing {
    /// Waits until nobody changes `name`, and claims it.
    pub(super) async fn claim(&self, name: &Path) -> Claim {
        self.0.until(|| self.0.names.lock().insert(name.clone())).await;
        Claim { shared: self.0.clone(), name: name.clone() }
    }

    /// True while somebody changes `name`.
    pub(super) fn contains(&self, name: &Path) -> bool {
        self.0.names.lock().contains(name)
    }

    /// Waits until nobody changes `name`.
    pub(super) async fn wait(&self, name: &Path) {
        self.0.until(|| !self.contains(name)).await;
    }
}

impl Shared {
    async fn until(&self, condition: impl Fn() -> bool) {
        loop {
            // Enrolled before the condition is looked at, so that no notice is missed.
            let gone = self.gone.notified();
            if condition() {
                return;
            }
            gone.await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.names.lock().remove(&self.name);
        self.shared.gone.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_name_is_claimed_by_one_at_a_time() {
        let publishing = Publishing::default();
        let (a, b) = (Path::from("a"), Path::from("b"));
        let first = publishing.claim(&a).await;
        let _other = publishing.claim(&b).await;
        let mut second = Box::pin(publishing.claim(&a));
        let mut reader = Box::pin(publishing.wait(&a));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut reader).now_or_never().is_none());
        drop(first);
        reader.await;
        drop(second.await);
        assert!(!publishing.contains(&a));
        assert!(publishing.contains(&b));
    }
}
