//! From a setting's text to the type its field has.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::kind::{MASK, elements};

/// A type that a setting's value can be read as. The text has passed its setting's check.
pub trait FromText: Sized {
    /// The value, or `None` if the text (or the lack of one) is not of this type.
    fn from_text(text: Option<&str>) -> Option<Self>;
}

macro_rules! parsed {
    ($($ty:ty),+) => {$(
        impl FromText for $ty {
            fn from_text(text: Option<&str>) -> Option<Self> {
                text?.trim().parse().ok()
            }
        }
    )+};
}
parsed!(i16, u16, i32, u32, i64, u64, usize, f64);

impl<T: FromText> FromText for Option<T> {
    fn from_text(text: Option<&str>) -> Option<Self> {
        match text {
            None => Some(None),
            Some(_) => T::from_text(text).map(Some),
        }
    }
}

impl FromText for bool {
    fn from_text(text: Option<&str>) -> Option<Self> {
        Some(text?.trim().eq_ignore_ascii_case("true"))
    }
}

impl FromText for String {
    fn from_text(text: Option<&str>) -> Option<Self> {
        Some(text?.trim().to_owned())
    }
}

impl FromText for Vec<String> {
    fn from_text(text: Option<&str>) -> Option<Self> {
        Some(elements(text?))
    }
}

impl FromText for PathBuf {
    fn from_text(text: Option<&str>) -> Option<Self> {
        Some(Self::from(text?.trim()))
    }
}

/// Milliseconds, as every setting that holds a duration counts them.
impl FromText for Duration {
    fn from_text(text: Option<&str>) -> Option<Self> {
        text?.trim().parse().ok().map(Self::from_millis)
    }
}

/// A secret: it shows itself only to who asks for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl FromText for Secret {
    fn from_text(text: Option<&str>) -> Option<Self> {
        Some(Self(text?.trim().to_owned()))
    }
}

/// Where acknowledged records lie until they are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalKind {
    /// In the object store: survives the broker and its disk.
    Object,
    /// In files of this machine: survives the process and a power cut; for one broker alone.
    Disk,
}

impl WalKind {
    /// The value of `wal.kind` that means this.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Disk => "disk",
        }
    }
}

/// The value of `wal.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalChoice {
    /// `disk` where the store is this machine's, `object` elsewhere.
    Auto,
    /// As said.
    Fixed(WalKind),
}

impl FromText for WalChoice {
    fn from_text(text: Option<&str>) -> Option<Self> {
        match text?.trim() {
            "auto" => Some(Self::Auto),
            "object" => Some(Self::Fixed(WalKind::Object)),
            "disk" => Some(Self::Fixed(WalKind::Disk)),
            _ => None,
        }
    }
}

/// The form of the log on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl FromText for LogFormat {
    fn from_text(text: Option<&str>) -> Option<Self> {
        match text?.trim() {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}
