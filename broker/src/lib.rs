//! Odradek: broker.
