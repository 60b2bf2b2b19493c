//! `odradek config`: every setting with its value, its source, its default and what it means.

mod page;
mod shown;

use std::io::{self, Write};

use clap::Args;

pub use page::settings_page;

use crate::settings::Settings;

/// `odradek config`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  odradek config                    every setting
  odradek config retention          those with 'retention' in their name
  odradek config --changed          those that were given, and where
  odradek config --json | jq '.[] | select(.name == \"listeners\")'
  odradek config --markdown         the page docs/settings.md")]
pub struct ConfigArgs {
    /// Only settings with this in their name
    #[arg(value_name = "PART")]
    pub part: Option<String>,
    /// Only settings that were given a value
    #[arg(long)]
    pub changed: bool,
    /// Print JSON and not a table
    #[arg(long)]
    pub json: bool,
    /// Print the page of documentation on all settings, of topics too
    #[arg(long, conflicts_with_all = ["json", "changed", "part"])]
    pub markdown: bool,
}

/// Prints what `args` ask for. Secrets are masked. An `out` that is closed has enough: `head` does so.
///
/// # Errors
/// `out` cannot be written to.
pub fn run(args: &ConfigArgs, settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    match print(args, settings, out) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn print(args: &ConfigArgs, settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
    if args.markdown {
        return out.write_all(settings_page().as_bytes());
    }
    let rows = shown::rows(args, settings);
    if args.json { shown::write_json(&rows, out) } else { shown::write_table(&rows, out) }
}
