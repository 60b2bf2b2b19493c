//! The load driver.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use odradek_benches::load::options::Options;
use odradek_benches::load::{plot, report, run};

#[tokio::main]
async fn main() -> ExitCode {
    match bench(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "odradek-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(options: &Options) -> Result<()> {
    let measured = run::run(options).await?;
    write!(std::io::stdout(), "{}", report::text(options, &measured)?)?;
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report::json(options, &measured))?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.plot {
        let drawn = plot::svg(&measured.produce, &measured.end_to_end);
        std::fs::write(path, drawn).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
