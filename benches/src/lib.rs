//! Odradek: benches.
