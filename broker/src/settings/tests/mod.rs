//! Tests of the settings as a whole.

mod altering;
mod hostile;
mod layers;
mod listeners;
mod used;
mod whole;

use std::ffi::OsString;
use std::path::Path;

use super::layers::{Gathered, Sources};
use super::{Settings, SettingsError};

/// The settings of a broker that is given this file and these flags.
pub(crate) fn from_toml(text: &str) -> Result<Settings, SettingsError> {
    let mut gathered = Gathered::default();
    gathered.take_toml(Path::new("odradek.toml"), text);
    if gathered.problems.is_empty() {
        Settings::from_values(gathered.values)
    } else {
        Err(SettingsError { problems: gathered.problems })
    }
}

/// The settings of a broker that is given these flags.
pub(crate) fn from_flags(flags: &[&str]) -> Result<Settings, SettingsError> {
    Settings::load(&sources(flags, &[])).map(|(settings, _)| settings)
}

fn sources(flags: &[&str], environment: &[(&str, &str)]) -> Sources {
    let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    Sources {
        file: None,
        environment: environment.iter().map(pair).collect(),
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
    }
}

/// What is said about these flags.
fn complaint(flags: &[&str]) -> String {
    from_flags(flags).expect_err("these flags are wrong").to_string()
}
