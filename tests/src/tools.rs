//! The servers, clients and checkers that `tests/tools/install` puts into one folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The folder that `tests/tools/install` fills.
#[must_use]
pub fn tools_folder() -> PathBuf {
    std::env::var_os("ODRADEK_TOOLS").map_or_else(|| checkout().join(".tools"), PathBuf::from)
}

/// The top of the checkout that the tests were built from.
#[must_use]
pub fn checkout() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// The path of a program in the tools folder; an error that says how to get it if it is missing.
pub fn tool(name: &str, path: &str) -> Result<PathBuf> {
    let program = tools_folder().join(name).join(path);
    if !program.exists() {
        bail!("{} is missing: run tests/tools/install {name}", program.display());
    }
    Ok(program)
}
