//! Odradek: metadata.
