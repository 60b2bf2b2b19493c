//! Object stores: opened by URL, with retries and metrics around them, and faults for tests.
//!
//! ```text
//! the store itself   file (a directory), memory, or the library's S3, Google, Azure
//!   └ Measured       counts attempts, straightens errors        = Store::direct
//!       └ Retrying   tries again, by kind of error, to a limit  = Store::retrying
//! ```

pub mod faulty;
pub mod file;
mod kind;
mod measured;
mod open;
mod operation;
mod reach;
mod retrying;
pub mod sim;

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use odradek_common::random::SharedRandom;

pub use self::kind::{StoreErrorKind, classify, describe};
pub use self::measured::Measured;
pub use self::open::{OpenError, StoreSettings, open};
pub use self::operation::Operation;
pub use self::reach::{Reach, Trouble};
pub use self::retrying::{CutShort, Patience, RetryOptions, Retrying, TookTooLong};

/// An open store and the place in it that is ours. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    direct: Arc<dyn ObjectStore>,
    retrying: Arc<dyn ObjectStore>,
    reach: Arc<Reach>,
    prefix: Path,
    description: String,
}

impl Store {
    /// Puts metrics and retries around `store`. `description` is what people are shown.
    #[must_use]
    pub fn over(
        store: Arc<dyn ObjectStore>,
        prefix: Path,
        description: String,
        options: RetryOptions,
        random: SharedRandom,
    ) -> Self {
        let measured = Measured::new(store);
        let reach = measured.reach();
        let direct: Arc<dyn ObjectStore> = Arc::new(measured);
        let retrying = Arc::new(Retrying::new(direct.clone(), options, random));
        Self { direct, retrying, reach, prefix, description }
    }

    /// The store for those who retry and hedge by themselves: the write-ahead log. One request is
    /// one attempt.
    #[must_use]
    pub fn direct(&self) -> Arc<dyn ObjectStore> {
        self.direct.clone()
    }

    /// The store for everybody else: what may pass is tried again, to a limit.
    #[must_use]
    pub fn retrying(&self) -> Arc<dyn ObjectStore> {
        self.retrying.clone()
    }

    /// What keeps the store from answering, if the last request got no answer.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.reach.trouble()
    }

    /// What all our keys begin with; may be empty.
    #[must_use]
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description)
    }
}

#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod retrying_tests;
#[cfg(test)]
pub(crate) mod testing;
