//! Gathers what was given: file, then environment, then flags; the later wins. figment is not used
//! for it: it nests dotted keys, and Kafka has keys that begin with another whole key
//! (`max.connections`, `max.connections.per.ip`), of which nesting keeps only one; and it guesses
//! types from the text of variables, which turns a key id of `0012` into 12.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odradek_common::limits::SETTINGS_FILE_BYTES;

use super::error::{Origin, Problem};
use super::setting::{ENVIRONMENT_PREFIX, Effect};
use super::table;
use super::values::{Given, Values, place};

/// Where settings are read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file of `--config`.
    pub file: Option<PathBuf>,
    /// The environment: those that begin with `ODRADEK_` count.
    pub environment: Vec<(OsString, OsString)>,
    /// The `KEY=VALUE` of each `--set`, in order.
    pub flags: Vec<String>,
}

impl Sources {
    /// The sources of this process: its environment, and what its command line gave.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<String>) -> Self {
        Self { file, environment: std::env::vars_os().collect(), flags }
    }
}

/// Something about the settings that the operator should know and that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub(super) String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was given, and what is wrong or odd about it.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) values: Values,
    pub(super) warnings: Vec<Warning>,
    pub(super) problems: Vec<Problem>,
}

impl Gathered {
    pub(super) fn from_sources(sources: &Sources) -> Self {
        let mut gathered = Self::default();
        if let Some(path) = &sources.file {
            match read_file(path) {
                Ok(text) => gathered.take_toml(path, &text),
                Err(problem) => gathered.problems.push(problem),
            }
        }
        gathered.take_environment(&sources.environment);
        gathered.take_flags(&sources.flags);
        gathered
    }

    /// Takes the text of a TOML file. Tables and dotted keys mean the same.
    pub(super) fn take_toml(&mut self, path: &Path, text: &str) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                let line = line_of(text, &error);
                // Not the parser's picture of the line: it may show a secret.
                let reason = error.message().to_owned();
                self.problems.push(Problem::Syntax { path: path.to_owned(), line, reason });
                return;
            }
        };
        let origin = Origin::File(Arc::new(path.to_owned()));
        let mut seen = BTreeSet::new();
        let mut rest: Vec<(String, toml::Value)> = table.into_iter().rev().collect();
        while let Some((key, value)) = rest.pop() {
            if let toml::Value::Table(inner) = value {
                rest.extend(inner.into_iter().rev().map(|(k, v)| (format!("{key}.{k}"), v)));
                continue;
            }
            if !seen.insert(key.clone()) {
                self.problems.push(Problem::Twice { place: place(&origin, &key) });
                continue;
            }
            match scalar_text(&value) {
                Some(text) => self.take(&key, text, origin.clone()),
                None => self.problems.push(Problem::BadValue {
                    place: place(&origin, &key),
                    reason: "a text, a number, true, false or a list of these is expected"
                        .to_owned(),
                }),
            }
        }
    }

    fn take_environment(&mut self, environment: &[(OsString, OsString)]) {
        for (variable, value) in environment {
            let variable = variable.to_string_lossy();
            if !variable.starts_with(ENVIRONMENT_PREFIX) {
                continue;
            }
            let Some(setting) = table::find_by_environment_name(&variable) else {
                if is_service_link(&variable) {
                    let message = "is taken for Kubernetes' and not for a setting";
                    self.warnings
                        .push(Warning(format!("environment variable {variable} {message}")));
                    continue;
                }
                self.problems.push(Problem::Unknown {
                    place: place(&Origin::Environment, &variable),
                    nearest: table::nearest_environment_name(&variable),
                });
                continue;
            };
            match value.to_str() {
                Some(text) => self.take(setting.name, text.to_owned(), Origin::Environment),
                None => self.problems.push(Problem::BadValue {
                    place: place(&Origin::Environment, setting.name),
                    reason: "the value is not UTF-8".to_owned(),
                }),
            }
        }
    }

    fn take_flags(&mut self, flags: &[String]) {
        for flag in flags {
            match flag.split_once('=') {
                Some((key, text)) => self.take(key.trim(), text.to_owned(), Origin::Flag),
                None => self.problems.push(Problem::NotAnAssignment { given: flag.clone() }),
            }
        }
    }

    fn take(&mut self, key: &str, text: String, origin: Origin) {
        let place = place(&origin, key);
        let Some(setting) = table::find(key) else {
            if table::is_ignored(key) {
                self.warnings.push(Warning(format!("{place}: no effect here")));
            } else {
                let nearest = table::nearest(key).map(str::to_owned);
                self.problems.push(Problem::Unknown { place, nearest });
            }
            return;
        };
        if let Err(invalid) = setting.check(&text) {
            self.problems.push(Problem::BadValue { place, reason: invalid.to_string() });
            return;
        }
        if setting.effect == Effect::Inert {
            self.warnings.push(Warning(format!("{place}: {}", setting.doc())));
        }
        self.values.give(setting, Given { text: text.trim().to_owned(), origin });
    }
}

/// The line, from 1, that the parser stopped at.
fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    before.matches('\n').count() + 1
}

/// Whether Kubernetes sets this variable for a service whose name begins with `odradek`, in every
/// pod beside it: `..._SERVICE_HOST`, `..._SERVICE_PORT`, `..._PORT`, `..._PORT_9092_TCP_ADDR`.
pub(super) fn is_service_link(variable: &str) -> bool {
    let has = |part: &str| variable.contains(part);
    has("_SERVICE_HOST")
        || has("_SERVICE_PORT")
        || variable.ends_with("_PORT")
        || (has("_PORT_") && (has("_TCP") || has("_UDP")))
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let failed = |source| Problem::File { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(SETTINGS_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > SETTINGS_FILE_BYTES {
        let limit_bytes = SETTINGS_FILE_BYTES;
        return Err(Problem::FileTooLong { path: path.to_owned(), limit_bytes });
    }
    Ok(text)
}

/// A TOML value as Kafka would write it: plain, and a list with commas. `None` for tables, dates and
/// lists of lists.
fn scalar_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(elements) => {
            let texts: Option<Vec<String>> = elements
                .iter()
                .map(|element| (!element.is_array()).then(|| scalar_text(element)).flatten())
                .collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
