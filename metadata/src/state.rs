//! The state of this node: the newest image, published to its readers, and the proposals that an
//! image completes. One place applies entries, be they of this node's own log or of the feed.

use std::sync::Arc;

use tokio::sync::watch;

use crate::image::Image;
use crate::machine::Judged;
use crate::waiting::Waiting;
use crate::wire::{DecodeError, Origin, decode_entry};

/// Where images appear.
#[derive(Clone, Debug)]
pub(crate) struct State {
    images: watch::Sender<Arc<Image>>,
    waiting: Arc<Waiting>,
}

impl State {
    /// Nothing is applied yet.
    pub(crate) fn new(waiting: Arc<Waiting>) -> Self {
        Self { images: watch::channel(Arc::new(Image::default())).0, waiting }
    }

    /// Tells of every new image, until no [`State`] is left.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Image>> {
        self.images.subscribe()
    }

    /// The newest image.
    pub(crate) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.images.borrow())
    }

    /// Begins to apply entries to the newest image.
    pub(crate) fn begin(&self) -> Applying<'_> {
        Applying { state: self, image: Image::clone(&self.images.borrow()), outcomes: Vec::new() }
    }

    /// Puts another image in place of the newest one. What entries in between came to is not known.
    pub(crate) fn replace(&self, image: Image) {
        self.images.send_replace(Arc::new(image));
        self.waiting.give_up_all();
    }
}

/// Entries that are applied and not yet published.
#[derive(Debug)]
pub(crate) struct Applying<'a> {
    state: &'a State,
    image: Image,
    outcomes: Vec<(Origin, Judged)>,
}

impl Applying<'_> {
    /// Applies the entry at `index`, which holds encoded `commands` or nothing for this state.
    ///
    /// # Errors
    /// The commands cannot be decoded. To pass over them would be to hold another state than the
    /// rest of the quorum.
    pub(crate) fn apply(&mut self, index: u64, commands: Option<&[u8]>) -> Result<(), DecodeError> {
        let proposals = commands.map(decode_entry).transpose()?.unwrap_or_default();
        let judged = self.image.apply_entry(index, &proposals.commands);
        self.outcomes.extend(proposals.origins.into_iter().zip(judged));
        Ok(())
    }

    /// Shows the image, and only then answers who waits for what is in it.
    pub(crate) fn publish(self) {
        self.state.images.send_replace(Arc::new(self.image));
        self.state.waiting.applied(self.outcomes);
    }
}
