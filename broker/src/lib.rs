//! Odradek: broker.

pub mod settings;
