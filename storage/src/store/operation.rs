//! What can be asked of a store, for metrics and faults.

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Putting a whole object.
    Put,
    /// Putting an object in parts, or one of its parts.
    Multipart,
    /// Reading an object or a part of it.
    Get,
    /// Asking for an object's length.
    Head,
    /// Listing.
    List,
    /// Deleting an object.
    Delete,
    /// Copying an object.
    Copy,
}

impl Operation {
    /// A short word for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Multipart => "multipart",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Copy => "copy",
        }
    }
}
