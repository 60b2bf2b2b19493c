//! Odradek: storage.
