//! What the test programs share that do without the standard library's harness.

use std::io::Write;

use anyhow::{Context, Result};

/// A line of progress. The harness of the standard library is not used, so this is the output.
pub fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

/// A parser for the one of `all` that is displayed like the argument.
pub fn named<T, const N: usize>(all: [T; N]) -> impl Fn(&str) -> Result<T> + Clone
where
    T: Copy + ToString,
{
    move |text| {
        let found = all.iter().find(|one| one.to_string() == text).copied();
        found.with_context(|| format!("one of {}", all.map(|one| one.to_string()).join(", ")))
    }
}
