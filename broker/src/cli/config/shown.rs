//! The settings of a process as a table for people or as JSON for tools.

use std::io::{self, Write};

use serde::Serialize;

use super::ConfigArgs;
use crate::settings::setting::{Effect, Setting};
use crate::settings::{Origin, Settings, table};

/// One setting as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    name: &'static str,
    value: Option<String>,
    source: String,
    default: Option<&'static str>,
    #[serde(rename = "type")]
    kind: &'static str,
    allowed: String,
    update: &'static str,
    effect: bool,
    sensitive: bool,
    doc: &'static str,
}

/// The settings that are asked for: those with an effect first, by group, then the others by reason.
pub(super) fn rows(args: &ConfigArgs, settings: &Settings) -> Vec<Row> {
    let is_asked = |setting: &&'static Setting| {
        let has_part = args.part.as_ref().is_none_or(|part| setting.name.contains(part.as_str()));
        let is_given = settings.values.given(setting.name).is_some();
        has_part && (is_given || !args.changed)
    };
    table::all().filter(is_asked).map(|setting| row(setting, settings)).collect()
}

fn row(setting: &'static Setting, settings: &Settings) -> Row {
    let (value, origin) = settings.shown(setting);
    let source = match origin {
        Origin::Environment => format!("environment {}", setting.environment_name()),
        other => other.to_string(),
    };
    Row {
        name: setting.name,
        value,
        source,
        default: setting.default,
        kind: setting.kind.name(),
        allowed: setting.allowed.to_string(),
        update: setting.update.name(),
        effect: setting.effect != Effect::Inert,
        sensitive: setting.is_sensitive(),
        doc: setting.doc(),
    }
}

pub(super) fn write_json(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, rows)?;
    writeln!(out)
}

/// Columns are as wide as what is in them, up to this many characters; the last is as it comes.
const COLUMN_CHARS_MAX: usize = 48;

pub(super) fn write_table(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let heads = ["SETTING", "VALUE", "SOURCE", "DEFAULT"].map(str::to_owned);
    let lines: Vec<([String; 4], &str)> = std::iter::once((heads, "MEANING"))
        .chain(rows.iter().map(|row| (columns(row), row.doc)))
        .collect();
    let width = |column: usize| {
        let widths = lines.iter().map(|(columns, _)| columns[column].chars().count());
        widths.filter(|width| *width <= COLUMN_CHARS_MAX).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    for (columns, meaning) in &lines {
        for (column, width) in columns.iter().zip(widths) {
            write!(out, "{column:width$}  ")?;
        }
        writeln!(out, "{meaning}")?;
    }
    Ok(())
}

fn columns(row: &Row) -> [String; 4] {
    let shown = |value: Option<&str>| match value {
        None => "-".to_owned(),
        Some("") => "\"\"".to_owned(),
        Some(value) => value.to_owned(),
    };
    let default = shown(row.default);
    [row.name.to_owned(), shown(row.value.as_deref()), row.source.clone(), default]
}
