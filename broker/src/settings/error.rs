//! What can be wrong with settings.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table.
    Default,
    /// The file given with `--config`.
    File(Arc<PathBuf>),
    /// The environment variable of the setting's name.
    Environment,
    /// `--set` on the command line.
    Flag,
    /// AlterConfigs for all brokers.
    DynamicCluster,
    /// AlterConfigs for this broker.
    DynamicBroker,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("--set"),
            Self::DynamicCluster => f.write_str("altered for all brokers"),
            Self::DynamicBroker => f.write_str("altered for this broker"),
        }
    }
}

/// One thing that is wrong with the settings. Each names where it was found.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A key that neither Kafka nor Odradek has.
    #[error("{place}: unknown setting{}", nearest_hint(nearest))]
    Unknown {
        /// Source and key.
        place: String,
        /// The key that was perhaps meant.
        nearest: Option<String>,
    },
    /// A value that its setting does not allow.
    #[error("{place}: {reason}")]
    BadValue {
        /// Source and key.
        place: String,
        /// Why.
        reason: String,
    },
    /// A key given twice in one source.
    #[error("{place}: given twice")]
    Twice {
        /// Source and key.
        place: String,
    },
    /// The file cannot be read.
    #[error("file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is longer than a file of settings may be.
    #[error("file {}: longer than {limit_bytes} bytes", path.display())]
    FileTooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// The file is not TOML.
    #[error("file {}, line {line}: not TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// A `--set` without a key and a value.
    #[error("--set {given}: not of the form KEY=VALUE")]
    NotAnAssignment {
        /// What was given.
        given: String,
    },
    /// Settings that contradict one another.
    #[error("{0}")]
    Conflict(String),
}

fn nearest_hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |key| format!("; did you mean {key}?"))
}

/// Everything that is wrong with the settings, a line each.
#[derive(Debug)]
pub struct SettingsError {
    /// The problems, at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

impl From<Problem> for SettingsError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}
