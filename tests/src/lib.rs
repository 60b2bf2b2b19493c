//! Odradek: tests.
