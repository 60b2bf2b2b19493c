//! What `/readyz` tells. Required is what this broker needs to serve clients; an outage of the
//! store is told and does not make it unready: it answers reads from memory and retriable errors,
//! and recovers by itself, while a broker taken away by a balancer would do neither.

use std::sync::Arc;
use std::time::Duration;

use odradek_storage::store::Trouble;

use crate::admin_http::{Check, Readiness};
use crate::core::Core;
use crate::topics::LiveTopics;

/// A slot that takes longer than this to land tells of trouble with the store.
const SLOW: Duration = Duration::from_secs(5);

/// The readiness of a broker.
pub struct BrokerReadiness(pub Arc<Core>);

impl Readiness for BrokerReadiness {
    fn checks(&self) -> Vec<Check> {
        let core = &self.0;
        let image = core.image();
        let registered = image.is_live(core.me);
        // The partitions of a topic that is being deleted have no log any more.
        let lives = |topic| image.live_topic(topic).is_some();
        let owned = image.owned_by(core.me).filter(|(at, _)| lives(at.topic)).count();
        let served = core.logs.all().len();
        let chain = core.chain.stats();
        let landing = chain.trouble.is_none() && chain.oldest_unlanded < SLOW;
        let trouble = core.store.trouble();
        let stopping = core.draining.is_cancelled();
        vec![
            Check {
                name: "registration",
                required: true,
                passed: registered && !stopping,
                detail: match (registered, stopping) {
                    (_, true) => "stopping".to_owned(),
                    (true, _) => format!("{} is registered", core.me),
                    (false, _) => format!("{} is fenced", core.me),
                },
            },
            Check {
                name: "partitions",
                required: true,
                passed: served >= owned,
                detail: format!("{served} of {owned} partitions are served"),
            },
            Check {
                name: "write-ahead log",
                required: false,
                passed: landing,
                detail: chain.trouble.unwrap_or_else(|| {
                    let age = chain.oldest_unlanded.as_secs_f32();
                    format!("the oldest slot under way is {age:.1} s old")
                }),
            },
            Check {
                name: "object store",
                required: false,
                passed: trouble.is_none(),
                detail: match trouble {
                    None => format!("{} answered the last request", core.store),
                    Some(Trouble { since, reason }) => {
                        let age = since.elapsed().as_secs_f32();
                        format!("{} has not answered for {age:.1} s: {reason}", core.store)
                    }
                },
            },
        ]
    }
}
