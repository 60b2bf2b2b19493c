//! Odradek: protocol.
