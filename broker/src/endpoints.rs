//! Where brokers are reached: each listener has addresses of its own, so that a client that came
//! through one is sent to the others through the same.

use odradek_metadata::image::Registration;
use odradek_metadata::{Image, Listener};

/// The live brokers that have the listener `name`, with its address.
pub fn live<'a>(
    image: &'a Image,
    name: &'a str,
) -> impl Iterator<Item = (&'a Registration, &'a Listener)> {
    image.live_brokers().filter_map(move |r| Some((r, of(r, name)?)))
}

/// The address of a broker's listener.
#[must_use]
pub fn of<'a>(registration: &'a Registration, name: &str) -> Option<&'a Listener> {
    registration.listeners.iter().find(|l| l.name == name)
}
