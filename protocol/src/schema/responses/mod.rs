//! The layouts of the answers: the guard of the command line's client walks by them, and tests make
//! messages with every field in use.

mod admin;
mod cluster;
mod data;
mod groups;

use super::Schema;
use kafka_protocol::messages::ApiKey;

/// The layout of the answers of `api`, `None` if it is not served.
pub(crate) fn response(api: ApiKey) -> Option<&'static Schema> {
    [data::RESPONSES, groups::RESPONSES, admin::RESPONSES, cluster::RESPONSES]
        .into_iter()
        .flatten()
        .find(|schema| schema.api == api)
}
