//! Messages made from the layouts, and the tests that hold layouts, encoder, decoder and guard
//! against one another at every version served.

mod damage;
mod generate;
mod round_trip;
mod seeds;

pub(crate) use generate::{Style, generate};

use crate::versions::SERVED;
use kafka_protocol::messages::ApiKey;

/// Every API at every version that is served.
pub(crate) fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    SERVED.iter().flat_map(|row| (row.min..=row.max).map(|version| (row.api, version)))
}
