//! The machine's own file system.

/// The machine's own file system.
#[derive(Debug, Default)]
pub struct RealFiles;
