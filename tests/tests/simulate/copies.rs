//! When all is well again, the copies of the metadata in the bucket are read, and what they give back is looked at
//! beside the images that brokers had.

use std::sync::Arc;

use anyhow::Result;
use odradek_metadata::restore;
use odradek_storage::copies::MetadataCopies;

use crate::node::Node;
use crate::sim::{CLIENTS, Sim};
use crate::stepped::Stepped;

/// What is counted: copies that end at an entry of which a broker's image was seen.
pub const COMPARED: &str = "copies of the metadata compared with an image";

/// So long they may be read.
const READ_MS: u64 = 20_000;

impl Sim {
    /// What is wrong with the copies. A broker that is alone makes none.
    pub fn compare_copies(&mut self) -> Result<Option<String>> {
        let names = self.nodes.iter().find_map(Node::names);
        let Some(names) = names.filter(|_| self.nodes.len() > 1) else { return Ok(None) };
        let store = Arc::new(self.shared.store.seen_from(CLIENTS));
        let copies = MetadataCopies::new(store, names);
        let mut runtime = Stepped::new(self.now_ms())?;
        let mut reading = runtime.spawn(async move { copies.newest().await });
        let until_ms = self.now_ms() + READ_MS;
        while !reading.is_finished() {
            if self.now_ms() >= until_ms {
                return Ok(Some("the copies of the metadata are not read to their end".to_owned()));
            }
            self.tick()?;
            runtime.step(self.now_ms());
        }
        let Some(newest) = runtime.finish(&mut reading)?? else {
            return Ok(Some("there are no copies of the metadata".to_owned()));
        };
        let image = match restore(&newest.snapshot, &newest.tails) {
            Ok(image) => image,
            Err(error) => return Ok(Some(format!("the copies of the metadata: {error}"))),
        };
        if self.invariants.has_seen(image.applied_index()) {
            self.clients().notes().count(COMPARED);
        }
        let wrong = self.invariants.look(Arc::new(image));
        Ok(wrong.map(|wrong| format!("the copies of the metadata: {wrong}")))
    }
}
